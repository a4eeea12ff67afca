//! Blocks go where they should.

use gritos_block_core::DiskError;
use gritos_block_core::api::BlockStatus;

use crate::bench;
use crate::card::{BLOCK, Card, Kind};

#[test]
fn reads_bring_what_the_card_holds() {
    for kind in [Kind::sdhc(), Kind::sdsc(), Kind::old()] {
        let last = kind.blocks - 1;
        let mut bench = bench(kind);
        for (block, count) in [(0, 1), (7, 2), (100, 256), (last, 1), (3, 400)] {
            let data = bench.read(block, count).unwrap();
            for (i, chunk) in data.chunks(BLOCK).enumerate() {
                assert!(
                    chunk == Card::original(block + i as u64),
                    "block {i} from {block}"
                );
            }
        }
    }
}

#[test]
fn writes_reach_the_card_and_nothing_beside() {
    for kind in [Kind::sdhc(), Kind::sdsc()] {
        let mut bench = bench(kind);
        for (block, count) in [(5_u64, 1_usize), (10, 3), (1000, 300)] {
            let data: Vec<u8> = (0..count * BLOCK).map(|i| (i / 3 + count) as u8).collect();
            bench.disk.write(block, &data).unwrap();
            for (i, chunk) in data.chunks(BLOCK).enumerate() {
                assert!(bench.holds(block + i as u64) == chunk);
            }
            assert!(bench.holds(block - 1) == Card::original(block - 1));
            let end = block + count as u64;
            assert!(bench.holds(end) == Card::original(end));
            assert!(bench.read(block, count).unwrap() == data);
        }
        bench.disk.flush().unwrap();
    }
}

#[test]
fn the_driver_sleeps_between_blocks() {
    let mut bench = bench(Kind::sdhc());
    bench.read(0, 64).unwrap();
    let interrupts = bench.driver.borrow().interrupts;
    // One for each block that was not there at once, and one for the end.
    assert!((10..=66).contains(&interrupts), "{interrupts}");
}

#[test]
fn several_blocks_take_one_command() {
    let mut bench = bench(Kind::sdhc());
    bench.model.borrow_mut().commands.clear();
    bench.read(0, 64).unwrap();
    bench.read(9, 1).unwrap();
    assert_eq!(bench.model.borrow().commands, [18, 17]);
}

#[test]
fn a_write_protected_card_is_never_written_to() {
    let mut bench = bench(Kind {
        read_only: true,
        ..Kind::sdhc()
    });
    bench.model.borrow_mut().commands.clear();
    let refused = bench.disk.write(0, &[0; BLOCK]);
    assert_eq!(refused, Err(DiskError::Status(BlockStatus::ReadOnly)));
    assert!(bench.model.borrow().commands.is_empty());
}

#[test]
fn memory_that_a_client_took_away_harms_nobody() {
    let mut bench = bench(Kind::sdhc());
    bench.memory.take_away();
    assert_eq!(bench.read(0, 4), Err(DiskError::Gone));
}
