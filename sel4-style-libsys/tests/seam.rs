//! What goes into the kernel and what is made of its answers, against a kernel
//! that records calls and answers as it is told.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gritos_sys::abi::message::{Arrival, Kind};
use gritos_sys::abi::method;
use gritos_sys::abi::{Address, CapsIn, Control, ObjectType, Outcome, Rights, Status, Syscall};
use gritos_sys::cap::{CNode, Endpoint, MemoryObject, Notification, Reply, Tcb, Untyped};
use gritos_sys::invoke::{Permissions, Wanted};
use gritos_sys::ipc::Carried;
use gritos_sys::memory::{Pool, Region};
use gritos_sys::raw::host::install;
use gritos_sys::raw::{RawCalls, Request, Returned};
use gritos_sys::slots::Slots;
use gritos_sys::{Mask, Message, Wait, ipc};

/// A call as it was made; `caps` and deadline only of the long form.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Made {
    call: Syscall,
    request: Request,
    long: Option<(CapsIn, u64)>,
}

#[derive(Default)]
struct Recorder {
    made: RefCell<Vec<Made>>,
    answer: Cell<Returned>,
}

impl RawCalls for Recorder {
    fn short(&self, call: Syscall, request: Request) -> Returned {
        self.made.borrow_mut().push(Made {
            call,
            request,
            long: None,
        });
        self.answer.get()
    }

    fn full(&self, call: Syscall, request: Request, caps: CapsIn, deadline: u64) -> Returned {
        self.made.borrow_mut().push(Made {
            call,
            request,
            long: Some((caps, deadline)),
        });
        self.answer.get()
    }

    fn counter(&self) -> u64 {
        1_000
    }

    fn counter_hz(&self) -> u64 {
        62_500_000
    }
}

/// Runs `body` on a recorder that answers with `answer`; what was called.
fn record(answer: Returned, body: impl FnOnce()) -> Vec<Made> {
    let recorder = Rc::new(Recorder::default());
    recorder.answer.set(answer);
    let before = install(Some(recorder.clone()));
    body();
    install(before);
    recorder.made.take()
}

fn outcome(outcome: Outcome) -> Returned {
    Returned {
        outcome,
        ..Returned::default()
    }
}

fn at<T>(index: u16) -> gritos_sys::Cap<T> {
    gritos_sys::Cap::at(Address::root(index))
}

#[test]
fn a_plain_call_uses_the_short_form() {
    let answer = Returned {
        words: [9; 8],
        tag: 5,
        ..outcome(Outcome::message(Kind::Reply, 2, 0))
    };
    let made = record(answer, || {
        let reply = at::<Endpoint>(7)
            .call(&Message::with(3, [1, 2]), &Wait::FOREVER)
            .unwrap();
        assert_eq!((reply.tag(), reply.word_count()), (5, 2));
        assert!(reply.is(Kind::Reply) && reply.cap(0).is_none());
    });
    let request = Request::new(
        Address::root(7),
        3,
        [1, 2, 0, 0, 0, 0, 0, 0],
        Control::words(2),
    );
    let call = Syscall::Call;
    assert_eq!(
        made,
        [Made {
            call,
            request,
            long: None
        }]
    );
}

#[test]
fn capabilities_and_deadlines_use_the_long_form() {
    let message = Message::new(1)
        .mint(at::<Endpoint>(4), Mask::only(Rights::SEND), 0x77)
        .give(at::<Untyped>(5));
    let wait = Wait::until(123).and_window(Address::root(40), 3);
    let made = record(outcome(Outcome(0)), || {
        at::<Endpoint>(7).call(&message, &wait).unwrap();
    });
    let control = Control::words(0)
        .with_caps(2, 0b10)
        .with_window(Address::root(40), 3)
        .with_deadline();
    let caps = CapsIn::default()
        .with(0, Address::root(4), Rights::SEND.bits(), 0x77)
        .with(1, Address::root(5), 0, 0);
    assert_eq!(made[0].request.control, control);
    assert_eq!(made[0].long, Some((caps, 123)));
}

#[test]
fn a_fifth_capability_is_left_to_the_kernel_to_refuse() {
    let message = (0..5).fold(Message::new(0), |m, _| m.copy(at::<Tcb>(2), Mask::AS_HELD));
    let made = record(outcome(Outcome(0)), || {
        let _ = at::<Endpoint>(7).send(&message);
    });
    assert!(!made[0].request.control.is_valid());
}

#[test]
fn received_capabilities_are_told_apart() {
    let slot = Arrival::InSlot {
        object: ObjectType::MemoryObject,
        position: 1,
    };
    let word = |badge: u32, rights: Rights| u64::from(badge) | u64::from(rights.bits()) << 32;
    let answer = Returned {
        sender: word(0x8000_0001, Rights::SEND),
        caps: [word(6, Rights::SEND), word(0, Rights::READ), 0, 0],
        arrivals: u64::from(Arrival::Unwrapped.encode()) | u64::from(slot.encode()) << 16,
        ..outcome(Outcome::message(Kind::Call, 0, 2))
    };
    let made = record(answer, || {
        let wait = Wait::window(Address::root(40), 2);
        let call = at::<Endpoint>(7).recv(Some(at(8)), &wait).unwrap();
        assert_eq!((call.badge(), call.rights()), (0x8000_0001, Rights::SEND));
        let unwrapped = Carried::Unwrapped {
            badge: 6,
            rights: Rights::SEND,
        };
        assert_eq!(call.cap(0), Some(unwrapped));
        let memory = call.taken::<MemoryObject>(1, Address::root(40));
        assert_eq!(memory, Some(at(41)));
        assert_eq!(call.taken::<Tcb>(1, Address::root(40)), None);
        assert_eq!((call.cap(2), call.cap(4)), (None, None));
    });
    assert_eq!(made[0].request.target, 7 | 8 << 32);
}

#[test]
fn errors_tell_operation_reason_and_slot() {
    record(outcome(Outcome::slot_error(Status::NoGrant, 2)), || {
        let refused = at::<Reply>(3).reply(&Message::new(0)).unwrap_err();
        assert_eq!(refused.to_string(), "Reply: NoGrant (slot 2)");
        let refused = at::<Tcb>(3).resume().unwrap_err();
        assert_eq!(refused.to_string(), "Tcb.Resume: NoGrant (slot 2)");
    });
}

#[test]
fn methods_put_their_arguments_where_the_abi_wants_them() {
    let made = record(outcome(Outcome(0)), || {
        let wanted = Wanted::one(ObjectType::CNode, 16).times(2).at(0x4000);
        at::<Untyped>(9).retype(wanted, at::<CNode>(1), 50).unwrap();
        at::<Tcb>(3).write_registers(31, [0x1000, 0x2000]).unwrap();
        at::<Tcb>(3).configure(None, Some(at(6)), None).unwrap();
        at::<MemoryObject>(4)
            .map_all(at(6), 0x7000, Permissions::ReadExecute)
            .unwrap();
    });
    let words = |i: usize| made[i].request.words;
    let caps = |i: usize| made[i].long.map(|(caps, _)| caps).unwrap_or_default();
    assert_eq!(
        words(0),
        [ObjectType::CNode as u64, 16, 2, 50, 0x4000, 0, 0, 0]
    );
    assert_eq!(caps(0).source(0), Address::root(1));
    assert_eq!(words(1)[..3], [31 | 2 << 8, 0x1000, 0x2000]);
    assert_eq!(made[2].request.control.cap_count(), 3);
    assert_eq!(
        (caps(2).source(0), caps(2).source(1)),
        (Address::NULL, Address::root(6))
    );
    let access = (Rights::READ | Rights::EXECUTE).bits();
    assert_eq!(words(3)[..4], [0x7000, 0, 0, u64::from(access)]);
    assert_eq!(made[3].request.tag, method::MemoryObject::Map as u64);
}

#[test]
fn sleeping_is_a_receive_on_nothing() {
    let made = record(outcome(Outcome::error(Status::TimedOut)), || {
        ipc::sleep_until(77).unwrap();
    });
    assert_eq!((made[0].call, made[0].request.target), (Syscall::Recv, 0));
    assert_eq!(made[0].long.map(|(_, deadline)| deadline), Some(77));
    record(outcome(Outcome::error(Status::Aborted)), || {
        assert!(ipc::sleep_until(77).unwrap_err().is(Status::Aborted));
    });
}

#[test]
fn waiting_without_a_kernel_is_an_error() {
    assert!(
        at::<Notification>(3)
            .wait(&Wait::FOREVER)
            .unwrap_err()
            .is(Status::InvalidSyscall)
    );
}

#[test]
fn memory_within_a_window_is_taken_from_where_the_next_piece_lies_in_it() {
    const WINDOW: std::ops::Range<u64> = 0..1 << 30;
    let mut pool = Pool::default();
    // The smallest lies above, the next reaches out of it, the last is inside.
    for (index, base, size) in [
        (20, 1 << 30, 64 << 10),
        (21, (1 << 30) - (64 << 10), 128 << 10),
        (22, 1 << 20, 1 << 20),
    ] {
        pool.add(Region {
            untyped: at(index),
            base,
            size,
            free: size,
        });
    }
    let mut slots = Slots::new(at(1), 0, 100, 110);
    record(outcome(Outcome(0)), || {
        let taken = pool.take_within(16 << 10, &WINDOW, &mut slots).unwrap();
        assert_eq!(taken.base, (1 << 30) - (64 << 10));
        // Nothing says how much is left there now but the kernel, which here says: nothing.
        let taken = pool.take_within(65 << 10, &WINDOW, &mut slots).unwrap();
        assert_eq!(taken.base, 1 << 20);
        let refused = pool.take_within(2 << 10, &WINDOW, &mut slots);
        assert!(refused.unwrap_err().is(Status::NoMemory));
        // Without a window there is still the first.
        assert_eq!(pool.take(64 << 10, &mut slots).unwrap().base, 1 << 30);
        // What comes back is known by its place.
        pool.give_back(taken, &slots).unwrap();
        let apart = 0..1 << 20;
        assert!(pool.take_within(65 << 10, &apart, &mut slots).is_err());
        assert_eq!(
            pool.take_within(65 << 10, &WINDOW, &mut slots).unwrap(),
            taken
        );
    });
}

#[test]
fn memory_is_taken_from_the_smallest_region_that_has_it() {
    let mut pool = Pool::default();
    for (index, size) in [(20, 1 << 20), (21, 64 << 10), (22, 8 << 10)] {
        let untyped = at(index);
        pool.add(Region {
            untyped,
            base: 0,
            size,
            free: size,
        });
    }
    let mut slots = Slots::new(at(1), 0, 100, 110);
    let made = record(outcome(Outcome(0)), || {
        let taken = pool.take(16 << 10, &mut slots).unwrap();
        assert_eq!(taken.untyped, at(100));
        // A region of exactly that size is handed over whole.
        assert_eq!(pool.take(8 << 10, &mut slots).unwrap().untyped, at(22));
        assert!(
            pool.take(2 << 20, &mut slots)
                .unwrap_err()
                .is(Status::NoMemory)
        );
        assert!(
            pool.take(100, &mut slots)
                .unwrap_err()
                .is(Status::InvalidArgument)
        );
        // What comes back is whole again.
        pool.give_back(taken, &slots).unwrap();
        assert_eq!(pool.take(16 << 10, &mut slots).unwrap(), taken);
    });
    assert_eq!(made[0].request.target, 21);
    assert_eq!(slots.free(), 9);
}
