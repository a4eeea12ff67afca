//! The controller moves blocks by itself.

use gritos_block_core::DiskError;
use gritos_emmc2_core::Fault;

use crate::card::{BLOCK, Card, Kind};
use crate::controller::Mishap;
use crate::{GIVEN, IO_ERROR, bench_after, bench_by_itself};

#[test]
fn blocks_go_where_they_should_at_one_interrupt_a_job() {
    for kind in [Kind::sdhc(), Kind::sdsc()] {
        let mut bench = bench_by_itself(kind);
        assert!(bench.driver.borrow().card.has_dma());
        for (block, count) in [(0_u64, 1_usize), (7, 2), (100, 256), (3, 400)] {
            let data = bench.read(block, count).unwrap();
            for (i, chunk) in data.chunks(BLOCK).enumerate() {
                assert!(chunk == Card::original(block + i as u64));
            }
            let data: Vec<u8> = (0..count * BLOCK).map(|i| (i / 3 + count) as u8).collect();
            bench.disk.write(5000 + block, &data).unwrap();
            for (i, chunk) in data.chunks(BLOCK).enumerate() {
                assert!(bench.holds(5000 + block + i as u64) == chunk);
            }
        }
        // One more at the start, to see whether it can.
        assert_eq!(bench.model.borrow().moved, 1 + 2 * (1 + 2 + 256 + 400));
        bench.driver.borrow_mut().interrupts = 0;
        bench.read(0, 256).unwrap();
        assert_eq!(bench.driver.borrow().interrupts, 1);
        GIVEN.with_borrow(|given| assert!(given.is_empty(), "all was taken back: {given:?}"));
    }
}

#[test]
fn one_mishap_costs_time_and_nothing_else() {
    for mishap in [
        Mishap::NoAnswer,
        Mishap::AnswerDamaged,
        Mishap::BlockDamaged(0),
        Mishap::BlockDamaged(3),
        Mishap::Silence(2),
    ] {
        let mut bench = bench_by_itself(Kind::sdhc());
        bench.model.borrow_mut().mishaps.push_back(mishap);
        let data = bench.read(40, 8).unwrap();
        for (i, chunk) in data.chunks(BLOCK).enumerate() {
            assert!(chunk == Card::original(40 + i as u64), "{mishap:?}");
        }
        bench.model.borrow_mut().mishaps.push_back(mishap);
        bench.disk.write(90, &[0x5a; 8 * BLOCK]).unwrap();
        assert!((90..98).all(|block| bench.holds(block) == [0x5a; BLOCK]));
        assert!(bench.driver.borrow().card.has_dma());
    }
}

#[test]
fn a_controller_that_does_not_reach_memory_leaves_it_to_the_driver() {
    let mut bench = bench_by_itself(Kind::sdhc());
    bench
        .model
        .borrow_mut()
        .mishaps
        .push_back(Mishap::Unreachable);
    assert!(bench.read(40, 8).unwrap()[..BLOCK] == Card::original(40));
    assert!(!bench.driver.borrow().card.has_dma());
    // The same if it sees something else where its memory was said to be.
    let mut bench = bench_by_itself(Kind::sdhc());
    bench.model.borrow_mut().memories.clear();
    bench.disk.write(3, &[7; BLOCK]).unwrap();
    assert!(bench.holds(3) == [7; BLOCK]);
    assert_eq!(bench.model.borrow().moved, 1, "at the start");
}

/// What the first trial finds, no client's data was at risk for.
#[test]
fn a_first_block_that_does_not_arrive_leaves_all_to_the_driver() {
    for mishap in [
        Mishap::Unreachable,
        // It says that it moved the block, and it is elsewhere.
        Mishap::Astray,
    ] {
        let mut bench = bench_after(Kind::sdhc(), [mishap].into());
        assert!(bench.model.borrow().mishaps.is_empty(), "it went wrong");
        assert!(!bench.driver.borrow().card.has_dma());
        let trouble = bench.driver.borrow_mut().card.take_trouble();
        assert_eq!(trouble, Some(Fault::Dma), "{mishap:?}");
        assert!(bench.read(40, 8).unwrap()[..BLOCK] == Card::original(40));
        bench.disk.write(3, &[7; BLOCK]).unwrap();
        assert!(bench.holds(3) == [7; BLOCK]);
        assert_eq!(
            bench.model.borrow().moved,
            u32::from(mishap == Mishap::Astray)
        );
        GIVEN.with_borrow(|given| assert!(given.is_empty(), "all was taken back: {given:?}"));
    }
}

#[test]
fn what_fails_again_and_again_is_an_error_and_the_next_job_works() {
    let mut bench = bench_by_itself(Kind::sdhc());
    let model = bench.model.clone();
    model
        .borrow_mut()
        .mishaps
        .extend([Mishap::BlockDamaged(1); 8]);
    assert_eq!(bench.read(40, 8), Err(IO_ERROR));
    model.borrow_mut().mishaps.clear();
    assert!(bench.read(40, 8).unwrap()[..BLOCK] == Card::original(40));
    bench.memory.take_away();
    assert_eq!(bench.read(0, 4), Err(DiskError::Gone));
}
