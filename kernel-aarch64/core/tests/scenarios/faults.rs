//! Faults as messages, and what handlers can do about them.

use gritos_abi::fault::{FaultKind, FaultReply};

use gritos_kernel_core::store::Store;

use crate::common::*;

/// A thread with a handler: its fault endpoint has badge 5.
fn handled() -> (Service, Thread) {
    let mut s = Service::new(1);
    let client = s.clients[0];
    let root = s.world.root;
    let suspend = Ask::invoke(client.cap, method::Tcb::Suspend as u64);
    let configure = Ask::invoke(client.cap, method::Tcb::Configure as u64)
        .cap(0, 0, 0)
        .cap(0, 0, 0)
        .cap(s.endpoint, 0, 5);
    let resume = Ask::invoke(client.cap, method::Tcb::Resume as u64);
    for ask in [suspend, configure, resume] {
        s.world.succeed(root, &ask);
    }
    (s, client)
}

fn fault(w: &mut World, thread: Thread, kind: FaultKind) {
    w.focus(thread.tcb);
    w.kernel.fault(kind, 0x1234, 0x9600_0045);
    w.kernel.reschedule();
    w.check();
}

#[test]
fn a_handler_can_wait_with_a_deadline() {
    let (mut s, client) = handled();
    let next = Ask::reply_recv(ENDPOINT, REPLY).deadline(1000);
    s.world
        .wait(s.server.tcb, &Ask::recv(ENDPOINT, REPLY).deadline(1000));
    for reply in [FaultReply::Retry, FaultReply::Skip] {
        fault(&mut s.world, client, FaultKind::DataAbort);
        assert_eq!(s.world.woken(s.server.tcb).kind(), Kind::Fault);
        s.world.wait(s.server.tcb, &next.tag(reply as u64));
        assert_eq!(s.world.state(client.tcb), ThreadState::Running);
    }
    s.world.sleep_until(1000);
    assert_eq!(s.world.woken(s.server.tcb).status(), Status::TimedOut);
}

#[test]
fn a_fault_reaches_its_handler_and_each_reply_does_what_it_says() {
    let kinds = [
        FaultKind::DataAbort,
        FaultKind::InstructionAbort,
        FaultKind::Undefined,
        FaultKind::Alignment,
        FaultKind::Breakpoint,
        FaultKind::FpAccess,
        FaultKind::SError,
        FaultKind::Other,
    ];
    for (kind, waiting) in kinds.into_iter().zip([true, false].into_iter().cycle()) {
        for (reply, state, pc) in [
            (FaultReply::Retry as u64, ThreadState::Ready, 0x8000),
            (FaultReply::Skip as u64, ThreadState::Ready, 0x8004),
            (FaultReply::Jump as u64, ThreadState::Ready, 0x77),
            (FaultReply::Suspend as u64, ThreadState::Inactive, 0x8000),
            (FaultReply::Kill as u64, ThreadState::Terminated, 0x8000),
            (99, ThreadState::Inactive, 0x8000),
        ] {
            let (mut s, client) = handled();
            let root = s.world.root;
            let registers = |first: u64, words: [u64; 2]| {
                Ask::invoke(client.cap, method::Tcb::WriteRegisters as u64).words(&[
                    first | 2 << 8,
                    words[0],
                    words[1],
                ])
            };
            let suspend = Ask::invoke(client.cap, method::Tcb::Suspend as u64);
            let resume = Ask::invoke(client.cap, method::Tcb::Resume as u64);
            s.world.succeed(root, &suspend);
            s.world.succeed(root, &registers(31, [0x5000, 0x8000]));
            s.world.succeed(root, &resume);
            if waiting {
                s.listen();
            }
            fault(&mut s.world, client, kind);
            let server = s.server.tcb;
            let got = if waiting {
                s.world.woken(server)
            } else {
                let state = s.world.state(client.tcb);
                assert_eq!(state, ThreadState::BlockedIpcSend);
                s.world.succeed(server, &Ask::recv(ENDPOINT, REPLY))
            };
            assert_eq!((got.kind(), got.tag()), (Kind::Fault, kind as u64));
            assert_eq!(got.badge(), 5);
            assert_eq!(got.words()[..4], [0x1234, 0x8000, 0x5000, 0x9600_0045]);
            let answer = Ask::reply(REPLY).tag(reply).words(&[0x77, 0x88]);
            s.world.succeed(server, &answer);
            assert_eq!(s.world.state(client.tcb), state, "{reply}");
            let frame = &s.world.kernel.store.get(client.tcb.raw());
            let Some(gritos_kernel_core::host::Object::Tcb(t)) = frame else {
                panic!("the thread is gone")
            };
            assert_eq!(t.frame.pc.get(), pc);
        }
    }
}

#[test]
fn a_fault_without_a_handler_stops_the_thread() {
    let mut s = Service::new(1);
    let client = s.clients[0];
    fault(&mut s.world, client, FaultKind::DataAbort);
    assert_eq!(s.world.state(client.tcb), ThreadState::Inactive);
}

#[test]
fn faulted_threads_survive_the_end_of_their_handler() {
    for answered in [false, true] {
        let (mut s, client) = handled();
        fault(&mut s.world, client, FaultKind::DataAbort);
        if answered {
            s.world.succeed(s.server.tcb, &Ask::recv(ENDPOINT, REPLY));
        }
        let root = slot::CNODE.into();
        for cap in [s.endpoint, s.reply] {
            s.world.revoke(root, cap);
            s.world.delete(root, cap);
        }
        assert_eq!(s.world.state(client.tcb), ThreadState::Inactive);
        let resume = Ask::invoke(client.cap, method::Tcb::Resume as u64);
        s.world.succeed(s.world.root, &resume);
    }
}

#[test]
fn registers_can_be_read_and_written_within_bounds() {
    let mut s = Service::new(1);
    let client = s.clients[0];
    let root = s.world.root;
    let tcb = |m: method::Tcb, words: &[u64]| Ask::invoke(client.cap, m as u64).words(words);
    let read = |first, count| tcb(method::Tcb::ReadRegisters, &[first, count]);
    let write = |head, value| tcb(method::Tcb::WriteRegisters, &[head, value]);
    for (first, count) in [
        (0, 0),
        (0, 9),
        (35, 1),
        (28, 8),
        (u64::MAX, 1),
        (1, u64::MAX),
    ] {
        let status = s.world.refuse(root, &read(first, count));
        assert_eq!(status, Status::InvalidArgument, "{first} {count}");
    }
    let running = write(1 << 8, 1);
    assert_eq!(s.world.refuse(root, &running), Status::InvalidState);
    let suspend = tcb(method::Tcb::Suspend, &[]);
    s.world.succeed(root, &suspend);
    for head in [0, 8 << 8, 35 | 1 << 8, 34 | 2 << 8, u64::MAX] {
        let status = s.world.refuse(root, &write(head, 1));
        assert_eq!(status, Status::InvalidArgument, "{head:x}");
    }
    for number in 0..35_u64 {
        s.world.succeed(
            root,
            &write(number | 1 << 8, 0xf000_0000_f000_0000 + number),
        );
    }
    for number in 0..35 {
        let got = s.world.succeed(root, &read(number, 1));
        // Of the program status only the flags can be set.
        let expected = match number {
            33 => 0xf000_0000,
            _ => 0xf000_0000_f000_0000 + number,
        };
        assert_eq!(got.words()[0], expected, "{number}");
    }
}

#[test]
fn a_fault_message_tells_the_flags_and_nothing_else_of_the_status() {
    for waiting in [true, false] {
        let (mut s, client) = handled();
        if waiting {
            s.listen();
        }
        let t = s.world.kernel.store.tcb(client.tcb);
        t.frame.pstate.set(0xa000_03c5);
        fault(&mut s.world, client, FaultKind::Undefined);
        if !waiting {
            s.world.succeed(s.server.tcb, &Ask::recv(ENDPOINT, REPLY));
        }
        assert_eq!(s.world.got(s.server.tcb).words()[4], 0xa000_0000);
    }
}
