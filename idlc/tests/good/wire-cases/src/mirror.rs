//! The server of the cases.

use gritos_idl_runtime::object::{Endpoint, MemoryObject, Notification};
use gritos_idl_runtime::{
    BufferRange, Bytes, Caller, Cap, EndpointCap, Grant, Hooks, Later, Response, Text,
};
use gritos_test_common_api::Stamp;
use gritos_test_shapes_api::{
    Colour, Hints, Level, Mode, Record, Shape, ShapeError, ShapesArrayReply, ShapesGiveReply,
    ShapesMakeAnswer, ShapesMakeLaterTicket, ShapesScalarsReply, ShapesServer, ShapesShapeReply,
    ShapesTextReply, ShapesTwoReply, ShapesTypeReply, ShapesWaitTicket, Thing,
};

/// Answers with what it was asked. What has capabilities is no part of the
/// cases and fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mirror;

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
        Ok(())
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

    fn note(&mut self, _: Caller, _: Level, _: Text<30>) {}

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

    fn make(&mut self, _: Caller, _: Text<20>) -> Result<ShapesMakeAnswer, ShapeError> {
        Err(ShapeError::NotFound)
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
        _: EndpointCap<Thing>,
        _: Cap<MemoryObject>,
    ) -> Result<ShapesGiveReply, ShapeError> {
        Err(ShapeError::NotFound)
    }

    fn maybe(
        &mut self,
        _: Caller,
        _: Cap<Notification>,
        _: Option<Cap<Endpoint>>,
    ) -> Result<Option<Cap<MemoryObject>>, ShapeError> {
        Err(ShapeError::NotFound)
    }

    fn transfer(
        &mut self,
        _: Caller,
        _: BufferRange,
        _: BufferRange,
        _: BufferRange,
        _: u16,
    ) -> Result<u64, ShapeError> {
        Err(ShapeError::NotFound)
    }
}
