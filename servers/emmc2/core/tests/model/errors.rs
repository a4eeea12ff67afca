//! Every error that controller and card can tell of, and a controller that stops working.
//!
//! QEMU can show none of them: its card answers a failed read of the host's file with old data and success. Bits: SDHC
//! spec, "Error Interrupt Status Register" (in 31:16 of the word); SD spec, "Card Status", type E.

use gritos_emmc2_core::{Card as Identified, Controller, Fault};

use crate::card::{BLOCK, Card, Kind};
use crate::controller::{Broken, Machine, Mishap, with};
use crate::{Bench, IO_ERROR, bench, bench_by_itself};

/// Timeout, CRC, end bit and index of an answer; the card's supply; what is the maker's.
const OF_COMMANDS: [u32; 6] = [16, 17, 18, 19, 23, 28];
/// Timeout, CRC and end bit of data; the card's supply; Auto CMD12; tuning; the maker's.
const OF_DATA: [u32; 8] = [20, 21, 22, 23, 24, 26, 28, 31];
/// Out of range, address, block length, erase sequence, erase parameter, write protection, lock, checksum of the command,
/// illegal command, ECC, card controller, error, CSD overwrite, part of erase protected, AKE sequence.
const OF_CARDS: [u32; 15] = [31, 30, 29, 28, 27, 26, 24, 23, 22, 21, 20, 19, 16, 15, 3];

fn each_way() -> [Bench; 2] {
    [bench(Kind::sdhc()), bench_by_itself(Kind::sdhc())]
}

/// What can go wrong in the middle of a job of eight blocks.
fn all() -> impl Iterator<Item = Mishap> {
    let answers = OF_COMMANDS.map(Mishap::AnswerError).into_iter();
    let blocks = OF_DATA.into_iter();
    let blocks = blocks.flat_map(|bit| [0, 3, 7].map(|after| Mishap::BlockError(after, bit)));
    let cards = OF_CARDS.map(|bit| Mishap::Refused(1 << bit)).into_iter();
    let silent = [0, 3, 7].map(Mishap::Nothing).into_iter();
    answers.chain(blocks).chain(cards).chain(silent)
}

#[test]
fn one_error_of_any_kind_costs_time_and_nothing_else() {
    for mishap in all() {
        for mut bench in each_way() {
            bench.model.borrow_mut().mishaps.push_back(mishap);
            let data = bench.read(40, 8).unwrap_or_else(|error| {
                panic!("{mishap:?}: {error:?}");
            });
            for (i, chunk) in data.chunks(BLOCK).enumerate() {
                assert!(chunk == Card::original(40 + i as u64), "{mishap:?}");
            }
            let trouble = bench.driver.borrow_mut().card.take_trouble();
            assert!(trouble.is_some(), "{mishap:?} is told");
            bench.model.borrow_mut().mishaps.push_back(mishap);
            bench.disk.write(90, &[0x5a; 8 * BLOCK]).unwrap();
            let written = (90..98).all(|block| bench.holds(block) == [0x5a; BLOCK]);
            assert!(written, "{mishap:?}");
            assert!(bench.holds(98) == Card::original(98));
            assert!(
                bench.model.borrow().mishaps.is_empty(),
                "{mishap:?} came up"
            );
        }
    }
}

#[test]
fn an_error_that_stays_is_told_in_bounded_time_and_is_not_for_ever() {
    for mishap in all() {
        for mut bench in each_way() {
            let begun = bench.model.borrow().now;
            bench.model.borrow_mut().mishaps.extend([mishap; 40]);
            assert_eq!(bench.read(40, 8), Err(IO_ERROR), "{mishap:?}");
            let took = bench.model.borrow().now - begun;
            assert!(took < 8_000_000_000, "{mishap:?} took {took} ns");
            bench.model.borrow_mut().mishaps.clear();
            assert!(bench.read(40, 8).unwrap()[..BLOCK] == Card::original(40));
        }
    }
}

#[test]
fn a_fault_is_named_for_what_it_was() {
    for (mishap, fault) in [
        (Mishap::AnswerError(16), Fault::Silent),
        (Mishap::AnswerError(18), Fault::CommandDamaged),
        (Mishap::AnswerError(19), Fault::CommandDamaged),
        (Mishap::BlockError(0, 20), Fault::DataTimeout),
        (Mishap::BlockError(0, 21), Fault::DataDamaged),
        (Mishap::BlockError(0, 22), Fault::DataDamaged),
        (Mishap::BlockError(0, 23), Fault::Power),
        (Mishap::BlockError(7, 24), Fault::CommandDamaged),
        (Mishap::Nothing(0), Fault::Stuck),
        (Mishap::Refused(1 << 31), Fault::Status(0x8000_0900)),
    ] {
        let mut bench = bench(Kind::sdhc());
        bench.model.borrow_mut().mishaps.push_back(mishap);
        bench.read(40, 8).unwrap();
        let trouble = bench.driver.borrow_mut().card.take_trouble();
        assert_eq!(trouble, Some(fault), "{mishap:?}");
    }
}

#[test]
fn a_controller_that_stops_working_is_told_and_may_come_back() {
    for broken in [Broken::Reset, Broken::Clock, Broken::Command] {
        for mut bench in each_way() {
            bench.model.borrow_mut().broken = Some(broken);
            // A clock that runs is left alone: what else goes wrong makes the driver start it anew.
            let mishaps = [Mishap::Nothing(0); 3];
            bench.model.borrow_mut().mishaps.extend(mishaps);
            let begun = bench.model.borrow().now;
            assert_eq!(bench.read(40, 8), Err(IO_ERROR), "{broken:?}");
            let took = bench.model.borrow().now - begun;
            assert!(took < 8_000_000_000, "{broken:?} took {took} ns");
            let mut model = bench.model.borrow_mut();
            model.broken = None;
            model.mishaps.clear();
            drop(model);
            assert!(bench.read(40, 8).unwrap()[..BLOCK] == Card::original(40));
        }
    }
}

#[test]
fn a_controller_that_never_works_is_no_disk() {
    for broken in [Broken::Reset, Broken::Clock, Broken::Command] {
        let model = with(Some(Card::new(Kind::sdhc())));
        model.borrow_mut().broken = Some(broken);
        let started = Controller::start(Machine(model));
        let found = started.and_then(|mut controller| Identified::identify(&mut controller));
        assert_eq!(found, Err(Fault::Stuck), "{broken:?}");
    }
}
