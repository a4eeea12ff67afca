use alloc::string::String;
use alloc::vec::Vec;

use super::{LINE_LIMIT, Next, Output, QUEUE_BYTES, WRITER_LIMIT};

const MS: u64 = 1_000_000;

/// Everything that goes out at `now`, and what came then.
fn drain(output: &mut Output, now: u64) -> (String, Next) {
    let mut bytes = Vec::new();
    loop {
        match output.next(now) {
            Next::Byte(byte) => bytes.push(byte),
            other => return (String::from_utf8(bytes).expect("text"), other),
        }
    }
}

#[test]
fn a_line_feed_becomes_two_bytes_unless_a_return_precedes_it() {
    let mut output = Output::new();
    assert!(output.write(1, b"a\nb\r\n\r\r\n"));
    assert_eq!(drain(&mut output, 0).0, "a\r\nb\r\n\r\r\n");
}

#[test]
fn writers_take_turns_line_by_line() {
    let mut output = Output::new();
    for line in 0..3 {
        assert!(output.write(1, format(b'a', line).as_bytes()));
    }
    for line in 0..3 {
        assert!(output.write(2, format(b'b', line).as_bytes()));
    }
    assert_eq!(
        drain(&mut output, 0).0,
        "a0\r\nb0\r\na1\r\nb1\r\na2\r\nb2\r\n"
    );
}

fn format(letter: u8, line: u8) -> String {
    String::from_utf8([letter, b'0' + line, b'\n'].to_vec()).expect("ASCII")
}

#[test]
fn a_line_in_pieces_stays_whole_and_one_that_stops_is_ended_for_others() {
    let mut output = Output::new();
    output.write(1, b"half ");
    assert_eq!(drain(&mut output, 0), ("half ".into(), Next::Nothing));
    output.write(2, b"other\n");
    assert_eq!(
        drain(&mut output, 5 * MS),
        (String::new(), Next::NothingUntil(20 * MS))
    );
    output.write(1, b"whole\n");
    assert_eq!(drain(&mut output, 6 * MS).0, "whole\r\nother\r\n");
    assert!(!output.take_disturbed(1));

    output.write(1, b"prompt> ");
    output.write(2, b"news\n");
    assert_eq!(drain(&mut output, 10 * MS).0, "prompt> ");
    assert_eq!(drain(&mut output, 40 * MS).0, "\r\nnews\r\n");
    assert!(output.take_disturbed(1) && !output.take_disturbed(1));
    assert!(!output.take_disturbed(2));
}

#[test]
fn ones_own_line_feed_makes_up_for_a_disturbance() {
    let mut output = Output::new();
    output.write(1, b"half");
    drain(&mut output, 0);
    output.write(2, b"news\n");
    drain(&mut output, 50 * MS);
    output.write(1, b"rest\n");
    drain(&mut output, 51 * MS);
    assert!(!output.is_disturbed(1));
}

#[test]
fn others_wait_longer_for_the_rest_of_a_frame() {
    let mut output = Output::new();
    output.write(1, b"\x1eO:005:he");
    drain(&mut output, 0);
    output.write(2, b"news\n");
    assert_eq!(drain(&mut output, 1000 * MS).0, "");
    output.write(1, b"llo:12345678\n");
    assert_eq!(drain(&mut output, 1001 * MS).0, "llo:12345678\r\nnews\r\n");
}

#[test]
fn a_line_without_end_gives_way_and_a_frame_of_any_length_does_not() {
    let mut output = Output::new();
    let mut text = String::new();
    while text.len() < 3 * LINE_LIMIT {
        output.write(2, b"x");
        let piece = "e".repeat(QUEUE_BYTES / 2);
        output.write(1, piece.as_bytes());
        text += &drain(&mut output, 0).0;
    }
    let longest = text.split('x').map(str::len).max();
    // What came first may be the one or the other; nobody waits for more than a line and its end.
    assert!(longest <= Some(LINE_LIMIT + 4), "{longest:?}");
    const { assert!(LINE_LIMIT > 3 * gritos_abi::frame::PAYLOAD_LIMIT + 32) };
}

#[test]
fn the_last_words_of_a_client_that_is_gone_go_out_and_its_line_ends() {
    let mut output = Output::new();
    output.write(1, b"bye");
    assert!(output.forget(1));
    assert_eq!(drain(&mut output, 0).0, "bye\r\n");
    assert!(!output.forget(1));
}

#[test]
fn a_full_queue_takes_nothing_and_others_are_not_concerned() {
    let mut output = Output::new();
    let taken = (0..1000).filter(|_| output.write(1, &[b'x'; 63])).count();
    assert_eq!(taken, QUEUE_BYTES / 63);
    assert!(output.write(2, b"fine\n"));
    assert!(!output.is_drained(1) && output.is_drained(3));
    for client in 3..=WRITER_LIMIT as u32 {
        assert!(output.write(client, b"z"));
    }
    assert!(!output.write(999, b"no queue is idle"));
    drain(&mut output, 0);
    drain(&mut output, u64::MAX);
    assert!(output.write(999, b"now some are\n"));
}

/// Bytes of each writer come out in order and whole, whatever the interleaving; lines of well-behaved writers are never torn.
#[test]
fn any_interleaving_keeps_each_writers_bytes_in_order() {
    let mut seed = 1_u64;
    let mut random = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    for _ in 0..200 {
        let (mut output, mut now, mut out) = (Output::new(), 0, Vec::new());
        let mut written: [Vec<u8>; 4] = Default::default();
        for _ in 0..200 {
            let client = random(4) as usize;
            let letter = b'a' + client as u8;
            let mut piece: Vec<u8> = (0..random(40)).map(|_| letter).collect();
            if random(3) == 0 {
                piece.push(b'\n');
            }
            if output.write(client as u32, &piece) {
                written[client].extend(piece);
            }
            now += random(30) * MS;
            for _ in 0..random(100) {
                match output.next(now) {
                    Next::Byte(byte) => out.push(byte),
                    _ => break,
                }
            }
        }
        for _ in 0..8 {
            now += 5000 * MS;
            while let Next::Byte(byte) = output.next(now) {
                out.push(byte);
            }
        }
        let text = String::from_utf8(out).expect("text");
        for (client, written) in written.iter().enumerate() {
            let letter = b'a' + client as u8;
            let sent = text.bytes().filter(|b| *b == letter).count();
            assert_eq!(sent, written.iter().filter(|b| **b == letter).count());
        }
        for line in text.split("\r\n") {
            assert!(
                line.bytes().all(|b| Some(b) == line.bytes().next()),
                "{line}"
            );
        }
    }
}
