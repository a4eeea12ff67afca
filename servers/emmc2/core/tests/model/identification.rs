//! From power-up to the fastest mode that card and controller share.

use gritos_emmc2_core::{Card as Identified, Controller, Fault, Speed};

use crate::card::{Card, Kind};
use crate::controller::{Machine, Mishap, with};

fn identify(kind: Kind) -> Result<Identified, Fault> {
    let model = with(Some(Card::new(kind)));
    let mut controller = Controller::start(Machine(model))?;
    Identified::identify(&mut controller)
}

#[test]
fn a_large_card_ends_at_high_speed_on_four_lines() {
    let card = identify(Kind::sdhc()).unwrap();
    assert_eq!(
        (card.capacity.blocks, card.capacity.by_block),
        (8 << 20, true)
    );
    assert_eq!(
        (card.speed, card.lines, card.clock_hz),
        (Speed::High, 4, 50_000_000)
    );
    assert!(!card.read_only);
}

#[test]
fn a_small_card_is_addressed_by_bytes() {
    let card = identify(Kind::sdsc()).unwrap();
    assert_eq!(
        (card.capacity.blocks, card.capacity.by_block),
        (128 << 10, false)
    );
    assert_eq!(card.argument(5), Some(5 * 512));
    assert_eq!(card.argument(128 << 10), None, "behind the end");
    assert_eq!(identify(Kind::sdhc()).unwrap().argument(5), Some(5));
}

#[test]
fn an_old_card_stays_at_default_speed() {
    let card = identify(Kind::old()).unwrap();
    assert_eq!(
        (card.speed, card.lines, card.clock_hz),
        (Speed::Default, 4, 25_000_000)
    );
}

#[test]
fn cards_without_four_lines_or_high_speed_do_without() {
    let one = identify(Kind {
        four_bits: false,
        ..Kind::sdhc()
    })
    .unwrap();
    assert_eq!((one.lines, one.speed), (1, Speed::High));
    let slow = identify(Kind {
        high_speed: false,
        ..Kind::sdhc()
    })
    .unwrap();
    assert_eq!(
        (slow.lines, slow.speed, slow.clock_hz),
        (4, Speed::Default, 25_000_000)
    );
}

#[test]
fn an_empty_slot_a_locked_card_and_one_that_never_is_ready_are_told() {
    let start = |card| Controller::start(Machine(with(card))).unwrap();
    assert_eq!(Identified::identify(&mut start(None)), Err(Fault::Silent));
    let locked = Kind {
        locked: true,
        ..Kind::sdhc()
    };
    assert_eq!(identify(locked), Err(Fault::Locked));
    let mut card = Card::new(Kind::sdhc());
    card.not_ready = u32::MAX;
    assert_eq!(
        Identified::identify(&mut start(Some(card))),
        Err(Fault::NotReady)
    );
}

#[test]
fn a_write_protected_card_says_so() {
    let card = identify(Kind {
        read_only: true,
        ..Kind::sdhc()
    })
    .unwrap();
    assert!(card.read_only);
}

#[test]
fn every_command_may_fail_and_the_fault_is_told() {
    let model = with(Some(Card::new(Kind::sdhc())));
    let mut controller = Controller::start(Machine(model.clone())).unwrap();
    Identified::identify(&mut controller).unwrap();
    let commands = model.borrow().commands.len();
    for failing in 0..commands {
        let model = with(Some(Card::new(Kind::sdhc())));
        let mut controller = Controller::start(Machine(model.clone())).unwrap();
        model.borrow_mut().mishap_at = Some((failing, Mishap::AnswerDamaged));
        let result = Identified::identify(&mut controller);
        if model.borrow().commands.get(failing) == Some(&0) {
            continue;
        }
        assert_eq!(result, Err(Fault::CommandDamaged), "command {failing}");
    }
}
