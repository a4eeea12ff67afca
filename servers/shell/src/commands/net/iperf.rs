//! `iperf`: how fast a stream goes, with version 2 of the program of that name at the other end, or with another shell.
//!
//! Its clients may begin with a header that asks for more than a stream one way; a server that does not look at it, as this
//! one, is taken for an old one, and a client that begins with zeros, as this one, asks for nothing.

use alloc::string::String;
use alloc::vec;
use core::fmt::Write;
use core::net::SocketAddr;

use gritos_net_client::api::{MessageFlags, ShutdownHow};
use gritos_shell_core::{Context, Failure, status};

use super::{CHUNK, SECOND, accept, connect, failed, host, is_nothing_yet, port, ready, receive};

/// Where servers of this kind wait.
const PORT: u16 = 5001;
/// How long a client sends unless it is told, and at most, in seconds.
const SECONDS: u64 = 10;
const MOST_SECONDS: u64 = 3600;

pub(super) fn iperf(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let words: vec::Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["-s"] => serve(context, PORT),
        ["-s", at] => serve(context, port(at)?),
        ["-c", name] => send(context, name, SECONDS, PORT),
        ["-c", name, time] => send(context, name, seconds(time)?, PORT),
        ["-c", name, time, at] => send(context, name, seconds(time)?, port(at)?),
        _ => Err(Failure::usage(
            "-s and perhaps a port are needed, or -c, a host, and perhaps seconds and a port",
        )),
    }
}

fn seconds(text: &str) -> Result<u64, Failure> {
    let time = text.parse().ok();
    let time = time.filter(|time| (1..=MOST_SECONDS).contains(time));
    time.ok_or_else(|| {
        Failure::usage(format_args!(
            "`{text}` is no time: 1 to {MOST_SECONDS} seconds"
        ))
    })
}

/// Takes one stream to its end.
fn serve(context: &mut Context<'_>, at: u16) -> Result<u8, Failure> {
    let net = ready(context)?;
    let (socket, from) = accept(context, &net, at)?;
    let begun = context.host.now();
    let mut room = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        match receive(context, &socket, &mut room)? {
            0 => break,
            count => bytes += count as u64,
        }
    }
    tell(context, format_args!("received from {from}"), bytes, begun)
}

/// Sends zeros for a while.
fn send(context: &mut Context<'_>, name: &str, time: u64, at: u16) -> Result<u8, Failure> {
    let net = ready(context)?;
    let to = SocketAddr::new(host(&net, name, false)?, at);
    let socket = connect(context, &net, to)?;
    let begun = context.host.now();
    let chunk = vec![0; CHUNK];
    let mut bytes = 0;
    while context.host.now() - begun < time * SECOND {
        match socket.send(&chunk, MessageFlags::empty()) {
            Ok(count) => bytes += count as u64,
            Err(error) if is_nothing_yet(error) => {}
            Err(error) => return Err(failed(error)),
        }
        context.check()?;
    }
    socket.shutdown(ShutdownHow::Send).map_err(failed)?;
    // The peer ends the connection when it has all.
    let mut room = vec![0; CHUNK];
    while receive(context, &socket, &mut room)? > 0 {}
    tell(context, format_args!("sent to {to}"), bytes, begun)
}

fn tell(
    context: &mut Context<'_>,
    what: core::fmt::Arguments<'_>,
    bytes: u64,
    begun: u64,
) -> Result<u8, Failure> {
    let took = (context.host.now() - begun).max(1);
    let rate = u128::from(bytes) * 8 * 1000 / u128::from(took);
    writeln!(
        context,
        "{what}: {bytes} bytes in {}.{:03} s, {rate} Mbit/s",
        took / SECOND,
        took % SECOND / 1_000_000
    )?;
    Ok(status::OK)
}
