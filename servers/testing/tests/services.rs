//! Shipped services, as they are, over the real kernel: log, time and console with clients that call them by their stubs, wait
//! in their queues, and die.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use gritos_abi::frame::{Decoder, Event};
use gritos_abi::{Address, ObjectType, Rights};
use gritos_base_api::{Supervision, SupervisionClient};
use gritos_console_api::{Console, ConsoleClient, ConsoleError, ConsoleEvents, ConsoleService};
use gritos_console_core::{Register, Registers};
use gritos_idl_runtime::object::Notification;
use gritos_idl_runtime::{Bytes, Cap, Error, serve};
use gritos_log_api::{Level, Log, LogClient, LogError, LogService};
use gritos_service::{Kernel, Port, adopt, object_cap, release};
use gritos_sys::environment::Environment;
use gritos_sys::{Wait, ipc, time};
use gritos_testing::{Program, System};
use gritos_time_api::{Time, TimeClient, TimeService};

/// Badge of the first client; the others follow.
const CLIENT: u32 = 0x8000_0001;
const MS: u64 = 1_000_000;
const SESSION: Rights = Rights::SEND.union(Rights::GRANT);

/// What the services need of the system around them, as their own programs give it to them.
struct Outside;

impl Outside {
    fn keep(notification: Cap<Notification>) -> Option<Cap<Notification>> {
        let slot = adopt(notification.address()).ok()?;
        Some(Cap::new(slot.address()))
    }

    fn signal(notification: Cap<Notification>, bits: u64) {
        let _ = object_cap::<_, gritos_sys::cap::Notification>(notification).signal(bits);
    }

    fn now() -> u64 {
        time::nanoseconds(time::now())
    }
}

impl gritos_log_core::Outside for Outside {
    fn now(&self) -> u64 {
        Self::now()
    }

    fn kernel_text(&mut self) -> Option<gritos_log_core::Piece> {
        None
    }
}

impl gritos_time_core::Outside for Outside {
    fn now(&self) -> u64 {
        Self::now()
    }

    fn hardware_clock(&mut self) -> Option<u64> {
        Some(1_000_000)
    }

    fn set_hardware_clock(&mut self, _seconds: u64) {}

    fn signal(&mut self, notification: Cap<Notification>, bits: u64) {
        Self::signal(notification, bits);
    }

    fn keep(&mut self, notification: Cap<Notification>) -> Option<Cap<Notification>> {
        Self::keep(notification)
    }

    fn delete(&mut self, notification: Cap<Notification>) {
        let _ = release(notification.address());
    }
}

impl gritos_console_core::Outside for Outside {
    fn now(&self) -> u64 {
        Self::now()
    }

    fn signal(&mut self, notification: Cap<Notification>, bits: u64) {
        Self::signal(notification, bits);
    }

    fn keep(&mut self, notification: Cap<Notification>) -> Option<Cap<Notification>> {
        Self::keep(notification)
    }

    fn delete(&mut self, notification: Cap<Notification>) {
        let _ = release(notification.address());
    }
}

/// A client of `endpoint` with a session, and where it finds that.
fn client(system: &mut System, endpoint: u32, number: u32) -> (Program, Address) {
    let mut program = system.program();
    let session = system.give(&mut program, endpoint, SESSION, CLIENT + number);
    (program, session)
}

/// Says to a service, as the root task does, that a client is gone.
fn tell_gone(session: Address, number: u32) -> u32 {
    let mut server = SupervisionClient::new(Cap::<Supervision>::new(session), Kernel);
    server.client_gone(CLIENT + number).expect("an answer")
}

fn log_service(system: &mut System) -> u32 {
    let endpoint = system.make(ObjectType::Endpoint, 0);
    let mut server = system.program();
    let at = system.give(&mut server, endpoint, Rights::AS_HELD, 0);
    system.server(server, move || {
        let mut port = Port::<1>::new(gritos_sys::Cap::at(at), 1).unwrap();
        let mut service =
            gritos_log_core::Service::new(Outside, 0, gritos_log_core::Rate::default());
        serve::<LogService, _, _>(&mut port, &mut service);
    });
    endpoint
}

fn part(text: &str) -> Bytes<61> {
    Bytes::new(text.as_bytes()).unwrap()
}

#[test]
fn the_log_keeps_what_two_clients_write_at_a_time_and_what_one_left_unfinished() {
    let mut system = System::new();
    let endpoint = log_service(&mut system);
    for number in 0..2 {
        let (writer, session) = client(&mut system, endpoint, number);
        system.client(writer, move || {
            let mut log = LogClient::new(Cap::<Log>::new(session), Kernel);
            for text in ["a text ", "in ", "parts"] {
                let last = text == "parts";
                log.append(Level::Warn, last, part(text)).unwrap();
                let _ = ipc::sleep_until(time::after(MS));
            }
            log.append(Level::Info, false, part("last words")).unwrap();
        });
    }
    let mut reader = system.program();
    let rights = SESSION | Supervision::ADMINISTER;
    let session = system.give(&mut reader, endpoint, rights, 0x8000_0000);
    system.client(reader, move || {
        let _ = ipc::sleep_until(time::after(100 * MS));
        assert_eq!(tell_gone(session, 1), 1);
        assert_eq!(tell_gone(session, 7), 0);
        let mut log = LogClient::new(Cap::<Log>::new(session), Kernel);
        let mut found = Vec::new();
        let mut after = 0;
        loop {
            match log.next(after, Level::Trace, 0) {
                Ok(next) => {
                    after = next.head.sequence;
                    let text = String::from_utf8(next.text.to_vec()).unwrap();
                    found.push((next.head.client - CLIENT, text));
                }
                Err(Error::Server(LogError::NotFound)) => break,
                other => panic!("{other:?}"),
            }
        }
        found.sort();
        let whole = |number| (number, "a text in parts".to_string());
        assert_eq!(found, [whole(0), whole(1), (1, "last words".to_string())]);
    });
    system.run();
}

#[test]
fn timers_of_two_clients_ring_in_their_order_and_those_of_a_dead_one_do_not() {
    let mut system = System::new();
    let endpoint = system.make(ObjectType::Endpoint, 0);
    let mut server = system.program();
    let at = system.give(&mut server, endpoint, Rights::AS_HELD, 0);
    system.server(server, move || {
        let mut port = Port::<1>::new(gritos_sys::Cap::at(at), 1).unwrap();
        let mut service =
            gritos_time_core::Service::new(Outside, 0, gritos_time_core::Limits::default());
        serve::<TimeService, _, _>(&mut port, &mut service);
    });
    // A client that sets a timer and is gone before it rings; the bell outlives it.
    let bell = system.make(ObjectType::Notification, 0);
    let (mut dying, session) = client(&mut system, endpoint, 1);
    let its_bell = system.give(&mut dying, bell, SESSION, 0);
    system.client(dying, move || {
        let mut service = TimeClient::new(Cap::<Time>::new(session), Kernel);
        let channel = service.open_channel(Cap::new(its_bell)).unwrap();
        let now = service.monotonic().unwrap();
        service.one_shot(channel, now + 50 * MS, 8).unwrap();
    });
    let (mut alive, session) = client(&mut system, endpoint, 0);
    let rings = system.give(&mut alive, bell, Rights::AS_HELD, 0);
    let mut root = system.program();
    let rights = SESSION | Supervision::ADMINISTER;
    let administration = system.give(&mut root, endpoint, rights, 0x8000_0000);
    system.client(root, move || {
        let _ = ipc::sleep_until(time::after(5 * MS));
        tell_gone(administration, 1);
    });
    system.client(alive, move || {
        let mut service = TimeClient::new(Cap::<Time>::new(session), Kernel);
        let channel = service.open_channel(Cap::new(rings)).unwrap();
        let start = service.monotonic().unwrap();
        service.one_shot(channel, start + 30 * MS, 2).unwrap();
        service.one_shot(channel, start + 20 * MS, 1).unwrap();
        let cancelled = service.one_shot(channel, start + 25 * MS, 4).unwrap();
        service.cancel(cancelled).unwrap();
        let bell = gritos_sys::Cap::<gritos_sys::cap::Notification>::at(rings);
        for (bits, at) in [(1, 20), (2, 30)] {
            assert_eq!(bell.wait(&Wait::FOREVER), Ok(bits));
            let now = service.monotonic().unwrap();
            assert!((at * MS..(at + 1) * MS).contains(&(now - start)), "{now}");
        }
        assert!(bell.wait(&Wait::until(time::after(100 * MS))).is_err());
    });
    system.run();
}

/// The far end of a serial line.
#[derive(Debug, Default)]
struct Line {
    received: VecDeque<u8>,
    sent: Vec<u8>,
    mask: u32,
}

/// A UART whose transmitter is always ready.
#[derive(Clone, Debug, Default)]
struct Uart(Arc<Mutex<Line>>);

impl Registers for Uart {
    fn read(&mut self, register: Register) -> u32 {
        let mut line = self.0.lock().unwrap();
        match register {
            Register::Data => line.received.pop_front().map_or(0, u32::from),
            Register::Flags => u32::from(line.received.is_empty()) << 4,
            Register::InterruptMask => line.mask,
            _ => 0,
        }
    }

    fn write(&mut self, register: Register, value: u32) {
        let mut line = self.0.lock().unwrap();
        match register {
            Register::Data => line.sent.push(value as u8),
            Register::InterruptMask => line.mask = value,
            _ => {}
        }
    }
}

/// What arrived at the far end, without frames.
fn sent(uart: &Uart) -> String {
    let mut decoder = Decoder::new();
    let line = uart.0.lock().unwrap();
    let bytes = line.sent.iter().copied();
    let bytes = bytes.filter(|&byte| matches!(decoder.push(byte), Some(Event::Text(_))));
    String::from_utf8(bytes.collect()).unwrap()
}

#[test]
fn the_console_gives_input_to_who_waits_and_keeps_lines_of_two_writers_whole() {
    let mut system = System::new();
    let endpoint = system.make(ObjectType::Endpoint, 0);
    let interrupt = system.make(ObjectType::Notification, 0);
    let uart = Uart::default();
    let mut server = system.program();
    let at = system.give(&mut server, endpoint, Rights::AS_HELD, 0);
    let arrived = system.give(&mut server, interrupt, Rights::AS_HELD, 0);
    let registers = uart.clone();
    system.server(server, move || {
        Environment::TCB
            .bind_notification(gritos_sys::Cap::at(arrived))
            .unwrap();
        let mut port = Port::<24>::new(gritos_sys::Cap::at(at), 1).unwrap();
        let mut service = gritos_console_core::Service::start(registers, Outside, 0);
        serve::<ConsoleService, _, _>(&mut port, &mut service);
    });
    // Who types: bytes arrive, and an interrupt tells of them.
    let mut typist = system.program();
    let rings = system.give(&mut typist, interrupt, Rights::AS_HELD, 0);
    let line = uart.clone();
    system.client(typist, move || {
        for (at, text) in [(10, "hello"), (20, "\x03")] {
            let _ = ipc::sleep_until(time::ticks(at * MS));
            line.0.lock().unwrap().received.extend(text.as_bytes());
            let rings = gritos_sys::Cap::<gritos_sys::cap::Notification>::at(rings);
            rings.signal(1).unwrap();
        }
    });
    let bell = system.make(ObjectType::Notification, 0);
    let (mut reader, session) = client(&mut system, endpoint, 0);
    let told = system.give(&mut reader, bell, Rights::AS_HELD, 0);
    system.client(reader, move || {
        let mut console = ConsoleClient::new(Cap::<Console>::new(session), Kernel);
        console
            .notify_interrupt(Cap::with_rights(told, SESSION))
            .unwrap();
        let read = console.read().unwrap();
        assert_eq!(read.data.to_vec(), b"hello");
        // It works, and is told of Ctrl-C meanwhile.
        let told = gritos_sys::Cap::<gritos_sys::cap::Notification>::at(told);
        let bits = told.wait(&Wait::FOREVER);
        assert_eq!(bits, Ok(ConsoleEvents::INTERRUPT.bits()));
        console.write(Bytes::new(b"one ").unwrap()).unwrap();
        console.write(Bytes::new(b"line\n").unwrap()).unwrap();
        console.flush().unwrap();
    });
    let (writer, session) = client(&mut system, endpoint, 1);
    let far = uart.clone();
    system.client(writer, move || {
        let mut console = ConsoleClient::new(Cap::<Console>::new(session), Kernel);
        let _ = ipc::sleep_until(time::ticks(15 * MS));
        assert_eq!(
            console.lend(CLIENT),
            Err(Error::Server(ConsoleError::NotOwner))
        );
        for _ in 0..3 {
            console.write(Bytes::new(b"another\n").unwrap()).unwrap();
        }
        console.flush().unwrap();
        let _ = ipc::sleep_until(time::ticks(100 * MS));
        let text = sent(&far);
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["another", "another", "another", "one line"]);
    });
    system.run();
}
