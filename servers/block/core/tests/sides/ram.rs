//! A disk in memory behind the queue of a driver, for tests of both sides.

use gritos_block_core::api::{BlockFeatures, BlockLayout, BlockStatus, Geometry};
use gritos_block_core::{
    Attachment, Backend, Busy, Disk, DiskError, Job, Operation, Queue, Signals, Tag, layout,
    memory_bytes,
};
use gritos_ring::Memory;
use gritos_ring::host::HostMemory;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

pub(crate) const BLOCK: usize = 512;
pub(crate) const BLOCKS: u64 = 256;
pub(crate) const DEPTH: usize = 8;

/// A disk whose writes wait in a cache until they are flushed.
pub(crate) struct RamDisk {
    pub(crate) cache: Vec<u8>,
    pub(crate) durable: Vec<u8>,
    /// Block whose reads and writes fail.
    pub(crate) bad: Option<u64>,
    /// Jobs at a time.
    pub(crate) room: usize,
    /// Whether jobs end in the reverse order.
    pub(crate) reverse: bool,
    ended: VecDeque<(Tag, BlockStatus)>,
    pub(crate) started: usize,
}

impl RamDisk {
    fn carry_out(&mut self, job: &Job, memory: &HostMemory) -> BlockStatus {
        let blocks = job.block..job.block + u64::from(job.count);
        if job.operation != Operation::Flush && self.bad.is_some_and(|bad| blocks.contains(&bad)) {
            return BlockStatus::IoError;
        }
        let start = job.block as usize * BLOCK;
        let range = start..start + job.bytes;
        match job.operation {
            Operation::Read => memory.write(job.offset, &self.cache[range]).unwrap(),
            Operation::Write => memory.read(job.offset, &mut self.cache[range]).unwrap(),
            Operation::Flush => self.durable.copy_from_slice(&self.cache),
        }
        BlockStatus::Ok
    }
}

impl Backend<HostMemory> for RamDisk {
    fn start(&mut self, job: &Job, memory: &HostMemory, tag: Tag) -> Result<(), Busy> {
        if self.ended.len() == self.room {
            return Err(Busy);
        }
        self.started += 1;
        let status = self.carry_out(job, memory);
        self.ended.push_back((tag, status));
        Ok(())
    }

    fn finished(&mut self) -> Option<(Tag, BlockStatus)> {
        if self.reverse {
            self.ended.pop_back()
        } else {
            self.ended.pop_front()
        }
    }
}

/// A driver with clients, run whenever somebody waits.
pub(crate) struct Driver {
    pub(crate) disk: RamDisk,
    pub(crate) queue: Queue<HostMemory, 2>,
    pub(crate) rung: bool,
    pub(crate) signals: [u32; 2],
}

impl Driver {
    pub(crate) fn new() -> Self {
        Self {
            disk: RamDisk {
                cache: (0..BLOCKS as usize * BLOCK)
                    .map(|i| (i / BLOCK) as u8)
                    .collect(),
                durable: vec![0; BLOCKS as usize * BLOCK],
                bad: None,
                room: 4,
                reverse: false,
                ended: VecDeque::new(),
                started: 0,
            },
            queue: Queue::default(),
            rung: false,
            signals: [0; 2],
        }
    }

    /// Runs until there is nothing to do at once.
    pub(crate) fn run(&mut self) {
        let Self {
            disk,
            queue,
            signals,
            ..
        } = self;
        for _ in 0..100 {
            if !queue.run(disk, |place| signals[place] += 1) && disk.ended.is_empty() {
                return;
            }
        }
        panic!("the driver never comes to rest");
    }
}

pub(crate) fn geometry() -> Geometry {
    Geometry {
        blocks: BLOCKS,
        block_bytes: BLOCK as u32,
        request_blocks: 4,
        features: BlockFeatures::FLUSH,
    }
}

pub(crate) struct Wires {
    pub(crate) driver: Rc<RefCell<Driver>>,
    place: usize,
}

impl Signals for Wires {
    fn ring(&mut self) -> Result<(), DiskError> {
        self.driver.borrow_mut().rung = true;
        Ok(())
    }

    fn wait(&mut self, _progress: bool) -> Result<(), DiskError> {
        let mut driver = self.driver.borrow_mut();
        // A driver sleeps until it is rung.
        if std::mem::take(&mut driver.rung) {
            driver.run();
        }
        match std::mem::take(&mut driver.signals[self.place]) {
            0 => Err(DiskError::TimedOut),
            _ => Ok(()),
        }
    }
}

pub(crate) type TestDisk = Disk<HostMemory, Wires, DEPTH>;

/// Attaches a client with so many bytes of data; returns the memory too.
pub(crate) fn attach(
    driver: &Rc<RefCell<Driver>>,
    data_bytes: u32,
    geometry: Geometry,
) -> (TestDisk, HostMemory, BlockLayout) {
    let layout = layout(DEPTH as u32, data_bytes).unwrap();
    let memory = HostMemory::new(memory_bytes(&layout) as usize);
    let attachment = Attachment::new(memory.clone(), DEPTH as u32, layout, geometry).unwrap();
    let place = driver.borrow().queue.vacant().unwrap();
    driver.borrow_mut().queue.insert(place, attachment);
    let wires = Wires {
        driver: driver.clone(),
        place,
    };
    let disk = Disk::new(memory.clone(), layout, geometry, wires).unwrap();
    (disk, memory, layout)
}
