//! How connections end.

use gritos_net_api::{NetError, Readiness, ShutdownHow, SocketOption};

use crate::sim::{B, CLIENT, World, address, send, tcp, text};

#[test]
fn a_half_closed_connection_still_carries_the_other_half() {
    let mut world = World::new();
    let (client, server, _) = world.connection(9);
    send(&mut world.a, client, b"question").unwrap();
    world.a.shutdown(client, ShutdownHow::Send).unwrap();
    assert_eq!(
        send(&mut world.a, client, b"more"),
        Err(NetError::BrokenPipe)
    );
    assert_eq!(world.wait(|w| text(&mut w.b, server)).unwrap(), "question");
    assert_eq!(
        world.wait(|w| text(&mut w.b, server)).unwrap(),
        "",
        "the end of the stream"
    );
    assert!(
        world
            .b
            .readiness(server)
            .unwrap()
            .contains(Readiness::HANG_UP)
    );
    send(&mut world.b, server, b"answer").unwrap();
    assert_eq!(world.wait(|w| text(&mut w.a, client)).unwrap(), "answer");
    world.b.close(server).unwrap();
    assert_eq!(world.wait(|w| text(&mut w.a, client)).unwrap(), "");
    world.a.close(client).unwrap();
}

#[test]
fn what_was_sent_before_close_is_delivered() {
    let mut world = World::new();
    let (client, server, _) = world.connection(9);
    send(&mut world.a, client, b"last words").unwrap();
    world.a.close(client).unwrap();
    assert_eq!(
        world.wait(|w| text(&mut w.b, server)).unwrap(),
        "last words"
    );
    assert_eq!(world.wait(|w| text(&mut w.b, server)).unwrap(), "");
}

#[test]
fn closing_with_unread_data_resets_the_peer() {
    let mut world = World::new();
    let (client, server, _) = world.connection(9);
    send(&mut world.a, client, b"never read").unwrap();
    world.pass(10_000_000);
    world.b.close(server).unwrap();
    assert_eq!(world.wait(|w| text(&mut w.a, client)), Err(NetError::Reset));
    // Told once; from then on the stream has just ended.
    assert_eq!(text(&mut world.a, client).unwrap(), "");
    assert_eq!(send(&mut world.a, client, b"x"), Err(NetError::BrokenPipe));
}

#[test]
fn the_last_error_can_be_asked_for_once() {
    let mut world = World::new();
    let (client, server, _) = world.connection(9);
    send(&mut world.a, client, b"never read").unwrap();
    world.pass(10_000_000);
    world.b.close(server).unwrap();
    world.pass(10_000_000);
    assert!(
        world
            .a
            .readiness(client)
            .unwrap()
            .contains(Readiness::ERROR)
    );
    assert_eq!(world.a.option(client, SocketOption::LastError), Ok(104));
    assert_eq!(world.a.option(client, SocketOption::LastError), Ok(0));
}

#[test]
fn nobody_at_the_port_refuses_and_nobody_at_the_address_is_unreachable() {
    let mut world = World::new();
    let client = tcp(&mut world.a);
    world
        .a
        .connect(client, address(&format!("{B}:81")))
        .unwrap();
    assert_eq!(
        world.a.connect(client, address(&format!("{B}:81"))),
        Err(NetError::Already)
    );
    assert_eq!(
        world.wait(|w| w.a.connected(client)),
        Err(NetError::Refused)
    );
    // The same socket may try again.
    let started = *world.now.borrow();
    world.a.connect(client, address("10.0.0.77:80")).unwrap();
    assert_eq!(
        world.wait(|w| w.a.connected(client)),
        Err(NetError::HostUnreachable)
    );
    // It was asked several times, once a second.
    let seconds = (*world.now.borrow() - started) / 1_000_000_000;
    assert!((2..6).contains(&seconds), "{seconds} s");
    assert_eq!(world.a.connected(client), Err(NetError::NotConnected));
}

#[test]
fn a_peer_that_falls_silent_times_out() {
    let mut world = World::new();
    let (client, ..) = world.connection(9);
    world.faults.borrow_mut().loss = 1000;
    send(&mut world.a, client, b"anybody?").unwrap();
    assert_eq!(
        world.wait(|w| text(&mut w.a, client)),
        Err(NetError::TimedOut)
    );
}

#[test]
fn an_idle_connection_stays_for_as_long_as_nobody_ends_it() {
    let mut world = World::new();
    let (client, server, _) = world.connection(9);
    world.pass(3_000_000_000_000);
    // Probes that begin late do not find a time-out that ran out before.
    world
        .a
        .set_option(client, SocketOption::KeepAlive, 5_000_000_000)
        .unwrap();
    world.pass(60_000_000_000);
    send(&mut world.b, server, b"still here").unwrap();
    assert_eq!(
        world.wait(|w| text(&mut w.a, client)).unwrap(),
        "still here"
    );
}

#[test]
fn keep_alive_finds_out_that_a_peer_is_gone() {
    let mut world = World::new();
    let (client, ..) = world.connection(9);
    world
        .a
        .set_option(client, SocketOption::KeepAlive, 5_000_000_000)
        .unwrap();
    world.pass(300_000_000_000);
    assert_eq!(
        text(&mut world.a, client),
        Err(NetError::WouldBlock),
        "the peer answers probes"
    );
    world.faults.borrow_mut().loss = 1000;
    assert_eq!(
        world.wait(|w| text(&mut w.a, client)),
        Err(NetError::TimedOut)
    );
}

#[test]
fn simultaneous_close_ends_in_order() {
    let mut world = World::new();
    let (client, server, _) = world.connection(9);
    world.a.shutdown(client, ShutdownHow::Send).unwrap();
    world.b.shutdown(server, ShutdownHow::Send).unwrap();
    assert_eq!(world.wait(|w| text(&mut w.a, client)).unwrap(), "");
    assert_eq!(world.wait(|w| text(&mut w.b, server)).unwrap(), "");
    world.pass(20_000_000_000);
    assert_eq!(text(&mut world.a, client).unwrap(), "");
    assert_eq!(world.a.option(client, SocketOption::LastError), Ok(0));
}

#[test]
fn closing_a_listener_resets_who_waits_and_frees_the_port() {
    let mut world = World::new();
    let (_, _, listener) = world.connection(9);
    let waiting = tcp(&mut world.a);
    world
        .a
        .connect(waiting, address(&format!("{B}:9")))
        .unwrap();
    world.wait(|w| w.a.connected(waiting)).unwrap();
    world.pass(10_000_000);
    world.b.close(listener).unwrap();
    assert_eq!(
        world.wait(|w| text(&mut w.a, waiting)),
        Err(NetError::Reset)
    );
    assert_eq!(
        world.b.accept(listener).map(|_| ()),
        Err(NetError::BadSocket)
    );
}

#[test]
fn a_client_that_is_gone_leaves_nothing() {
    let mut world = World::new();
    let (client, server, listener) = world.connection(9);
    assert_eq!(world.b.client_gone(CLIENT), 2);
    assert_eq!(world.b.client_gone(CLIENT), 0);
    assert_eq!(world.b.readiness(server), Err(NetError::BadSocket));
    assert_eq!(world.b.readiness(listener), Err(NetError::BadSocket));
    assert_eq!(world.wait(|w| text(&mut w.a, client)).unwrap(), "");
}

#[test]
fn a_shut_receiver_reads_the_end_and_does_not_stall_its_peer() {
    let mut world = World::new();
    let (client, server, _) = world.connection(9);
    world.b.shutdown(server, ShutdownHow::Receive).unwrap();
    assert_eq!(text(&mut world.b, server).unwrap(), "");
    let mut sent = 0;
    while sent < 200_000 {
        sent += world
            .wait(|w| send(&mut w.a, client, &[1; 10_000]))
            .unwrap();
    }
}
