//! A side whose peer writes whatever it likes, wherever it likes.
#![cfg(not(loom))]

use gritos_ring::host::HostMemory;
use gritos_ring::{Consumer, Memory, Producer, RingError, ring_bytes};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

const ENTRY: usize = 4;
const CAPACITY: u32 = 8;

/// What a liar does between two steps of the honest side.
#[derive(Clone, Debug)]
enum Lie {
    /// Stores any value in a word of the header.
    Word(usize, u32),
    /// Moves its counter by a little, forward or back.
    Nudge(usize, i8),
    /// Overwrites entries.
    Entry(usize, u32),
    /// Does nothing.
    Nothing,
}

fn lie() -> impl Strategy<Value = Lie> {
    let word = prop_oneof![Just(0usize), Just(4), Just(64), Just(68)];
    prop_oneof![
        (word.clone(), any::<u32>()).prop_map(|(at, value)| Lie::Word(at, value)),
        (word, any::<i8>()).prop_map(|(at, by)| Lie::Nudge(at, by)),
        (0..CAPACITY as usize, any::<u32>()).prop_map(|(i, value)| Lie::Entry(128 + i * 4, value)),
        Just(Lie::Nothing),
    ]
}

fn tell(memory: &HostMemory, lie: &Lie) {
    match *lie {
        Lie::Word(at, value) | Lie::Entry(at, value) => memory.store(at, value).unwrap(),
        Lie::Nudge(at, by) => {
            let old = memory.load(at).unwrap();
            let new = old.wrapping_add_signed(by.into());
            memory.store(at, new).unwrap();
        }
        Lie::Nothing => {}
    }
}

fn memory() -> HostMemory {
    HostMemory::new(ring_bytes(CAPACITY, ENTRY).unwrap())
}

proptest! {
    #![proptest_config(proptest::test_runner::Config {
        cases: if cfg!(miri) { 8 } else { 2_000 },
        failure_persistence: None,
        ..Default::default()
    })]

    /// Between two looks a consumer gets a ring full at most, and never an entry twice or none
    /// that it was told of, as far as counters can tell.
    #[test]
    fn a_consumer_never_sees_more_than_the_capacity(
        lies in proptest::collection::vec(lie(), 1..64),
    ) {
        let memory = memory();
        let mut consumer = Consumer::<_, ENTRY>::new(memory.clone(), 0, CAPACITY).unwrap();
        for lie in &lies {
            tell(&memory, lie);
            let seen = match consumer.refresh() {
                Ok(count) => count,
                Err(RingError::Corrupt) => 0,
                Err(error) => panic!("{error}"),
            };
            assert!(seen <= CAPACITY);
            let mut popped = 0;
            while consumer.pop().unwrap().is_some() {
                popped += 1;
            }
            assert!(popped <= CAPACITY, "{popped}");
            consumer.release().unwrap();
            let _ = consumer.arm(1);
        }
    }

    /// A producer has never more entries under way than fit, whatever it is told.
    #[test]
    fn a_producer_never_overruns(lies in proptest::collection::vec(lie(), 1..64)) {
        let memory = memory();
        let mut producer = Producer::<_, ENTRY>::new(memory.clone(), 0, CAPACITY).unwrap();
        for (i, lie) in lies.iter().enumerate() {
            tell(&memory, lie);
            let mut pushed = 0;
            while pushed <= CAPACITY && producer.push(&(i as u32).to_le_bytes()).is_ok() {
                pushed += 1;
            }
            assert!(producer.used() <= CAPACITY);
            assert!(pushed <= CAPACITY, "{pushed}");
            producer.publish().unwrap();
            let _ = producer.arm(1 + i as u32);
        }
    }

    /// A counter that is further than it can be, or goes back, is refused, and the side goes on as
    /// if it had not been told.
    #[test]
    fn impossible_counters_are_refused(ahead in CAPACITY + 1..=u32::MAX) {
        let memory = memory();
        let mut consumer = Consumer::<_, ENTRY>::new(memory.clone(), 0, CAPACITY).unwrap();
        memory.store(0, ahead).unwrap();
        assert_eq!(consumer.refresh(), Err(RingError::Corrupt));
        assert_eq!(consumer.pop(), Ok(None));
        memory.store(0, CAPACITY).unwrap();
        assert_eq!(consumer.refresh(), Ok(CAPACITY));

        let mut producer = Producer::<_, ENTRY>::new(memory.clone(), 0, CAPACITY).unwrap();
        memory.store(64, ahead - CAPACITY).unwrap();
        assert_eq!(producer.refresh(), Err(RingError::Corrupt), "nothing was published");
    }
}
