//! Generated stubs and the server runtime over the real kernel: the wire cases,
//! answers whose capabilities are refused, and servers that die on a call.

use gritos_abi::{Address, ObjectType, Rights, Status};
use gritos_idl_runtime::{
    BUFFER_READ, BUFFER_WRITE, Caller, Cap, Error, Hooks, Outgoing, Transport, WireError, serve,
};
use gritos_service::{Kernel, Port};
use gritos_sys::time;
use gritos_test_shapes_api::{
    Colour, Everything, ShapeError, Shapes, ShapesClient, Thing, ThingClient, ThingServer,
};
use gritos_testing::{Program, System};
use gritos_wire_cases::{Given, MALFORMED, Mirror, cases, run, run_malformed};

const MEMORY: Rights = Rights::READ
    .union(Rights::WRITE)
    .union(Rights::MAP)
    .union(Rights::GRANT);

/// A mirror behind an endpoint, and a client with everything that the cases need.
fn mirror(system: &mut System) -> (Program, Given) {
    let endpoint = system.make(ObjectType::Endpoint, 0);
    let memory = system.make(ObjectType::MemoryObject, 4096);
    let mut server = system.program();
    let at = system.give(&mut server, endpoint, Rights::AS_HELD, 0);
    let page = system.give(&mut server, memory, MEMORY, 0);
    system.server(server, move || {
        let mut port = Port::<2>::new(gritos_sys::Cap::at(at), 4).unwrap();
        serve::<Everything, _, _>(&mut port, &mut Mirror::new(at, page));
    });
    let foreign = system.make(ObjectType::Endpoint, 0);
    let signal = system.make(ObjectType::Notification, 0);
    let mut client = system.program();
    let (send, both) = (Rights::SEND, Thing::LOOK | Thing::CHANGE);
    let mut own = |rights, badge| system.give(&mut client, endpoint, send | rights, badge);
    let session = own(Rights::GRANT, Given::SESSION);
    let thing = own(both, Given::THING);
    let thing_to_look_at = own(Thing::LOOK, Given::THING);
    let buffer = own(BUFFER_READ | BUFFER_WRITE, Given::BUFFER);
    let buffer_to_read = own(BUFFER_READ, Given::BUFFER);
    let foreign_rights = send | Thing::CHANGE | Rights::GRANT;
    let given = Given {
        session,
        thing,
        thing_to_look_at,
        buffer,
        buffer_to_read,
        foreign: system.give(&mut client, foreign, foreign_rights, 0),
        signal: system.give(&mut client, signal, send | Rights::GRANT, 0),
        memory: system.give(&mut client, memory, MEMORY, 0),
        to_move: system.give(&mut client, memory, MEMORY, 0),
    };
    (client, given)
}

#[test]
fn wire_cases_come_back_and_mistakes_are_refused_by_name() {
    let mut system = System::new();
    let (client, given) = mirror(&mut system);
    system.client(client, move || {
        assert_eq!(run(&given, Kernel), Ok(cases::<Kernel>().len()));
        assert_eq!(run_malformed(&given, Kernel), Ok(MALFORMED.len()));
    });
    system.run();
}

#[test]
fn an_answer_whose_capabilities_are_refused_is_an_error() {
    let mut system = System::new();
    let (client, given) = mirror(&mut system);
    system.client(client, move || {
        // `make`, from a caller that offers no slot for what it gets.
        let message = Outgoing::new(0xfb66_aacb, [0; 8], 3);
        let reply = Kernel.call::<0, 0>(given.session, message, None);
        assert!(reply.outcome.is_ok());
        assert_eq!(reply.tag, WireError::CapsRefused.tag());
        // The server goes on, and one that offers a slot gets it.
        let mut shapes = ShapesClient::new(Cap::<Shapes>::new(given.session), Kernel);
        assert!(shapes.make(Default::default()).is_ok());
    });
    system.run();
}

/// A thing whose first life takes its time.
struct Slow {
    pause_ns: u64,
    life: u64,
}

impl ThingServer for Slow {
    fn look(&mut self, _: Caller, at: u64) -> Result<u64, ShapeError> {
        let _ = gritos_sys::ipc::sleep_until(time::after(self.pause_ns));
        Ok(at + self.life)
    }

    fn change(&mut self, _: Caller, _: Colour) -> Result<(), ShapeError> {
        let _ = gritos_sys::ipc::sleep_until(time::after(self.pause_ns));
        Ok(())
    }
}

impl<P> Hooks<P> for Slow {}

const SECOND: u64 = 1_000_000_000;

/// Two lives of a server, of which the first is killed after a second while a
/// client's call has taken it longer.
fn dying(act: fn(&mut ThingClient<Kernel>)) {
    let mut system = System::new();
    let endpoint = system.make(ObjectType::Endpoint, 0);
    let lives = [(1, 3600 * SECOND), (2, 0)].map(|(life, pause_ns)| {
        let mut server = system.program();
        let at = system.give(&mut server, endpoint, Rights::AS_HELD, 0);
        system.server(server, move || {
            if life == 2 {
                let _ = gritos_sys::ipc::sleep_until(time::after(SECOND / 2));
            }
            let mut port = Port::<1>::new(gritos_sys::Cap::at(at), 0).unwrap();
            serve::<Thing, _, _>(&mut port, &mut Slow { pause_ns, life });
        });
        server
    });
    let mut client = system.program();
    let rights = Rights::SEND | Thing::LOOK | Thing::CHANGE;
    let thing: Address = system.give(&mut client, endpoint, rights, Given::THING);
    system.client(client, move || {
        act(&mut ThingClient::new(Cap::new(thing), Kernel));
    });
    let (killer, handle) = (system.program(), system.handle());
    system.client(killer, move || {
        let _ = gritos_sys::ipc::sleep_until(time::after(SECOND));
        handle.kill(&lives[0]);
    });
    system.run();
}

#[test]
fn an_idempotent_call_is_answered_by_the_servers_next_life() {
    dying(|thing| assert_eq!(thing.look(40), Ok(42)));
}

#[test]
fn another_call_fails_and_is_not_repeated() {
    dying(|thing| {
        let died = thing.change(Colour::Red);
        assert_eq!(died, Err(Error::Call(Status::ServerDied)));
        assert_eq!(thing.change(Colour::Red), Ok(()));
    });
}
