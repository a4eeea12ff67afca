use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use gritos_abi::Rights;
use gritos_idl_runtime::loopback::Loopback;
use gritos_idl_runtime::{Bytes, Cap, Error};
use gritos_log_api::{Level, Log, LogClient, LogError, LogService};

use super::{Outside, Piece, ROOT, Service};
use crate::BURST;

const CLIENT: u32 = 1 << 31 | 3;

#[derive(Default)]
struct World {
    now: u64,
    pieces: VecDeque<Piece>,
}

impl Outside for World {
    fn now(&self) -> u64 {
        self.now
    }

    fn kernel_text(&mut self) -> Option<Piece> {
        self.pieces.pop_front()
    }
}

type Wire = Loopback<Service<World>, LogService>;

fn wire(life: u64) -> Wire {
    let mut wire = Wire::new(Service::new(World::default(), life, crate::Rate::default()));
    wire.badge = CLIENT;
    wire
}

fn client(wire: &mut Wire) -> LogClient<&mut Wire> {
    LogClient::new(Cap::<Log>::new(gritos_abi::Address::root(9)), wire)
}

fn write(wire: &mut Wire, level: Level, text: &str) {
    let mut parts = text.as_bytes().chunks(61).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let part = Bytes::new(part).unwrap();
        client(wire).append(level, last, part).unwrap();
    }
}

/// Everything that is kept: number, who, level, text.
fn all(wire: &mut Wire, level: Level, of: u32) -> Vec<(u64, u32, Level, String)> {
    let mut records = Vec::new();
    let mut after = 0;
    while let Ok(found) = client(wire).next(after, level, of) {
        let head = found.head;
        let mut text = found.text.to_vec();
        while text.len() < usize::from(head.length) {
            let rest = client(wire).rest(head.sequence, text.len() as u16).unwrap();
            assert!(!rest.is_empty());
            text.extend(rest.iter());
        }
        after = head.sequence;
        records.push((
            head.sequence,
            head.client,
            head.level,
            String::from_utf8(text).unwrap(),
        ));
    }
    records
}

#[test]
fn long_texts_travel_in_parts_both_ways() {
    let mut wire = wire(0);
    let long = "0123456789".repeat(30);
    write(&mut wire, Level::Info, &long);
    wire.server.outside.now = 7;
    write(&mut wire, Level::Error, "short");
    let records = all(&mut wire, Level::Trace, 0);
    assert_eq!(records[0], (1, CLIENT, Level::Info, long));
    assert_eq!(records[1], (2, CLIENT, Level::Error, "short".into()));
    let head = client(&mut wire).next(1, Level::Trace, 0).unwrap().head;
    assert_eq!(head.time, 7);
    let absent = client(&mut wire).rest(3, 0);
    assert_eq!(absent, Err(Error::Server(LogError::NotFound)));
}

#[test]
fn readers_choose_by_level_and_client() {
    let mut wire = wire(0);
    for (badge, level) in [(1, Level::Info), (2, Level::Error), (1, Level::Warn)] {
        wire.badge = 1 << 31 | badge;
        write(&mut wire, level, "x");
    }
    let numbers = |wire: &mut Wire, level, of| -> Vec<u64> {
        all(wire, level, of).into_iter().map(|r| r.0).collect()
    };
    assert_eq!(numbers(&mut wire, Level::Warn, 0), [2, 3]);
    assert_eq!(numbers(&mut wire, Level::Trace, 1 << 31 | 1), [1, 3]);
    assert_eq!(numbers(&mut wire, Level::Error, 1 << 31 | 1), []);
}

#[test]
fn only_who_may_configure_changes_what_is_kept() {
    let mut wire = wire(0);
    write(&mut wire, Level::Trace, "more than is kept");
    assert!(client(&mut wire).keep(Level::Error).is_err());
    wire.rights = Rights::SEND | Log::CONFIGURE;
    client(&mut wire).keep(Level::Warn).unwrap();
    write(&mut wire, Level::Info, "dropped");
    write(&mut wire, Level::Warn, "kept");
    let texts: Vec<_> = all(&mut wire, Level::Trace, 0);
    assert_eq!(texts.len(), 1);
    assert_eq!(texts[0].3, "kept");
    assert_eq!(client(&mut wire).state().unwrap().level, Level::Warn);
}

#[test]
fn whoever_floods_loses_its_own_records_and_is_told_on() {
    let mut wire = wire(0);
    write(&mut wire, Level::Info, "before");
    wire.badge = CLIENT + 1;
    for _ in 0..10_000 {
        write(&mut wire, Level::Info, "flood");
    }
    wire.server.outside.now = 1_000_000_000;
    write(&mut wire, Level::Info, "later");
    let records = all(&mut wire, Level::Trace, 0);
    assert_eq!(records[0].3, "before");
    assert_eq!(records.len(), 1 + BURST as usize + 2);
    let told = &records[records.len() - 2];
    let left_out = 10_000 - BURST;
    assert_eq!(
        told.3,
        alloc::format!("{left_out} records were left out: too many at once")
    );
    assert_eq!(told.1, CLIENT + 1);
}

#[test]
fn text_of_the_kernel_becomes_lines() {
    let mut wire = wire(0);
    for (failure, text) in [
        (false, "root: one\r\nroot: "),
        (false, "two\r\n\r\n"),
        (true, "root: x panicked"),
        (true, "\r\nleft"),
    ] {
        let text = Bytes::new(text.as_bytes()).unwrap();
        wire.server
            .outside
            .pieces
            .push_back(Piece { failure, text });
    }
    wire.server.note_kernel_text();
    assert!(!wire.server.turn());
    let records = all(&mut wire, Level::Trace, ROOT);
    let lines: Vec<_> = records.iter().map(|r| (r.2, r.3.as_str())).collect();
    assert_eq!(
        lines,
        [
            (Level::Info, "one"),
            (Level::Info, "two"),
            (Level::Error, "x panicked")
        ]
    );
}

#[test]
fn a_later_life_counts_on() {
    let newest = |life| client(&mut wire(life)).state().unwrap().newest;
    assert!(newest(0) < newest(1) && newest(1) < newest(2));
    let mut second = wire(1);
    write(&mut second, Level::Info, "again");
    let after = newest(0);
    assert!(client(&mut second).next(after, Level::Info, 0).is_ok());
}

#[test]
fn what_a_dead_client_had_begun_is_kept() {
    let mut wire = wire(0);
    let begun = Bytes::new(b"half a").unwrap();
    client(&mut wire).append(Level::Info, false, begun).unwrap();
    use gritos_base_api::SupervisionServer;
    let root = gritos_idl_runtime::Caller {
        badge: ROOT,
        rights: Rights::SEND,
    };
    assert_eq!(wire.server.client_gone(root, CLIENT), Ok(1));
    assert_eq!(wire.server.client_gone(root, CLIENT), Ok(0));
    assert_eq!(all(&mut wire, Level::Trace, 0)[0].3, "half a");
}
