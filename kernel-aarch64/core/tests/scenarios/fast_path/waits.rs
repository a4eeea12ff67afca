//! Waits for notifications and for time, and signals.

use super::*;

/// Slots of a thread's CNode.
const BOTH: u32 = 4;
const RECV: u32 = 5;
const SEND: u32 = 6;

/// A notification, whose slot is returned, and threads that may use it. Root is ready besides.
fn notified(threads: usize) -> (World, u32, Vec<Thread>) {
    let mut w = World::new(64);
    let n = w.make(ObjectType::Notification, 0, 1);
    let all = (0..threads).map(|_| w.spawn(SLOTS)).collect::<Vec<_>>();
    for thread in &all {
        w.give(n, thread.cnode, BOTH, Rights::AS_HELD, 0);
        w.give(n, thread.cnode, RECV, Rights::RECV, 0);
        w.give(n, thread.cnode, SEND, Rights::SEND, 4);
    }
    (w, n, all)
}

#[test]
fn a_wait_gives_the_processor_to_the_next() {
    for fp in [false, true] {
        let (mut w, _, threads) = notified(1);
        let tcb = threads[0].tcb;
        if fp {
            set_fp(&mut w, threads[0]);
        }
        w.focus(tcb);
        refused(&mut w, &Ask::recv(SEND, 0), Status::MissingRight);
        refused(&mut w, &Ask::recv(9, 0), Status::EmptySlot);
        refused(&mut w, &Ask::recv(0, 0), Status::InvalidAddress);
        fast(&mut w, &Ask::recv(RECV, 0));
        assert_eq!(w.current(), w.root);
        assert_eq!(w.state(tcb), ThreadState::BlockedNotification);
    }
}

#[test]
fn a_wait_with_a_deadline_needs_no_other() {
    let (mut w, n, threads) = notified(2);
    let (a, b) = (threads[0].tcb, threads[1].tcb);
    w.focus(a);
    fast(&mut w, &Ask::recv(0, 0).deadline(1000));
    assert_eq!(w.state(a), ThreadState::BlockedSleep);
    w.focus(b);
    assert!(!applies(&w, &Ask::recv(0, 0).deadline(500)));
    assert!(!applies(&w, &Ask::recv(RECV, 0).deadline(500)));
    fast(&mut w, &Ask::recv(RECV, 0));
    w.succeed(w.root, &Ask::send(n).words(&[1]));
    w.sleep_until(1000);
    assert_eq!(w.woken(a).status(), Status::TimedOut);
    w.focus(b);
    fast(&mut w, &Ask::recv(RECV, 0).deadline(2000));
    w.sleep_until(1999);
    assert_eq!(w.state(b), ThreadState::BlockedNotification);
    w.sleep_until(2000);
    assert_eq!(w.woken(b).status(), Status::TimedOut);
}

#[test]
fn bits_that_are_there_are_taken_the_long_way() {
    let (mut w, n, threads) = notified(1);
    w.succeed(w.root, &Ask::send(n).words(&[6]));
    w.focus(threads[0].tcb);
    assert_eq!(slow(&mut w, &Ask::recv(RECV, 0)), Progress::Returned);
    assert_eq!(w.got(threads[0].tcb).words()[0], 6);
}

#[test]
fn with_nobody_else_the_processor_idles() {
    let (mut w, n, _) = notified(0);
    assert_eq!(slow(&mut w, &Ask::recv(n, 0)), Progress::Blocked);
    assert_eq!(w.kernel.cpu.current, None);
}

/// The next one runs on a lent context.
#[test]
fn who_borrows_is_given_the_processor_the_long_way() {
    let mut s = Service::passive(2);
    let n = s.world.make(ObjectType::Notification, 0, 1);
    let other = s.clients[1];
    s.world.give(n, other.cnode, 5, Rights::AS_HELD, 0);
    s.call(0, call(&[]));
    set_priority(&mut s.world, s.server, 50);
    s.world.focus(other.tcb);
    slow(&mut s.world, &Ask::recv(5, 0));
    assert_eq!(s.world.current(), s.server.tcb);
    // Nor can it wait for anything but callers.
    slow(&mut s.world, &Ask::recv(ENDPOINT, REPLY));
}

#[test]
fn signals_without_a_waiter_gather() {
    let (mut w, n, threads) = notified(1);
    let tcb = threads[0].tcb;
    w.focus(tcb);
    refused(&mut w, &Ask::send(RECV).words(&[1]), Status::MissingRight);
    for ask in [
        Ask::send(BOTH).words(&[0x101]),
        Ask::send(SEND).words(&[2]),
        Ask::send(BOTH),
    ] {
        fast(&mut w, &ask);
        assert_eq!(w.got(tcb).status(), Status::Ok);
    }
    assert_eq!(w.succeed(w.root, &Ask::poll(n, 0)).words()[0], 0x105);
}

#[test]
fn a_bound_notification_is_signalled_the_long_way() {
    let (mut w, n, threads) = notified(2);
    let bind = Ask::invoke(threads[1].cap, method::Tcb::BindNotification as u64);
    w.succeed(w.root, &bind.cap(n, 0, 0));
    w.focus(threads[0].tcb);
    slow(&mut w, &Ask::send(SEND));
}

#[test]
fn a_better_thread_runs_when_it_is_signalled() {
    for fp in [[false, false], [true, false], [false, true]] {
        let (mut w, _, threads) = notified(2);
        let (better, sender) = (threads[0], threads[1]);
        for (thread, fp) in threads.iter().zip(fp) {
            if fp {
                set_fp(&mut w, *thread);
            }
        }
        w.wait(better.tcb, &Ask::recv(RECV, 0));
        w.focus(sender.tcb);
        set_priority(&mut w, better, 0);
        w.focus(sender.tcb);
        // Bits are needed.
        slow(&mut w, &Ask::send(BOTH));
        assert_eq!(w.state(better.tcb), ThreadState::BlockedNotification);
        fast(&mut w, &Ask::send(BOTH).words(&[8]));
        assert_eq!(w.current(), better.tcb);
        assert_eq!(w.got(better.tcb).words()[0], 8);
        assert_eq!(w.woken(sender.tcb).status(), Status::Ok);
    }
}

#[test]
fn a_thread_that_is_not_better_is_woken_the_long_way() {
    for (priority, is_fast) in [(0, true), (1, false), (2, false)] {
        let (mut w, _, threads) = notified(2);
        w.wait(threads[0].tcb, &Ask::recv(RECV, 0));
        set_priority(&mut w, threads[0], priority);
        w.focus(threads[1].tcb);
        let ask = Ask::send(SEND);
        assert_eq!(applies(&w, &ask), is_fast, "priority {priority}");
        w.enter(&ask);
        w.check();
        assert_eq!(w.current() == threads[0].tcb, is_fast);
    }
}

#[test]
fn a_waiter_with_a_deadline_is_woken_the_long_way() {
    let (mut w, _, threads) = notified(2);
    w.wait(threads[0].tcb, &Ask::recv(RECV, 0).deadline(1000));
    set_priority(&mut w, threads[0], 0);
    w.focus(threads[1].tcb);
    slow(&mut w, &Ask::send(SEND));
    assert_eq!(w.current(), threads[0].tcb);
}
