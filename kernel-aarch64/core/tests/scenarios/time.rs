//! Deadlines, budgets, and who runs when.

use crate::common::*;

const US: u64 = 1_000;

#[test]
fn deadlines_fire_in_order_and_say_so() {
    let mut s = Service::new(3);
    for (i, at) in [(0, 3 * US), (1, US), (2, 2 * US)] {
        s.call(i, call(&[]).deadline(at));
    }
    for (i, at) in [(1, US), (2, 2 * US), (0, 3 * US)] {
        let client = s.clients[i].tcb;
        s.world.sleep_until(at - 1);
        assert_eq!(s.world.state(client), ThreadState::BlockedIpcSend);
        s.world.sleep_until(at);
        assert_eq!(s.world.woken(client).status(), Status::TimedOut);
    }
}

#[test]
fn a_deadline_that_is_met_does_not_fire() {
    let mut s = Service::new(1);
    s.call(0, call(&[]).deadline(US));
    s.world.succeed(s.server.tcb, &Ask::recv(ENDPOINT, REPLY));
    s.world.succeed(s.server.tcb, &Ask::reply(REPLY));
    s.world.sleep_until(2 * US);
    assert_eq!(s.world.woken(s.clients[0].tcb).status(), Status::Ok);
}

#[test]
fn a_deadline_goes_on_while_the_call_is_in_service() {
    let mut s = Service::new(1);
    s.listen();
    s.call(0, call(&[]).deadline(US));
    s.world.sleep_until(US);
    assert_eq!(s.world.woken(s.clients[0].tcb).status(), Status::TimedOut);
    let status = s.world.refuse(s.server.tcb, &Ask::reply(REPLY));
    assert_eq!(status, Status::ReplySpent);
}

#[test]
fn receivers_and_sleepers_wake_at_their_deadline() {
    let mut s = Service::new(2);
    s.world
        .wait(s.server.tcb, &Ask::recv(ENDPOINT, REPLY).deadline(US));
    let n = s.world.make(ObjectType::Notification, 0, 1);
    s.world.give(n, s.clients[0].cnode, 5, Rights::AS_HELD, 0);
    s.world
        .wait(s.clients[0].tcb, &Ask::recv(5, 0).deadline(US));
    s.world
        .wait(s.clients[1].tcb, &Ask::recv(0, 0).deadline(US));
    s.world.sleep_until(US);
    for thread in [s.server, s.clients[0], s.clients[1]] {
        assert_eq!(s.world.woken(thread.tcb).status(), Status::TimedOut);
    }
    // The Reply is free again.
    s.listen();
    let status = s.world.refuse(s.clients[0].tcb, &Ask::recv(0, 0));
    assert_eq!(status, Status::InvalidAddress);
}

#[test]
fn a_server_answers_and_receives_with_a_deadline() {
    let mut s = Service::new(2);
    let server = s.server.tcb;
    let next = |at| {
        Ask::reply_recv(ENDPOINT, REPLY)
            .window(WINDOW, 4)
            .deadline(at)
    };
    let listen = Ask::recv(ENDPOINT, REPLY).window(WINDOW, 4);
    s.world.wait(server, &listen.deadline(100 * US));
    // Both wait with deadlines, and each pushes the other's out of its place, or finds its own.
    for (client, timed) in [(0, false), (0, true), (1, false), (1, true), (0, false)] {
        let ask = call(&[9]);
        let ask = if timed { ask.deadline(50 * US) } else { ask };
        s.call(client, ask);
        assert_eq!(s.world.woken(server).words()[0], 9);
        if client == 1 {
            // Somebody else's deadline is the newest.
            let other = s.clients[0].tcb;
            s.world.wait(other, &Ask::recv(0, 0).deadline(70 * US));
        }
        s.world.wait(server, &next(100 * US).words(&[7]));
        let client = s.clients[client].tcb;
        assert_eq!(s.world.woken(client).words()[0], 7);
        if s.world.state(s.clients[0].tcb) == ThreadState::BlockedSleep {
            let wake = Ask::invoke(s.clients[0].cap, method::Tcb::Suspend as u64);
            s.world.succeed(s.world.root, &wake);
            let resume = Ask::invoke(s.clients[0].cap, method::Tcb::Resume as u64);
            s.world.succeed(s.world.root, &resume);
        }
    }
    // The deadline of the last receive is the one that fires.
    s.call(0, call(&[]));
    s.world.wait(server, &next(3 * US));
    s.world.sleep_until(3 * US - 1);
    assert_eq!(s.world.state(server), ThreadState::BlockedIpcRecv);
    s.world.sleep_until(3 * US);
    assert_eq!(s.world.woken(server).status(), Status::TimedOut);
    // One that has passed fires at once, and the answer is not lost.
    s.listen();
    s.call(0, call(&[]));
    s.world.act(server, &next(US));
    s.world.sleep_until(4 * US);
    assert_eq!(s.world.woken(server).status(), Status::TimedOut);
    assert_eq!(s.world.woken(s.clients[0].tcb).kind(), Kind::Reply);
}

#[test]
fn many_deadlines_at_once_are_all_served() {
    let mut s = Service::new(7);
    for i in 0..7 {
        s.call(i, call(&[]).deadline(US));
    }
    s.world.sleep_until(US);
    for client in &s.clients {
        assert_eq!(s.world.woken(client.tcb).status(), Status::TimedOut);
    }
}

/// The running threads, in order, of `turns` time slices.
fn turns(world: &mut World, turns: usize) -> Vec<gritos_kernel_core::handle::TcbRef> {
    (0..turns)
        .map(|_| {
            let current = world.current();
            let due = world.kernel.machine.timer;
            world.sleep_until(due);
            current
        })
        .collect()
}

#[test]
fn threads_of_one_priority_take_turns() {
    let mut s = Service::new(3);
    for i in 0..3 {
        let context = s.clients[i].context;
        s.world.budget(context, 10 * US, 10 * US);
    }
    s.listen();
    let root = s.world.root;
    s.world.unfocus();
    s.world.focus(root);
    let sleep = Ask::recv(0, 0).deadline(1 << 40);
    s.world.wait(root, &sleep);
    let order = turns(&mut s.world, 6);
    let [a, b, c, ..] = order[..] else {
        panic!("six turns")
    };
    assert!(a != b && b != c && a != c);
    assert_eq!(order[3..], [a, b, c]);
}

#[test]
fn yield_goes_behind_the_others() {
    let mut s = Service::new(2);
    s.listen();
    let root = s.world.root;
    s.world.unfocus();
    s.world.focus(root);
    s.world.wait(root, &Ask::recv(0, 0).deadline(1 << 40));
    let first = s.world.current();
    s.world.yield_now();
    let second = s.world.current();
    assert_ne!(first, second);
    s.world.yield_now();
    assert_eq!(s.world.current(), first);
}

#[test]
fn a_used_up_budget_comes_back_with_the_next_period() {
    let mut s = Service::new(1);
    let client = s.clients[0];
    s.world.budget(client.context, 2 * US, 10 * US);
    let start = s.world.kernel.machine.now;
    s.world.focus(client.tcb);
    s.world.sleep_until(start + 2 * US);
    assert_ne!(s.world.kernel.cpu.current, Some(client.tcb));
    s.world.sleep_until(start + 10 * US - 1);
    assert_ne!(s.world.kernel.cpu.current, Some(client.tcb));
    s.world.sleep_until(start + 10 * US);
    assert_eq!(s.world.current(), client.tcb);
    let info = Ask::invoke(5, method::SchedulingContext::Info as u64);
    s.world
        .give(client.context, client.cnode, 5, Rights::READ, 0);
    let got = s.world.succeed(client.tcb, &info);
    assert_eq!(got.words()[..2], [2 * US, 10 * US]);
    assert_eq!(got.words()[3], 2 * US);
}

#[test]
fn a_borrowed_budget_that_runs_out_is_a_fault() {
    let mut s = Service::passive(1);
    s.world.budget(s.clients[0].context, 2 * US, 10 * US);
    let start = s.world.kernel.machine.now;
    s.call(0, call(&[]));
    s.world.focus(s.server.tcb);
    s.world.sleep_until(start + 2 * US);
    // No handler: the server stops, and the context goes home.
    assert_eq!(s.world.state(s.server.tcb), ThreadState::Inactive);
    let client = s.clients[0].tcb;
    assert!(s.world.kernel.context_of(client).is_some());
    assert_eq!(s.world.state(client), ThreadState::BlockedIpcRecv);
}

#[test]
fn a_queued_call_of_an_exhausted_client_waits_for_its_budget() {
    let mut s = Service::passive(2);
    let (busy, poor) = (s.clients[0], s.clients[1]);
    s.world.budget(poor.context, 2 * US, 10 * US);
    let start = s.world.kernel.machine.now;
    s.call(0, call(&[]));
    // The other client calls with the last tick of its budget.
    s.world.focus(poor.tcb);
    s.world.kernel.machine.now = start + 2 * US;
    s.call(1, call(&[5]));
    s.world
        .wait_or_wake(s.server.tcb, &Ask::reply_recv(ENDPOINT, REPLY));
    assert_eq!(s.world.woken(busy.tcb).status(), Status::Ok);
    assert_eq!(s.world.state(s.server.tcb), ThreadState::Ready);
    s.world.sleep_until(start + 10 * US);
    assert_eq!(s.world.woken(s.server.tcb).words()[0], 5);
}

#[test]
fn priorities_decide_and_ceilings_bind() {
    let mut s = Service::new(2);
    let (a, b) = (s.clients[0], s.clients[1]);
    let root = s.world.root;
    s.world.unfocus();
    let set = |cap, priority, ceiling, authority| {
        Ask::invoke(cap, method::Tcb::SetPriority as u64)
            .words(&[priority, ceiling])
            .cap(authority, 0, 0)
    };
    s.world.focus(root);
    s.world.give(a.cap, a.cnode, 5, Rights::AS_HELD, 0);
    s.world.give(b.cap, a.cnode, 6, Rights::AS_HELD, 0);
    // Threads are spawned with ceiling 100.
    for (ask, status) in [
        (set(6, 99, 100, 5), Status::PriorityCeiling),
        (set(6, 100, 99, 5), Status::PriorityCeiling),
        (set(6, 256, 255, 5), Status::InvalidArgument),
        (set(6, 100, 256, 5), Status::InvalidArgument),
        (set(6, 100, 100, 9), Status::EmptySlot),
        (set(6, 100, 100, 1), Status::WrongType),
    ] {
        assert_eq!(s.world.refuse(a.tcb, &ask), status);
    }
    s.world.succeed(a.tcb, &set(6, 200, 150, 5));
    let info = Ask::invoke(6, method::Tcb::Info as u64);
    let got = s.world.succeed(a.tcb, &info);
    assert_eq!(got.words()[0], 1 | 200 << 8 | 150 << 16);
    s.world.succeed(root, &set(b.cap, 0, 0, slot::TCB.into()));
    assert_eq!(s.world.current(), b.tcb);
}
