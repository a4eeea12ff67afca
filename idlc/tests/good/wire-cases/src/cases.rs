//! Calls of methods, the words of their requests, and what they must return.

use gritos_idl_runtime::{Buffer, Bytes, Cap, Error, Rights, Text, Transport, Words};
use gritos_test_common_api::Stamp;
use gritos_test_shapes_api::{
    Colour, Hints, Level, Mode, Point, Record, Shape, ShapeError, ShapesClient, ShapesGiveReply,
    Thing,
};

use crate::Given;

/// One call: its name, the words of its request, and whether it came back as
/// it should.
pub struct Case<T> {
    /// What it is about.
    pub name: &'static str,
    /// The request's words.
    pub words: Words,
    /// Makes the call; true if what comes back is right.
    pub call: fn(&mut ShapesClient<T>, &Given) -> bool,
}

const POINT: Point = Point {
    x: -2,
    y: 300,
    colour: Colour::Green,
};

fn text<const N: usize>(text: &str) -> Text<N> {
    Text::new(text).unwrap_or_default()
}

fn bytes<const N: usize>(bytes: &[u8]) -> Bytes<N> {
    Bytes::new(bytes).unwrap_or_default()
}

/// The cases.
#[must_use]
pub fn cases<T: Transport>() -> [Case<T>; 19] {
    [
        Case {
            name: "two words",
            words: [5, u64::MAX, 0, 0, 0, 0, 0, 0],
            call: |client, _| {
                client
                    .two(5, u64::MAX)
                    .is_ok_and(|reply| (reply.sum, reply.difference) == (4, 6))
            },
        },
        Case {
            name: "scalars by falling alignment",
            words: [
                0xffff_ffff_ffff_fffc,
                1 << 40,
                0xabcd_fffe_0000_0003,
                0x00fb_0301_0101,
                0,
                0,
                0,
                0,
            ],
            call: |client, _| {
                let level = Level::Unlisted(0xabcd);
                let reply = client.scalars(
                    1,
                    -2,
                    3,
                    -4,
                    true,
                    Colour::Red,
                    level,
                    Mode::BOTH,
                    Hints::FAST,
                    -5,
                );
                reply.is_ok_and(|r| (r.b, r.d, r.e, r.g, r.j) == (-2, -4, true, level, -5))
            },
        },
        Case {
            name: "a negative number",
            words: [0xffff_ffff, 0, 0, 0, 0, 0, 0, 0],
            call: |client, _| client.one(-1) == Ok(-1),
        },
        Case {
            name: "a struct with everything in it",
            words: [
                0x0000_0065_6d61_6e04,
                0xffff_fffe_0000_0000,
                0xffff_fffe_0002_012c,
                0x0102_0101_0002_012c,
                2,
                0,
                0,
                0,
            ],
            call: |client, _| {
                let record = Record {
                    name: text("name"),
                    points: [POINT; 2],
                    mode: Some(Mode::READ),
                    tail: bytes(&[1, 2]),
                };
                client.record(record) == Ok(record)
            },
        },
        Case {
            name: "a union and an optional that is there",
            words: [1, 0x0002_012c_ffff_fffe, 0, 1 << 32 | 9, 0, 0, 0, 0],
            call: |client, _| {
                let shape = Shape::Dot(POINT);
                client
                    .shape(shape, Some(9))
                    .is_ok_and(|r| (r.shape, r.extra) == (shape, Some(9)))
            },
        },
        Case {
            name: "another variant and an optional that is not there",
            words: [9, 77, 0, 0, 0, 0, 0, 0],
            call: |client, _| {
                let shape = Shape::Number(77);
                client
                    .shape(shape, None)
                    .is_ok_and(|r| (r.shape, r.extra) == (shape, None))
            },
        },
        Case {
            name: "text and bytes",
            words: [
                0x659f_c3bc_c372_6707,
                0,
                0,
                0,
                0,
                0x0000_0007_0809_0300,
                0,
                0,
            ],
            call: |client, _| {
                let (text, bytes) = (text("grüße"), bytes(&[9, 8, 7]));
                client
                    .text(text, bytes)
                    .is_ok_and(|r| (r.text, r.bytes) == (text, bytes))
            },
        },
        Case {
            name: "arrays",
            words: [
                0x0004_0003_0002_0001,
                0x0000_0001_0001_0005,
                0,
                0,
                0,
                0,
                0,
                0,
            ],
            call: |client, _| {
                let reply = client.array([1, 2, 3, 4, 5], [true, false, true]);
                reply.is_ok_and(|r| (r.values, r.flags) == ([1, 2, 3, 4, 5], [true, false, true]))
            },
        },
        Case {
            name: "names that are keywords",
            words: [0x0001_0002_0000_0003, 0, 0, 0, 0, 0, 0, 0],
            call: |client, _| {
                client
                    .r#type(1, 2, 3)
                    .is_ok_and(|reply| (reply.r#fn, reply.r#struct) == (2, 1 ^ 3))
            },
        },
        Case {
            name: "a struct of another package",
            words: [7, 8, 0, 0, 0, 0, 0, 0],
            call: |client, _| {
                let stamp = Stamp {
                    seconds: 7,
                    nanos: 8,
                };
                client.imported(stamp) == Ok(stamp)
            },
        },
        Case {
            name: "an answer at once where it could come later",
            words: [0; 8],
            call: |client, _| client.wait(0) == Ok(true),
        },
        Case {
            name: "an error of the server, and a request without words",
            words: [0; 8],
            call: |client, _| client.nothing() == Err(Error::Server(ShapeError::TooLarge)),
        },
        Case {
            name: "a message that nobody waits for",
            words: [0x0065_7269_6604_0100, 0, 0, 0, 0, 0, 0, 0],
            call: |client, _| client.note(Level::High, text("fire")) == Ok(()),
        },
        Case {
            name: "the same has arrived",
            words: [0; 8],
            call: |client, _| client.nothing() == Ok(()),
        },
        Case {
            name: "a capability that the server makes",
            words: [0x0072_756f_6604, 0, 0, 0, 0, 0, 0, 0],
            call: |client, _| {
                let made = client.make(text("four"));
                made.is_ok_and(|made| {
                    let rights = made.thing.rights();
                    made.size == 4 && rights == Rights::SEND | Thing::LOOK
                })
            },
        },
        Case {
            name: "an object of the server, which unwraps, and memory, which moves",
            words: [0; 8],
            call: |client, given| {
                let reply = client.give(Cap::new(given.thing), Cap::new(given.to_move));
                let expected = ShapesGiveReply {
                    badge: Given::THING,
                    foreign: false,
                };
                reply == Ok(expected)
            },
        },
        Case {
            name: "capabilities of two types, and one back",
            words: [0; 8],
            call: |client, given| {
                let (signal, foreign) = (Cap::new(given.signal), Cap::new(given.foreign));
                let reply = client.maybe(signal, Some(foreign));
                reply.is_ok_and(|memory| memory.is_some_and(|m| m.rights() == Rights::READ))
            },
        },
        Case {
            name: "a last capability that is not there",
            words: [0; 8],
            call: |client, given| client.maybe(Cap::new(given.signal), None) == Ok(None),
        },
        Case {
            name: "buffers, registered and as memory",
            words: [8, 100, 0, 5, 16, 1, 7, 0],
            call: |client, given| {
                let source = Buffer::registered(given.buffer, 8, 100);
                let target = Buffer::memory(Cap::new(given.memory), 0, 5);
                let both = Buffer::registered(given.buffer, 16, 1);
                client.transfer(source, target, both, 7) == Ok(100 + 5 + 1 + 7)
            },
        },
    ]
}
