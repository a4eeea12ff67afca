//! Threads that cannot run, and what makes them able to: contexts that were never given time, that are used up, or that
//! others still have.

use crate::common::*;
use crate::tables::*;

const US: u64 = 1_000;

fn tcb(thread: Thread, method: method::Tcb) -> Ask {
    Ask::invoke(thread.cap, method as u64)
}

#[test]
fn a_context_without_time_runs_nobody() {
    let mut w = World::new(64);
    let root = w.root;
    let thread = w.spawn_passive(8);
    let context = w.make(ObjectType::SchedulingContext, 0, 1);
    let bind = tcb(thread, method::Tcb::BindContext).cap(context, 0, 0);
    w.succeed(root, &bind);
    w.rest();
    assert_eq!(w.current(), root);
    let due = w.kernel.machine.timer;
    w.sleep_until(10 * US);
    assert_eq!((w.current(), w.kernel.machine.timer), (root, due));
    assert_eq!(w.state(thread.tcb), ThreadState::Ready);
    w.budget(context, 2 * US, 2 * US);
    w.rest();
    assert_eq!(w.current(), thread.tcb);
}

#[test]
fn a_thread_that_was_stopped_while_it_waited_for_time_stays_stopped() {
    for resumed in [false, true] {
        let mut s = Service::new(1);
        let (root, client) = (s.world.root, s.clients[0]);
        s.world.budget(client.context, 2 * US, 10 * US);
        let start = s.world.kernel.machine.now;
        s.listen();
        s.world.rest();
        assert_eq!(s.world.current(), client.tcb);
        s.world.sleep_until(start + 2 * US);
        assert_eq!(s.world.current(), root);
        s.world.succeed(root, &tcb(client, method::Tcb::Suspend));
        if resumed {
            // It still has to wait for the next period, once.
            s.world.succeed(root, &tcb(client, method::Tcb::Resume));
        }
        s.world.rest();
        assert_eq!(s.world.current(), root);
        s.world.sleep_until(start + 10 * US - 1);
        assert_eq!(s.world.current(), root);
        s.world.sleep_until(start + 10 * US);
        let (state, runs) = if resumed {
            (ThreadState::Running, client.tcb)
        } else {
            (ThreadState::Inactive, root)
        };
        assert_eq!(s.world.state(client.tcb), state);
        assert_eq!(s.world.current(), runs);
    }
}

#[test]
fn suspending_a_thread_that_is_in_no_call_changes_no_register() {
    let mut s = Service::new(2);
    let (root, client) = (s.world.root, s.clients[0]);
    let suspend = tcb(client, method::Tcb::Suspend);
    let resume = tcb(client, method::Tcb::Resume);
    let registers = |s: &Service| s.world.got(client.tcb).x;
    let set = |s: &Service| {
        let x = &s.world.kernel.store.get(client.tcb.raw());
        let Some(gritos_kernel_core::host::Object::Tcb(t)) = x else {
            panic!("no thread")
        };
        for (i, x) in t.frame.x.iter().enumerate() {
            x.set(0x100 + i as u64);
        }
    };
    set(&s);
    let before = registers(&s);
    s.world.succeed(root, &suspend);
    assert_eq!(registers(&s), before, "ready");
    s.world.succeed(root, &suspend);
    assert_eq!(registers(&s), before, "suspended already");
    s.world.succeed(root, &resume);
    // Its fault is in the queue of an endpoint: not a call either.
    s.world.succeed(root, &suspend);
    let configure = tcb(client, method::Tcb::Configure);
    let fault_endpoint = configure.cap(0, 0, 0).cap(0, 0, 0).cap(s.endpoint, 0, 5);
    s.world.succeed(root, &fault_endpoint);
    s.world.succeed(root, &resume);
    s.world.focus(client.tcb);
    s.world
        .kernel
        .fault(gritos_abi::fault::FaultKind::Undefined, 1, 2);
    s.world.kernel.reschedule();
    s.world.check();
    assert_eq!(s.world.state(client.tcb), ThreadState::BlockedIpcSend);
    s.world.succeed(root, &suspend);
    assert_eq!(registers(&s), before, "faulted");
    // A call is ended.
    s.world.succeed(root, &resume);
    s.call(0, call(&[]));
    s.world.succeed(root, &suspend);
    assert_eq!(s.world.got(client.tcb).status(), Status::Aborted);
}

#[test]
fn a_context_that_a_server_still_has_is_bound_to_nobody_else() {
    let mut s = Service::passive(1);
    let (root, client, server) = (s.world.root, s.clients[0], s.server);
    let other = s.world.spawn_passive(8);
    s.call(0, call(&[]));
    let bind = tcb(other, method::Tcb::BindContext).cap(client.context, 0, 0);
    assert_eq!(s.world.refuse(root, &bind), Status::AlreadyBound);
    // Nobody owns it, and the server runs on it.
    s.world.delete(ROOT, client.cap);
    assert_eq!(s.world.refuse(root, &bind), Status::AlreadyBound);
    s.world.wait(server.tcb, &Ask::recv(ENDPOINT, REPLY));
    s.world.succeed(root, &bind);
    // A thread has one at most.
    let spare = s.world.make(ObjectType::SchedulingContext, 0, 1);
    let again = tcb(other, method::Tcb::BindContext).cap(spare, 0, 0);
    assert_eq!(s.world.refuse(root, &again), Status::AlreadyBound);
}

#[test]
fn time_that_one_uses_is_told_after_a_new_budget() {
    let mut s = Service::new(1);
    let (root, client) = (s.world.root, s.clients[0]);
    for (thread, context) in [
        (root, slot::SCHED_CONTEXT.into()),
        (client.tcb, client.context),
    ] {
        let info = Ask::invoke(context, method::SchedulingContext::Info as u64);
        let before = s.world.succeed(root, &info).words()[3];
        s.world.focus(thread);
        s.world.kernel.machine.now += 3 * US;
        s.world.focus(root);
        s.world.kernel.machine.now += 2 * US;
        s.world.budget(context, 50 * US, 50 * US);
        let own = if thread == root { 5 } else { 3 };
        let got = s.world.succeed(root, &info);
        assert_eq!(
            got.words()[..4],
            [50 * US, 50 * US, 50 * US, before + own * US]
        );
    }
}

/// One call of the root ends both the context that a server borrows and the server.
#[test]
fn a_server_dies_together_with_what_it_borrows() {
    for server_first in [false, true] {
        let mut w = World::new(64);
        let root = w.root;
        let part = w.make(ObjectType::Untyped, 1 << 14, 1);
        let (endpoint, reply) = (
            w.make(ObjectType::Endpoint, 0, 1),
            w.make(ObjectType::Reply, 0, 1),
        );
        let client = w.spawn(SLOTS);
        let server = w.spawn(SLOTS);
        w.give(endpoint, client.cnode, ENDPOINT, Rights::SEND, 0);
        w.give(endpoint, server.cnode, ENDPOINT, Rights::RECV, 0);
        w.give(reply, server.cnode, REPLY, Rights::AS_HELD, 0);
        // Both are also made from one piece of memory, which is revoked as a whole.
        let first = w.free_slots(2);
        let (c, t) = (ObjectType::SchedulingContext as u64, ObjectType::Tcb as u64);
        let (context, thread) = if server_first {
            (first + 1, first)
        } else {
            (first, first + 1)
        };
        for at in first..first + 2 {
            let object = if at == context { c } else { t };
            w.succeed(root, &retype(part, [object, 0, 1, at.into(), 0, 0]));
        }
        w.budget(context, 100 * US, 100 * US);
        for ask in [
            tcb(client, method::Tcb::UnbindContext),
            tcb(client, method::Tcb::BindContext).cap(context, 0, 0),
            Ask::invoke(thread, method::Tcb::Configure as u64).cap(server.cnode, 0, 0),
            Ask::invoke(thread, method::Tcb::Resume as u64),
            Ask::invoke(thread, method::Tcb::BindContext as u64).cap(server.context, 0, 0),
        ] {
            if ask.x[8] == thread.into() && ask.x[9] == method::Tcb::BindContext as u64 {
                w.succeed(root, &tcb(server, method::Tcb::UnbindContext));
            }
            w.succeed(root, &ask);
        }
        let made = w.root_cap(thread).object.get();
        let made = gritos_kernel_core::handle::TcbRef::from_raw(made).unwrap();
        w.wait(made, &Ask::recv(ENDPOINT, REPLY));
        w.succeed(
            root,
            &Ask::invoke(thread, method::Tcb::UnbindContext as u64),
        );
        w.wait(client.tcb, &Ask::call(ENDPOINT));
        assert!(w.kernel.context_of(made).is_some());
        w.revoke(ROOT, part);
        assert!(w.root_cap(thread).is_empty() && w.root_cap(context).is_empty());
        // Its Reply is there, so that somebody may answer yet.
        assert_eq!(w.state(client.tcb), ThreadState::BlockedIpcRecv);
        assert_eq!(w.kernel.context_of(client.tcb), None);
    }
}

/// While a server waits to fault for a context that is gone, a thread without budget is destroyed.
#[test]
fn a_server_faults_for_its_context_whoever_dies_with_it() {
    let mut s = Service::passive(1);
    let (root, client, server) = (s.world.root, s.clients[0], s.server);
    let w = &mut s.world;
    let part = w.make(ObjectType::Untyped, 1 << 14, 1);
    let context = w.free_slots(2);
    let thread = context + 1;
    let (c, t) = (ObjectType::SchedulingContext as u64, ObjectType::Tcb as u64);
    let poor = w.make(ObjectType::SchedulingContext, 0, 1);
    for (object, at) in [(t, thread), (c, context)] {
        w.succeed(root, &retype(part, [object, 0, 1, at.into(), 0, 0]));
    }
    w.budget(context, 100 * US, 100 * US);
    let on_thread = |method: method::Tcb| Ask::invoke(thread, method as u64);
    for ask in [
        tcb(client, method::Tcb::UnbindContext),
        tcb(client, method::Tcb::BindContext).cap(context, 0, 0),
        // This one has a context without time: ready, and in no queue.
        on_thread(method::Tcb::Configure).cap(client.cnode, 0, 0),
        on_thread(method::Tcb::BindContext).cap(poor, 0, 0),
        on_thread(method::Tcb::Resume),
    ] {
        w.succeed(root, &ask);
    }
    s.call(0, call(&[]));
    let w = &mut s.world;
    w.revoke(ROOT, part);
    assert!(w.root_cap(thread).is_empty() && w.root_cap(context).is_empty());
    // It has no handler, and stops.
    assert_eq!(w.state(server.tcb), ThreadState::Inactive);
    assert!(w.kernel.is_idle());
}
