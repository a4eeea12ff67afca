//! After every call and every outcome a thread finds the message, zero or its
//! own values in its registers, and nothing of anybody else.

use crate::common::*;

/// Marks all message registers that a call with this control may leave alone.
fn marked(mut ask: Ask, mark: u64) -> Ask {
    for (i, x) in ask.x.iter_mut().enumerate() {
        // x8–x10 say what the call is; x17 is read only with a deadline.
        if !(8..=10).contains(&i) {
            *x = mark + i as u64;
        }
    }
    ask
}

const MINE: u64 = 0x1111_0000_0000_0000;
const YOURS: u64 = 0x2222_0000_0000_0000;

/// Nothing of `foreign` in the registers, and x11–x17 zero.
fn is_clean(got: &Got, foreign: u64) {
    for (i, x) in got.x.iter().enumerate() {
        assert_ne!(x >> 48, foreign >> 48, "x{i} is somebody else's: {x:x}");
    }
    assert_eq!(got.x[11..], [0; 7]);
}

#[test]
fn data_words_arrive_as_sent_and_nothing_else_does() {
    for waiting in [true, false] {
        let mut s = Service::new(1);
        let (client, server) = (s.clients[0].tcb, s.server.tcb);
        let recv = marked(Ask::recv(ENDPOINT, REPLY), MINE);
        let send = marked(Ask::call(ENDPOINT).tag(3), YOURS);
        if waiting {
            s.world.wait(server, &recv);
            s.world.wait(client, &send);
        } else {
            s.world.wait(client, &send);
            s.world.succeed(server, &recv);
        }
        let got = s.world.woken(server);
        // All eight words, whatever number was declared.
        assert_eq!(got.words(), &send.x[..8]);
        assert_eq!(got.x[11..], [0; 7]);
        let answer = marked(Ask::reply(REPLY).tag(4), MINE);
        let got = s.world.succeed(server, &answer);
        is_clean(&got, YOURS);
        let got = s.world.woken(client);
        assert_eq!(got.words(), &answer.x[..8]);
        assert_eq!((got.x[8], got.tag()), (0, 4));
        assert_eq!(got.x[11..], [0; 7]);
    }
}

#[test]
fn outcomes_without_a_message_leave_only_ones_own_words() {
    let mut s = Service::new(1);
    let (client, server) = (s.clients[0].tcb, s.server.tcb);
    // Refused.
    let got = s.world.ask(client, &marked(Ask::call(14), MINE));
    is_clean(&got, YOURS);
    // A method.
    let ask = marked(Ask::invoke(1, method::CNode::Delete as u64), MINE);
    let got = s.world.ask(client, &ask);
    is_clean(&got, YOURS);
    // Timed out, in both directions.
    let now = s.world.kernel.machine.now;
    let mut ask = marked(Ask::call(ENDPOINT), MINE).deadline(now + 10);
    ask.x[17] = now + 10;
    s.world.wait(client, &ask);
    s.world.sleep_until(now + 10);
    is_clean(&s.world.woken(client), YOURS);
    // Aborted.
    s.world.wait(client, &marked(Ask::call(ENDPOINT), MINE));
    let tcb = s.clients[0].cap;
    for method in [method::Tcb::Suspend, method::Tcb::Resume] {
        s.world
            .succeed(s.world.root, &Ask::invoke(tcb, method as u64));
    }
    is_clean(&s.world.woken(client), YOURS);
    // Bits of a notification.
    let n = s.world.make(ObjectType::Notification, 0, 1);
    s.world.give(n, s.server.cnode, 5, Rights::AS_HELD, 0);
    s.world.wait(server, &marked(Ask::recv(5, 0), MINE));
    let signal = marked(Ask::send(n), YOURS).words(&[7]);
    s.world.succeed(s.world.root, &signal);
    let got = s.world.woken(server);
    assert_eq!(got.words(), [7, 0, 0, 0, 0, 0, 0, 0]);
    is_clean(&got, YOURS);
    // The other side died.
    s.world.wait(client, &marked(Ask::call(ENDPOINT), MINE));
    s.world.succeed(server, &Ask::recv(ENDPOINT, REPLY));
    let root = slot::CNODE.into();
    s.world.revoke(root, s.reply);
    s.world.delete(root, s.reply);
    let got = s.world.woken(client);
    assert_eq!(got.status(), Status::ServerDied);
    is_clean(&got, YOURS);
}

#[test]
fn a_fault_message_holds_what_it_says() {
    let mut s = Service::new(1);
    let client = s.clients[0];
    let root = s.world.root;
    for ask in [
        Ask::invoke(client.cap, method::Tcb::Suspend as u64),
        Ask::invoke(client.cap, method::Tcb::Configure as u64)
            .cap(0, 0, 0)
            .cap(0, 0, 0)
            .cap(s.endpoint, 0, 5),
        Ask::invoke(client.cap, method::Tcb::Resume as u64),
    ] {
        s.world.succeed(root, &ask);
    }
    s.world
        .wait(s.server.tcb, &marked(Ask::recv(ENDPOINT, REPLY), MINE));
    s.world.focus(client.tcb);
    s.world.kernel.prepare(&marked(Ask::call(0), YOURS));
    s.world
        .kernel
        .fault(gritos_abi::fault::FaultKind::Breakpoint, 1, 2);
    s.world.kernel.reschedule();
    s.world.check();
    let got = s.world.woken(s.server.tcb);
    assert_eq!(got.words()[5..], [0; 3]);
    is_clean(&got, YOURS);
    is_clean(&got, MINE);
    // The registers of the faulted thread are as they were.
    s.world.succeed(s.server.tcb, &Ask::reply(REPLY));
    let kept = s.world.got(client.tcb);
    assert_eq!(kept.x[..8], marked(Ask::call(0), YOURS).x[..8]);
    assert_eq!(kept.x[11..], marked(Ask::call(0), YOURS).x[11..]);
}

#[test]
fn characters_for_debugging_are_written_and_leave_nothing_behind() {
    let mut w = World::new(64);
    let root = w.root;
    for byte in *b"ok\n" {
        // Only the low byte counts.
        let ask = Ask::new(gritos_abi::Syscall::DebugPutchar).words(&[0x4100 | u64::from(byte)]);
        let got = w.succeed(root, &ask);
        assert_eq!(got.x[8..10], [0, 0]);
    }
    assert_eq!(w.kernel.machine.text, b"ok\n");
}
