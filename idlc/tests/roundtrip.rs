//! Client → wire → server → wire → client through memory, for every type, and
//! what each kind of malformed message is answered with.
//!
//! Longer than most files: one server with every type answers all tests, and
//! each kind of damage is done to the messages of that server.

use gritos_abi::Arrival;
use gritos_idl_runtime::loopback::{Held, Loopback};
use gritos_idl_runtime::object::{Endpoint, MemoryObject, Notification};
use gritos_idl_runtime::{
    Address, Answer, BUFFER_READ, BUFFER_WRITE, Buffer, BufferRange, BufferSource, Bytes, Caller,
    Cap, Dispatch, EndpointCap, Error, Grant, Incoming, Kind, Later, NoError, ObjectType, Outcome,
    Outgoing, Response, Rights, Status, Text, Ticket, Transport, WireError,
};
use gritos_test_common_api::{ClockClient, ClockServer, Stamp};
use gritos_test_shapes_api::{
    Colour, Everything, Hints, Level, Mode, Point, Record, Shape, ShapeError, Shapes,
    ShapesArrayReply, ShapesClient, ShapesGiveReply, ShapesMakeAnswer, ShapesMakeLaterTicket,
    ShapesScalarsReply, ShapesServer, ShapesShapeReply, ShapesTextReply, ShapesTwoReply,
    ShapesTypeReply, ShapesWaitTicket, Thing, ThingClient, ThingServer,
};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

/// Answers with what it was asked.
#[derive(Debug, Default)]
struct Mirror {
    notes: Vec<(Level, String)>,
    kept: Option<ShapesWaitTicket>,
    calls: u32,
    buffers: Vec<BufferRange>,
    caller: Option<Caller>,
}

impl ShapesServer for Mirror {
    fn two(&mut self, caller: Caller, a: u64, b: u64) -> Result<ShapesTwoReply, ShapeError> {
        self.caller = Some(caller);
        if a == b {
            return Err(ShapeError::TooLarge);
        }
        Ok(ShapesTwoReply {
            sum: a.wrapping_add(b),
            difference: a.wrapping_sub(b),
        })
    }

    fn scalars(
        &mut self,
        _: Caller,
        a: u8,
        b: i16,
        c: u32,
        d: i64,
        e: bool,
        f: Colour,
        g: Level,
        h: Mode,
        i: Hints,
        j: i8,
    ) -> Result<ShapesScalarsReply, ShapeError> {
        Ok(ShapesScalarsReply {
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            h,
            i,
            j,
        })
    }

    fn one(&mut self, _: Caller, value: i32) -> Result<i32, ShapeError> {
        Ok(value)
    }

    fn nothing(&mut self, _: Caller) -> Result<(), ShapeError> {
        self.calls += 1;
        Err(ShapeError::Unlisted(self.calls))
    }

    fn record(&mut self, _: Caller, record: Record) -> Result<Record, ShapeError> {
        Ok(record)
    }

    fn shape(
        &mut self,
        _: Caller,
        shape: Shape,
        extra: Option<u32>,
    ) -> Result<ShapesShapeReply, ShapeError> {
        Ok(ShapesShapeReply { shape, extra })
    }

    fn text(
        &mut self,
        _: Caller,
        text: Text<40>,
        bytes: Bytes<10>,
    ) -> Result<ShapesTextReply, ShapeError> {
        Ok(ShapesTextReply { text, bytes })
    }

    fn array(
        &mut self,
        _: Caller,
        values: [u16; 5],
        flags: [bool; 3],
    ) -> Result<ShapesArrayReply, ShapeError> {
        Ok(ShapesArrayReply { values, flags })
    }

    fn imported(&mut self, _: Caller, stamp: Stamp) -> Result<Stamp, ShapeError> {
        Ok(stamp)
    }

    fn r#type(
        &mut self,
        _: Caller,
        selfish: u8,
        r#match: u16,
        int: u32,
    ) -> Result<ShapesTypeReply, ShapeError> {
        Ok(ShapesTypeReply {
            r#fn: r#match,
            r#struct: selfish ^ int as u8,
        })
    }

    fn note(&mut self, _: Caller, level: Level, text: Text<30>) {
        self.notes.push((level, text.to_string()));
    }

    fn wait(
        &mut self,
        _: Caller,
        later: Later<'_, ShapesWaitTicket>,
        ticks: u32,
    ) -> Response<bool, ShapeError> {
        match ticks {
            0 => Response::Now(Ok(true)),
            1 => Response::Later,
            _ => {
                self.kept = Some(later.keep());
                Response::Later
            }
        }
    }

    fn cannot_fail(&mut self, _: Caller, value: u8) -> Result<u8, ShapeError> {
        Ok(value)
    }

    fn make(&mut self, _: Caller, name: Text<20>) -> Result<ShapesMakeAnswer, ShapeError> {
        let thing = Grant::object(Address::root(9), 77, Rights::SEND | Thing::LOOK);
        Ok(ShapesMakeAnswer {
            thing,
            size: name.len() as u32,
        })
    }

    fn make_later(
        &mut self,
        _: Caller,
        _: Later<'_, ShapesMakeLaterTicket>,
    ) -> Response<Grant<Thing>, ShapeError> {
        Ok(Grant::object(Address::root(9), 78, Rights::SEND)).into()
    }

    fn give(
        &mut self,
        _: Caller,
        thing: EndpointCap<Thing>,
        memory: Cap<MemoryObject>,
    ) -> Result<ShapesGiveReply, ShapeError> {
        assert!(memory.rights().contains(Rights::READ | Rights::MAP));
        Ok(match thing {
            EndpointCap::Own { badge, .. } => ShapesGiveReply {
                badge,
                foreign: false,
            },
            EndpointCap::Foreign(_) => ShapesGiveReply {
                badge: 0,
                foreign: true,
            },
        })
    }

    fn maybe(
        &mut self,
        _: Caller,
        _: Cap<Notification>,
        second: Option<Cap<Endpoint>>,
    ) -> Result<Option<Cap<MemoryObject>>, ShapeError> {
        Ok(second.map(|_| Cap::new(MEMORY)))
    }

    fn transfer(
        &mut self,
        _: Caller,
        source: BufferRange,
        target: BufferRange,
        both: BufferRange,
        tag: u16,
    ) -> Result<u64, ShapeError> {
        self.buffers = vec![source, target, both];
        Ok(source.length + u64::from(tag))
    }
}

impl ThingServer for Mirror {
    fn look(&mut self, caller: Caller, at: u64) -> Result<u64, ShapeError> {
        Ok(at + u64::from(caller.badge))
    }

    fn change(&mut self, _: Caller, _: Colour) -> Result<(), ShapeError> {
        Ok(())
    }
}

impl ClockServer for Mirror {
    fn now(&mut self, _: Caller) -> Stamp {
        Stamp {
            seconds: 5,
            nanos: 6,
        }
    }

    fn next(&mut self, _: Caller) {}
}

const MEMORY: Address = Address::root(20);
const READ_ONLY: Address = Address::root(21);
const BUFFER: Address = Address::root(22);
const OWN: Address = Address::root(23);
const FOREIGN: Address = Address::root(24);
const SIGNAL: Address = Address::root(25);

fn holds(address: Address) -> Option<Held> {
    let held = |object, badge, rights| {
        Some(Held {
            object,
            badge,
            rights,
        })
    };
    let all = Rights::READ | Rights::WRITE | Rights::MAP | Rights::GRANT;
    match address {
        MEMORY => held(Some(ObjectType::MemoryObject), 0, all),
        READ_ONLY => held(
            Some(ObjectType::MemoryObject),
            0,
            Rights::READ | Rights::MAP,
        ),
        BUFFER => held(None, 3, Rights::SEND | BUFFER_READ | BUFFER_WRITE),
        OWN => held(None, 42, Rights::SEND | Thing::CHANGE),
        FOREIGN => held(Some(ObjectType::Endpoint), 0, Rights::SEND | Thing::CHANGE),
        SIGNAL => held(Some(ObjectType::Notification), 0, Rights::SEND),
        address if address == Address::root(9) => {
            held(None, 0, Rights::SEND | Rights::SERVER | Rights::RECV)
        }
        _ => None,
    }
}

type Wire = Loopback<Mirror, Everything>;

fn wire() -> Wire {
    let mut wire = Wire::new(Mirror::default());
    wire.holds = holds;
    wire
}

fn shapes(wire: &mut Wire) -> ShapesClient<&mut Wire> {
    ShapesClient::new(Cap::new(Address::root(1)), wire)
}

fn text<const N: usize>() -> impl Strategy<Value = Text<N>> {
    any::<String>().prop_map(|s| {
        let end = (0..=N.min(s.len()))
            .rev()
            .find(|end| s.is_char_boundary(*end))
            .unwrap_or(0);
        Text::new(&s[..end]).expect("it was cut to fit")
    })
}

fn bytes<const N: usize>() -> impl Strategy<Value = Bytes<N>> {
    proptest::collection::vec(any::<u8>(), 0..=N)
        .prop_map(|v| Bytes::new(&v).expect("it was made to fit"))
}

fn colour() -> impl Strategy<Value = Colour> {
    prop_oneof![Just(Colour::Red), Just(Colour::Green)]
}

fn mode() -> impl Strategy<Value = Mode> {
    (0..4_u8).prop_map(Mode::from_bits_truncate)
}

fn point() -> impl Strategy<Value = Point> {
    (any::<i32>(), any::<i16>(), colour()).prop_map(|(x, y, colour)| Point { x, y, colour })
}

fn record() -> impl Strategy<Value = Record> {
    (
        text(),
        [point(), point()],
        proptest::option::of(mode()),
        bytes(),
    )
        .prop_map(|(name, points, mode, tail)| Record {
            name,
            points,
            mode,
            tail,
        })
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        point().prop_map(Shape::Dot),
        text().prop_map(Shape::Label),
        any::<u64>().prop_map(Shape::Number)
    ]
}

proptest! {
    #[test]
    fn scalars_come_back_as_they_were(
        a: u8, b: i16, c: u32, d: i64, e: bool, f in colour(), g: u16, h in mode(), i: u64, j: i8,
    ) {
        let (g, i) = (Level::from_number(g).expect("flexible"), Hints::from_bits_retain(i));
        let reply = shapes(&mut wire()).scalars(a, b, c, d, e, f, g, h, i, j);
        assert_eq!(reply, Ok(ShapesScalarsReply { a, b, c, d, e, f, g, h, i, j }));
    }

    #[test]
    fn composites_come_back_as_they_were(
        record in record(), shape in shape(), extra: Option<u32>, text in text::<40>(), bytes in bytes::<10>(),
        values: [u16; 5], flags: [bool; 3], seconds: u64, nanos: u32, one: i32,
    ) {
        let mut wire = wire();
        let mut client = shapes(&mut wire);
        assert_eq!(client.record(record), Ok(record));
        assert_eq!(client.shape(shape, extra), Ok(ShapesShapeReply { shape, extra }));
        assert_eq!(client.text(text, bytes), Ok(ShapesTextReply { text, bytes }));
        assert_eq!(client.array(values, flags), Ok(ShapesArrayReply { values, flags }));
        assert_eq!(client.imported(Stamp { seconds, nanos }), Ok(Stamp { seconds, nanos }));
        assert_eq!(client.one(one), Ok(one));
    }

    /// Whatever arrives, dispatch answers; whatever comes back, the client has a value or an error.
    #[test]
    fn no_message_panics(
        words: [u64; 8], tag in prop_oneof![any::<u64>(), 0..80_u64, Just(0xffff_ff03)], sender: u64, outcome in 0..1_u64 << 21,
        caps: [u64; 4], arrivals: u64, which in 0..32_usize,
    ) {
        let tags = tags();
        for tag in [tag, tags[which % tags.len()]] {
            let window = Address(7);
            let incoming = Incoming { words, sender, tag, outcome: Outcome(outcome), caps, arrivals, window };
            let _ = Everything::dispatch(&mut Mirror::default(), &incoming, || None);
            let mut hostile = Hostile(incoming);
            let mut client = ShapesClient::new(Cap::new(Address::root(1)), &mut hostile);
            let _ = client.two(1, 2);
            let _ = client.scalars(1, 2, 3, 4, true, Colour::Red, Level::Low, Mode::READ, Hints::FAST, 5);
            let _ = client.text(Text::default(), Bytes::default());
            let _ = client.shape(Shape::Number(1), None);
            let _ = client.make(Text::default());
            let _ = client.maybe(Cap::new(SIGNAL), None);
            let _ = client.wait(0);
        }
    }
}

/// Replies with whatever it was given.
struct Hostile(Incoming);

impl Transport for Hostile {
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        _: Address,
        _: Outgoing<CAPS>,
        _: Option<u64>,
    ) -> Incoming {
        self.0
    }

    fn send<const CAPS: usize>(&mut self, _: Address, _: Outgoing<CAPS>) -> Outcome {
        self.0.outcome
    }

    fn discard(&mut self, _: &Incoming) {}
}

/// A request as the kernel would deliver it.
fn request(tag: u64, words: [u64; 8], count: u32, badge: u32, rights: Rights) -> Incoming {
    Incoming {
        words,
        sender: u64::from(badge) | u64::from(rights.bits()) << 32,
        tag,
        outcome: Outcome::message(Kind::Call, count, 0),
        caps: [0; 4],
        arrivals: 0,
        window: Address::NULL,
    }
}

/// Ordinals of the corpus, found by asking the clients.
fn tags() -> Vec<u64> {
    let mut wire = wire();
    let mut list = Vec::new();
    let mut note = |wire: &Wire| list.push(wire.last.expect("something was sent").tag);
    let _ = shapes(&mut wire).two(1, 2);
    note(&wire);
    let _ = shapes(&mut wire).scalars(
        1,
        2,
        3,
        4,
        true,
        Colour::Red,
        Level::Low,
        Mode::READ,
        Hints::FAST,
        5,
    );
    note(&wire);
    let _ = shapes(&mut wire).text(Text::default(), Bytes::default());
    note(&wire);
    let _ = shapes(&mut wire).shape(Shape::Number(1), None);
    note(&wire);
    let _ = shapes(&mut wire).give(Cap::new(OWN), Cap::new(MEMORY));
    note(&wire);
    let _ = shapes(&mut wire).array([0; 5], [false; 3]);
    note(&wire);
    let _ = shapes(&mut wire).wait(0);
    note(&wire);
    let _ = shapes(&mut wire).note(Level::Low, Text::default());
    note(&wire);
    let _ = shapes(&mut wire).record(Record {
        name: Text::default(),
        points: [Point {
            x: 0,
            y: 0,
            colour: Colour::Red,
        }; 2],
        mode: None,
        tail: Bytes::default(),
    });
    note(&wire);
    list
}

/// Sends a well-formed request, then the same with `spoil` applied to it.
fn spoilt(send: impl FnOnce(&mut Wire), spoil: impl FnOnce(&mut Incoming)) -> Answer {
    let mut wire = wire();
    send(&mut wire);
    let mut incoming = wire.last.expect("something was sent");
    let good = Everything::dispatch(&mut Mirror::default(), &incoming, || None);
    assert!(
        !matches!(good, Answer::Refused(_)),
        "well-formed, yet {good:?}"
    );
    spoil(&mut incoming);
    Everything::dispatch(&mut Mirror::default(), &incoming, || None)
}

fn send_scalars(wire: &mut Wire) {
    let reply = shapes(wire).scalars(
        1,
        2,
        3,
        4,
        true,
        Colour::Red,
        Level::Low,
        Mode::READ,
        Hints::FAST,
        5,
    );
    assert!(reply.is_ok());
}

#[test]
fn scalars_lie_where_the_reference_says() {
    let mut wire = wire();
    send_scalars(&mut wire);
    let words = wire.last.expect("sent").words;
    // By falling alignment: d, i | c | b, g | a, e, f, h, j.
    assert_eq!(words[0], 4);
    assert_eq!(words[1], 1 << 40);
    assert_eq!(words[2], 3 | 2 << 32 | 1 << 48);
    assert_eq!(words[3], 1 | 1 << 8 | 1 << 16 | 1 << 24 | 5 << 32);
    assert_eq!(words[4..], [0; 4]);
}

#[test]
fn malformed_values_are_refused_by_name() {
    let refused = |error| Answer::Refused(error);
    let spoil =
        |mask: u64, value: u64| move |m: &mut Incoming| m.words[3] = m.words[3] & !mask | value;
    assert_eq!(
        spoilt(send_scalars, spoil(0xff00, 0x0200)),
        refused(WireError::BadBool)
    );
    assert_eq!(
        spoilt(send_scalars, spoil(0xff_0000, 0x63_0000)),
        refused(WireError::BadEnum)
    );
    assert_eq!(
        spoilt(send_scalars, spoil(0xff00_0000, 0x0400_0000)),
        refused(WireError::BadFlags)
    );
    let send_text = |wire: &mut Wire| {
        shapes(wire)
            .text(Text::new("grüße").expect("fits"), Bytes::default())
            .expect("it comes back");
    };
    assert_eq!(
        spoilt(send_text, |m| m.words[0] |= 41),
        refused(WireError::BadLength)
    );
    assert_eq!(
        spoilt(send_text, |m| m.words[0] = m.words[0] & !0xff | 3),
        refused(WireError::BadText)
    );
    let send_shape = |wire: &mut Wire| {
        shapes(wire)
            .shape(Shape::Number(1), None)
            .expect("it comes back");
    };
    assert_eq!(
        spoilt(send_shape, |m| m.words[0] = 3),
        refused(WireError::BadEnum)
    );
}

#[test]
fn wrong_shape_tag_badge_and_rights_are_refused() {
    let refused = Answer::Refused;
    let send = |wire: &mut Wire| {
        shapes(wire).two(1, 2).expect("it comes back");
    };
    let shape =
        |kind, words, caps| move |m: &mut Incoming| m.outcome = Outcome::message(kind, words, caps);
    assert_eq!(
        spoilt(send, shape(Kind::Call, 1, 0)),
        refused(WireError::WrongShape)
    );
    assert_eq!(
        spoilt(send, shape(Kind::Call, 3, 0)),
        refused(WireError::WrongShape)
    );
    assert_eq!(
        spoilt(send, shape(Kind::Call, 2, 1)),
        refused(WireError::WrongShape)
    );
    assert_eq!(
        spoilt(send, shape(Kind::OneWay, 2, 0)),
        refused(WireError::WrongShape)
    );
    assert_eq!(
        spoilt(send, |m| m.tag = 2),
        refused(WireError::UnknownMethod)
    );
    assert_eq!(
        spoilt(send, |m| m.tag |= 1 << 32),
        refused(WireError::UnknownMethod)
    );

    let mut server = Mirror::default();
    let mut change = |badge, rights| {
        Everything::dispatch(
            &mut server,
            &request(77, [1, 0, 0, 0, 0, 0, 0, 0], 1, badge, rights),
            || None,
        )
    };
    let both = Thing::LOOK | Thing::CHANGE;
    assert!(matches!(change(5, both), Answer::Words(reply) if reply.tag == 0));
    assert_eq!(change(5, Thing::LOOK), refused(WireError::MissingRight));
    assert_eq!(change(0, both), refused(WireError::WrongBadge));
    assert_eq!(change(0x8000_0001, both), refused(WireError::WrongBadge));
}

#[test]
fn sessions_refuse_badges_of_objects() {
    let mut wire = wire();
    let mut clock = ClockClient::new(Cap::new(Address::root(1)), &mut wire);
    assert_eq!(clock.now(), Err(Error::Refused(WireError::WrongBadge)));
    wire.badge = 0x8000_0001;
    let mut clock = ClockClient::new(Cap::new(Address::root(1)), &mut wire);
    assert_eq!(
        clock.now(),
        Ok(Stamp {
            seconds: 5,
            nanos: 6
        })
    );
    assert_eq!(clock.next(), Ok(()));
}

#[test]
fn errors_of_server_and_call_are_kept_apart() {
    let mut wire = wire();
    assert_eq!(
        shapes(&mut wire).two(3, 3),
        Err(Error::Server(ShapeError::TooLarge))
    );
    assert_eq!(
        shapes(&mut wire).nothing(),
        Err(Error::Server(ShapeError::Unlisted(1)))
    );
    assert_eq!(
        shapes(&mut wire).nothing(),
        Err(Error::Server(ShapeError::NotFound))
    );
    assert_eq!(ShapeError::NotFound.to_string(), "Nothing there");
    assert_eq!(ShapeError::TooLarge.to_string(), "too large");
    let mut gone = Hostile(Incoming::failed(Status::ServerDied));
    let mut client = ShapesClient::new(Cap::new(Address::root(1)), &mut gone);
    assert_eq!(client.one(1), Err(Error::Call(Status::ServerDied)));
    gone.0.outcome = Outcome(0xfe);
    let mut client = ShapesClient::new(Cap::new(Address::root(1)), &mut gone);
    assert_eq!(client.one(1), Err(Error::UnknownStatus(0xfe)));
    assert_eq!(
        client.note(Level::Low, Text::default()),
        Err::<(), Error<NoError>>(Error::UnknownStatus(0xfe))
    );
}

#[test]
fn replies_are_checked_too() {
    let reply = |tag, words: [u64; 8], count| {
        Hostile(Incoming {
            words,
            tag,
            outcome: Outcome::message(Kind::Reply, count, 0),
            ..Incoming::failed(Status::Ok)
        })
    };
    let ask = |mut wire: Hostile| ShapesClient::new(Cap::new(Address::root(1)), &mut wire).wait(1);
    assert_eq!(ask(reply(0, [1; 8], 1)), Ok(true));
    assert_eq!(
        ask(reply(0, [2; 8], 1)),
        Err(Error::BadReply(WireError::BadBool))
    );
    assert_eq!(
        ask(reply(0, [1; 8], 2)),
        Err(Error::BadReply(WireError::WrongShape))
    );
    assert_eq!(
        ask(reply(1 << 40, [1; 8], 1)),
        Err(Error::BadReply(WireError::UnknownResult))
    );
    assert_eq!(
        ask(reply(WireError::Busy.tag(), [0; 8], 0)),
        Err(Error::Refused(WireError::Busy))
    );
}

#[test]
fn idempotent_methods_are_sent_once_more_when_the_server_died() {
    struct Dying(Vec<Status>);
    impl Transport for Dying {
        fn call<const CAPS: usize, const WINDOW: usize>(
            &mut self,
            _: Address,
            _: Outgoing<CAPS>,
            _: Option<u64>,
        ) -> Incoming {
            Incoming::failed(self.0.pop().expect("no third attempt"))
        }

        fn send<const CAPS: usize>(&mut self, _: Address, _: Outgoing<CAPS>) -> Outcome {
            Outcome(0)
        }

        fn discard(&mut self, _: &Incoming) {}
    }
    let mut wire = Dying(vec![Status::TimedOut, Status::ServerDied]);
    let mut thing = ThingClient::new(Cap::new(Address::root(1)), &mut wire);
    assert_eq!(thing.look(1), Err(Error::Call(Status::TimedOut)));
    assert!(wire.0.is_empty());
    let mut wire = Dying(vec![Status::ServerDied, Status::ServerDied]);
    let mut thing = ThingClient::new(Cap::new(Address::root(1)), &mut wire);
    assert_eq!(
        thing.change(Colour::Red),
        Err(Error::Call(Status::ServerDied))
    );
    assert_eq!(wire.0.len(), 1, "what is not idempotent is sent once");
}

#[test]
fn answers_can_come_later() {
    let mut wire = wire();
    assert_eq!(shapes(&mut wire).wait(0), Ok(true));
    assert_eq!(
        shapes(&mut wire).wait(1),
        Err(Error::Refused(WireError::Dropped))
    );
    // The loopback cannot wait: a kept ticket leaves the caller without an answer.
    assert_eq!(
        shapes(&mut wire).wait(2),
        Err(Error::Call(Status::WouldBlock))
    );
    assert!(wire.server.kept.is_some());
    let incoming = wire.last.expect("sent");
    let busy = Shapes::dispatch(&mut Mirror::default(), &incoming, || None::<Ticket>);
    assert_eq!(busy, Answer::Refused(WireError::Busy));
}

#[test]
fn oneway_messages_arrive_and_are_not_answered() {
    let mut wire = wire();
    assert_eq!(
        shapes(&mut wire).note(Level::High, Text::new("fire").expect("fits")),
        Ok(())
    );
    assert_eq!(wire.server.notes, [(Level::High, "fire".to_owned())]);
    assert_eq!(wire.last.expect("sent").outcome.kind(), Ok(Kind::OneWay));
}

#[test]
fn capabilities_travel_with_type_and_rights() {
    let mut wire = wire();
    let made = shapes(&mut wire)
        .make(Text::new("four").expect("fits"))
        .expect("it comes back");
    assert_eq!((made.size, made.thing.address()), (4, Address(0x100)));
    assert_eq!(made.thing.rights(), Rights::SEND | Thing::LOOK);
    assert!(shapes(&mut wire).make_later().is_ok());

    let give =
        |wire: &mut Wire, thing, memory| shapes(wire).give(Cap::new(thing), Cap::new(memory));
    assert_eq!(
        give(&mut wire, OWN, MEMORY),
        Ok(ShapesGiveReply {
            badge: 42,
            foreign: false
        })
    );
    assert_eq!(
        give(&mut wire, FOREIGN, MEMORY),
        Ok(ShapesGiveReply {
            badge: 0,
            foreign: true
        })
    );
    // What is moved goes as it is held; a copy has no more rights than the interface names.
    let rights = |wire: &Wire, slot: usize| wire.last.expect("sent").caps[slot] >> 32;
    let held = holds(MEMORY).expect("it is held").rights;
    assert_eq!(rights(&wire, 1), u64::from(held.bits()));
    assert_eq!(rights(&wire, 0), u64::from(Thing::CHANGE.bits()));
    let swapped = give(&mut wire, MEMORY, OWN);
    assert_eq!(swapped, Err(Error::Call(Status::RightsNotHeld)));

    let send = |wire: &mut Wire| {
        give(wire, OWN, MEMORY).expect("it comes back");
    };
    let without = spoilt(send, |m| m.caps[1] &= 0xffff_ffff);
    assert_eq!(without, Answer::Refused(WireError::BadCapRights));
    let wrong_type = spoilt(send, |m| {
        m.arrivals = m.arrivals & !0xff_0000 | (ObjectType::Tcb as u64) << 16
    });
    assert_eq!(wrong_type, Answer::Refused(WireError::BadCap));
    assert_eq!(
        spoilt(send, |m| m.arrivals = 0),
        Answer::Refused(WireError::BadCap)
    );
}

#[test]
fn a_last_capability_may_be_missing() {
    let mut wire = wire();
    let ask = |wire: &mut Wire, second| shapes(wire).maybe(Cap::new(SIGNAL), second);
    assert_eq!(ask(&mut wire, None), Ok(None));
    assert_eq!(wire.last.expect("sent").outcome.cap_count(), 1);
    let memory = ask(&mut wire, Some(Cap::new(FOREIGN)))
        .expect("it comes back")
        .expect("memory");
    assert_eq!(memory.rights(), Rights::READ);
    // Where the interface names no rights, the caller may.
    let sent = |wire: &Wire| wire.last.expect("sent").caps[1] >> 32;
    assert_eq!(
        sent(&wire),
        u64::from((Rights::SEND | Thing::CHANGE).bits())
    );
    let narrowed = Cap::with_rights(FOREIGN, Rights::SEND);
    assert!(ask(&mut wire, Some(narrowed)).is_ok());
    assert_eq!(sent(&wire), u64::from(Rights::SEND.bits()));
}

#[test]
fn buffers_are_ranges_of_registered_or_given_memory() {
    let mut wire = wire();
    let registered = Buffer::registered(BUFFER, 8, 100);
    let given = Buffer::memory(Cap::new(MEMORY), 0, 5);
    assert_eq!(
        shapes(&mut wire).transfer(registered, given, registered, 7),
        Ok(107)
    );
    let seen = &wire.server.buffers;
    assert_eq!(
        (seen[0].source, seen[0].offset, seen[0].length),
        (BufferSource::Registered(3), 8, 100)
    );
    assert!(
        matches!(seen[1].source, BufferSource::Memory(cap) if cap.rights() == Rights::WRITE | Rights::MAP)
    );

    let read_only = Buffer::memory(Cap::new(READ_ONLY), 0, 5);
    let refused = shapes(&mut wire).transfer(registered, read_only, registered, 7);
    assert_eq!(refused, Err(Error::Call(Status::RightsNotHeld)));
    let endless = Buffer::registered(BUFFER, 8, u64::MAX);
    let refused = shapes(&mut wire).transfer(endless, registered, registered, 7);
    assert_eq!(refused, Err(Error::Refused(WireError::BadLength)));
    let no_buffer = Buffer::registered(SIGNAL, 0, 1);
    let refused = shapes(&mut wire).transfer(no_buffer, registered, registered, 7);
    assert_eq!(refused, Err(Error::Refused(WireError::BadCap)));

    let send = |wire: &mut Wire| {
        shapes(wire)
            .transfer(registered, registered, registered, 0)
            .expect("it comes back");
    };
    let narrowed = spoilt(send, |m| {
        m.caps[1] &= !(u64::from(BUFFER_WRITE.bits()) << 32)
    });
    assert_eq!(narrowed, Answer::Refused(WireError::BadCapRights));
    assert_eq!(
        spoilt(send, |m| m.caps[0] |= 1 << 31),
        Answer::Refused(WireError::BadCap)
    );
}

/// Methods of the shapes that take numbers and buffers and give numbers, and one that does not.
const TAGS: [u32; 8] = [
    1,
    0xec9c_2dd0,
    0x8a9e_707e,
    0xafc0_f7bf,
    0xa0cf_c4b1,
    0x8c56_5738,
    0xb71a_91be,
    0xa721_ed10,
];

proptest! {
    #[test]
    fn what_is_answered_quickly_is_answered_as_by_dispatch(
        method in 0..TAGS.len(),
        words in proptest::array::uniform8(prop_oneof![any::<u64>(), 0..4_u64, Just(0x0101_0101)]),
        (count, caps, kind) in (0..9_u32, 0..4_u32, prop_oneof![3 => Just(Kind::Call), 1 => Just(Kind::OneWay)]),
        (badges, rights) in (proptest::array::uniform3(0..3_u64), proptest::array::uniform3(any::<u16>())),
        arrivals in proptest::array::uniform3(prop_oneof![
            4 => Just(Arrival::Unwrapped), 1 => Just(Arrival::None),
            1 => Just(Arrival::InSlot { object: ObjectType::MemoryObject, position: 1 }),
        ]),
    ) {
        let slots = arrivals.iter().rev().fold(0, |all, arrival| all << 16 | u64::from(arrival.encode()));
        let [a, b, c] = std::array::from_fn(|i| badges[i] | u64::from(rights[i]) << 48 | 0x21 << 32);
        let incoming = Incoming {
            words,
            tag: u64::from(TAGS[method]),
            outcome: Outcome::message(kind, count, caps),
            caps: [a, b, c, 0],
            arrivals: slots,
            ..Incoming::failed(Status::Ok)
        };
        let (mut one, mut other) = (Mirror::default(), Mirror::default());
        let quick = <Everything as Dispatch<Mirror>>::quick(&mut one, &incoming);
        let answer = Everything::dispatch(&mut other, &incoming, || None);
        match quick {
            Some(reply) => assert_eq!(answer, Answer::Words(reply)),
            None => {
                assert!(matches!(answer, Answer::Refused(_)) || method == 6);
                assert_eq!((one.calls, one.caller, one.buffers.len()), (0, None, 0), "nothing was done");
            }
        }
    }

    #[test]
    fn well_formed_numbers_are_answered_quickly(a: u64, b: u64) {
        let incoming = Incoming {
            words: [a, b, 0, 0, 0, 0, 0, 0],
            tag: 1,
            outcome: Outcome::message(Kind::Call, 2, 0),
            ..Incoming::failed(Status::Ok)
        };
        let quick = Shapes::quick(&mut Mirror::default(), &incoming).expect("they are numbers");
        let expected = if a == b {
            Outgoing::error(ShapeError::TooLarge.number())
        } else {
            Outgoing::new(0, [a.wrapping_add(b), a.wrapping_sub(b), 0, 0, 0, 0, 0, 0], 2)
        };
        assert_eq!(quick, expected);
    }
}
