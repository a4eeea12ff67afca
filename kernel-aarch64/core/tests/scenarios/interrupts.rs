//! Several interrupt lines that signal one notification.

use crate::common::*;

const LINES: [u32; 4] = [40, 41, 42, 319];

/// A handler of each line, in this slot and those behind it, and a badged capability to the notification for each.
struct Lines {
    world: World,
    notification: u32,
    handlers: u32,
    badged: u32,
}

impl Lines {
    fn new() -> Self {
        let mut world = World::new(64);
        let notification = world.make(ObjectType::Notification, 0, 1);
        let (handlers, badged) = (world.free_slots(4), world.free_slots(4));
        let cnode = u32::from(slot::CNODE);
        for (i, line) in (0..).zip(LINES) {
            let get = Ask::invoke(slot::IRQ_CONTROL.into(), method::IrqControl::Get as u64)
                .words(&[line.into(), (handlers + i).into(), 0])
                .cap(cnode, 0, 0);
            world.succeed(world.root, &get);
            world.give(notification, cnode, badged + i, Rights::SEND, 1 << i);
        }
        Self {
            world,
            notification,
            handlers,
            badged,
        }
    }

    fn invoke(&self, i: u32, method: method::IrqHandler) -> Ask {
        Ask::invoke(self.handlers + i, method as u64)
    }

    fn bind(&mut self, i: u32, automatic: bool) {
        let bind = self.invoke(i, method::IrqHandler::Bind);
        let bind = bind.words(&[automatic.into()]).cap(self.badged + i, 0, 0);
        self.world.succeed(self.world.root, &bind);
    }

    fn unbind(&mut self, i: u32) {
        let unbind = self.invoke(i, method::IrqHandler::Unbind);
        self.world.succeed(self.world.root, &unbind);
        assert_eq!(
            self.world.refuse(self.world.root, &unbind),
            Status::NotBound
        );
    }

    fn deliver(&mut self, i: usize) {
        self.world.kernel.interrupt(LINES[i]);
        self.world.kernel.reschedule();
        self.world.check();
    }

    /// Which lines are let through.
    fn open(&self) -> Vec<u32> {
        let mut lines = self.world.kernel.machine.unmasked.clone();
        lines.sort_unstable();
        lines
    }

    /// Takes the bits that are there, and waits once more until a deadline: that lets lines through.
    fn take_and_wait(&mut self) -> u64 {
        let root = self.world.root;
        let got = self.world.succeed(root, &Ask::poll(self.notification, 0));
        let soon = self.world.kernel.machine.now + 10;
        let wait = Ask::recv(self.notification, 0).deadline(soon);
        self.world.wait(root, &wait);
        self.world.sleep_until(soon);
        got.words()[0]
    }
}

#[test]
fn a_wait_lets_all_lines_through_that_are_bound_so() {
    for unbound in [None, Some(0), Some(1), Some(2), Some(3)] {
        let mut l = Lines::new();
        for i in 0..4 {
            l.bind(i, i != 2);
        }
        let mut bits = 0xf;
        if let Some(i) = unbound {
            l.unbind(i);
            bits &= !(1 << i);
        }
        let bound = |i: &usize| unbound != Some(*i as u32);
        let all: Vec<u32> = (0..4).filter(bound).map(|i| LINES[i]).collect();
        assert_eq!(l.open(), all);
        for i in (0..4).filter(bound) {
            l.deliver(i);
        }
        assert_eq!(l.open(), []);
        assert_eq!(l.take_and_wait(), bits);
        // The third one waits for its Ack.
        let automatic: Vec<u32> = all.iter().copied().filter(|l| *l != LINES[2]).collect();
        assert_eq!(l.open(), automatic);
        if unbound != Some(2) {
            let ack = l.invoke(2, method::IrqHandler::Ack);
            l.world.succeed(l.world.root, &ack);
            assert_eq!(l.open(), all);
        }
        // What was unbound can be bound again, and signals as before.
        if let Some(i) = unbound {
            l.bind(i, true);
            l.deliver(i as usize);
            assert_eq!(l.take_and_wait(), 1 << i);
            assert_eq!(l.open(), LINES);
        }
    }
}

#[test]
fn lines_can_be_unbound_in_any_order() {
    for order in [
        [0, 1, 2, 3],
        [3, 2, 1, 0],
        [1, 3, 0, 2],
        [2, 0, 3, 1],
        [1, 2, 0, 3],
    ] {
        let mut l = Lines::new();
        for i in 0..4 {
            l.bind(i, true);
        }
        let mut bound = vec![0, 1, 2, 3];
        for i in order {
            l.unbind(i);
            bound.retain(|other| *other != i);
            for i in &bound {
                l.deliver(*i as usize);
            }
            if !bound.is_empty() {
                let bits = bound.iter().map(|i| 1 << i).sum::<u64>();
                assert_eq!(l.take_and_wait(), bits);
            }
            let lines: Vec<u32> = bound.iter().map(|i| LINES[*i as usize]).collect();
            assert_eq!(l.open(), lines);
        }
    }
}

#[test]
fn a_line_ends_with_its_last_handler() {
    let mut l = Lines::new();
    l.bind(0, true);
    l.bind(1, true);
    let cnode = u32::from(slot::CNODE);
    let copy = l.world.free_slots(1);
    l.world.give(l.handlers, cnode, copy, Rights::AS_HELD, 0);
    assert_eq!(l.world.kernel.irqs.refs(40), 2);
    // The copy goes, the line stays.
    l.world.delete(cnode, copy);
    assert_eq!(l.open(), [40, 41]);
    assert!(l.world.kernel.irqs.bound(40).is_some());
    l.deliver(0);
    assert_eq!(l.take_and_wait(), 1);
    l.world.delete(cnode, l.handlers);
    assert_eq!(l.open(), [41]);
    assert_eq!(l.world.kernel.irqs.bound(40), None);
    assert!(l.world.kernel.irqs.is_free(40) && !l.world.kernel.irqs.is_free(41));
    // The other one is still in the notification's list.
    l.deliver(1);
    assert_eq!(l.take_and_wait(), 2);
    assert_eq!(l.open(), [41]);
    // So does the notification end all.
    for i in 0..4 {
        l.world.delete(cnode, l.badged + i);
    }
    l.world.delete(cnode, l.notification);
    assert_eq!(l.open(), []);
    assert_eq!(l.world.kernel.irqs.bound(41), None);
}

#[test]
fn the_controller_is_told_how_a_line_signals() {
    let mut w = World::new(64);
    let to = w.free_slots(2);
    for (i, edge) in [(0, 1), (1, 0)] {
        let get = Ask::invoke(slot::IRQ_CONTROL.into(), method::IrqControl::Get as u64)
            .words(&[50 + i, to as u64 + i, edge])
            .cap(slot::CNODE.into(), 0, 0);
        w.succeed(w.root, &get);
        let cap = w.root_cap(to + i as u32);
        let rights = Rights::READ | Rights::GRANT | Rights::CONTROL;
        assert_eq!(cap.rights.get(), rights.bits());
    }
    assert_eq!(w.kernel.machine.edges, [50]);
}
