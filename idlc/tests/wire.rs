//! The tables of wire cases, over memory.

use gritos_idl_runtime::loopback::{Held, Loopback};
use gritos_idl_runtime::{
    Address, BUFFER_READ, BUFFER_WRITE, Incoming, ObjectType, Outcome, Outgoing, Rights, Transport,
    WireError,
};
use gritos_test_shapes_api::{Everything, Thing};
use gritos_wire_cases::{Given, MALFORMED, Mirror, run, run_malformed};

const GIVEN: Given = Given {
    session: Address::root(1),
    thing: Address::root(2),
    thing_to_look_at: Address::root(3),
    buffer: Address::root(4),
    buffer_to_read: Address::root(5),
    foreign: Address::root(6),
    signal: Address::root(7),
    memory: Address::root(8),
    to_move: Address::root(9),
};
const ENDPOINT: Address = Address::root(10);

fn holds(address: Address) -> Option<Held> {
    let held = |object, badge, rights| {
        Some(Held {
            object,
            badge,
            rights,
        })
    };
    let memory = Some(ObjectType::MemoryObject);
    let (send, map) = (Rights::SEND, Rights::READ | Rights::MAP | Rights::GRANT);
    match address {
        address if address == GIVEN.session => held(None, Given::SESSION, send | Rights::GRANT),
        address if address == GIVEN.thing => {
            held(None, Given::THING, send | Thing::LOOK | Thing::CHANGE)
        }
        address if address == GIVEN.thing_to_look_at => {
            held(None, Given::THING, send | Thing::LOOK)
        }
        address if address == GIVEN.buffer => {
            held(None, Given::BUFFER, send | BUFFER_READ | BUFFER_WRITE)
        }
        address if address == GIVEN.buffer_to_read => held(None, Given::BUFFER, send | BUFFER_READ),
        address if address == GIVEN.foreign => held(
            Some(ObjectType::Endpoint),
            0,
            send | Thing::CHANGE | Rights::GRANT,
        ),
        address if address == GIVEN.signal => {
            held(Some(ObjectType::Notification), 0, send | Rights::GRANT)
        }
        address if address == GIVEN.memory => held(memory, 0, map | Rights::WRITE),
        address if address == GIVEN.to_move => held(memory, 0, map),
        ENDPOINT => held(None, 0, send | Rights::SERVER | Rights::RECV),
        _ => None,
    }
}

/// A loopback where the capability that is called tells who calls.
struct Wire(Loopback<Mirror, Everything>);

impl Wire {
    fn new() -> Self {
        let mut wire = Loopback::new(Mirror::new(ENDPOINT, GIVEN.memory));
        wire.holds = holds;
        Self(wire)
    }

    fn through(&mut self, target: Address) -> &mut Loopback<Mirror, Everything> {
        let held = holds(target).expect("it is given");
        (self.0.badge, self.0.rights) = (held.badge, held.rights);
        &mut self.0
    }
}

impl Transport for Wire {
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        target: Address,
        message: Outgoing<CAPS>,
        timeout_ns: Option<u64>,
    ) -> Incoming {
        let wire = self.through(target);
        wire.call::<CAPS, WINDOW>(target, message, timeout_ns)
    }

    fn send<const CAPS: usize>(&mut self, target: Address, message: Outgoing<CAPS>) -> Outcome {
        self.through(target).send(target, message)
    }

    fn discard(&mut self, incoming: &Incoming) {
        self.0.discard(incoming);
    }
}

#[test]
fn each_case_has_its_words_and_comes_back() {
    assert_eq!(run(&GIVEN, Wire::new()), Ok(19));
}

#[test]
fn each_mistake_is_refused_by_name() {
    assert_eq!(run_malformed(&GIVEN, Wire::new()), Ok(MALFORMED.len()));
}

#[test]
fn the_mistakes_cover_what_stubs_refuse() {
    // These come from a server, its port or the other direction.
    let others = [
        WireError::Busy,
        WireError::CapsRefused,
        WireError::Dropped,
        WireError::BufferGone,
        WireError::UnknownResult,
        WireError::Unavailable,
    ];
    for error in WireError::ALL {
        let covered = MALFORMED.iter().any(|case| case.error == *error);
        assert_ne!(covered, others.contains(error), "{error:?}");
    }
}
