//! The resolver against a name server that the tests play.

use gritos_net_api::NetError;
use gritos_net_core::SocketId;

use crate::sim::{CLIENT, World, address, receive, send_to, udp};

/// B plays the name server: what it answers a question with.
fn serve(world: &mut World, server: SocketId, answer: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let mut room = [0; 600];
    while let Ok(got) = receive(&mut world.b, server, &mut room) {
        if let Some(reply) = answer(&room[..got.bytes]) {
            send_to(&mut world.b, server, &reply, &got.from.to_string()).unwrap();
        }
    }
}

fn ask(
    name: &[u8],
    answer: impl Fn(&[u8]) -> Option<Vec<u8>>,
) -> Result<Vec<std::net::IpAddr>, NetError> {
    let mut world = World::with_name_server("10.0.0.2");
    let server = udp(&mut world.b);
    world.b.bind(server, address("0.0.0.0:53")).unwrap();
    let id = world.a.resolve(CLIENT, name)?;
    world.wait(|w| {
        serve(w, server, &answer);
        w.a.resolved(id)
    })
}

/// The question with the header of an answer, and records behind it.
fn reply(question: &[u8], code: u8, records: &[&[u8]]) -> Vec<u8> {
    let mut bytes = question.to_vec();
    bytes[2] = 0x81;
    bytes[3] = 0x80 | code;
    bytes[7] = records.len() as u8;
    records
        .iter()
        .for_each(|record| bytes.extend_from_slice(record));
    bytes
}

/// A record of the name that was asked for: its type and data.
fn record(kind: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 9, 0, data.len() as u8];
    bytes.extend_from_slice(data);
    bytes
}

fn kind(question: &[u8]) -> u8 {
    question[question.len() - 3]
}

#[test]
fn both_families_are_asked_for_and_case_does_not_matter() {
    let found = ask(b"Host.example", |question| {
        let mut question = question.to_vec();
        question[13..17].make_ascii_lowercase();
        Some(match kind(&question) {
            1 => reply(&question, 0, &[&record(1, &[10, 9, 8, 7])]),
            _ => reply(&question, 0, &[&record(28, &[0xfd; 16])]),
        })
    });
    let found = found.unwrap();
    assert_eq!(found.len(), 2);
    assert!(found.contains(&"10.9.8.7".parse().unwrap()));
}

#[test]
fn a_name_that_stands_for_another_is_followed() {
    let found = ask(b"www.example", |question| {
        if kind(question) != 1 {
            return Some(reply(question, 0, &[]));
        }
        let alias = record(5, b"\x04real\xc0\x10");
        let target = [
            b"\x04real\xc0\x10\0\x01\0\x01\0\0\0\x09\0\x04".as_slice(),
            &[1, 2, 3, 4],
        ]
        .concat();
        Some(reply(question, 0, &[&alias, &target]))
    });
    assert_eq!(found, Ok(vec!["1.2.3.4".parse().unwrap()]));
}

#[test]
fn no_such_name_failing_servers_and_silence_are_told_apart() {
    let missing = ask(b"nowhere.example", |question| Some(reply(question, 3, &[])));
    assert_eq!(missing, Err(NetError::NameNotFound));
    let failing = ask(b"host.example", |question| Some(reply(question, 2, &[])));
    assert_eq!(failing, Err(NetError::NameServerFailed));
    assert_eq!(
        ask(b"host.example", |_| None),
        Err(NetError::NameServerFailed)
    );
}

#[test]
fn answers_to_other_questions_are_ignored() {
    let forged = ask(b"host.example", |question| {
        let mut answer = reply(question, 0, &[&record(kind(question), &[6; 4])]);
        answer[0] ^= 0x55;
        Some(answer)
    });
    assert_eq!(forged, Err(NetError::NameServerFailed));
    let other_name = ask(b"host.example", |question| {
        let mut question = question.to_vec();
        question[14] ^= 1;
        Some(reply(&question, 0, &[&record(1, &[6; 4])]))
    });
    assert_eq!(other_name, Err(NetError::NameServerFailed));
}

#[test]
fn malformed_answers_do_no_harm() {
    for cut in 0..40 {
        let _ = ask(b"host.example", |question| {
            let mut answer = reply(question, 0, &[&record(kind(question), &[6; 4])]);
            answer.truncate(answer.len().saturating_sub(cut));
            Some(answer)
        });
    }
    // A pointer to itself.
    let round = ask(b"host.example", |question| {
        let at = question.len() as u8;
        let loops = [&[0xc0, at, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4][..], &[1; 4]].concat();
        Some(reply(question, 0, &[&loops]))
    });
    assert!(round.is_err());
}

#[test]
fn addresses_and_the_own_machine_need_no_server() {
    let mut world = World::new();
    for (name, count) in [("10.1.2.3", 1), ("fd00::7", 1), ("localhost", 2)] {
        let id = world.a.resolve(CLIENT, name.as_bytes()).unwrap();
        assert_eq!(world.a.resolved(id).unwrap().len(), count, "{name}");
    }
    assert_eq!(
        world.a.resolve(CLIENT, b"example.org").err(),
        Some(NetError::NetworkDown)
    );
    for bad in [&b""[..], b"a..b", b"\xff\xfe", &[b'a'; 64], &[b'a'; 254]] {
        assert_eq!(
            World::with_name_server("10.0.0.2")
                .a
                .resolve(CLIENT, bad)
                .err(),
            Some(NetError::Invalid)
        );
    }
}
