//! One side of which writes whatever it likes into the shared memory.

use crate::wire::{RECEIVE, Setup, frame};
use gritos_ethernet_core::api::Frame;
use gritos_ethernet_core::{ENTRY_BYTES, LinkError};
use gritos_idl_runtime::Wire;
use gritos_ring::{Memory, Producer, RingError};
use proptest::prelude::{any, proptest};

proptest! {
    #![proptest_config(proptest::test_runner::Config {
        cases: 300,
        failure_persistence: None,
        ..Default::default()
    })]

    /// Whatever a client writes, the driver stays inside of the slots (the device would panic)
    /// and comes to an end.
    #[test]
    fn a_driver_survives_any_client(
        lies in proptest::collection::vec((0usize..1024, any::<u32>()), 1..64),
    ) {
        let mut setup = Setup::new();
        for (word, value) in lies {
            let value = if value % 2 == 0 { value % 0x10_0010 } else { value };
            setup.memory.store(word * 4 % setup.layout.slots as usize, value).unwrap();
            setup.wire.deliver(&frame(0, 60));
            if setup.station.run(&mut setup.wire, &mut setup.counters).is_err() {
                return Ok(());
            }
        }
    }

    /// Whatever a driver writes, a client gets frames of possible length or an error.
    #[test]
    fn a_client_survives_any_driver(
        lies in proptest::collection::vec((0usize..1024, any::<u32>()), 1..64),
    ) {
        let mut setup = Setup::new();
        let mut buffer = [0; 2048];
        for (word, value) in lies {
            let value = if value % 2 == 0 { value % 0x10_0010 } else { value };
            setup.memory.store(word * 4 % setup.layout.slots as usize, value).unwrap();
            for _ in 0..2 * RECEIVE {
                match setup.link.receive(&mut buffer) {
                    Ok(Some(bytes)) => assert!((14..=1982).contains(&bytes)),
                    Ok(None) => break,
                    Err(_) => return Ok(()),
                }
            }
            let sent = setup.link.send(&frame(0, 60));
            if !matches!(sent, Ok(()) | Err(LinkError::Full)) || setup.link.submit().is_err() {
                return Ok(());
            }
        }
    }
}

fn entry(slot: u16, length: u16) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    Frame { slot, length }.encode(&mut entry);
    entry
}

#[test]
fn a_driver_refuses_slots_that_the_client_does_not_have() {
    for slots in [[0, 0], [7, 8], [3, u16::MAX]] {
        let mut setup = Setup::new();
        // A client that starts over in the ring of empty slots.
        let at = setup.layout.receive_free as usize;
        let mut ring = Producer::<_, ENTRY_BYTES>::new(setup.memory.clone(), at, RECEIVE).unwrap();
        setup.memory.store(at, 0).unwrap();
        for slot in slots {
            ring.push(&entry(slot, 0)).unwrap();
        }
        ring.publish().unwrap();
        let end = setup.station.run(&mut setup.wire, &mut setup.counters);
        assert_eq!(end, Err(RingError::Corrupt), "{slots:?}");
    }
}

#[test]
fn a_client_refuses_slots_that_the_driver_does_not_have() {
    for (slots, length) in [([0, 0], 60), ([0, 8], 60), ([0, 1], 13), ([0, 1], 1983)] {
        let mut setup = Setup::new();
        setup.run();
        let at = setup.layout.received as usize;
        let mut ring = Producer::<_, ENTRY_BYTES>::new(setup.memory.clone(), at, RECEIVE).unwrap();
        ring.push(&entry(slots[0], 60)).unwrap();
        ring.push(&entry(slots[1], length)).unwrap();
        ring.publish().unwrap();
        let mut buffer = [0; 2048];
        let first = setup.link.receive(&mut buffer);
        assert_eq!(first, Ok(Some(60)));
        let second = setup.link.receive(&mut buffer);
        if slots == [0, 0] {
            // Given back by then: the driver may have it again.
            assert_eq!(second, Ok(Some(60)));
        } else {
            assert_eq!(second, Err(LinkError::Corrupt), "{slots:?} {length}");
        }
    }
}
