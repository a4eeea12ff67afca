//! Frames that nobody honest sends.

use gritos_net_api::{Domain, IpProtocol, NetError, SocketType};
use gritos_net_core::Generator;
use gritos_net_core::host::frames::repair;

use crate::sim::{B, CLIENT, World, address, receive, send_to, tcp, text, udp};

/// Puts a frame on the wire to B.
fn inject(world: &mut World, frame: &[u8]) {
    let now = *world.now.borrow();
    world.ends[1]
        .incoming
        .borrow_mut()
        .push_back((now, frame.to_vec()));
}

/// Everything that a stack can be asked, so that frames find all of it.
fn busy_world() -> World {
    let mut world = World::new();
    world.connection(9);
    let listener = world
        .b
        .socket(CLIENT, Domain::Inet6, SocketType::Stream, IpProtocol::Any)
        .unwrap();
    world.b.bind(listener, address("[::]:80")).unwrap();
    world.b.listen(listener, 4).unwrap();
    let server = udp(&mut world.b);
    world.b.bind(server, address("0.0.0.0:53")).unwrap();
    let ping = world
        .b
        .socket(CLIENT, Domain::Inet, SocketType::Raw, IpProtocol::Icmp)
        .unwrap();
    let _ = send_to(&mut world.b, ping, b"\x08\0\0\0\0\0\0\0", "10.0.0.1:0");
    world
}

/// Frames that A really sends: a handshake, messages, requests for neighbours.
fn honest_frames() -> Vec<Vec<u8>> {
    let mut world = busy_world();
    let mut frames = Vec::new();
    let client = tcp(&mut world.a);
    world
        .a
        .connect(client, address(&format!("{B}:80")))
        .unwrap();
    let six = world
        .a
        .socket(CLIENT, Domain::Inet6, SocketType::Datagram, IpProtocol::Any)
        .unwrap();
    let message = udp(&mut world.a);
    send_to(&mut world.a, message, &[7; 3000], &format!("{B}:53")).unwrap();
    send_to(&mut world.a, message, &[7; 30], &format!("{B}:54")).unwrap();
    send_to(&mut world.a, six, &[7; 30], "[fd00::2]:54").unwrap();
    for _ in 0..40 {
        world.step();
        frames.extend(
            world.ends[1]
                .incoming
                .borrow()
                .iter()
                .map(|(_, frame)| frame.clone()),
        );
        frames.extend(
            world.ends[0]
                .incoming
                .borrow()
                .iter()
                .map(|(_, frame)| frame.clone()),
        );
    }
    frames
}

/// A number from the environment, for runs that are longer than the gate's.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn random_and_spoiled_frames_do_no_harm() {
    let rounds = setting("GRITOS_FRAMES").unwrap_or(match cfg!(debug_assertions) {
        true => 20_000,
        false => 400_000,
    });
    let seed = setting("GRITOS_SEED").unwrap_or(3) as u8;
    // A world that has heard of everything hears nothing new: others begin from time to time.
    let each = 100_000;
    for number in 0..rounds.div_ceil(each) {
        let mut seeds = [seed; 32];
        seeds[..8].copy_from_slice(&number.to_le_bytes());
        spoil(&mut seeds, each.min(rounds - number * each));
    }
}

fn spoil(seed: &mut [u8; 32], rounds: u64) {
    let seeds = honest_frames();
    let mut random = Generator::new(seed);
    let mut world = busy_world();
    for round in 0..rounds {
        let mut frame = if round % 4 == 0 {
            (0..random.any_u64() % 200)
                .map(|_| random.any_u16() as u8)
                .collect()
        } else {
            seeds[random.any_u64() as usize % seeds.len()].clone()
        };
        if round % 4 == 0 && frame.len() > 14 {
            frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
            let kinds = [[8, 0], [8, 6], [0x86, 0xdd]];
            frame[12..14].copy_from_slice(&kinds[(round / 4 % 3) as usize]);
        }
        for _ in 0..random.any_u64() % 4 {
            let at = random.any_u64() as usize % frame.len().max(1);
            if let Some(byte) = frame.get_mut(at) {
                *byte = random.any_u16() as u8;
            }
        }
        if random.any_u64().is_multiple_of(8) {
            frame.truncate(random.any_u64() as usize % (frame.len() + 1));
        }
        if !random.any_u64().is_multiple_of(4) {
            repair(&mut frame);
        }
        inject(&mut world, &frame);
        if round % 8 == 0 {
            world.step();
        }
    }
    // It still does what it is for.
    world.pass(120_000_000_000);
    let client = tcp(&mut world.a);
    world
        .a
        .connect(client, address(&format!("{B}:80")))
        .unwrap();
    world.wait(|w| w.a.connected(client)).unwrap();
}

#[test]
fn frames_from_outside_that_pretend_to_be_from_inside_are_dropped() {
    let mut world = World::new();
    let server = udp(&mut world.b);
    world.b.bind(server, address("0.0.0.0:53")).unwrap();
    let client = udp(&mut world.a);
    send_to(&mut world.a, client, b"honest", &format!("{B}:53")).unwrap();
    assert_eq!(world.wait(|w| text(&mut w.b, server)).unwrap(), "honest");
    send_to(&mut world.a, client, b"forged", &format!("{B}:53")).unwrap();
    let now = *world.now.borrow();
    world.a.turn(now);
    for (_, frame) in world.ends[1].incoming.borrow_mut().iter_mut() {
        // Source address: this machine's inside. The checksums follow.
        forge_source(frame, [127, 0, 0, 1]);
    }
    let dropped = world.b.counters().dropped_frames;
    world.pass(10_000_000);
    assert_eq!(text(&mut world.b, server), Err(NetError::WouldBlock));
    assert_eq!(world.b.counters().dropped_frames, dropped + 1);
}

#[test]
fn nobody_outside_takes_over_an_address_of_this_machine() {
    let mut world = World::new();
    for (own, to) in [
        ([127, 0, 0, 1], "127.0.0.1:0"),
        ([10, 0, 0, 2], "10.0.0.2:0"),
    ] {
        for operation in [1, 2] {
            let mut claim = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 9, 8, 6];
            claim.extend([0, 1, 8, 0, 6, 4, 0, operation]);
            claim.extend([2, 0, 0, 0, 0, 9]);
            claim.extend(own);
            claim.extend([2, 0, 0, 0, 0, 2, 10, 0, 0, 2]);
            let dropped = world.b.counters().dropped_frames;
            inject(&mut world, &claim);
            world.pass(10_000_000);
            assert_eq!(world.b.counters().dropped_frames, dropped + 1);
        }
        // It still reaches itself, and nothing of that leaves it.
        let ping = world
            .b
            .socket(CLIENT, Domain::Inet, SocketType::Raw, IpProtocol::Icmp)
            .unwrap();
        let sent = world.b.counters().sent_frames;
        send_to(&mut world.b, ping, b"\x08\0\0\0\0\0\0\x07", to).unwrap();
        world.pass(2_000_000_000);
        let mut kinds = Vec::new();
        let mut room = [0; 64];
        while receive(&mut world.b, ping, &mut room).is_ok() {
            kinds.push(room[0]);
        }
        assert_eq!(kinds, [8, 0], "request and answer, {to}");
        assert_eq!(world.b.counters().sent_frames, sent);
        world.b.close(ping).unwrap();
    }
}

/// Changes the source of an IPv4 packet; the UDP checksum is left out.
fn forge_source(frame: &mut [u8], source: [u8; 4]) {
    frame[26..30].copy_from_slice(&source);
    frame[24..26].copy_from_slice(&[0, 0]);
    let sum: u32 = frame[14..34]
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let sum = !((folded & 0xffff) + (folded >> 16)) as u16;
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame[40..42].copy_from_slice(&[0, 0]);
}

#[test]
fn a_flood_is_taken_in_bounded_turns() {
    let mut world = busy_world();
    for _ in 0..10_000 {
        inject(&mut world, &[0xff; 60]);
    }
    let before = world.b.counters().received_frames;
    let now = *world.now.borrow();
    world.b.turn(now);
    assert!(world.b.counters().received_frames - before <= 64);
    assert_eq!(
        world.b.next_turn_ns(),
        Some(now),
        "it says that it is not done"
    );
}
