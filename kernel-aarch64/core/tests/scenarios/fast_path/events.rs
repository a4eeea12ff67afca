//! Interrupts and deadlines that wake a better thread.

use super::*;

/// Line 40 of the interrupt controller, bound to a notification with bit 2; a thread of priority 0 that may wait for it;
/// and one that runs.
fn interrupted(automatic: u64) -> (World, Thread, Thread) {
    let mut w = World::new(64);
    let root = w.root;
    let n = w.make(ObjectType::Notification, 0, 1);
    let cap = w.free_slots(2);
    let get = Ask::invoke(slot::IRQ_CONTROL.into(), method::IrqControl::Get as u64);
    let cnode = u32::from(slot::CNODE);
    w.succeed(root, &get.words(&[40, cap.into(), 0]).cap(cnode, 0, 0));
    w.give(n, cnode, cap + 1, Rights::SEND, 2);
    let bind = Ask::invoke(cap, method::IrqHandler::Bind as u64).words(&[automatic]);
    w.succeed(root, &bind.cap(cap + 1, 0, 0));
    let driver = w.spawn(SLOTS);
    w.give(n, driver.cnode, 5, Rights::RECV, 0);
    let other = w.spawn(SLOTS);
    (w, driver, other)
}

fn interrupt(w: &mut World, line: u32) -> bool {
    happens(
        w,
        |kernel| kernel.fast_interrupt(line).is_some(),
        |kernel| kernel.interrupt(line),
    )
}

#[test]
fn an_interrupt_wakes_its_driver() {
    for automatic in [0, 1] {
        let (mut w, driver, other) = interrupted(automatic);
        w.wait(driver.tcb, &Ask::recv(5, 0));
        set_priority(&mut w, driver, 0);
        w.focus(other.tcb);
        assert_eq!(w.kernel.machine.unmasked, [40]);
        // A line without a handler.
        assert!(!interrupt(&mut w, 41));
        assert!(interrupt(&mut w, 40));
        assert_eq!(w.current(), driver.tcb);
        assert_eq!(w.got(driver.tcb).words()[0], 2);
        assert_eq!(w.kernel.machine.unmasked, []);
        // The wait that follows lets the line through again, if it was bound so.
        fast(&mut w, &Ask::recv(5, 0));
        let lines: &[u32] = if automatic == 1 { &[40] } else { &[] };
        assert_eq!(w.kernel.machine.unmasked, lines);
        assert_eq!(w.current(), other.tcb);
    }
}

#[test]
fn an_interrupt_that_wakes_nobody_better_takes_the_long_way() {
    let (mut w, driver, other) = interrupted(0);
    w.focus(other.tcb);
    assert!(!interrupt(&mut w, 40));
    assert_eq!(w.succeed(driver.tcb, &Ask::poll(5, 0)).words()[0], 2);
    let (mut w, driver, other) = interrupted(0);
    w.wait(driver.tcb, &Ask::recv(5, 0));
    w.focus(other.tcb);
    assert!(!interrupt(&mut w, 40));
    assert_eq!(w.current(), other.tcb);
}

/// A thread of priority 0 that sleeps until 1000, and one that runs.
fn sleeping() -> (World, Thread, Thread) {
    let mut w = World::new(64);
    let (sleeper, other) = (w.spawn(SLOTS), w.spawn(SLOTS));
    w.wait(sleeper.tcb, &Ask::recv(0, 0).deadline(1000));
    set_priority(&mut w, sleeper, 0);
    w.focus(other.tcb);
    (w, sleeper, other)
}

fn tick(w: &mut World, at: u64) -> bool {
    w.kernel.machine.now = at;
    let applied = happens(
        w,
        |kernel| kernel.fast_timer().is_some(),
        |kernel| kernel.timer_interrupt(),
    );
    assert!(w.kernel.machine.timer > at);
    applied
}

#[test]
fn a_better_sleeper_wakes_when_its_time_has_come() {
    for (at, is_fast) in [(0, false), (999, false), (1000, true), (1001, true)] {
        let (mut w, sleeper, other) = sleeping();
        assert_eq!(tick(&mut w, at), is_fast, "at {at}");
        if is_fast {
            assert_eq!(w.current(), sleeper.tcb);
            assert_eq!(w.woken(sleeper.tcb).status(), Status::TimedOut);
        } else {
            assert_eq!(w.current(), other.tcb);
            assert_eq!(w.state(sleeper.tcb), ThreadState::BlockedSleep);
        }
    }
}

#[test]
fn the_timer_is_set_for_what_comes_next() {
    let (mut w, ..) = sleeping();
    w.kernel.machine.now = 1000;
    let mut fast = w.kernel.clone();
    assert_eq!(fast.fast_timer(), Some(()));
    w.kernel.timer_interrupt();
    w.kernel.reschedule();
    assert_eq!(fast.machine.timer, w.kernel.machine.timer);
    assert_eq!(fast.cpu.timer_set, w.kernel.cpu.timer_set);
}

#[test]
fn nothing_else_may_be_due() {
    // Another deadline, earlier or later than now.
    for (second, is_fast) in [(999, false), (1000, false), (1001, true)] {
        let mut w = World::new(64);
        let (a, b, other) = (w.spawn(SLOTS), w.spawn(SLOTS), w.spawn(SLOTS));
        w.wait(a.tcb, &Ask::recv(0, 0).deadline(second));
        w.wait(b.tcb, &Ask::recv(0, 0).deadline(1000));
        set_priority(&mut w, b, 0);
        w.focus(other.tcb);
        assert_eq!(tick(&mut w, 1000), is_fast, "the other at {second}");
    }
    // The budget of the running thread.
    for (budget, is_fast) in [(1000, false), (1001, true)] {
        let mut w = World::new(64);
        let (sleeper, other) = (w.spawn(SLOTS), w.spawn(SLOTS));
        w.wait(sleeper.tcb, &Ask::recv(0, 0).deadline(1000));
        set_priority(&mut w, sleeper, 0);
        w.budget(other.context, budget, 1_000_000);
        w.focus(other.tcb);
        assert_eq!(w.kernel.cpu.budget_end, budget);
        assert_eq!(tick(&mut w, 1000), is_fast, "budget {budget}");
    }
}

#[test]
fn a_sleeper_that_is_not_better_wakes_the_long_way() {
    let mut w = World::new(64);
    let (sleeper, other) = (w.spawn(SLOTS), w.spawn(SLOTS));
    w.wait(sleeper.tcb, &Ask::recv(0, 0).deadline(1000));
    w.focus(other.tcb);
    assert!(!tick(&mut w, 1000));
    assert_eq!(w.current(), other.tcb);
}

#[test]
fn deadlines_of_other_waits_end_the_long_way() {
    let (mut w, driver, other) = interrupted(0);
    w.wait(driver.tcb, &Ask::recv(5, 0).deadline(1000));
    set_priority(&mut w, driver, 0);
    w.focus(other.tcb);
    assert!(!tick(&mut w, 1000));
    assert_eq!(w.current(), driver.tcb);
    assert_eq!(w.woken(driver.tcb).status(), Status::TimedOut);
}
