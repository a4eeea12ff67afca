use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use gritos_abi::frame::{Channel, Decoder, Event, encode};

use super::conversation::{Audience, Conversation, Patience, Said, Trouble, is_farewell};
use super::worst;
use crate::frames::Stream;

const PATIENCE: Patience = Patience {
    boot: Duration::from_secs(10),
    first: Duration::from_millis(200),
    greeting: Duration::from_millis(10),
    question: Duration::from_millis(20),
    silence: Duration::from_millis(300),
    end: Duration::from_secs(1),
};

/// What a target does with a command: bytes that it writes, then frames of `S` and `O`.
type Answer = Box<dyn FnMut(&str) -> Vec<Reply> + Send>;

enum Reply {
    Frame(Channel, Vec<u8>),
    Text(&'static [u8]),
    /// The machine ends.
    End,
    /// Console and shell are silent from now on.
    Silence,
    /// The console was started again.
    Console,
    /// The shell was started again.
    Shell,
}

fn status(text: &str) -> Reply {
    Reply::Frame(Channel::Status, text.as_bytes().to_vec())
}

fn output(text: &[u8]) -> Reply {
    Reply::Frame(Channel::Output, text.to_vec())
}

/// A target at the other end of a line.
fn target(mut line: UnixStream, mut answer: Answer) {
    let (mut decoder, mut lives, mut silent) = (Decoder::new(), (0, 0), false);
    let mut buffer = [0; 512];
    let _ = line.write_all(b"booting\r\n");
    loop {
        let Ok(count @ 1..) = line.read(&mut buffer) else {
            return;
        };
        for &byte in &buffer[..count] {
            let Some(Event::Frame(channel, payload)) = decoder.push(byte) else {
                continue;
            };
            let text = String::from_utf8_lossy(payload).into_owned();
            let replies = match (channel, text.as_str()) {
                _ if silent => Vec::new(),
                (Channel::Probe, _) => vec![status(&format!("console {} 5", lives.0))],
                (_, "hello") => vec![status(&format!("ready {}", lives.1))],
                (_, run) => answer(run),
            };
            for reply in replies {
                let mut bytes = Vec::new();
                match reply {
                    Reply::Frame(channel, payload) => encode(channel, &payload, |b| bytes.push(b)),
                    Reply::Text(text) => bytes.extend(text),
                    Reply::End => return,
                    Reply::Silence => silent = true,
                    Reply::Console => lives.0 += 1,
                    Reply::Shell => lives.1 += 1,
                }
                let _ = line.write_all(&bytes);
            }
        }
    }
}

/// What comes of `lines` on a target, and what they printed.
fn run_for(
    lines: &[&str],
    timeout: Option<Duration>,
    answer: impl FnMut(&str) -> Vec<Reply> + Send + 'static,
) -> (Result<u8, Trouble>, Vec<u8>) {
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    std::thread::spawn(move || target(far, Box::new(answer)));
    let stream = Stream::new(near.try_clone().expect("a second handle"));
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let mut out = Vec::new();
    let mut talk = Conversation::new(stream, near, &mut out, PATIENCE, Audience::Later);
    talk.deadline = timeout.map(|timeout| Instant::now() + timeout);
    let result = talk.all(&lines);
    drop(talk);
    (result, out)
}

fn run(
    lines: &[&str],
    answer: impl FnMut(&str) -> Vec<Reply> + Send + 'static,
) -> (Result<u8, Trouble>, Vec<u8>) {
    run_for(lines, None, answer)
}

#[test]
fn output_is_exact_and_the_first_failure_is_the_status() {
    let (result, out) = run(&["one", "two", "three"], |request| match request {
        "run 1 one" => vec![
            Reply::Text(b"noise\r\n"),
            output(b"a\xff\n"),
            output(b"b%"),
            status("exit 1 0"),
        ],
        "run 2 two" => vec![status("exit 2 7")],
        "run 3 three" => vec![output(b"c"), status("exit 3 9")],
        other => panic!("{other}"),
    });
    assert_eq!(result, Ok(7));
    assert_eq!(out, b"a\xff\nb%c");
}

#[test]
fn a_request_that_arrived_damaged_is_sent_again() {
    let mut count = 0;
    let (result, _) = run(&["x"], move |_| {
        count += 1;
        vec![status(if count < 3 { "damaged" } else { "exit 1 0" })]
    });
    assert_eq!(result, Ok(0));
}

#[test]
fn output_that_arrived_damaged_is_no_success() {
    let (result, _) = run(&["x"], |_| {
        vec![Reply::Text(b"\x1eO:003:ab!\n"), status("exit 1 0")]
    });
    assert!(matches!(result, Err(Trouble::Lost(text)) if text.contains("damaged")));
}

#[test]
fn a_command_that_ends_console_shell_or_kernel_is_not_waited_for() {
    for (reply, part) in [
        (Reply::Silence, "no sign of life"),
        (Reply::Console, "ended the console"),
        (Reply::Shell, "ended the shell"),
    ] {
        let mut reply = Some(reply);
        let (result, _) = run(&["x"], move |_| reply.take().into_iter().collect());
        assert!(
            matches!(&result, Err(Trouble::Lost(text)) if text.contains(part)),
            "{result:?}"
        );
    }
}

#[test]
fn a_machine_that_ends_is_an_error_unless_it_was_asked_to() {
    let (result, _) = run(&["crash"], |_| vec![Reply::End]);
    assert_eq!(result, Err(Trouble::Ended("`crash`".into())));
    let (result, _) = run(&["poweroff 3"], |_| vec![Reply::End]);
    assert_eq!(result, Ok(0));
    let (result, _) = run(&["poweroff", "x"], |_| vec![Reply::End]);
    assert!(result.is_err());
    assert!(is_farewell(" reboot ") && !is_farewell("echo poweroff"));
    assert_eq!(
        (worst(0, Some(3)), worst(2, Some(3)), worst(0, None)),
        (3, 2, 125)
    );
}

#[test]
fn time_runs_out() {
    let timeout = Duration::from_millis(200);
    let (result, _) = run_for(&["sleep 9"], Some(timeout), |_| Vec::new());
    assert_eq!(result, Err(Trouble::TimedOut("`sleep 9`".into())));
}

#[test]
fn status_frames_that_say_something_else_say_nothing() {
    for text in [
        "",
        "exit 1",
        "exit x 0",
        "exit 1 256",
        "ready",
        "console 1",
        "hello",
    ] {
        assert_eq!(Said::parse(text), None, "{text}");
    }
}
