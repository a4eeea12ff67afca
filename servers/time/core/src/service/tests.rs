use alloc::vec::Vec;

use gritos_abi::{Address, ObjectType, Rights};
use gritos_idl_runtime::loopback::{Held, Loopback};
use gritos_idl_runtime::object::Notification;
use gritos_idl_runtime::{Caller, Cap, Error};
use gritos_time_api::{CLIENT_TIMERS, Time, TimeClient, TimeError, TimeService};

use super::{Limits, Outside, STEPS, Service};

const CLIENT: u32 = 1 << 31 | 3;
const OTHER: u32 = 1 << 31 | 4;

#[derive(Default)]
struct World {
    now: u64,
    hardware: Option<u64>,
    /// Addresses and bits.
    signals: Vec<(u32, u64)>,
    kept: u32,
}

impl Outside for World {
    fn now(&self) -> u64 {
        self.now
    }

    fn hardware_clock(&mut self) -> Option<u64> {
        self.hardware
    }

    fn set_hardware_clock(&mut self, seconds: u64) {
        self.hardware = Some(seconds);
    }

    fn signal(&mut self, notification: Cap<Notification>, bits: u64) {
        self.signals.push((notification.address().0, bits));
    }

    fn keep(&mut self, notification: Cap<Notification>) -> Option<Cap<Notification>> {
        self.kept += 1;
        Some(notification)
    }

    fn delete(&mut self, _notification: Cap<Notification>) {
        self.kept -= 1;
    }
}

type Wire = Loopback<Service<World>, TimeService>;

fn wire() -> Wire {
    let mut wire = Wire::new(Service::new(World::default(), 0, Limits::default()));
    wire.badge = CLIENT;
    wire.holds = |_| {
        Some(Held {
            object: Some(ObjectType::Notification),
            badge: 0,
            rights: Rights::SEND,
        })
    };
    wire
}

fn client(wire: &mut Wire) -> TimeClient<&mut Wire> {
    TimeClient::new(Cap::<Time>::new(Address::root(9)), wire)
}

fn channel(wire: &mut Wire) -> u32 {
    let notification = Cap::with_rights(Address::root(20), Rights::SEND);
    client(wire).open_channel(notification).unwrap()
}

/// Turns until nothing is to be done at once; when it wants to be called again.
fn settle(wire: &mut Wire) -> Option<u64> {
    for _ in 0..10_000 {
        match wire.server.turn() {
            Some(at) if at <= wire.server.outside.now => {}
            other => return other,
        }
    }
    panic!("it never comes to rest");
}

fn bits(wire: &mut Wire) -> Vec<u64> {
    let signals = core::mem::take(&mut wire.server.outside.signals);
    signals.into_iter().map(|(_, bits)| bits).collect()
}

#[test]
fn timers_signal_when_they_are_due() {
    let mut wire = wire();
    let channel = channel(&mut wire);
    client(&mut wire).one_shot(channel, 500_000, 1).unwrap();
    let periodic = client(&mut wire)
        .periodic(channel, 200_000, 400_000, 2)
        .unwrap();
    assert_eq!(settle(&mut wire), Some(200_000));
    wire.server.outside.now = 650_000;
    assert_eq!(settle(&mut wire), Some(1_000_000));
    // What was missed of the periodic one is left out.
    assert_eq!(bits(&mut wire), [2, 1]);
    client(&mut wire).cancel(periodic).unwrap();
    assert_eq!(settle(&mut wire), None);
    let again = client(&mut wire).cancel(periodic);
    assert_eq!(again, Err(Error::Server(TimeError::NotFound)));
    client(&mut wire).one_shot(channel, 1, 4).unwrap();
    assert_eq!((settle(&mut wire), bits(&mut wire)), (None, [4].to_vec()));
    assert_eq!(client(&mut wire).count().unwrap().all, 0);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut wire = wire();
    let invalid = Err(Error::Server(TimeError::Invalid));
    assert_eq!(client(&mut wire).one_shot(0, 1, 1), invalid);
    let channel = channel(&mut wire);
    for (other, period, bits) in [
        (channel + 1, 100_000, 1),
        (99, 100_000, 1),
        (channel, 99_999, 1),
        (channel, 100_000, 0),
    ] {
        assert_eq!(client(&mut wire).periodic(other, 0, period, bits), invalid);
    }
    let number = client(&mut wire).one_shot(channel, 9, 1).unwrap();
    wire.badge = OTHER;
    let missing = Err(Error::Server(TimeError::NotFound));
    assert_eq!(client(&mut wire).cancel(number), missing);
    assert_eq!(client(&mut wire).one_shot(channel, 9, 1), invalid);
}

#[test]
fn a_client_has_so_many_timers_and_channels_and_no_more() {
    let mut wire = wire();
    let number = channel(&mut wire);
    for _ in 0..CLIENT_TIMERS {
        client(&mut wire).one_shot(number, u64::MAX, 1).unwrap();
    }
    let limit = Err(Error::Server(TimeError::Limit));
    assert_eq!(client(&mut wire).one_shot(number, 1, 1), limit);
    for _ in 1..4 {
        channel(&mut wire);
    }
    let notification = Cap::with_rights(Address::root(20), Rights::SEND);
    let refused = client(&mut wire).open_channel(notification).err();
    assert_eq!(refused, limit.err());
    // Another client has its own.
    wire.badge = OTHER;
    let other = channel(&mut wire);
    client(&mut wire).one_shot(other, 1, 1).unwrap();
    assert_eq!(client(&mut wire).count().unwrap().own, 1);
}

#[test]
fn the_description_says_how_many_timers_there_may_be() {
    let mut limits = Limits::default();
    limits.read("client-timers 3\nall-timers 5").unwrap();
    let mut wire = wire();
    wire.server = Service::new(World::default(), 0, limits);
    let number = channel(&mut wire);
    for _ in 0..3 {
        client(&mut wire).one_shot(number, u64::MAX, 1).unwrap();
    }
    let refused = |error| Err(Error::Server(error));
    assert_eq!(
        client(&mut wire).one_shot(number, 1, 1),
        refused(TimeError::Limit)
    );
    wire.badge = OTHER;
    let other = channel(&mut wire);
    for _ in 0..2 {
        client(&mut wire).one_shot(other, u64::MAX, 1).unwrap();
    }
    let full = client(&mut wire).one_shot(other, 1, 1);
    assert_eq!(full, refused(TimeError::NoMemory));
    assert!(limits.read("client-timers 0").is_err());
}

#[test]
fn closing_is_done_in_steps_and_silences_at_once() {
    let mut wire = wire();
    let number = channel(&mut wire);
    for _ in 0..100 {
        client(&mut wire).one_shot(number, 10, 1).unwrap();
    }
    client(&mut wire).close_channel(number).unwrap();
    assert_eq!(wire.server.turn(), Some(0));
    assert_eq!(client(&mut wire).count().unwrap().all, 100 - STEPS as u32);
    wire.server.outside.now = 50;
    assert_eq!(settle(&mut wire), None);
    assert_eq!(bits(&mut wire), []);
    assert_eq!(wire.server.outside.kept, 0);
    assert_eq!(client(&mut wire).count().unwrap().all, 0);
}

#[test]
fn many_at_once_leave_room_for_calls_between() {
    let mut wire = wire();
    let number = channel(&mut wire);
    for bit in 0..3 * STEPS as u64 {
        client(&mut wire).one_shot(number, 5, bit + 1).unwrap();
    }
    wire.server.outside.now = 5;
    assert_eq!(wire.server.turn(), Some(5));
    assert_eq!(bits(&mut wire).len(), STEPS);
    assert_eq!(settle(&mut wire), None);
    assert_eq!(bits(&mut wire).len(), 2 * STEPS);
}

#[test]
fn a_dead_client_leaves_nothing_and_its_next_life_begins_afresh() {
    use gritos_base_api::SupervisionServer;
    let mut wire = wire();
    let number = channel(&mut wire);
    for _ in 0..100 {
        client(&mut wire).periodic(number, 10, 100_000, 1).unwrap();
    }
    let root = Caller {
        badge: 1 << 31,
        rights: Rights::SEND,
    };
    assert_eq!(wire.server.client_gone(root, CLIENT), Ok(100));
    let number = channel(&mut wire);
    client(&mut wire).one_shot(number, 10, 7).unwrap();
    wire.server.outside.now = 20;
    settle(&mut wire);
    assert_eq!(bits(&mut wire), [7]);
    assert_eq!(wire.server.outside.kept, 1);
    assert_eq!(wire.server.client_gone(root, CLIENT), Ok(0));
    settle(&mut wire);
    // Every place is free again.
    assert!(wire.server.clients.iter().all(|client| client.badge == 0));
}

#[test]
fn the_time_of_day_is_known_once_somebody_told_it() {
    let mut wire = wire();
    let unknown = client(&mut wire).wall_clock();
    assert_eq!(unknown, Err(Error::Server(TimeError::NotSet)));
    assert!(client(&mut wire).set_wall_clock(5).is_err());
    wire.rights = Rights::SEND | Time::SET_CLOCK;
    wire.server.outside.now = 1000;
    client(&mut wire).set_wall_clock(7_000_000_000).unwrap();
    wire.server.outside.now = 3000;
    assert_eq!(client(&mut wire).wall_clock(), Ok(7_000_002_000));
    assert_eq!(client(&mut wire).monotonic(), Ok(3000));
    assert_eq!(wire.server.outside.hardware, Some(7));
}
