//! One side of which writes whatever it likes into the shared memory.

use crate::ram::{BLOCK, BLOCKS, DEPTH, Driver, attach, geometry};
use gritos_block_core::api::{BlockCompletion, BlockOperation, BlockRequest, BlockStatus};
use gritos_block_core::{COMPLETION_BYTES, DiskError, REQUEST_BYTES};
use gritos_idl_runtime::Wire;
use gritos_ring::{Consumer, Memory, Producer};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use std::cell::RefCell;
use std::rc::Rc;

fn request() -> impl Strategy<Value = BlockRequest> {
    let near = |end: u64| prop_oneof![0..end, Just(end), any::<u64>()];
    (near(BLOCKS), any::<u32>(), near(4096), near(6), 0u8..6).prop_map(
        |(block, id, data, count, operation)| BlockRequest {
            block,
            id,
            data: data as u32,
            count: count as u32,
            operation: BlockOperation::from_number(operation).unwrap(),
        },
    )
}

/// What should become of a request, worked out anew.
fn expected(request: &BlockRequest) -> BlockStatus {
    let good = request.count >= 1
        && request.count <= 4
        && u128::from(request.block) + u128::from(request.count) <= u128::from(BLOCKS)
        && request.data.is_multiple_of(BLOCK as u32)
        && u128::from(request.data) + u128::from(request.count) * BLOCK as u128 <= 4096;
    match request.operation {
        BlockOperation::Read | BlockOperation::Write if good => BlockStatus::Ok,
        BlockOperation::Flush if request.count == 0 => BlockStatus::Ok,
        BlockOperation::Read | BlockOperation::Write | BlockOperation::Flush => {
            BlockStatus::Invalid
        }
        _ => BlockStatus::Unsupported,
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config {
        cases: 400,
        failure_persistence: None,
        ..Default::default()
    })]

    /// Requests of any kind are answered as they deserve, each once, and only those in order
    /// reach the device (which would panic on others).
    #[test]
    fn a_driver_checks_every_request(
        requests in proptest::collection::vec(request(), 1..=DEPTH),
    ) {
        let driver = Rc::new(RefCell::new(Driver::new()));
        let (_disk, memory, layout) = attach(&driver, 4096, geometry());
        let mut put = Producer::<_, REQUEST_BYTES>::new(memory.clone(), 0, DEPTH as u32).unwrap();
        let mut get = Consumer::<_, COMPLETION_BYTES>::new(
            memory, layout.completions as usize, DEPTH as u32,
        ).unwrap();
        for (i, request) in requests.iter().enumerate() {
            let mut entry = [0; REQUEST_BYTES];
            BlockRequest { id: i as u32, ..*request }.encode(&mut entry);
            put.push(&entry).unwrap();
        }
        put.publish().unwrap();
        driver.borrow_mut().run();
        assert_eq!(get.refresh().unwrap() as usize, requests.len());
        let mut seen = vec![false; requests.len()];
        while let Some(entry) = get.pop().unwrap() {
            let completion = BlockCompletion::decode(&entry).unwrap();
            let index = completion.id as usize;
            assert!(!std::mem::replace(&mut seen[index], true), "answered twice");
            assert_eq!(completion.status, expected(&requests[index]), "{:?}", requests[index]);
        }
    }

    /// Whatever a client writes into headers and entries, the driver comes to rest and serves
    /// its other client.
    #[test]
    fn a_driver_survives_any_client(
        lies in proptest::collection::vec((0usize..1024, any::<u32>()), 1..64),
    ) {
        let driver = Rc::new(RefCell::new(Driver::new()));
        let (_liar, memory, _) = attach(&driver, 4096, geometry());
        let (mut honest, ..) = attach(&driver, 4096, geometry());
        for (word, value) in lies {
            let value = if value % 2 == 0 { value % 16 } else { value };
            memory.store(word * 4 % (memory.len() - 4096), value).unwrap();
            let mut driver = driver.borrow_mut();
            for _ in 0..3 {
                let Driver { disk, queue, .. } = &mut *driver;
                queue.run(disk, |_| {});
            }
        }
        honest.read(3, &mut [0; BLOCK]).unwrap();
    }

    /// Whatever a driver writes, a client gets an answer or an error; it neither panics nor waits
    /// longer than its patience.
    #[test]
    fn a_client_survives_any_driver(
        lies in proptest::collection::vec((0usize..1024, any::<u32>()), 1..32),
    ) {
        let driver = Rc::new(RefCell::new(Driver::new()));
        let (mut disk, memory, _) = attach(&driver, 4096, geometry());
        for (word, value) in lies {
            let value = if value % 2 == 0 { value % 16 } else { value };
            memory.store(word * 4 % (memory.len() - 4096), value).unwrap();
            if disk.read(3, &mut [0; BLOCK]).is_err() {
                return Ok(());
            }
        }
    }
}

#[test]
fn completions_of_what_was_not_asked_for_are_refused() {
    let driver = Rc::new(RefCell::new(Driver::new()));
    let (mut disk, memory, layout) = attach(&driver, 4096, geometry());
    let at = layout.completions as usize;
    let mut driver_side = Producer::<_, COMPLETION_BYTES>::new(memory, at, DEPTH as u32).unwrap();
    let mut answer = |id| {
        let mut entry = [0; COMPLETION_BYTES];
        let status = BlockStatus::Ok;
        BlockCompletion { id, status }.encode(&mut entry);
        driver_side.push(&entry).unwrap();
        driver_side.publish().unwrap();
    };
    let id = disk.start_read(0, 1, 0).unwrap();
    disk.submit().unwrap();
    answer(id);
    assert_eq!(disk.poll(), Ok(Some((id, BlockStatus::Ok))));
    answer(id);
    assert_eq!(disk.poll(), Err(DiskError::Corrupt), "a second time");
    answer(u32::MAX);
    assert_eq!(disk.poll(), Err(DiskError::Corrupt), "never");
}
