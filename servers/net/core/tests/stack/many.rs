//! Many connections, at a time and one after the other.

use gritos_net_core::Limits;

use crate::sim::{B, World, address, open_rules, receive, send, tcp, text};

#[test]
fn connections_in_a_row_are_as_good_as_new() {
    // Sockets are used again with their buffers, those of lossy connections as well.
    let mut world = World::with(50, Limits::default(), open_rules());
    let listener = tcp(&mut world.b);
    world.b.bind(listener, address("0.0.0.0:9")).unwrap();
    world.b.listen(listener, 4).unwrap();
    for round in 0..60_u8 {
        let client = tcp(&mut world.a);
        world.a.connect(client, address(&format!("{B}:9"))).unwrap();
        world.wait(|w| w.a.connected(client)).unwrap();
        let (server, _) = world.wait(|w| w.b.accept(listener)).unwrap();
        let sent = vec![round; 3000];
        assert_eq!(send(&mut world.a, client, &sent), Ok(3000));
        let mut heard: Vec<u8> = Vec::new();
        while heard.len() < 3000 {
            let mut room = [0xff; 700];
            let received = world
                .wait(|w| receive(&mut w.b, server, &mut room))
                .unwrap();
            heard.extend(&room[..received.bytes]);
        }
        assert_eq!(heard, sent, "nothing of an earlier one");
        // Either side ends it first, in turn; or it is broken off, with data unread.
        match round % 3 {
            0 => {
                world.a.close(client).unwrap();
                world.b.close(server).unwrap();
            }
            1 => {
                world.b.close(server).unwrap();
                world.pass(1_000_000_000);
                world.a.close(client).unwrap();
            }
            _ => {
                send(&mut world.b, server, b"unread").unwrap();
                world.pass(3_000_000_000);
                world.a.close(client).unwrap();
                world.pass(1_000_000_000);
                world.b.close(server).unwrap();
            }
        }
    }
}

#[test]
fn of_many_connections_each_hears_its_own() {
    let mut world = World::new();
    let listener = tcp(&mut world.b);
    world.b.bind(listener, address("0.0.0.0:9")).unwrap();
    world.b.listen(listener, 64).unwrap();
    let mut pairs = Vec::new();
    for _ in 0..40 {
        let client = tcp(&mut world.a);
        world.a.connect(client, address(&format!("{B}:9"))).unwrap();
        world.wait(|w| w.a.connected(client)).unwrap();
        pairs.push((client, world.wait(|w| w.b.accept(listener)).unwrap().0));
    }
    for (at, (client, server)) in pairs.iter().enumerate() {
        send(&mut world.a, *client, format!("to {at}").as_bytes()).unwrap();
        send(&mut world.b, *server, format!("from {at}").as_bytes()).unwrap();
    }
    for (at, (client, server)) in pairs.iter().enumerate() {
        let to = world.wait(|w| text(&mut w.b, *server)).unwrap();
        let from = world.wait(|w| text(&mut w.a, *client)).unwrap();
        assert_eq!((to, from), (format!("to {at}"), format!("from {at}")));
    }
}
