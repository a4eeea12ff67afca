//! The server of the cases.

use gritos_idl_runtime::object::{Endpoint, MemoryObject, Notification};
use gritos_idl_runtime::{
    Address, BufferRange, Bytes, Caller, Cap, EndpointCap, Grant, Hooks, Later, Response, Rights,
    Text,
};
use gritos_test_common_api::{ClockServer, Stamp};
use gritos_test_shapes_api::{
    Colour, Hints, Level, Mode, Record, Shape, ShapeError, ShapesArrayReply, ShapesGiveReply,
    ShapesMakeAnswer, ShapesMakeLaterTicket, ShapesScalarsReply, ShapesServer, ShapesShapeReply,
    ShapesTextReply, ShapesTwoReply, ShapesTypeReply, ShapesWaitTicket, Thing, ThingServer,
};

/// Answers with what it was asked.
#[derive(Clone, Copy, Debug)]
pub struct Mirror {
    /// Slot of its endpoint, of which it makes capabilities to things.
    pub endpoint: Address,
    /// Slot of memory that it hands out.
    pub memory: Address,
    /// Whether a one-way message has come.
    pub noted: bool,
}

impl Mirror {
    /// A server that hands out copies of these.
    #[must_use]
    pub const fn new(endpoint: Address, memory: Address) -> Self {
        Self {
            endpoint,
            memory,
            noted: false,
        }
    }
}

impl<P> Hooks<P> for Mirror {}

impl ShapesServer for Mirror {
    fn two(&mut self, _: Caller, a: u64, b: u64) -> Result<ShapesTwoReply, ShapeError> {
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
        if self.noted {
            Ok(())
        } else {
            Err(ShapeError::TooLarge)
        }
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
        self.noted = level == Level::High && text.as_str() == "fire";
    }

    fn wait(
        &mut self,
        _: Caller,
        _: Later<'_, ShapesWaitTicket>,
        ticks: u32,
    ) -> Response<bool, ShapeError> {
        Response::Now(Ok(ticks == 0))
    }

    fn cannot_fail(&mut self, _: Caller, value: u8) -> Result<u8, ShapeError> {
        Ok(value)
    }

    fn make(&mut self, _: Caller, name: Text<20>) -> Result<ShapesMakeAnswer, ShapeError> {
        Ok(ShapesMakeAnswer {
            thing: Grant::object(self.endpoint, 77, Rights::SEND | Thing::LOOK),
            size: name.len() as u32,
        })
    }

    fn make_later(
        &mut self,
        _: Caller,
        _: Later<'_, ShapesMakeLaterTicket>,
    ) -> Response<Grant<Thing>, ShapeError> {
        Response::Now(Err(ShapeError::NotFound))
    }

    fn give(
        &mut self,
        _: Caller,
        thing: EndpointCap<Thing>,
        _: Cap<MemoryObject>,
    ) -> Result<ShapesGiveReply, ShapeError> {
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
        Ok(second.map(|_| Cap::new(self.memory)))
    }

    fn transfer(
        &mut self,
        _: Caller,
        source: BufferRange,
        target: BufferRange,
        both: BufferRange,
        tag: u16,
    ) -> Result<u64, ShapeError> {
        let lengths = [source, target, both].map(|range| range.length);
        Ok(lengths.iter().sum::<u64>().wrapping_add(u64::from(tag)))
    }
}

impl ThingServer for Mirror {
    fn look(&mut self, caller: Caller, at: u64) -> Result<u64, ShapeError> {
        Ok(at.wrapping_add(u64::from(caller.badge)))
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
