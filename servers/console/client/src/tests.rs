//! The stream over a console in memory.

use std::collections::VecDeque;
use std::string::String;
use std::vec::Vec;

use core::fmt::Write as _;

use embedded_io::{Error as _, ErrorKind, Read, Write};
use gritos_console_api::{
    Console as Protocol, ConsoleError, ConsoleFlushTicket, ConsoleReadReply, ConsoleReadTicket,
    ConsoleServer, ConsoleWatchReply, ConsoleWatchTicket, ConsoleWriteTicket, InputEvents,
    LineCounters,
};
use gritos_idl_runtime::loopback::Loopback;
use gritos_idl_runtime::{Address, Bytes, Caller, Cap, Later, Response, object};

use super::Console;

/// What was written, call by call, and what is read, answer by answer.
#[derive(Default)]
struct Line {
    written: Vec<Vec<u8>>,
    input: VecDeque<&'static [u8]>,
}

impl ConsoleServer for Line {
    fn write(
        &mut self,
        _caller: Caller,
        _later: Later<'_, ConsoleWriteTicket>,
        data: Bytes<63>,
    ) -> Response<(), ConsoleError> {
        self.written.push(data.to_vec());
        Response::Now(Ok(()))
    }

    fn read(
        &mut self,
        _caller: Caller,
        _later: Later<'_, ConsoleReadTicket>,
    ) -> Response<ConsoleReadReply, ConsoleError> {
        let Some(bytes) = self.input.pop_front() else {
            return Response::Now(Err(ConsoleError::NotOwner));
        };
        Response::Now(Ok(ConsoleReadReply {
            data: Bytes::new(bytes).unwrap(),
            events: InputEvents::empty(),
        }))
    }

    fn lend(&mut self, _caller: Caller, _client: u32) -> Result<(), ConsoleError> {
        Ok(())
    }

    fn release(&mut self, _caller: Caller) -> Result<(), ConsoleError> {
        Ok(())
    }

    fn notify_interrupt(
        &mut self,
        _caller: Caller,
        _notification: Cap<object::Notification>,
    ) -> Result<(), ConsoleError> {
        Ok(())
    }

    fn flush(
        &mut self,
        _caller: Caller,
        _later: Later<'_, ConsoleFlushTicket>,
    ) -> Response<(), ConsoleError> {
        Response::Now(Ok(()))
    }

    fn counters(&mut self, _caller: Caller) -> Result<LineCounters, ConsoleError> {
        Err(ConsoleError::Invalid)
    }

    fn watch(
        &mut self,
        _caller: Caller,
        _later: Later<'_, ConsoleWatchTicket>,
        _from: u64,
    ) -> Response<ConsoleWatchReply, ConsoleError> {
        Response::Now(Err(ConsoleError::Invalid))
    }
}

fn wire(line: Line) -> Loopback<Line, Protocol> {
    let mut wire = Loopback::new(line);
    wire.badge = 1 << 31 | 5;
    wire
}

#[test]
fn long_text_travels_in_as_few_calls_as_it_fits_in() {
    let mut wire = wire(Line::default());
    let mut console = Console::new(Cap::new(Address::root(1)), &mut wire);
    let text: String = ('a'..='z').cycle().take(130).collect();
    console.write_all(text.as_bytes()).unwrap();
    console.write_str("7").unwrap();
    assert_eq!(console.write(&[]), Ok(0));
    console.flush().unwrap();
    let lengths: Vec<_> = wire.server.written.iter().map(Vec::len).collect();
    assert_eq!(lengths, [63, 63, 4, 1]);
    assert_eq!(
        wire.server.written.concat(),
        [text.as_bytes(), b"7"].concat()
    );
}

#[test]
fn input_is_kept_until_it_is_read_and_an_empty_answer_is_no_end() {
    let mut wire = wire(Line {
        input: VecDeque::from([&b"abc"[..], b"", b"d"]),
        ..Line::default()
    });
    let mut console = Console::new(Cap::new(Address::root(1)), &mut wire);
    let mut two = [0; 2];
    assert_eq!((console.read(&mut two), two), (Ok(2), *b"ab"));
    assert_eq!((console.read(&mut two), two[0]), (Ok(1), b'c'));
    assert_eq!((console.read(&mut two), two[0]), (Ok(1), b'd'));
    assert_eq!(console.read(&mut []), Ok(0));
    let refused = console.read(&mut two).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
}
