use alloc::string::{String, ToString};
use alloc::vec::Vec;

use gritos_abi::frame::{Channel, Decoder, Event, encode};

use super::Session;
use crate::shell::Shell;
use crate::shell::tests::{Machine, TABLES};

fn session() -> (Session, Machine) {
    let mut machine = Machine::default();
    let mut session = Session::new(Shell::new(TABLES), 3);
    session.start(&mut machine);
    assert_eq!(machine.take(), "gritos> ");
    (session, machine)
}

fn request(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(Channel::Request, text.as_bytes(), |b| bytes.push(b));
    bytes
}

/// The frames among `bytes`, and the text outside of them.
fn frames(bytes: &[u8]) -> (Vec<(Channel, String)>, String) {
    let (mut decoder, mut frames, mut text) = (Decoder::new(), Vec::new(), Vec::new());
    for &byte in bytes {
        match decoder.push(byte) {
            Some(Event::Frame(channel, payload)) => {
                frames.push((channel, String::from_utf8_lossy(payload).into_owned()));
            }
            Some(Event::Text(byte)) => text.push(byte),
            Some(Event::Damaged) => panic!("a damaged frame"),
            None => {}
        }
    }
    (frames, String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_typed_line_is_echoed_and_run() {
    let (mut session, mut machine) = session();
    session.input(&mut machine, b"echo hi\r", false);
    assert_eq!(
        machine.take(),
        "gritos> echo hi\nhi\ngritos> ".replacen("gritos> ", "", 1)
    );
    session.input(&mut machine, b"echo a\recho b\r", false);
    assert_eq!(machine.take(), "echo a\na\ngritos> echo b\nb\ngritos> ");
}

#[test]
fn a_disturbed_line_is_drawn_again() {
    let (mut session, mut machine) = session();
    session.input(&mut machine, b"echo he", false);
    machine.take();
    session.input(&mut machine, b"", true);
    assert_eq!(machine.take(), "gritos> echo he");
}

#[test]
fn tab_completes_and_lists() {
    let (mut session, mut machine) = session();
    session.input(&mut machine, b"hist\t", false);
    assert_eq!(machine.take(), "history ");
    session.input(&mut machine, b"\x15echo da\t", false);
    machine.take();
    session.input(&mut machine, b"\t\t", false);
    let text = machine.take();
    assert!(
        text.contains("data/") && text.contains("date.txt"),
        "{text}"
    );
    session.input(&mut machine, b"e\t\r", false);
    assert!(machine.take().contains("\ndate.txt\n"));
}

#[test]
fn history_lists_what_was_entered_and_forgets_it() {
    let (mut session, mut machine) = session();
    session.input(&mut machine, b"true\rhistory\r", false);
    assert!(machine.take().contains("    1  true\n    2  history\n"));
    session.input(&mut machine, b"history -c\rhistory\r", false);
    assert!(machine.take().contains("\n    1  history\n"));
}

#[test]
fn requests_are_answered_in_frames_with_exact_output_and_status() {
    let (mut session, mut machine) = session();
    session.input(&mut machine, &request("hello"), false);
    let (got, text) = frames(&core::mem::take(&mut machine.out));
    assert_eq!(got, [(Channel::Status, "ready 3".to_string())]);
    assert_eq!(text, "\n");

    machine.log.push("old".into());
    session.input(
        &mut machine,
        &request("run 1 echo -n 'a%b' $?; false"),
        false,
    );
    let (got, text) = frames(&core::mem::take(&mut machine.out));
    assert_eq!(
        got,
        [
            (Channel::Output, "a%b 0".to_string()),
            (Channel::Status, "exit 1 1".to_string())
        ]
    );
    assert_eq!(text, "");

    // The same request again is answered again, and not run again.
    session.input(
        &mut machine,
        &request("run 1 echo -n 'a%b' $?; false"),
        false,
    );
    let (got, _) = frames(&core::mem::take(&mut machine.out));
    assert_eq!(got, [(Channel::Status, "exit 1 1".to_string())]);

    session.input(&mut machine, &request("run 2 flood"), false);
    let (got, _) = frames(&core::mem::take(&mut machine.out));
    let bytes: usize = got
        .iter()
        .filter(|(channel, _)| *channel == Channel::Output)
        .map(|(_, payload)| payload.len())
        .sum();
    assert_eq!(bytes, (crate::PIPE_LIMIT / 1000 + 2) * 1000);
    assert_eq!(got.last(), Some(&(Channel::Status, "exit 2 0".to_string())));
}

#[test]
fn a_damaged_request_is_told_once_the_host_asks_in_frames() {
    let (mut session, mut machine) = session();
    session.input(&mut machine, b"\x1eX:bad", false);
    assert!(frames(&core::mem::take(&mut machine.out)).0.is_empty());
    session.input(&mut machine, &request("hello"), false);
    machine.take();
    for bad in [b"\x1eX:bad\n".to_vec(), request("run x y"), request("")] {
        session.input(&mut machine, &bad, false);
        let (got, _) = frames(&core::mem::take(&mut machine.out));
        assert_eq!(got, [(Channel::Status, "damaged".to_string())]);
    }
}

#[test]
fn whatever_is_typed_the_session_goes_on() {
    let (mut session, mut machine) = session();
    let mut seed = 7_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for round in 0..300 {
        let bytes: Vec<u8> = (0..random() % 62)
            .map(|_| match random() % 4 {
                0 => random() as u8,
                1 => b"\x1b[A\x1b[D\x12\t\x19\x17"[random() as usize % 10],
                _ => b"echo 'x\" ;|&>\\"[random() as usize % 14],
            })
            // Frames change the session's ways, and are tested on their own.
            .filter(|byte| *byte != 0x1e)
            .collect();
        session.input(&mut machine, &bytes, round % 50 == 0);
        machine.out.clear();
        machine.files.clear();
    }
    session.input(
        &mut machine,
        b"\x07\x07\x03\x15\x0becho still here\r",
        false,
    );
    assert!(machine.take().contains("\nstill here\n"));
}

#[test]
fn a_paste_of_64_kib_without_an_end_is_cut_and_costs_little() {
    let (mut session, mut machine) = session();
    for _ in 0..1057 {
        session.input(&mut machine, &[b'x'; 62], false);
    }
    assert!(machine.out.len() < 4 << 16, "{}", machine.out.len());
    machine.out.clear();
    session.input(&mut machine, b"\r", false);
    assert!(machine.take().contains("no such command"));
}
