//! What goes wrong on the way is tried again, and what stays wrong is told.

use crate::card::{BLOCK, Card, Kind};
use crate::controller::Mishap;
use crate::{IO_ERROR, bench};

fn mishaps() -> [Mishap; 6] {
    [
        Mishap::NoAnswer,
        Mishap::AnswerDamaged,
        Mishap::BlockDamaged(0),
        Mishap::BlockDamaged(3),
        Mishap::Silence(0),
        Mishap::Silence(2),
    ]
}

#[test]
fn one_mishap_costs_time_and_nothing_else() {
    for kind in [Kind::sdhc(), Kind::sdsc()] {
        for mishap in mishaps() {
            let mut bench = bench(kind.clone());
            bench.model.borrow_mut().mishaps.push_back(mishap);
            let data = bench.read(40, 8).unwrap();
            for (i, chunk) in data.chunks(BLOCK).enumerate() {
                assert!(chunk == Card::original(40 + i as u64), "{mishap:?}");
            }
            assert!(bench.driver.borrow_mut().card.take_trouble().is_some());
            bench.model.borrow_mut().mishaps.push_back(mishap);
            let data = vec![0x5a; 8 * BLOCK];
            bench.disk.write(90, &data).unwrap();
            assert!(
                (90..98).all(|block| bench.holds(block) == [0x5a; BLOCK]),
                "{mishap:?}"
            );
            assert!(bench.model.borrow().mishaps.is_empty());
        }
    }
}

#[test]
fn what_fails_again_and_again_is_an_error_and_the_next_job_works() {
    for mishap in mishaps() {
        let mut bench = bench(Kind::sdhc());
        bench.model.borrow_mut().mishaps.extend([mishap; 8]);
        assert_eq!(bench.read(40, 8), Err(IO_ERROR), "{mishap:?}");
        bench.model.borrow_mut().mishaps.clear();
        assert!(bench.read(40, 8).unwrap()[..BLOCK] == Card::original(40));
    }
}

#[test]
fn a_card_that_is_pulled_and_put_back_is_found_again() {
    let mut bench = bench(Kind::sdhc());
    bench.disk.write(3, &[7; BLOCK]).unwrap();
    let card = bench.model.borrow_mut().card.take().unwrap();
    assert_eq!(bench.read(3, 1), Err(IO_ERROR));
    let mut again = Card::new(Kind::sdhc());
    again.written = card.written;
    bench.model.borrow_mut().card = Some(again.inserted());
    assert!(bench.read(3, 1).unwrap() == [7; BLOCK]);
}

#[test]
fn another_card_is_not_taken_for_the_first() {
    let mut bench = bench(Kind::sdhc());
    let stranger = Kind {
        serial: 99,
        ..Kind::sdhc()
    };
    bench.model.borrow_mut().card = Some(Card::new(stranger).inserted());
    assert_eq!(bench.disk.write(3, &[7; BLOCK]), Err(IO_ERROR));
    assert_eq!(bench.read(0, 1), Err(IO_ERROR));
    let card = bench.model.borrow_mut().card.take().unwrap();
    assert!(card.written.is_empty(), "nothing was written to it");
}
