//! Operations on files, as a program makes them: through the client library, with every process counted.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use gritos_fs_client::{Errno, Mode, OpenFile, OpenFlags};
use gritos_shell_core::{Context, Failure, status};

use super::{Bench, measure};
use crate::commands::files::{join, with};

pub(super) const BENCHES: &[Bench] = &[
    Bench {
        name: "files",
        what: "operations on files in a folder, which is made, as NAME_...; FOLDER NAME",
        run: files,
    },
    Bench {
        name: "large",
        what: "files of 1 MiB, written and read; FOLDER NAME",
        run: large_files,
    },
    Bench {
        name: "folder",
        what: "a folder that grows to 10,000 files; FOLDER NAME",
        run: folder,
    },
];

const ROUNDS: usize = 40;
/// Rounds of what takes long.
const FEW: usize = 9;
const BLOCK: usize = 4096;
const MIB: usize = 1 << 20;
/// Files of 1 MiB that are read in turn: more than twice what the server's cache holds.
const COLD: usize = 10;
/// Files of the folder that grows, and how many are made between two figures.
const MANY: usize = 10_000;
const STEP: usize = 1000;

const MODE: Mode = Mode::from_bits_retain(0o755);
const NEW: OpenFlags = OpenFlags::READ
    .union(OpenFlags::WRITE)
    .union(OpenFlags::CREATE);

/// What a measurement is called, and where it takes place.
struct Place<'a> {
    folder: &'a str,
    name: &'a str,
}

impl Place<'_> {
    /// Makes the folder.
    fn make(&self) -> Result<(), Failure> {
        with(|client| client.mkdir(self.folder, MODE))
            .map_err(|why| Failure::new(format_args!("{}: {why}", self.folder)))
    }

    fn path(&self, name: &str) -> String {
        join(self.folder, name)
    }

    fn measure(
        &self,
        context: &mut Context<'_>,
        what: &str,
        rounds: usize,
        mut work: impl FnMut() -> Result<(), Errno>,
    ) -> Result<(), Failure> {
        let name = alloc::format!("{}_{what}", self.name);
        measure(context, &name, rounds, || {
            work().map_err(|error| Failure::new(format_args!("{what}: {error}")))
        })
    }
}

fn place<'a>(arguments: &'a [String]) -> Result<Place<'a>, Failure> {
    match arguments {
        [folder, name] => Ok(Place { folder, name }),
        _ => Err(Failure::usage(
            "it needs a folder and a name for the figures",
        )),
    }
}

fn open(path: &str, flags: OpenFlags) -> Result<OpenFile, Errno> {
    with(|client| client.open(path, flags, MODE))
}

fn close(file: OpenFile) -> Result<(), Errno> {
    with(|client| client.close(file))
}

fn fsync(file: OpenFile) -> Result<(), Errno> {
    with(|client| client.fsync(file))
}

fn write(file: OpenFile, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
    match with(|client| client.write(file, offset, bytes))? {
        count if count == bytes.len() => Ok(()),
        _ => Err(Errno::NOSPC),
    }
}

fn read(file: OpenFile, offset: u64, bytes: &mut [u8]) -> Result<(), Errno> {
    match with(|client| client.read(file, offset, bytes))? {
        count if count == bytes.len() => Ok(()),
        _ => Err(Errno::IO),
    }
}

fn unlink(path: &str) -> Result<(), Errno> {
    with(|client| client.unlink(path))
}

fn files(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let place = place(arguments)?;
    within(context, &place, |context| {
        small(context, &place)?;
        entries(context, &place)
    })
}

fn large_files(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let place = place(arguments)?;
    within(context, &place, |context| large(context, &place))
}

/// Makes the folder for what is done, and removes it whatever comes of that.
fn within(
    context: &mut Context<'_>,
    place: &Place<'_>,
    work: impl FnOnce(&mut Context<'_>) -> Result<(), Failure>,
) -> Result<u8, Failure> {
    place.make()?;
    let result = work(context);
    let removed = context.run(&["rm", "-r", place.folder].map(String::from));
    result?;
    Ok(removed)
}

/// A file of many blocks, and one block of it at a time.
fn small(context: &mut Context<'_>, place: &Place<'_>) -> Result<(), Failure> {
    let path = place.path("small");
    let mut block = vec![0x5a; BLOCK];
    let file = open(&path, NEW).map_err(Failure::new)?;
    for number in 0..64_u64 {
        write(file, number * BLOCK as u64, &block).map_err(Failure::new)?;
    }
    fsync(file).map_err(Failure::new)?;
    place.measure(context, "open_close", ROUNDS, || {
        open(&path, OpenFlags::READ).and_then(close)
    })?;
    place.measure(context, "stat", ROUNDS, || {
        with(|client| client.stat(&path)).map(drop)
    })?;
    let mut number = 0;
    let mut next = || {
        number = (number + 1) % 64;
        number * BLOCK as u64
    };
    place.measure(context, "read", ROUNDS, || read(file, next(), &mut block))?;
    place.measure(context, "write", ROUNDS, || write(file, next(), &block))?;
    fsync(file).map_err(Failure::new)?;
    place.measure(context, "write_fsync", ROUNDS, || {
        write(file, next(), &block).and_then(|()| fsync(file))
    })?;
    close(file).map_err(Failure::new)
}

/// Names that come and go.
fn entries(context: &mut Context<'_>, place: &Place<'_>) -> Result<(), Failure> {
    let path = place.path("entry");
    let flags = NEW | OpenFlags::EXCLUSIVE;
    place.measure(context, "create", ROUNDS, || {
        open(&path, flags)
            .and_then(close)
            .and_then(|()| unlink(&path))
    })?;
    place.measure(context, "mkdir", ROUNDS, || {
        with(|client| client.mkdir(&path, MODE))?;
        with(|client| client.rmdir(&path))
    })?;
    let folder = open(place.folder, OpenFlags::READ | OpenFlags::DIRECTORY);
    let folder = folder.map_err(Failure::new)?;
    place.measure(context, "durable_create", ROUNDS, || {
        let file = open(&path, flags)?;
        fsync(file)?;
        fsync(folder)?;
        close(file)?;
        unlink(&path)
    })?;
    close(folder).map_err(Failure::new)
}

/// A megabyte at a time.
fn large(context: &mut Context<'_>, place: &Place<'_>) -> Result<(), Failure> {
    let mut bytes = vec![0xa5; MIB];
    let mut files = Vec::new();
    let mut number = 0;
    // Each is new: what is measured allocates as well.
    place.measure(context, "write_1m", FEW, || {
        let file = open(&place.path(&alloc::format!("large{number}")), NEW)?;
        number += 1;
        files.push(file);
        write(file, 0, &bytes)?;
        fsync(file)
    })?;
    let count = files.len().min(COLD);
    let mut turn = 0;
    place.measure(context, "read_1m", FEW, || {
        let file = files.get(turn % count).copied().ok_or(Errno::INVAL)?;
        turn += 1;
        read(file, 0, &mut bytes)
    })?;
    files.into_iter().try_for_each(close).map_err(Failure::new)
}

fn folder(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let place = place(arguments)?;
    place.make()?;
    let mut made = 0;
    place.measure(context, "grow_1000", MANY / STEP - 1, || {
        for _ in 0..STEP {
            let path = place.path(&alloc::format!("file{made:05}"));
            open(&path, NEW | OpenFlags::EXCLUSIVE).and_then(close)?;
            made += 1;
        }
        Ok(())
    })?;
    place.measure(context, "readdir_10000", 1, || {
        let folder = open(place.folder, OpenFlags::READ | OpenFlags::DIRECTORY)?;
        let mut position = 0;
        let mut found = 0;
        loop {
            let (batch, next) = with(|client| client.read_dir(folder, position))?;
            if batch.is_empty() {
                break;
            }
            found += batch.len();
            position = next;
        }
        close(folder)?;
        if found == MANY {
            Ok(())
        } else {
            Err(Errno::IO)
        }
    })?;
    place.measure(context, "unlink_1000", MANY / STEP - 1, || {
        for _ in 0..STEP {
            made -= 1;
            unlink(&place.path(&alloc::format!("file{made:05}")))?;
        }
        Ok(())
    })?;
    with(|client| client.rmdir(place.folder)).map_err(Failure::new)?;
    Ok(status::OK)
}
