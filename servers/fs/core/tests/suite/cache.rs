//! The cache against a plain device: same bytes, bounded memory, nothing across a
//! flush, no error lost.

use gritos_fs_core::block::{BlockDevice, BlockError, Geometry, MemoryDisk};
use gritos_fs_core::cache::Cache;

use crate::support::Random;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Write(u64, usize),
    Flush,
}

/// A device that remembers what was done to it and fails when told.
struct Recorder {
    disk: MemoryDisk,
    events: Vec<Event>,
    failing: bool,
}

impl Recorder {
    fn new(sectors: usize) -> Self {
        Self {
            disk: MemoryDisk::new(sectors),
            events: Vec::new(),
            failing: false,
        }
    }
}

impl BlockDevice for Recorder {
    fn geometry(&self) -> Geometry {
        self.disk.geometry()
    }

    fn read(&mut self, sector: u64, into: &mut [u8]) -> Result<(), BlockError> {
        if self.failing {
            return Err(BlockError::Io);
        }
        self.disk.read(sector, into)
    }

    fn write(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        if self.failing {
            return Err(BlockError::Io);
        }
        self.events.push(Event::Write(sector, from.len() / 512));
        self.disk.write(sector, from)
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        if self.failing {
            return Err(BlockError::Io);
        }
        self.events.push(Event::Flush);
        Ok(())
    }
}

#[test]
fn random_requests_read_what_was_written() {
    for seed in 1..40 {
        let mut random = Random::new(seed);
        // Not a whole number of blocks, and a cache much smaller than the device.
        let sectors = 4099;
        let blocks = [8, 16, 64, 300][seed as usize % 4];
        let mut cache = Cache::new(Recorder::new(sectors), blocks * 4096);
        let mut copy = vec![0; sectors * 512];
        let mut sector = 0;
        for _ in 0..400 {
            // Some requests follow one another.
            if random.below(3) == 0 || sector >= sectors as u64 {
                sector = random.below(sectors as u64);
            }
            let most = if random.below(10) == 0 { 1200 } else { 24 };
            let count = (1 + random.below(most)).min(sectors as u64 - sector) as usize;
            let range = sector as usize * 512..(sector as usize + count) * 512;
            let next = sector + count as u64;
            match random.below(9) {
                0 | 1 => {
                    let bytes = random.bytes(count * 512);
                    cache.write(sector, &bytes).expect("write");
                    copy[range].copy_from_slice(&bytes);
                }
                2 => {
                    let bytes = random.bytes(count * 512);
                    cache.write_past(sector, &bytes).expect("write");
                    copy[range].copy_from_slice(&bytes);
                }
                3..=7 => {
                    let mut bytes = vec![0; count * 512];
                    cache.read(sector, &mut bytes).expect("read");
                    assert!(
                        bytes == copy[range],
                        "seed {seed}: {count} sectors at {sector}"
                    );
                }
                _ => {
                    cache.flush().expect("flush");
                    assert!(
                        cache.device().disk.image() == copy,
                        "seed {seed}: after a flush"
                    );
                    assert_eq!(cache.dirty_bytes(), 0);
                }
            }
            sector = next;
        }
    }
}

#[test]
fn a_flush_writes_first_and_joins_neighbours() {
    let mut cache = Cache::new(Recorder::new(4096), 1 << 20);
    for block in [7, 3, 4, 5] {
        cache.write(block * 8, &[1; 4096]).expect("write");
    }
    cache.write(100 * 8 + 2, &[2; 512]).expect("write");
    assert_eq!(cache.device().events, []);
    cache.flush().expect("flush");
    let expected = [
        Event::Write(24, 24),
        Event::Write(56, 8),
        Event::Write(802, 1),
        Event::Flush,
    ];
    assert_eq!(cache.device().events, expected);
    cache.flush().expect("flush");
    assert_eq!(cache.device().events.len(), 4, "nothing to flush");
}

#[test]
fn memory_is_bounded() {
    let mut cache = Cache::new(Recorder::new(1 << 16), 64 * 4096);
    for block in 0..8192 {
        cache.write(block * 8, &[3; 4096]).expect("write");
        assert!(cache.dirty_bytes() <= 64 * 4096);
    }
    cache.flush().expect("flush");
    assert!(
        cache.device().disk.image()[..8192 * 4096]
            .iter()
            .all(|byte| *byte == 3)
    );
}

#[test]
fn a_failed_write_is_reported_and_tried_again() {
    let mut cache = Cache::new(Recorder::new(4096), 1 << 20);
    cache.write(8, &[4; 4096]).expect("into memory");
    cache.device().failing = true;
    assert_eq!(cache.flush(), Err(BlockError::Io));
    assert_eq!(cache.flush(), Err(BlockError::Io), "still not written");
    let mut bytes = [0; 4096];
    cache.read(8, &mut bytes).expect("from memory");
    assert_eq!(bytes, [4; 4096]);
    assert_eq!(cache.read(800, &mut bytes), Err(BlockError::Io));
    cache.device().failing = false;
    cache
        .read(800, &mut bytes)
        .expect("the failure was not kept");
    assert_eq!(bytes, [0; 4096]);
    cache.flush().expect("flush");
    assert_eq!(cache.device().disk.image()[4096..8192], [4; 4096]);
}

#[test]
fn requests_beyond_the_end_are_refused() {
    let mut cache = Cache::new(Recorder::new(100), 1 << 20);
    assert_eq!(cache.write(100, &[0; 512]), Err(BlockError::OutOfRange));
    assert_eq!(cache.write(99, &[0; 1024]), Err(BlockError::OutOfRange));
    assert_eq!(
        cache.read(u64::MAX, &mut [0; 512]),
        Err(BlockError::OutOfRange)
    );
    assert_eq!(cache.read(0, &mut [0; 100]), Err(BlockError::OutOfRange));
    cache.write(99, &[5; 512]).expect("the last one");
}
