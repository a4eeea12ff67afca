//! A table of calls, the words they must become, and what must come back.
//!
//! The same cases run wherever there is a [`Transport`]; nothing here needs a
//! host. The server is [`Mirror`], which answers with what it was asked; [`Recorder`] stands between client and
//! transport and compares words.
#![no_std]
#![forbid(unsafe_code)]

mod mirror;
mod recorder;

use core::cell::Cell;

use gritos_idl_runtime::{Bytes, Cap, Text, Transport, WORDS, Words};
use gritos_test_shapes_api::{
    Colour, Hints, Level, Mode, Point, Record, Shape, Shapes, ShapesClient,
};

pub use mirror::Mirror;
pub use recorder::Recorder;

/// One call: its name, the words of its request, and whether it came back as
/// it should.
pub struct Case<T> {
    /// What it is about.
    pub name: &'static str,
    /// The request's words.
    pub words: Words,
    /// Makes the call; true if what comes back is right.
    pub call: fn(&mut ShapesClient<T>) -> bool,
}

/// A case that did not go as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its name.
    pub case: &'static str,
    /// The words that were sent.
    pub sent: Words,
    /// Whether what came back was right.
    pub answered: bool,
}

/// Runs all cases over a transport to a server of [`Shapes`], a [`Mirror`].
/// Returns how many there were.
///
/// # Errors
/// The first case that fails.
pub fn run<T: Transport>(target: Cap<Shapes>, transport: T) -> Result<usize, Failure> {
    let sent = Cell::new([0; WORDS]);
    let mut client = ShapesClient::new(target, Recorder::new(transport, &sent));
    let cases = cases();
    for case in &cases {
        let answered = (case.call)(&mut client);
        if !answered || sent.get() != case.words {
            return Err(Failure {
                case: case.name,
                sent: sent.get(),
                answered,
            });
        }
    }
    Ok(cases.len())
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
pub fn cases<T: Transport>() -> [Case<T>; 9] {
    [
        Case {
            name: "two words",
            words: [5, u64::MAX, 0, 0, 0, 0, 0, 0],
            call: |client| {
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
            call: |client| {
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
            call: |client| client.one(-1) == Ok(-1),
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
            call: |client| {
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
            call: |client| {
                let shape = Shape::Dot(POINT);
                client
                    .shape(shape, Some(9))
                    .is_ok_and(|r| (r.shape, r.extra) == (shape, Some(9)))
            },
        },
        Case {
            name: "another variant and an optional that is not there",
            words: [9, 77, 0, 0, 0, 0, 0, 0],
            call: |client| {
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
            call: |client| {
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
            call: |client| {
                let reply = client.array([1, 2, 3, 4, 5], [true, false, true]);
                reply.is_ok_and(|r| (r.values, r.flags) == ([1, 2, 3, 4, 5], [true, false, true]))
            },
        },
        Case {
            name: "names that are keywords",
            words: [0x0001_0002_0000_0003, 0, 0, 0, 0, 0, 0, 0],
            call: |client| {
                client
                    .r#type(1, 2, 3)
                    .is_ok_and(|reply| (reply.r#fn, reply.r#struct) == (2, 1 ^ 3))
            },
        },
    ]
}
