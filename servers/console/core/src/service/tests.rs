use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::cell::Cell;

use gritos_abi::Address;
use gritos_abi::frame::{Channel, Decoder, Event};
use gritos_console_api::{Console, ConsoleClient, ConsoleError, InputEvents};
use gritos_idl_runtime::object::Notification;
use gritos_idl_runtime::{
    Cap, Dispatch, Error, Incoming, Kind, Outcome, Outgoing, ServerPort, Status, Ticket, Transport,
    WORDS,
};

use super::{Outside, Service};
use crate::PROBE;
use crate::uart::{Register, Registers};

/// A PL011 with FIFOs of 16 bytes, and a line at either end.
#[derive(Default)]
struct Model {
    /// Yet to arrive, with error bits.
    wire: VecDeque<u32>,
    receive: VecDeque<u32>,
    transmit: usize,
    sent: Vec<u8>,
    mask: u32,
    line_control: u32,
    control: u32,
    /// Whether the other end waits while the FIFO is full, as QEMU does, or goes on, as a wire does.
    waits: bool,
    overrun: bool,
}

const DEPTH: usize = 16;

impl Model {
    /// So many bytes arrive, and as many leave.
    fn pass(&mut self, bytes: usize) {
        self.transmit = self.transmit.saturating_sub(bytes);
        for _ in 0..bytes {
            if self.receive.len() < DEPTH {
                let Some(byte) = self.wire.pop_front() else {
                    return;
                };
                let overrun = core::mem::take(&mut self.overrun);
                self.receive.push_back(byte | u32::from(overrun) << 11);
            } else if !self.waits {
                self.overrun |= self.wire.pop_front().is_some();
            }
        }
    }

    fn interrupts(&self) -> bool {
        let receive = !self.receive.is_empty() && self.mask & 0x50 != 0;
        receive || self.transmit <= DEPTH / 4 && self.mask & 0x20 != 0
    }
}

impl Registers for Model {
    fn read(&mut self, register: Register) -> u32 {
        match register {
            Register::Data => self.receive.pop_front().unwrap_or(0),
            Register::Flags => {
                u32::from(self.receive.is_empty()) << 4 | u32::from(self.transmit >= DEPTH) << 5
            }
            Register::LineControl => self.line_control,
            Register::Control => self.control,
            Register::FifoLevels => 0,
            Register::InterruptMask => self.mask,
        }
    }

    fn write(&mut self, register: Register, value: u32) {
        match register {
            Register::Data => {
                assert!(self.transmit < DEPTH, "a byte for a full FIFO is lost");
                self.transmit += 1;
                self.sent.push(value as u8);
            }
            Register::LineControl => {
                if (value ^ self.line_control) & 0x10 != 0 {
                    self.receive.clear();
                }
                self.line_control = value;
            }
            Register::Control => self.control = value,
            Register::InterruptMask => self.mask = value,
            Register::Flags | Register::FifoLevels => {}
        }
    }
}

#[derive(Default)]
struct World {
    now: Cell<u64>,
    signals: Vec<(u32, u64)>,
    deleted: Vec<u32>,
}

impl Outside for World {
    fn now(&self) -> u64 {
        self.now.get()
    }

    fn signal(&mut self, notification: Cap<Notification>, bits: u64) {
        self.signals.push((notification.address().0, bits));
    }

    fn keep(&mut self, notification: Cap<Notification>) -> Option<Cap<Notification>> {
        Some(notification)
    }

    fn delete(&mut self, notification: Cap<Notification>) {
        self.deleted.push(notification.address().0);
    }
}

/// Answers that went out, by the number of the call.
#[derive(Default)]
struct Port {
    answers: Vec<(u32, Outgoing<0>)>,
    /// Calls whose caller has gone away.
    gone: Vec<u32>,
    /// The call in hand, which nobody can answer but by returning.
    current: u32,
}

impl ServerPort for Port {
    fn recv(&mut self) -> Incoming {
        Incoming::failed(Status::Deleted)
    }

    fn reply_recv<const CAPS: usize>(&mut self, _reply: Outgoing<CAPS>) -> Incoming {
        Incoming::failed(Status::Deleted)
    }

    fn ticket(&mut self) -> Option<Ticket> {
        None
    }

    fn keep(&mut self) {}

    fn answer<const CAPS: usize>(
        &mut self,
        ticket: Ticket,
        reply: Outgoing<CAPS>,
    ) -> Result<(), Status> {
        if self.gone.contains(&ticket.reply.0) || ticket.reply.0 == self.current {
            return Err(Status::ReplySpent);
        }
        let reply = Outgoing::new(reply.tag, reply.words, reply.word_count);
        self.answers.push((ticket.reply.0, reply));
        Ok(())
    }

    fn discard(&mut self, _incoming: &Incoming) {}
}

/// Writes down the one message that a client sends.
struct Writer(Option<Outgoing<0>>);

impl Transport for &mut Writer {
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        _target: Address,
        message: Outgoing<CAPS>,
        _timeout_ns: Option<u64>,
    ) -> Incoming {
        self.0 = Some(Outgoing::new(
            message.tag,
            message.words,
            message.word_count,
        ));
        Incoming::failed(Status::WouldBlock)
    }

    fn send<const CAPS: usize>(&mut self, _target: Address, _message: Outgoing<CAPS>) -> Outcome {
        Outcome::error(Status::WouldBlock)
    }

    fn discard(&mut self, _incoming: &Incoming) {}
}

/// A client that hands an answer to its stub.
struct Reader(Incoming);

impl Transport for Reader {
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        _target: Address,
        _message: Outgoing<CAPS>,
        _timeout_ns: Option<u64>,
    ) -> Incoming {
        self.0
    }

    fn send<const CAPS: usize>(&mut self, _target: Address, _message: Outgoing<CAPS>) -> Outcome {
        self.0.outcome
    }

    fn discard(&mut self, _incoming: &Incoming) {}
}

type ReadAnswer = Result<(Vec<u8>, InputEvents), Error<ConsoleError>>;

struct Bench {
    service: Service<Model, World>,
    port: Port,
    calls: u32,
}

const SHELL: u32 = 0x8000_0001;
const LOG: u32 = 0x8000_0002;

impl Bench {
    fn new(model: Model) -> Self {
        Self {
            service: Service::start(model, World::default(), 77),
            port: Port::default(),
            calls: 0,
        }
    }

    /// A call of `client`; its number.
    fn call(&mut self, client: u32, send: impl FnOnce(&mut ConsoleClient<&mut Writer>)) -> u32 {
        let mut writer = Writer(None);
        send(&mut ConsoleClient::new(
            Cap::new(Address::root(1)),
            &mut writer,
        ));
        let message = writer.0.expect("a client sends one message");
        let incoming = Incoming {
            words: message.words,
            sender: u64::from(client) | 0x1_0001 << 32,
            tag: message.tag,
            outcome: Outcome::message(Kind::Call, message.word_count, 0),
            ..Incoming::failed(Status::Ok)
        };
        self.calls += 1;
        let ticket = Ticket {
            reply: Address(self.calls),
            generation: 0,
        };
        self.port.current = self.calls;
        let answer = Console::dispatch(&mut self.service, &incoming, || Some(ticket));
        self.service.turn(&mut self.port);
        self.port.current = 0;
        answer.deliver(&mut self.port, ticket).expect("delivered");
        self.wait();
        self.calls
    }

    fn read(&mut self, client: u32) -> u32 {
        self.call(client, |stub| {
            let _ = stub.read();
        })
    }

    fn write(&mut self, client: u32, text: &[u8]) -> u32 {
        self.call(client, |stub| {
            let _ = stub.write(gritos_idl_runtime::Bytes::new(text).expect("short"));
        })
    }

    /// What call `number` was answered, decoded by the client's stub of `read`.
    fn read_answer(&self, number: u32) -> Option<ReadAnswer> {
        let (_, reply) = self.port.answers.iter().find(|(n, _)| *n == number)?;
        let mut stub = ConsoleClient::new(Cap::new(Address::root(1)), Reader(arrived(reply)));
        Some(stub.read().map(|got| (got.data.to_vec(), got.events)))
    }

    fn is_answered(&self, number: u32) -> bool {
        self.port.answers.iter().any(|(n, _)| *n == number)
    }

    fn arrive(&mut self, bytes: &[u8]) {
        self.model()
            .wire
            .extend(bytes.iter().map(|&b| u32::from(b)));
    }

    /// What the server's loop does while nothing arrives.
    fn wait(&mut self) {
        let now = self.service.outside().now.get();
        if self.service.deadline().is_some_and(|at| at <= now) {
            self.service.turn(&mut self.port);
        }
    }

    /// Time passes: bytes move, interrupts are served.
    fn run(&mut self, rounds: usize, bytes: usize) {
        for _ in 0..rounds {
            self.model().pass(bytes);
            let now = self.service.outside().now.get() + 1_000_000;
            self.service.outside().now.set(now);
            if self.model().interrupts() || self.service.deadline().is_some_and(|at| at <= now) {
                self.service.turn(&mut self.port);
            }
        }
    }

    fn model(&mut self) -> &mut Model {
        self.service.registers()
    }
}

fn arrived(reply: &Outgoing<0>) -> Incoming {
    Incoming {
        words: reply.words,
        tag: reply.tag,
        outcome: Outcome::message(Kind::Reply, reply.word_count, 0),
        ..Incoming {
            words: [0; WORDS],
            ..Incoming::failed(Status::Ok)
        }
    }
}

#[test]
fn a_paste_of_64_kib_arrives_whole_while_nobody_reads() {
    for waits in [true, false] {
        let mut bench = Bench::new(Model {
            waits,
            ..Model::default()
        });
        let paste: Vec<u8> = (0..64 << 10)
            .map(|i: u32| (i * 31 % 250) as u8 | 4)
            .collect();
        bench.arrive(&paste);
        bench.run(64 << 10, 8);
        let mut got = Vec::new();
        while got.len() < paste.len() {
            let number = bench.read(SHELL);
            let (data, events) = bench
                .read_answer(number)
                .expect("input waits")
                .expect("mine");
            assert_eq!(events, InputEvents::empty());
            got.extend(data);
        }
        assert_eq!(got, paste);
    }
}

#[test]
fn a_paste_of_any_length_waits_at_a_sender_that_can_wait() {
    let mut bench = Bench::new(Model {
        waits: true,
        ..Model::default()
    });
    let paste: Vec<u8> = (0..300_000)
        .map(|i: u32| (i * 17 % 250) as u8 | 4)
        .collect();
    bench.arrive(&paste);
    let mut got = Vec::new();
    while got.len() < paste.len() {
        bench.run(20, 16);
        let number = bench.read(SHELL);
        if let Some(answer) = bench.read_answer(number) {
            got.extend(answer.expect("mine").0);
        }
    }
    assert!(got == paste, "every byte in its place");
}

#[test]
fn what_a_sender_that_cannot_wait_loses_is_reported() {
    let mut bench = Bench::new(Model::default());
    bench.arrive(&[b'x'; 40]);
    bench.model().pass(40);
    bench.run(3, 1);
    let number = bench.read(SHELL);
    let (data, events) = bench
        .read_answer(number)
        .expect("there is input")
        .expect("mine");
    assert_eq!((data.len(), events), (DEPTH, InputEvents::empty()));
    bench.arrive(b"y");
    let number = bench.read(SHELL);
    bench.run(3, 1);
    let (data, events) = bench.read_answer(number).expect("one more").expect("mine");
    assert_eq!((data, events), (b"y".to_vec(), InputEvents::OVERRUN));
}

#[test]
fn damaged_bytes_are_dropped_and_told() {
    let mut bench = Bench::new(Model::default());
    let number = bench.read(SHELL);
    bench
        .model()
        .wire
        .extend([0x500, 0x100 | 0x41, 0x200 | 0x42, 0x43]);
    bench.run(2, 4);
    let (data, events) = bench.read_answer(number).expect("an event").expect("mine");
    assert_eq!(data, b"C");
    assert_eq!(
        events,
        InputEvents::BREAK | InputEvents::FRAMING | InputEvents::PARITY
    );
}

#[test]
fn a_reader_waits_and_only_one_may() {
    let mut bench = Bench::new(Model::default());
    let first = bench.read(SHELL);
    assert!(!bench.is_answered(first));
    let other = bench.read(LOG);
    assert_eq!(
        bench.read_answer(other),
        Some(Err(Error::Server(ConsoleError::Busy)))
    );
    // The same client calls anew: the earlier call is over.
    let again = bench.read(SHELL);
    assert_eq!(
        bench.read_answer(first),
        Some(Err(Error::Server(ConsoleError::Busy)))
    );
    bench.arrive(b"k");
    bench.run(2, 1);
    assert_eq!(
        bench.read_answer(again),
        Some(Ok((b"k".to_vec(), InputEvents::empty())))
    );
}

#[test]
fn input_that_a_caller_did_not_get_is_there_for_the_next() {
    let mut bench = Bench::new(Model::default());
    let number = bench.read(SHELL);
    bench.port.gone.push(number);
    bench.arrive(b"key");
    bench.run(2, 3);
    let next = bench.read(SHELL);
    assert_eq!(
        bench.read_answer(next),
        Some(Ok((b"key".to_vec(), InputEvents::empty())))
    );
}

#[test]
fn a_writer_waits_while_the_line_is_slow_and_nothing_is_lost() {
    let mut bench = Bench::new(Model::default());
    let mut wanted = Vec::new();
    for round in 0..200_u32 {
        let mut piece = [b'a' + (round % 26) as u8; 63];
        piece[62] = b'\n';
        wanted.extend(&piece[..62]);
        wanted.extend(b"\r\n");
        let number = bench.write(SHELL, &piece);
        for _ in 0..1000 {
            if bench.is_answered(number) {
                break;
            }
            bench.run(1, 4);
        }
        assert!(bench.is_answered(number), "a writer waits for ever");
    }
    let flush = bench.call(SHELL, |stub| {
        let _ = stub.flush();
    });
    assert!(!bench.is_answered(flush));
    bench.run(2000, 4);
    assert!(bench.is_answered(flush));
    assert!(bench.model().sent == wanted);
}

#[test]
fn a_disturbed_reader_is_told_to_draw_again() {
    let mut bench = Bench::new(Model::default());
    bench.write(SHELL, b"prompt> ");
    let number = bench.read(SHELL);
    bench.run(100, 1);
    bench.write(LOG, b"news\n");
    bench.run(100, 1);
    assert_eq!(
        bench.read_answer(number),
        Some(Ok((Vec::new(), InputEvents::DISTURBED)))
    );
    assert_eq!(bench.model().sent, b"prompt> \r\nnews\r\n");
}

#[test]
fn interrupts_reach_who_has_the_input_unless_it_reads() {
    let mut bench = Bench::new(Model::default());
    let number = bench.read(SHELL);
    bench.arrive(b"\x03");
    bench.run(2, 1);
    assert_eq!(
        bench
            .read_answer(number)
            .expect("answered")
            .expect("mine")
            .0,
        b"\x03"
    );
    let caller = gritos_idl_runtime::Caller {
        badge: SHELL,
        rights: gritos_idl_runtime::Rights::SEND,
    };
    use gritos_console_api::ConsoleServer;
    let notification = |n| Cap::new(Address(n));
    assert_eq!(
        bench.service.notify_interrupt(caller, notification(50)),
        Ok(())
    );
    assert_eq!(
        bench.service.notify_interrupt(caller, notification(51)),
        Ok(())
    );
    assert_eq!(bench.service.outside().deleted, [50]);
    bench.arrive(b"a\x03b");
    bench.run(2, 3);
    assert_eq!(bench.service.outside().signals, [(51, 1)]);
    let number = bench.read(SHELL);
    assert_eq!(
        bench
            .read_answer(number)
            .expect("answered")
            .expect("mine")
            .0,
        b"\x03b"
    );
    assert!(bench.service.forget(SHELL) >= 2);
    assert_eq!(bench.service.outside().deleted, [50, 51]);
}

#[test]
fn the_console_answers_for_itself_whoever_reads() {
    let mut bench = Bench::new(Model::default());
    let number = bench.read(SHELL);
    bench.arrive(&PROBE);
    bench.run(20, 4);
    assert!(!bench.is_answered(number));
    let mut decoder = Decoder::new();
    let mut told = Vec::new();
    for &byte in &bench.model().sent {
        if let Some(Event::Frame(channel, payload)) = decoder.push(byte) {
            told.push((channel, payload.to_vec()));
        }
    }
    assert_eq!(told, [(Channel::Status, b"console 77 2147483649".to_vec())]);
}

#[test]
fn a_client_that_is_gone_leaves_input_and_line_to_others() {
    let mut bench = Bench::new(Model::default());
    let number = bench.read(SHELL);
    bench.write(SHELL, b"half");
    assert!(bench.service.forget(SHELL) >= 2);
    bench.service.turn(&mut bench.port);
    assert!(bench.is_answered(number));
    bench.arrive(b"z");
    let number = bench.read(LOG);
    bench.run(2, 1);
    assert_eq!(
        bench.read_answer(number),
        Some(Ok((b"z".to_vec(), InputEvents::empty())))
    );
}

/// Whatever arrives and whatever is called: no panic, no turn without end, and answers are what the stub understands.
#[test]
fn garbage_from_all_sides_is_survived() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut bench = Bench::new(Model::default());
    for _ in 0..20_000 {
        let count = random() % 20;
        for _ in 0..count {
            let byte = (random() & 0xfff) as u32;
            bench.model().wire.push_back(byte);
        }
        bench.run(1, (random() % 20) as usize);
        let client = 0x8000_0000 | (random() % 40) as u32;
        let data: Vec<u8> = (0..random() % 80).map(|_| random() as u8).collect();
        let incoming = Incoming {
            sender: u64::from(client) | 0x1_0001 << 32,
            ..Incoming::from_bytes(&data, &[1, 2, 3, 4, 5, 6, 7])
        };
        let ticket = Ticket {
            reply: Address(1),
            generation: 0,
        };
        let _ = Console::dispatch(&mut bench.service, &incoming, || Some(ticket));
        bench.service.turn(&mut bench.port);
        bench.port.answers.clear();
        if random() % 16 == 0 {
            bench.service.forget(client);
        }
    }
}

#[test]
fn who_watches_sees_what_everybody_wrote_and_waits_for_more() {
    let mut bench = Bench::new(Model::default());
    let watch = |bench: &mut Bench, client: u32, from: u64| {
        bench.call(client, |stub| {
            let _ = stub.watch(from);
        })
    };
    let seen = |bench: &Bench, number: u32| {
        let (_, reply) = bench.port.answers.iter().find(|(n, _)| *n == number)?;
        let mut stub = ConsoleClient::new(Cap::new(Address::root(1)), Reader(arrived(reply)));
        Some(
            stub.watch(0)
                .map(|got| (got.data.to_vec(), got.next, got.more)),
        )
    };
    let screen = 0x8000_0009;
    let first = watch(&mut bench, screen, 0);
    assert_eq!(seen(&bench, first), None, "nothing was written");
    bench.write(SHELL, b"prompt> ");
    assert_eq!(
        seen(&bench, first),
        Some(Ok((b"prompt> ".to_vec(), 8, false)))
    );
    bench.write(SHELL, b"\n");
    bench.run(20, 8);
    for _ in 0..3 {
        bench.write(LOG, b"a line of thirty characters..\n");
        bench.run(20, 8);
    }
    let second = watch(&mut bench, screen, 8);
    let (data, next, more) = seen(&bench, second).expect("there is text").expect("given");
    assert!(data.starts_with(b"\r\na line of"), "{data:?}");
    assert_eq!((next, more), (8 + 54, true));
    let end = bench.service.history.end();
    let third = watch(&mut bench, screen, end);
    let fourth = watch(&mut bench, screen, end);
    bench.service.turn(&mut bench.port);
    assert_eq!(
        seen(&bench, third),
        Some(Err(Error::Server(ConsoleError::Busy)))
    );
    let lost = watch(&mut bench, LOG, end + 1);
    let (data, ..) = seen(&bench, lost).expect("at once").expect("given");
    assert!(data.starts_with(b"prompt> "), "from the beginning");
    assert_eq!(bench.service.forget(screen), 1);
    bench.service.turn(&mut bench.port);
    assert_eq!(
        seen(&bench, fourth),
        Some(Err(Error::Server(ConsoleError::Busy)))
    );
}
