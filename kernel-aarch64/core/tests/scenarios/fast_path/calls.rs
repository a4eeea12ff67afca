//! Calls of servers that wait.

use super::*;

#[test]
fn calls_and_answers_of_every_length_are_short() {
    for passive in [false, true] {
        let mut s = served(passive);
        for words in 0..=8 {
            let data = [11, 12, 13, 14, 15, 16, 17, 18];
            fast(&mut s.world, &call(&data[..words]));
            assert_eq!(s.world.current(), s.server.tcb);
            assert_eq!(s.world.got(s.server.tcb).words()[..words], data[..words]);
            let answer = Ask::reply_recv(ENDPOINT, REPLY).words(&data[..words]);
            fast(&mut s.world, &answer.window(WINDOW, 4));
            assert_eq!(s.world.current(), s.clients[0].tcb);
        }
        let mut nine = call(&[]);
        nine.x[10] = 9;
        refused(&mut s.world, &nine, Status::InvalidArgument);
    }
}

#[test]
fn the_delivery_says_what_the_entry_code_writes() {
    for fp in [false, true] {
        let mut s = Service::new(1);
        let client = s.clients[0];
        if fp {
            set_fp(&mut s.world, client);
            set_fp(&mut s.world, s.server);
        }
        s.listen();
        s.world.focus(client.tcb);
        let authority = 1 | u64::from(CLIENT.bits()) << 32;
        let delivered = entry(&mut s.world.kernel, &call(&[1, 2, 3])).and_then(|mut e| e.call());
        let d = delivered.expect("a server waits");
        assert_eq!((d.to, d.x8, d.cap), (s.server.tcb, authority, [0; 2]));
        let x10 = gritos_abi::Outcome::message(Kind::Call, 3, 0).0;
        assert_eq!((d.x10, d.fp, d.resumes), (x10, fp, false));
        let answer = Ask::reply_recv(ENDPOINT, REPLY).words(&[1, 2]);
        let delivered = entry(&mut s.world.kernel, &answer).and_then(|mut e| e.reply_recv());
        let d = delivered.expect("a client waits");
        assert_eq!((d.to, d.x8, d.cap), (client.tcb, 0, [0; 2]));
        let x10 = gritos_abi::Outcome::message(Kind::Reply, 2, 0).0;
        assert_eq!((d.x10, d.fp, d.resumes), (x10, fp, false));
        s.world.check();
    }
}

#[test]
fn both_or_neither_may_use_fp_registers() {
    for (client_fp, server_fp) in [(false, true), (true, false)] {
        let mut s = Service::new(1);
        let client = s.clients[0];
        if client_fp {
            set_fp(&mut s.world, client);
        }
        if server_fp {
            set_fp(&mut s.world, s.server);
        }
        s.listen();
        s.world.focus(client.tcb);
        assert_eq!(slow(&mut s.world, &call(&[1])), Progress::Blocked);
        s.world.focus(s.server.tcb);
        let answer = Ask::reply_recv(ENDPOINT, REPLY);
        assert_eq!(slow(&mut s.world, &answer), Progress::Blocked);
    }
}

#[test]
fn the_right_to_send_is_enough_and_needed() {
    let mut s = Service::new(1);
    let client = s.clients[0];
    s.world.give(s.endpoint, client.cnode, 4, Rights::SEND, 0);
    let others = Rights::GRANT | Rights::RECV;
    s.world.give(s.endpoint, client.cnode, 5, others, 0);
    s.listen();
    s.world.focus(client.tcb);
    refused(&mut s.world, &Ask::call(5), Status::MissingRight);
    refused(&mut s.world, &Ask::call(6), Status::EmptySlot);
    fast(&mut s.world, &Ask::call(4));
}

#[test]
fn a_server_that_would_not_run_at_once_is_left_alone() {
    // Root is ready at the usual priority.
    for (priority, is_fast) in [(99, true), (100, true), (101, false)] {
        let mut s = Service::new(1);
        s.listen();
        set_priority(&mut s.world, s.server, priority);
        s.world.focus(s.clients[0].tcb);
        let ask = call(&[]);
        assert_eq!(applies(&s.world, &ask), is_fast, "priority {priority}");
        assert_eq!(s.world.enter(&ask), Progress::Blocked);
        s.world.check();
        let runs = s.world.current() == s.server.tcb;
        assert_eq!(runs, is_fast);
    }
}

/// A second passive server, which the first calls.
fn chain() -> (Service, Thread) {
    let mut s = Service::passive(1);
    let world = &mut s.world;
    let endpoint = world.make(ObjectType::Endpoint, 0, 1);
    let reply = world.make(ObjectType::Reply, 0, 1);
    let second = world.spawn(SLOTS);
    world.give(endpoint, second.cnode, ENDPOINT, Rights::RECV, 0);
    world.give(reply, second.cnode, REPLY, Rights::AS_HELD, 0);
    world.give(endpoint, s.server.cnode, NEXT, CLIENT, 0);
    world.wait(second.tcb, &Ask::recv(ENDPOINT, REPLY));
    (s, second)
}

const NEXT: u32 = 6;

#[test]
fn a_context_is_lent_on_and_given_back() {
    let (mut s, second) = chain();
    let unbind = Ask::invoke(second.cap, method::Tcb::UnbindContext as u64);
    s.world.succeed(s.world.root, &unbind);
    let (client, server) = (s.clients[0].tcb, s.server.tcb);
    let answer = Ask::reply_recv(ENDPOINT, REPLY).words(&[1]);
    s.world.focus(client);
    let unwraps = |ask: Ask, endpoint| ask.cap(endpoint, 0, 0);
    for (first, then) in [
        (call(&[1]), Ask::call(NEXT).words(&[1])),
        (call(&[1]), unwraps(Ask::call(NEXT), NEXT)),
        (unwraps(call(&[1]), ENDPOINT), Ask::call(NEXT)),
    ] {
        for (ask, next) in [
            (first, server),
            (then, second.tcb),
            (answer, server),
            (answer, client),
        ] {
            fast(&mut s.world, &ask);
            assert_eq!(s.world.current(), next);
        }
    }
    // With deadlines, which cannot both be the newest.
    fast(&mut s.world, &call(&[]).deadline(1000));
    slow(&mut s.world, &Ask::call(NEXT).deadline(500));
    fast(&mut s.world, &answer);
    s.world.sleep_until(1001);
    assert_eq!(s.world.got(client).status(), Status::TimedOut);
}

#[test]
fn who_borrows_calls_an_active_server_the_long_way() {
    let (mut s, second) = chain();
    let (client, server) = (s.clients[0].tcb, s.server.tcb);
    let answer = Ask::reply_recv(ENDPOINT, REPLY).words(&[1]);
    s.world.focus(client);
    fast(&mut s.world, &call(&[]));
    assert_eq!(slow(&mut s.world, &Ask::call(NEXT)), Progress::Blocked);
    assert_eq!(s.world.current(), second.tcb);
    slow(&mut s.world, &answer);
    assert_eq!(s.world.current(), server);
}

#[test]
fn a_deadline_must_be_the_newest() {
    let mut s = served(false);
    let other = s.world.spawn(SLOTS);
    let answer = Ask::reply_recv(ENDPOINT, REPLY);
    let sleep = |at| Ask::recv(0, 0).deadline(at);
    s.world.focus(s.clients[0].tcb);
    let late = |ask: Ask, n| ask.deadline(n);
    for (ask, back) in [
        (late(call(&[1]), 1000), answer),
        (late(call(&[1]), 1000), answer.tag(7)),
        (late(call(&[1]), 1000), late(answer, 2000)),
        // The deadline of the server that waits makes room for the caller's.
        (late(call(&[1]), 3000), late(answer, 2000)),
        (call(&[1]), late(answer.tag(9), 2000)),
        (call(&[1]), answer),
        (
            late(call(&[]).cap(ENDPOINT, Rights::SEND.bits(), 0), 9000),
            answer,
        ),
    ] {
        fast(&mut s.world, &ask);
        assert_eq!(s.world.current(), s.server.tcb);
        fast(&mut s.world, &back);
        assert_eq!(s.world.current(), s.clients[0].tcb);
    }
    s.world.wait(other.tcb, &sleep(5000));
    s.world.focus(s.clients[0].tcb);
    assert!(!applies(&s.world, &late(call(&[1]), 1000)));
    fast(&mut s.world, &call(&[1]));
    assert!(!applies(&s.world, &late(answer, 1000)));
    fast(&mut s.world, &answer);
    // One that was the newest when it began to wait.
    slow(&mut s.world, &late(call(&[1]), 1000));
    s.world.sleep_until(6000);
    s.world.focus(other.tcb);
    s.world.wait(other.tcb, &sleep(9000));
    s.world.focus(s.server.tcb);
    slow(&mut s.world, &Ask::recv(ENDPOINT, REPLY));
    s.world.focus(s.clients[0].tcb);
    slow(&mut s.world, &late(call(&[1]), 8000));
    s.world.wait(s.world.root, &sleep(10_000));
    assert!(!applies(&s.world, &answer));
}

#[test]
fn both_can_have_a_deadline_and_use_fp_registers() {
    let mut s = Service::new(1);
    let client = s.clients[0];
    set_fp(&mut s.world, client);
    set_fp(&mut s.world, s.server);
    s.listen();
    s.world.focus(client.tcb);
    for deadline in [500, 600] {
        fast(&mut s.world, &call(&[]).deadline(deadline));
        fast(
            &mut s.world,
            &Ask::reply_recv(ENDPOINT, REPLY).deadline(deadline),
        );
    }
}
