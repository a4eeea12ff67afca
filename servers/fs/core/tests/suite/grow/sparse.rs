//! A device in memory that takes room for what is not zero only, and logs what is done to
//! it; copies share what they have in common.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;

use gritos_fs_core::block::{BlockDevice, BlockError, Geometry, sectors_of};

use crate::support::{scratch, tool_path};

const PAGE: usize = 4096;
const SECTORS: u64 = (PAGE / 512) as u64;

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Write(u64, Vec<u8>),
    Flush,
}

#[derive(Clone)]
pub(crate) struct Sparse {
    sectors: u64,
    pages: BTreeMap<u64, Rc<[u8; PAGE]>>,
    pub(crate) log: Rc<RefCell<Vec<Event>>>,
}

impl Sparse {
    /// What is in a file.
    pub(crate) fn read_file(path: &Path) -> Self {
        let mut file = File::open(path).expect("an image");
        let bytes = file.metadata().expect("its size").len();
        let mut disk = Self {
            sectors: bytes / 512,
            pages: BTreeMap::new(),
            log: Rc::default(),
        };
        let mut piece = vec![0; 64 * PAGE];
        let mut at = 0;
        loop {
            let count = file.read(&mut piece).expect("reading the image");
            if count == 0 {
                break;
            }
            disk.put(at / 512, &piece[..count]);
            at += count as u64;
        }
        disk
    }

    pub(crate) fn write_file(&self, path: &Path) {
        let mut file = File::create(path).expect("a file");
        file.set_len(self.sectors * 512).expect("its size");
        for (page, data) in &self.pages {
            let at = page * PAGE as u64;
            let count = (self.sectors * 512 - at).min(PAGE as u64) as usize;
            file.seek(SeekFrom::Start(at)).expect("seeking");
            file.write_all(&data[..count]).expect("writing");
        }
    }

    pub(crate) fn set_bytes(&mut self, bytes: u64) {
        self.sectors = bytes / 512;
    }

    /// What lies from a page on, moved to another page.
    pub(crate) fn moved(&self, from: u64, to: u64) -> Self {
        let pages = self.pages.range(from..);
        Self {
            sectors: self.sectors - from * SECTORS + to * SECTORS,
            pages: pages
                .map(|(page, data)| (page - from + to, Rc::clone(data)))
                .collect(),
            log: Rc::default(),
        }
    }

    /// A copy with a log of its own.
    pub(crate) fn copy(&self) -> Self {
        Self {
            log: Rc::default(),
            ..self.clone()
        }
    }

    pub(crate) fn get(&self, mut sector: u64, mut into: &mut [u8]) {
        while !into.is_empty() {
            let (page, skip) = (sector / SECTORS, (sector % SECTORS) as usize * 512);
            let count = into.len().min(PAGE - skip);
            let (now, rest) = into.split_at_mut(count);
            match self.pages.get(&page) {
                Some(data) => now.copy_from_slice(&data[skip..skip + count]),
                None => now.fill(0),
            }
            into = rest;
            sector += (count / 512) as u64;
        }
    }

    pub(crate) fn put(&mut self, mut sector: u64, mut from: &[u8]) {
        while !from.is_empty() {
            let (page, skip) = (sector / SECTORS, (sector % SECTORS) as usize * 512);
            let count = from.len().min(PAGE - skip);
            let (now, rest) = from.split_at(count);
            let is_zero = now.iter().all(|byte| *byte == 0);
            if is_zero && count == PAGE {
                self.pages.remove(&page);
            } else if !is_zero || self.pages.contains_key(&page) {
                let data = self.pages.entry(page).or_insert(Rc::new([0; PAGE]));
                Rc::make_mut(data)[skip..skip + count].copy_from_slice(now);
            }
            from = rest;
            sector += (count / 512) as u64;
        }
    }

    /// What a tool of e2fsprogs says to it: its exit code and its words.
    pub(crate) fn judged(&self, name: &str, arguments: &[&str]) -> (i32, String) {
        self.clone().run(name, arguments, false)
    }

    /// Has a tool of e2fsprogs change it.
    pub(crate) fn changed(&mut self, name: &str, arguments: &[&str]) -> (i32, String) {
        self.run(name, arguments, true)
    }

    fn run(&mut self, name: &str, arguments: &[&str], read_back: bool) -> (i32, String) {
        let path = scratch("sparse.img");
        self.write_file(&path);
        let output = Command::new(name)
            .args(arguments)
            .arg(&path)
            .env("PATH", tool_path())
            .stdin(Stdio::null())
            .output()
            .expect("e2fsprogs is there, since the image was made");
        if read_back {
            *self = Self {
                log: Rc::clone(&self.log),
                ..Self::read_file(&path)
            };
        }
        let _ = std::fs::remove_file(&path);
        let words = [output.stdout, output.stderr].concat();
        let words = String::from_utf8_lossy(&words).into_owned();
        (output.status.code().unwrap_or(-1), words)
    }
}

impl BlockDevice for Sparse {
    fn geometry(&self) -> Geometry {
        Geometry {
            sectors: self.sectors,
            read_only: false,
            flushes: true,
        }
    }

    fn read(&mut self, sector: u64, into: &mut [u8]) -> Result<(), BlockError> {
        sectors_of(self.geometry(), sector, into.len())?;
        self.get(sector, into);
        Ok(())
    }

    fn write(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        sectors_of(self.geometry(), sector, from.len())?;
        self.log
            .borrow_mut()
            .push(Event::Write(sector, from.to_vec()));
        self.put(sector, from);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        self.log.borrow_mut().push(Event::Flush);
        Ok(())
    }
}
