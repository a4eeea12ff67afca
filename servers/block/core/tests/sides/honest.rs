//! Both sides as they should be.

use crate::ram::{BLOCK, BLOCKS, Driver, attach, geometry};
use gritos_block_core::api::{BlockFeatures, BlockStatus};
use gritos_block_core::{Backend, Busy, DiskError, Job, Queue, Tag};
use gritos_ring::host::HostMemory;
use std::cell::RefCell;
use std::rc::Rc;

fn driver() -> Rc<RefCell<Driver>> {
    Rc::new(RefCell::new(Driver::new()))
}

#[test]
fn what_is_written_is_read_and_durable_after_a_flush() {
    let driver = driver();
    let (mut disk, ..) = attach(&driver, 4096, geometry());
    let data: Vec<u8> = (0..3 * BLOCK).map(|i| (i * 7) as u8).collect();
    disk.write(5, &data).unwrap();
    let mut back = vec![0; data.len()];
    disk.read(5, &mut back).unwrap();
    assert_eq!(back, data);
    assert_eq!(driver.borrow().disk.durable[5 * BLOCK], 0);
    disk.flush().unwrap();
    assert_eq!(driver.borrow().disk.durable[5 * BLOCK..8 * BLOCK], data);
}

#[test]
fn transfers_larger_than_requests_rings_and_data_area_are_cut() {
    let driver = driver();
    let (mut disk, ..) = attach(&driver, 4096, geometry());
    let mut all = vec![0; BLOCKS as usize * BLOCK];
    disk.read(0, &mut all).unwrap();
    assert!(
        all.chunks(BLOCK)
            .enumerate()
            .all(|(i, block)| block.iter().all(|&b| b == i as u8))
    );
    all.reverse();
    disk.write(0, &all).unwrap();
    assert_eq!(driver.borrow().disk.cache, all);
}

#[test]
fn many_requests_cost_one_signal_each_way() {
    let driver = driver();
    driver.borrow_mut().disk.reverse = true;
    let (mut disk, ..) = attach(&driver, 8192, geometry());
    let mut ids = Vec::new();
    for i in 0..8 {
        ids.push(
            disk.start_read(u64::from(i) * 3, 1, i * BLOCK as u32)
                .unwrap(),
        );
    }
    assert_eq!(disk.start_flush(), Err(DiskError::Full));
    disk.submit().unwrap();
    assert!(std::mem::take(&mut driver.borrow_mut().rung));
    assert_eq!(disk.arm(8), Ok(true));
    driver.borrow_mut().run();
    assert_eq!(driver.borrow().signals[0], 1);
    let mut ended = Vec::new();
    while let Some((id, status)) = disk.poll().unwrap() {
        assert_eq!(status, BlockStatus::Ok);
        ended.push(id);
    }
    ended.sort_unstable();
    ids.sort_unstable();
    assert_eq!(ended, ids);
    for i in 0..8 {
        let mut block = [0; BLOCK];
        disk.read_data(i * BLOCK as u32, &mut block).unwrap();
        assert_eq!(block[0], i as u8 * 3);
    }
}

#[test]
fn errors_of_the_device_reach_the_client_that_caused_them() {
    let driver = driver();
    driver.borrow_mut().disk.bad = Some(9);
    let (mut disk, ..) = attach(&driver, 4096, geometry());
    let io_error = Err(DiskError::Status(BlockStatus::IoError));
    assert_eq!(disk.read(8, &mut [0; 3 * BLOCK]), io_error);
    assert_eq!(disk.write(9, &[0; BLOCK]), io_error);
    assert_eq!(disk.read(10, &mut [0; BLOCK]), Ok(()));
    assert_eq!(disk.outstanding(), 0);
}

#[test]
fn a_client_without_the_right_cannot_write() {
    let driver = driver();
    let mut seen = geometry();
    seen.features |= BlockFeatures::READ_ONLY;
    let (mut disk, ..) = attach(&driver, 4096, seen);
    let refused = Err(DiskError::Status(BlockStatus::ReadOnly));
    assert!(disk.is_read_only());
    assert_eq!(disk.write(0, &[1; BLOCK]), refused);
    assert_eq!(driver.borrow().disk.cache[0], 0);
}

#[test]
fn what_is_not_on_the_disk_is_refused_before_anybody_is_asked() {
    let driver = driver();
    let (mut disk, ..) = attach(&driver, 4096, geometry());
    let mut two = [0; 2 * BLOCK];
    assert_eq!(disk.read(BLOCKS - 1, &mut two), Err(DiskError::OutOfRange));
    assert_eq!(disk.read(u64::MAX, &mut two), Err(DiskError::OutOfRange));
    assert_eq!(disk.read(0, &mut two[..100]), Err(DiskError::OutOfRange));
    assert_eq!(disk.start_read(0, 1, 4096), Err(DiskError::OutOfRange));
    assert_eq!(disk.start_read(0, 1, 100), Err(DiskError::OutOfRange));
    assert_eq!(disk.start_read(0, 0, 0), Err(DiskError::OutOfRange));
    assert_eq!(
        disk.start_read(0, 5, 0),
        Err(DiskError::OutOfRange),
        "more than one request may"
    );
    assert_eq!(driver.borrow().disk.started, 0);
}

#[test]
fn two_clients_share_a_disk_and_one_that_leaves_takes_nothing_along() {
    let driver = driver();
    let (mut one, ..) = attach(&driver, 4096, geometry());
    let (mut two, ..) = attach(&driver, 4096, geometry());
    one.write(1, &[0xa1; BLOCK]).unwrap();
    let mut block = [0; BLOCK];
    two.read(1, &mut block).unwrap();
    assert_eq!(block, [0xa1; BLOCK]);
    one.start_read(0, 1, 0).unwrap();
    one.submit().unwrap();
    driver.borrow_mut().queue.close(0);
    driver.borrow_mut().run();
    assert_eq!(driver.borrow_mut().queue.reap(), Some(0));
    assert_eq!(driver.borrow_mut().queue.reap(), None);
    assert_eq!(one.finish(), Err(DiskError::TimedOut));
    two.read(2, &mut block).unwrap();
}

#[test]
fn a_driver_that_is_gone_is_told_from_one_that_fails() {
    let driver = driver();
    let (mut disk, memory, _) = attach(&driver, 4096, geometry());
    memory.take_away();
    assert_eq!(disk.read(0, &mut [0; BLOCK]), Err(DiskError::Gone));
}

/// A device that only begins jobs, until it is told to end them.
#[derive(Default)]
struct Slow {
    has: Vec<Tag>,
    /// First blocks of all jobs that were begun.
    begun: Vec<u64>,
    ends: bool,
}

impl Backend<HostMemory> for Slow {
    fn start(&mut self, job: &Job, _: &HostMemory, tag: Tag) -> Result<(), Busy> {
        self.has.push(tag);
        self.begun.push(job.block);
        Ok(())
    }

    fn finished(&mut self) -> Option<(Tag, BlockStatus)> {
        let ends = self.ends && !self.has.is_empty();
        ends.then(|| (self.has.remove(0), BlockStatus::Ok))
    }
}

#[test]
fn what_a_client_left_at_the_device_ends_before_anything_new_begins() {
    let driver = driver();
    let (mut old, ..) = attach(&driver, 4096, geometry());
    let (mut new, ..) = attach(&driver, 4096, geometry());
    let mut device = Slow::default();
    let pass = |device: &mut Slow| {
        let mut driver = driver.borrow_mut();
        let queue: &mut Queue<_, 2> = &mut driver.queue;
        queue.run(device, |_| {})
    };
    old.start_write(1, 1, 0).unwrap();
    old.submit().unwrap();
    pass(&mut device);
    driver.borrow_mut().queue.close(0);
    new.start_write(1, 1, 0).unwrap();
    new.start_write(2, 1, 512).unwrap();
    new.submit().unwrap();
    assert!(!pass(&mut device), "the end of a job wakes the driver");
    assert_eq!(device.begun, [1], "the second would overtake the first");
    assert_eq!(driver.borrow_mut().queue.reap(), None);
    device.ends = true;
    pass(&mut device);
    assert_eq!(driver.borrow_mut().queue.reap(), Some(0));
    assert_eq!(device.begun, [1, 1, 2]);
}

#[test]
fn a_flush_begins_when_the_writes_before_it_have_ended() {
    let driver = driver();
    let (mut disk, ..) = attach(&driver, 4096, geometry());
    let mut device = Slow::default();
    let pass = |device: &mut Slow| {
        let mut driver = driver.borrow_mut();
        let queue: &mut Queue<_, 2> = &mut driver.queue;
        queue.run(device, |_| {})
    };
    disk.start_write(1, 1, 0).unwrap();
    disk.start_write(9, 1, 512).unwrap();
    disk.start_flush().unwrap();
    disk.start_write(7, 1, 1024).unwrap();
    disk.submit().unwrap();
    assert!(!pass(&mut device), "the end of a write wakes the driver");
    assert_eq!(device.begun, [1, 9]);
    device.ends = true;
    while pass(&mut device) {}
    assert_eq!(
        device.begun,
        [1, 9, 0, 7],
        "the flush, and what was put behind it"
    );
    disk.finish().unwrap();
}

#[test]
fn writes_in_many_places_go_together_and_are_durable() {
    let driver = driver();
    // A data area of eight blocks, and more requests than the rings hold.
    let (mut disk, ..) = attach(&driver, 4096, geometry());
    let bytes: Vec<u8> = (0..64 * BLOCK).map(|i| (i / 3) as u8 | 1).collect();
    let pieces = |at: usize, blocks: usize| &bytes[at * BLOCK..(at + blocks) * BLOCK];
    let writes = [
        (3, pieces(0, 1)),
        (4, pieces(1, 2)),
        (9, pieces(3, 1)),
        (100, pieces(4, 11)),
    ];
    let many = (0..20).map(|i| (200 + 2 * i as u64, pieces(20 + i, 1)));
    disk.write_all(writes.into_iter().chain(many.clone()), true)
        .unwrap();
    for (block, bytes) in writes.into_iter().chain(many) {
        let at = block as usize * BLOCK;
        assert_eq!(&driver.borrow().disk.durable[at..at + bytes.len()], bytes);
    }
    // Neighbours are one request; nothing of an impossible batch is begun.
    let before = driver.borrow().disk.started;
    disk.write_all([(3, pieces(0, 1)), (4, pieces(1, 2))].into_iter(), false)
        .unwrap();
    assert_eq!(driver.borrow().disk.started, before + 1);
    let beyond = [(3, pieces(0, 1)), (BLOCKS - 1, pieces(0, 2))];
    assert_eq!(
        disk.write_all(beyond.into_iter(), true),
        Err(DiskError::OutOfRange)
    );
    assert_eq!(driver.borrow().disk.started, before + 1);
    // The error of one write is that of all.
    driver.borrow_mut().disk.bad = Some(9);
    let failed = disk.write_all([(8, pieces(5, 1)), (9, pieces(6, 1))].into_iter(), true);
    assert_eq!(failed, Err(DiskError::Status(BlockStatus::IoError)));
}
