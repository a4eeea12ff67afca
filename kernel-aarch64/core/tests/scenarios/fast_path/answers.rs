//! Answers to callers and to what faulted.

use gritos_abi::fault::FaultReply;
use gritos_kernel_core::object::flag;

use super::*;

#[test]
fn the_right_to_receive_is_enough_and_needed() {
    let mut s = Service::new(1);
    let cnode = s.server.cnode;
    let others = Rights::SEND | Rights::GRANT;
    s.world.give(s.endpoint, cnode, 4, Rights::RECV, 0);
    s.world.give(s.endpoint, cnode, 5, others, 0);
    s.world.give(s.reply, cnode, 6, Rights::RECV, 0);
    s.world.give(s.reply, cnode, 7, Rights::GRANT, 0);
    s.listen();
    s.world.focus(s.clients[0].tcb);
    fast(&mut s.world, &call(&[]));
    for (endpoint, reply, status) in [
        (5, REPLY, Status::MissingRight),
        (ENDPOINT, 7, Status::MissingRight),
        (REPLY, REPLY, Status::WrongType),
        (ENDPOINT, ENDPOINT, Status::WrongType),
        (ENDPOINT, 9, Status::EmptySlot),
        (9, REPLY, Status::EmptySlot),
        (0, REPLY, Status::InvalidAddress),
    ] {
        let ask = Ask::reply_recv(endpoint, reply);
        refused(&mut s.world, &ask, status);
    }
    fast(&mut s.world, &Ask::reply_recv(4, 6));
}

#[test]
fn a_caller_that_would_not_run_at_once_is_left_alone() {
    for (priority, is_fast) in [(99, true), (100, true), (101, false)] {
        let mut s = Service::new(1);
        s.listen();
        s.call(0, call(&[]));
        set_priority(&mut s.world, s.clients[0], priority);
        s.world.focus(s.server.tcb);
        let ask = Ask::reply_recv(ENDPOINT, REPLY);
        assert_eq!(applies(&s.world, &ask), is_fast, "priority {priority}");
        assert_eq!(s.world.enter(&ask), Progress::Blocked);
        s.world.check();
        let runs = s.world.current() == s.clients[0].tcb;
        assert_eq!(runs, is_fast);
    }
}

#[test]
fn a_passive_server_gives_back_what_it_borrowed() {
    let mut s = served(true);
    let answer = Ask::reply_recv(ENDPOINT, REPLY);
    fast(&mut s.world, &call(&[]).deadline(1000));
    fast(&mut s.world, &answer);
    fast(&mut s.world, &call(&[]));
    // The shortest way of all.
    let delivered = entry(&mut s.world.kernel, &answer).and_then(|mut e| e.reply_recv());
    let d = delivered.expect("a client waits");
    assert_eq!((d.to, d.resumes), (s.clients[0].tcb, false));
    s.world.check();
}

#[test]
fn whoever_waits_in_the_queue_comes_first() {
    let mut s = Service::new(2);
    s.listen();
    s.call(0, call(&[1]));
    s.call(1, call(&[2]));
    s.world.focus(s.server.tcb);
    let progress = slow(&mut s.world, &Ask::reply_recv(ENDPOINT, REPLY));
    assert_eq!(progress, Progress::Returned);
    assert_eq!(s.world.got(s.server.tcb).words()[0], 2);
}

/// A client whose faults the server is told.
fn handled() -> Service {
    let mut s = Service::new(1);
    let client = s.clients[0];
    for ask in [
        Ask::invoke(client.cap, method::Tcb::Suspend as u64),
        Ask::invoke(client.cap, method::Tcb::Configure as u64)
            .cap(0, 0, 0)
            .cap(0, 0, 0)
            .cap(s.endpoint, Rights::SEND.bits(), 5),
        Ask::invoke(client.cap, method::Tcb::Resume as u64),
    ] {
        s.world.succeed(s.world.root, &ask);
    }
    s
}

fn pc(s: &Service) -> u64 {
    let tcb = s.clients[0].tcb;
    s.world.kernel.store.tcb(tcb).frame.pc.get()
}

#[test]
fn faults_are_told_and_resolved() {
    let mut s = handled();
    s.listen();
    let answer = Ask::reply_recv(ENDPOINT, REPLY).window(WINDOW, 4);
    s.world.focus(s.clients[0].tcb);
    for (tag, deadline, skipped) in [
        (FaultReply::Retry, None, 0),
        (FaultReply::Skip, None, 4),
        (FaultReply::Retry, Some(1000), 0),
        (FaultReply::Skip, Some(1000), 4),
        (FaultReply::Retry, None, 0),
    ] {
        let before = (pc(&s), s.world.got(s.clients[0].tcb));
        assert!(fault(&mut s.world));
        assert_eq!(s.world.current(), s.server.tcb);
        let mut ask = answer.tag(tag as u64);
        if let Some(at) = deadline {
            ask = ask.deadline(at);
        }
        fast(&mut s.world, &ask);
        assert_eq!(s.world.current(), s.clients[0].tcb);
        assert_eq!(pc(&s), before.0 + skipped);
        assert_eq!(s.world.got(s.clients[0].tcb), before.1);
    }
    for tag in [
        FaultReply::Jump as u64,
        FaultReply::Suspend as u64,
        FaultReply::Kill as u64,
        1 << 32,
    ] {
        let mut s = s.clone();
        assert!(fault(&mut s.world));
        slow(&mut s.world, &answer.tag(tag));
    }
}

#[test]
fn the_delivery_of_a_fault_says_what_the_entry_code_writes() {
    let mut s = handled();
    s.listen();
    s.world.focus(s.clients[0].tcb);
    let told = entry(&mut s.world.kernel, &call(&[])).and_then(|mut e| e.fault());
    let d = told.expect("the handler waits");
    let authority = 5 | u64::from(Rights::SEND.bits()) << 32;
    assert_eq!((d.to, d.x8, d.cap), (s.server.tcb, authority, [0; 2]));
    let x10 = gritos_abi::Outcome::message(Kind::Fault, 5, 0).0;
    assert_eq!((d.x10, d.fp, d.resumes), (x10, false, false));
    let retry = Ask::reply_recv(ENDPOINT, REPLY);
    let d = entry(&mut s.world.kernel, &retry).and_then(|mut e| e.reply_more());
    let d = d.expect("the thread can go on");
    assert_eq!((d.to, d.resumes), (s.clients[0].tcb, true));
}

#[test]
fn only_the_endpoint_of_a_handler_that_may_be_sent_to_counts() {
    for rights in [Rights::RECV, Rights::GRANT, Rights::RECV | Rights::GRANT] {
        let mut s = handled();
        s.listen();
        s.world.focus(s.clients[0].tcb);
        let t = s.world.kernel.store.tcb(s.clients[0].tcb);
        t.slots[2].rights.set(rights.bits());
        assert!(!fault(&mut s.world));
        assert_eq!(s.world.state(s.clients[0].tcb), ThreadState::Inactive);
    }
    // Without one.
    let mut s = Service::new(1);
    s.listen();
    s.world.focus(s.clients[0].tcb);
    assert!(!fault(&mut s.world));
    // One that does not wait.
    let mut s = handled();
    s.world.focus(s.clients[0].tcb);
    assert!(!fault(&mut s.world));
    assert_eq!(s.world.state(s.clients[0].tcb), ThreadState::BlockedIpcSend);
}

#[test]
fn faults_of_threads_with_fp_registers_take_the_long_way() {
    for (client_fp, server_fp) in [(true, true), (true, false), (false, true)] {
        let mut s = handled();
        if client_fp {
            set_fp(&mut s.world, s.clients[0]);
        }
        if server_fp {
            set_fp(&mut s.world, s.server);
        }
        s.listen();
        s.world.focus(s.clients[0].tcb);
        assert!(!fault(&mut s.world));
        assert_eq!(s.world.current(), s.server.tcb);
        slow(&mut s.world, &Ask::reply_recv(ENDPOINT, REPLY));
        assert_eq!(s.world.current(), s.clients[0].tcb);
    }
}

#[test]
fn a_handler_that_would_not_run_at_once_is_left_alone() {
    for (priority, is_fast) in [(99, true), (100, true), (101, false)] {
        let mut s = handled();
        s.listen();
        set_priority(&mut s.world, s.server, priority);
        s.world.focus(s.clients[0].tcb);
        assert_eq!(fault(&mut s.world), is_fast, "priority {priority}");
    }
}

#[test]
fn bits_and_interrupts_come_before_the_next_message() {
    let mut s = Service::new(1);
    let (root, server) = (s.world.root, s.server);
    let n = s.world.make(ObjectType::Notification, 0, 1);
    let bind = Ask::invoke(server.cap, method::Tcb::BindNotification as u64).cap(n, 0, 0);
    s.world.succeed(root, &bind);
    s.listen();
    s.world.focus(s.clients[0].tcb);
    let answer = Ask::reply_recv(ENDPOINT, REPLY);
    fast(&mut s.world, &call(&[]));
    fast(&mut s.world, &answer);
    fast(&mut s.world, &call(&[]).deadline(1000));
    fast(&mut s.world, &answer.deadline(1000));
    fast(&mut s.world, &call(&[]));
    s.world.succeed(root, &Ask::send(n).words(&[1]));
    s.world.focus(server.tcb);
    assert!(!applies(&s.world, &answer.deadline(1000)));
    assert_eq!(slow(&mut s.world, &answer), Progress::Returned);
    assert_eq!(s.world.got(server.tcb).words()[0], 1);
    assert!(!s.world.kernel.store.tcb(server.tcb).has(flag::ARMED));
}
