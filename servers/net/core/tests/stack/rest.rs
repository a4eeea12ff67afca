//! A stack that has nothing to do says so: whatever happened, after a few turns the next one is due later.

use gritos_net_api::{Domain, IpProtocol, ShutdownHow, SocketOption, SocketType};
use gritos_net_core::{Config, Generator, Limits, SocketId, Stack};

use crate::sim::{A, B, CLIENT, End, World, address, open_rules, receive, send, send_to};

/// Turns at one and the same time that may be due, however much there was to do before: each queue that a
/// turn does not empty is many times smaller than so many turns take.
const TURNS: usize = 200;

/// Takes turns until the next one is due later; says when.
#[track_caller]
fn rests(stack: &mut Stack<End>, now: u64) -> Option<u64> {
    for _ in 0..TURNS {
        stack.turn(now);
        let next = stack.next_turn_ns();
        if next.is_none_or(|next| next > now) {
            return next;
        }
    }
    panic!("it is due again and again, {now} ns after the beginning");
}

/// How often a stack that nobody speaks to takes a turn within `seconds`, as its own times say.
fn turns_alone(world: &mut World, seconds: u64) -> usize {
    let start = *world.now.borrow();
    let mut turns = 0;
    loop {
        turns += 1;
        let now = *world.now.borrow();
        let next = rests(&mut world.a, now).unwrap_or(u64::MAX);
        if next > start + seconds * 1_000_000_000 {
            return turns;
        }
        *world.now.borrow_mut() = next;
        // Nobody is there: what it sends is lost.
        world.ends[1].incoming.borrow_mut().clear();
    }
}

fn alone(config: Config) -> World {
    let mut world = World::new();
    let end = world.ends[0].clone();
    world.a = Stack::new(
        end,
        config,
        Limits::default(),
        open_rules(),
        &mut [1; 32],
        0,
    );
    world
}

#[test]
fn without_a_router_and_a_dhcp_server_it_asks_now_and_then() {
    let mut world = alone(Config {
        dhcp: true,
        slaac: true,
        ..Config::default()
    });
    // Three requests for routers and one for an address every ten seconds.
    let turns = turns_alone(&mut world, 600);
    assert!(turns < 2_000, "{turns} turns in ten minutes");
}

#[test]
fn a_peer_that_falls_silent_costs_a_turn_now_and_then() {
    let mut world = World::new();
    let (client, _, _) = world.connection(9);
    send(&mut world.a, client, &[7; 20_000]).unwrap();
    let turns = turns_alone(&mut world, 300);
    assert!(turns < 1_500, "{turns} turns in five minutes");
}

#[test]
fn retransmissions_are_due_although_no_router_answers() {
    let mut world = alone(Config {
        slaac: true,
        addresses: vec![(A.parse().unwrap(), 24)],
        ..Config::default()
    });
    let (client, _, _) = world.connection(9);
    // By then nobody asks for routers any more.
    world.pass(60_000_000_000);
    send(&mut world.a, client, b"lost").unwrap();
    let now = *world.now.borrow();
    let next = rests(&mut world.a, now).unwrap();
    assert!(next <= now + 1_100_000_000, "the first one after a second");
}

/// Something that a client may do, at random.
fn act(stack: &mut Stack<End>, held: &mut Vec<SocketId>, random: &mut Generator) {
    let peers = [
        "10.0.0.2:9",
        "10.0.0.2:10",
        "10.0.0.77:9",
        "127.0.0.1:9",
        "99.9.9.9:1",
        "10.0.0.255:9",
        "10.0.0.1:9",
    ];
    let peer = peers[random.any_u64() as usize % peers.len()];
    let some = held
        .get(random.any_u64() as usize % held.len().max(1))
        .copied();
    let bytes = vec![7; random.any_u64() as usize % 6000];
    match (random.any_u64() % 10, some) {
        (0, _) if held.len() < 24 => {
            let kinds = [
                (SocketType::Stream, IpProtocol::Any),
                (SocketType::Datagram, IpProtocol::Any),
                (SocketType::Raw, IpProtocol::Icmp),
            ];
            let (kind, protocol) = kinds[random.any_u64() as usize % kinds.len()];
            held.extend(stack.socket(CLIENT, Domain::Inet, kind, protocol));
        }
        (1, Some(id)) => drop(stack.connect(id, address(peer))),
        (2, Some(id)) => {
            let _ = stack.bind(id, address("0.0.0.0:9"));
            let _ = stack.listen(id, 3);
        }
        (3 | 4, Some(id)) => drop(send(stack, id, &bytes)),
        (5, Some(id)) => drop(send_to(stack, id, &bytes, peer)),
        (6, Some(id)) => drop(receive(stack, id, &mut [0; 3000])),
        (7, Some(id)) => {
            if let Ok((accepted, _)) = stack.accept(id) {
                held.push(accepted);
            }
        }
        (8, Some(id)) => {
            let _ = stack.set_option(id, SocketOption::KeepAlive, 1_000_000_000);
            let _ = stack.shutdown(id, ShutdownHow::Send);
        }
        (9, Some(id)) => {
            held.retain(|held| *held != id);
            let _ = stack.close(id);
        }
        _ => {}
    }
}

#[test]
fn whatever_clients_do_and_peers_answer_it_comes_to_rest() {
    let worlds = if cfg!(debug_assertions) { 24 } else { 400 };
    for seed in 0..worlds {
        let mut random = Generator::new(&mut [seed as u8; 32]);
        let mut world = World::with(20 * (seed % 5), Limits::default(), open_rules());
        if seed % 2 == 0 {
            let end = world.ends[0].clone();
            let config = Config {
                dhcp: seed % 4 == 0,
                slaac: true,
                addresses: vec![(A.parse().unwrap(), 24)],
                ..Config::default()
            };
            world.a = Stack::new(
                end,
                config,
                Limits::default(),
                open_rules(),
                &mut [1; 32],
                0,
            );
        }
        let mut held = [Vec::new(), Vec::new()];
        for _ in 0..400 {
            act(&mut world.a, &mut held[0], &mut random);
            act(&mut world.b, &mut held[1], &mut random);
            let now = *world.now.borrow();
            let mut next = Vec::new();
            next.extend(rests(&mut world.a, now));
            next.extend(rests(&mut world.b, now));
            // From microseconds to a minute.
            let far = 1_000 << (random.any_u64() % 26);
            let next = next.into_iter().min().unwrap_or(u64::MAX);
            let then = match random.any_u64() % 4 {
                0 => next.min(now + 60_000_000_000),
                _ => now + far,
            };
            *world.now.borrow_mut() = then;
        }
        let _ = B;
    }
}
