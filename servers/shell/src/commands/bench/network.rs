//! Traffic with a peer on the host, `10.0.2.2` in QEMU's network. `cargo xtask bench` is that peer.

use alloc::string::String;
use alloc::vec;
use core::fmt::Write;
use core::mem::ManuallyDrop;
use core::net::{IpAddr, SocketAddr};

use embedded_io::{Read as _, Write as _};
use gritos_net_client::Socket;
use gritos_net_client::api::{MessageFlags, ShutdownHow, SocketOption, SocketType};
use gritos_shell_core::{Context, Failure, status};

use super::{Bench, Meter, measure};
use crate::commands::net::{
    Memory, connect, domain_of, failed, open_plain, patient, port, ready, receive, rings, send_all,
};

/// The host as QEMU's network has it.
const HOST: [u8; 4] = [10, 0, 2, 2];
/// Bytes that one call moves.
const CHUNK: usize = 64 << 10;
/// Bytes that are put into a ring at a time.
const PIECE: usize = 256 << 10;
const MIB: u64 = 1 << 20;

pub(super) const BENCHES: &[Bench] = &[
    Bench {
        name: "tcp-receive",
        what: "a stream from the host until its end, per 1000 bytes; PORT",
        run: tcp_receive,
    },
    Bench {
        name: "tcp-send",
        what: "a stream to the host, per 1000 bytes; PORT MIB",
        run: tcp_send,
    },
    Bench {
        name: "tcp-receive-rings",
        what: "a stream from the host through a ring, per 1000 bytes; PORT",
        run: tcp_receive_rings,
    },
    Bench {
        name: "tcp-send-rings",
        what: "a stream to the host through a ring, per 1000 bytes; PORT MIB",
        run: tcp_send_rings,
    },
    Bench {
        name: "tcp-echo",
        what: "a byte there and back; PORT TIMES",
        run: tcp_echo,
    },
    Bench {
        name: "udp-echo",
        what: "a message of one byte there and back; PORT TIMES",
        run: udp_echo,
    },
    Bench {
        name: "tcp-connect",
        what: "a connection made and closed; PORT TIMES",
        run: tcp_connect,
    },
    Bench {
        name: "during",
        what: "everything from one byte of the host's to the next, per piece of work; NAME PORT PIECES",
        run: during,
    },
];

fn number(text: &str) -> Result<u32, Failure> {
    let wrong = || Failure::usage(format_args!("`{text}` is no number above 0"));
    text.parse().ok().filter(|n| *n > 0).ok_or_else(wrong)
}

fn two(arguments: &[String]) -> Result<(SocketAddr, u32), Failure> {
    match arguments {
        [at, count] => Ok((host(at)?, number(count)?)),
        _ => Err(Failure::usage("a port of the host and a number are needed")),
    }
}

fn host(at: &str) -> Result<SocketAddr, Failure> {
    Ok(SocketAddr::new(IpAddr::from(HOST), port(at)?))
}

/// Writes instructions per 1000 bytes.
fn per_thousand(
    context: &mut Context<'_>,
    name: &str,
    instructions: u32,
    bytes: u64,
) -> Result<u8, Failure> {
    let thousandths = u64::from(instructions) * 1000 / bytes.max(1);
    writeln!(context, "{name} instructions={thousandths} bytes={bytes}")?;
    Ok(status::OK)
}

fn tcp_receive(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let [at] = arguments else {
        return Err(Failure::usage("a port of the host is needed"));
    };
    let net = ready(context)?;
    let meter = Meter::new()?;
    let mut room = vec![0; CHUNK];
    let mut bytes = 0;
    let to = host(at)?;
    let (result, instructions) = meter.count(|| -> Result<(), Failure> {
        let socket = connect(context, &net, to)?;
        loop {
            match receive(context, &socket, &mut room)? {
                0 => return Ok(()),
                count => bytes += count as u64,
            }
        }
    });
    result?;
    per_thousand(context, "tcp-receive", instructions, bytes)
}

fn tcp_send(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (to, mib) = two(arguments)?;
    let net = ready(context)?;
    let meter = Meter::new()?;
    let chunk = vec![0x5a; CHUNK];
    let bytes = u64::from(mib) * MIB;
    let (result, instructions) = meter.count(|| -> Result<(), Failure> {
        let socket = connect(context, &net, to)?;
        for _ in 0..bytes / CHUNK as u64 {
            send_all(context, &socket, &chunk)?;
        }
        socket.shutdown(ShutdownHow::Send).map_err(failed)?;
        // The host has all when it ends the connection.
        let mut room = [0; 16];
        while receive(context, &socket, &mut room)? > 0 {}
        Ok(())
    });
    result?;
    per_thousand(context, "tcp-send", instructions, bytes)
}

fn tcp_receive_rings(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let [at] = arguments else {
        return Err(Failure::usage("a port of the host is needed"));
    };
    let net = ready(context)?;
    let (memory, bell) = rings(&net)?;
    let meter = Meter::new()?;
    let mut room = vec![0; CHUNK];
    let (mut bytes, mut calls) = (0, 0);
    let to = host(at)?;
    let (result, instructions) = meter.count(|| -> Result<(), Failure> {
        let socket = connect(context, &net, to)?;
        let mut stream = socket.into_rings(memory, bell).map_err(failed)?;
        loop {
            match stream.read(&mut room).map_err(failed)? {
                0 => break,
                count => bytes += count as u64,
            }
        }
        calls = stream.calls();
        Ok(())
    });
    // The service may have been started anew, and know nothing of it.
    let _ = memory.unregister(&net);
    result?;
    writeln!(context, "{calls} calls")?;
    per_thousand(context, "tcp-receive-rings", instructions, bytes)
}

fn tcp_send_rings(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (to, mib) = two(arguments)?;
    let net = ready(context)?;
    let (memory, bell) = rings(&net)?;
    let meter = Meter::new()?;
    let chunk = vec![0x5a; PIECE];
    let bytes = u64::from(mib) * MIB;
    let mut calls = 0;
    let (result, instructions) = meter.count(|| -> Result<(), Failure> {
        let socket = connect(context, &net, to)?;
        let mut stream = socket.into_rings(memory, bell).map_err(failed)?;
        for _ in 0..bytes / PIECE as u64 {
            stream.write_all(&chunk).map_err(failed)?;
        }
        stream.shutdown(ShutdownHow::Send).map_err(failed)?;
        // The host has all when it ends the connection.
        let mut room = [0; 16];
        while stream.read(&mut room).map_err(failed)? > 0 {}
        calls = stream.calls();
        Ok(())
    });
    let _ = memory.unregister(&net);
    result?;
    writeln!(context, "{calls} calls")?;
    per_thousand(context, "tcp-send-rings", instructions, bytes)
}

fn tcp_echo(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (to, times) = two(arguments)?;
    let net = ready(context)?;
    let socket = connect(context, &net, to)?;
    socket
        .setsockopt(SocketOption::NoDelay, 1)
        .map_err(failed)?;
    socket
        .setsockopt(SocketOption::ReceiveTimeout, 0)
        .map_err(failed)?;
    echo(context, "tcp-echo", &socket, times)
}

fn udp_echo(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (to, times) = two(arguments)?;
    let net = ready(context)?;
    let socket = patient(&net, domain_of(to.ip()), SocketType::Datagram)?;
    socket.connect(to).map_err(failed)?;
    echo(context, "udp-echo", &socket, times)
}

/// One byte there and back, again and again, with plain calls: those of commands have an end of their own.
fn echo(
    context: &mut Context<'_>,
    name: &str,
    socket: &Socket<Memory>,
    times: u32,
) -> Result<u8, Failure> {
    // The socket is closed by whoever made it.
    let plain = ManuallyDrop::new(Socket::from_cap(open_plain()?, socket.cap()));
    measure(context, name, times as usize, || {
        let mut room = [0; 4];
        plain.send(b"x", MessageFlags::empty()).map_err(failed)?;
        plain
            .recv(&mut room, MessageFlags::empty())
            .map_err(failed)?;
        Ok(())
    })?;
    Ok(status::OK)
}

fn tcp_connect(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (to, times) = two(arguments)?;
    let net = ready(context)?;
    measure(context, "tcp-connect", times as usize, || {
        let socket = net.connect(to).map_err(failed)?;
        drop(socket);
        Ok(())
    })?;
    Ok(status::OK)
}

fn during(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let [name, at, pieces] = arguments else {
        return Err(Failure::usage(
            "a name, a port of the host and a number are needed",
        ));
    };
    let (to, pieces) = (host(at)?, number(pieces)?);
    let net = ready(context)?;
    let socket = connect(context, &net, to)?;
    socket
        .setsockopt(SocketOption::ReceiveTimeout, 0)
        .map_err(failed)?;
    let meter = Meter::new()?;
    let mut room = [0; 1];
    socket
        .recv(&mut room, MessageFlags::empty())
        .map_err(failed)?;
    let (result, instructions) = meter.count(|| {
        socket
            .recv(&mut room, MessageFlags::empty())
            .map_err(failed)
    });
    result?;
    let each = instructions / pieces;
    writeln!(context, "{name} instructions={each} n={pieces}")?;
    Ok(status::OK)
}
