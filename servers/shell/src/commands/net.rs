//! Commands about the network.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write;
use core::net::{IpAddr, SocketAddr};

use gritos_net_client::api::{
    Domain, InterfaceStatus, IpAddress, IpProtocol, MessageFlags, NetError, Network, SocketOption,
    SocketType,
};
use gritos_net_client::{Error, Socket};
use gritos_shell_core::builtins::{no_arguments, one_argument};
use gritos_shell_core::{Command, Completes, Context, Failure, status};

mod iperf;
mod netstat;
mod session;

pub(crate) use session::{Memory, Network as Session, open, open_plain, rings};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;
/// Pause between two looks at Ctrl-C while something is waited for, in nanoseconds.
const LOOK: u64 = 200 * MILLISECOND;
/// How long a command waits for the network to have an address.
const ADDRESS_PATIENCE: u64 = 8 * SECOND;
/// The same while there is not even a link.
const LINK_PATIENCE: u64 = SECOND;
/// How long a name server, a peer or the answer to a ping may take.
const PATIENCE: u64 = 10 * SECOND;
/// Bytes that are moved at a time.
const CHUNK: usize = 16 << 10;

/// The table.
pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "ip",
        summary: "shows addresses, gateway, name server and counters; with -w waits for an address",
        arguments: "[-w]",
        example: "ip -w",
        completes: Completes::Words(&["-w"]),
        run: ip,
    },
    Command {
        name: "ping",
        summary: "asks a host whether it is there, so many times (4) or with 0 until Ctrl-C",
        arguments: "[-6] HOST [TIMES]",
        example: "ping 10.0.2.2 1",
        completes: Completes::Nothing,
        run: ping,
    },
    Command {
        name: "dns",
        summary: "looks up the addresses of a name",
        arguments: "NAME",
        example: "dns example.org",
        completes: Completes::Nothing,
        run: dns,
    },
    Command {
        name: "nc",
        summary: "connects (-l: waits for a connection), sends its input, writes what comes back; -u for UDP",
        arguments: "[-u] HOST PORT | [-u] -l PORT",
        example: "echo hello | nc 10.0.2.2 7",
        completes: Completes::Nothing,
        run: nc,
    },
    Command {
        name: "iperf",
        summary: "measures a stream from a peer (-s) or to one (-c), which may be iperf 2; SECONDS are 10 and PORT 5001 unless said",
        arguments: "-s [PORT] | -c HOST [SECONDS [PORT]]",
        example: "iperf -c 10.0.2.2 3",
        completes: Completes::Words(&["-s", "-c"]),
        run: iperf::iperf,
    },
    Command {
        name: "netstat",
        summary: "shows the sockets of all components: of streams bytes received and to be sent, of listeners how many wait and may",
        arguments: "",
        example: "netstat",
        completes: Completes::Nothing,
        run: netstat::netstat,
    },
    Command {
        name: "get",
        summary: "fetches a page with HTTP, into a file or to the terminal",
        arguments: "URL [FILE]",
        example: "get http://10.0.2.2:8000/ /data/page",
        completes: Completes::Paths,
        run: get,
    },
];

pub(crate) fn failed(error: Error) -> Failure {
    Failure::new(error)
}

/// Whether waiting for a while brought nothing.
fn is_nothing_yet(error: Error) -> bool {
    error.net() == Some(NetError::WouldBlock)
}

/// The network, once the interface has an address.
pub(crate) fn ready(context: &mut Context<'_>) -> Result<Session, Failure> {
    let net = open()?;
    let begun = context.host.now();
    loop {
        let status = net.status().map_err(failed)?;
        let patience = if status.link_up {
            ADDRESS_PATIENCE
        } else {
            LINK_PATIENCE
        };
        if status.ipv4.is_some() || context.host.now() - begun >= patience {
            return Ok(net);
        }
        context.host.sleep(50 * MILLISECOND)?;
    }
}

fn ip_text(address: &IpAddress) -> String {
    match address {
        IpAddress::V4(v4) => IpAddr::from(*v4).to_string(),
        IpAddress::V6(v6) => IpAddr::from(*v6).to_string(),
    }
}

fn ip(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let net = match arguments.first().map(String::as_str) {
        Some("-w") => ready(context)?,
        _ => {
            no_arguments(arguments)?;
            open()?
        }
    };
    let InterfaceStatus {
        mac,
        mtu,
        link_up,
        ipv4,
        ipv6,
        gateway,
        name_server,
        received_packets,
        received_bytes,
        sent_packets,
        sent_bytes,
        dropped_packets,
    } = net.status().map_err(failed)?;
    let network = |network: Option<Network>| match network {
        Some(network) => {
            alloc::format!("{}/{}", ip_text(&network.address), network.prefix_bits)
        }
        None => String::from("none yet"),
    };
    let address = |address: Option<IpAddress>| {
        address.map_or_else(|| String::from("none yet"), |address| ip_text(&address))
    };
    let [a, b, c, d, e, f] = mac;
    let up = if link_up { "up" } else { "down" };
    writeln!(
        context,
        "link         {up}, {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}, packets of up to {mtu} bytes"
    )?;
    writeln!(context, "IPv4         {}", network(ipv4))?;
    writeln!(context, "IPv6         {}", network(ipv6))?;
    writeln!(context, "gateway      {}", address(gateway))?;
    writeln!(context, "name server  {}", address(name_server))?;
    writeln!(
        context,
        "received     {received_packets} packets, {received_bytes} bytes; {dropped_packets} dropped"
    )?;
    writeln!(
        context,
        "sent         {sent_packets} packets, {sent_bytes} bytes"
    )?;
    let waits = !arguments.is_empty() && ipv4.is_none();
    Ok(if waits { status::FAILED } else { status::OK })
}

/// The address of a host, by its name or as it is.
fn host(net: &Session, name: &str, want_v6: bool) -> Result<IpAddr, Failure> {
    if let Ok(address) = name.parse() {
        return Ok(address);
    }
    let mut found = [IpAddr::from([0; 4]); 16];
    let count = net.resolve(name, &mut found);
    let count = count.map_err(|error| Failure::new(format_args!("{name}: {error}")))?;
    let addresses = found.get(..count).unwrap_or(&[]);
    let fits = addresses.iter().find(|ip| ip.is_ipv6() == want_v6);
    let any = addresses.first().filter(|_| !want_v6);
    fits.or(any).copied().ok_or_else(|| {
        let family = if want_v6 { "IPv6" } else { "IPv4" };
        Failure::new(format_args!("{name} has no {family} address"))
    })
}

pub(crate) fn port(text: &str) -> Result<u16, Failure> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| Failure::usage(format_args!("`{text}` is no port: 1 to 65535")))
}

fn dns(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let name = one_argument(arguments, "a name")?;
    let net = ready(context)?;
    let mut found = [IpAddr::from([0; 4]); 16];
    let count = net.resolve(name, &mut found);
    let count = count.map_err(|error| Failure::new(format_args!("{name}: {error}")))?;
    for address in found.iter().take(count) {
        writeln!(context, "{address}")?;
    }
    Ok(if count > 0 {
        status::OK
    } else {
        status::FAILED
    })
}

/// Bytes of an ICMP echo header.
const ECHO_HEADER: usize = 8;

fn ping(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (want_v6, rest) = match arguments.split_first() {
        Some((first, rest)) if first == "-6" => (true, rest),
        _ => (false, arguments),
    };
    let (name, times) = match rest {
        [name] => (name, 4),
        [name, times] => {
            let times = times.parse::<u16>();
            let wrong = |_| Failure::usage("TIMES is a number up to 65535; 0 is without end");
            (name, times.map_err(wrong)?)
        }
        _ => return Err(Failure::usage("a host is needed, and how often")),
    };
    let net = ready(context)?;
    let address = host(&net, name, want_v6)?;
    let (domain, protocol, request, reply) = match address {
        IpAddr::V4(_) => (Domain::Inet, IpProtocol::Icmp, 8, 0),
        IpAddr::V6(_) => (Domain::Inet6, IpProtocol::Icmpv6, 128, 129),
    };
    let socket = net.socket(domain, SocketType::Raw, protocol);
    let socket = socket.map_err(failed)?;
    let limit = socket.setsockopt(SocketOption::ReceiveTimeout, LOOK);
    limit.map_err(failed)?;
    let (mut sent, mut received) = (0_u16, 0_u16);
    while times == 0 || sent < times {
        if sent > 0 && context.host.sleep(SECOND).is_err() {
            break;
        }
        sent = sent.wrapping_add(1);
        let mut message = [0; ECHO_HEADER + 48];
        message[0] = request;
        message[6..8].copy_from_slice(&sent.to_be_bytes());
        let begun = context.host.now();
        let to = SocketAddr::new(address, 0);
        socket
            .sendto(&message, to, MessageFlags::empty())
            .map_err(failed)?;
        match await_echo(context, &socket, (reply, sent), begun + 2 * SECOND)? {
            Some(bytes) => {
                received += 1;
                let took = (context.host.now() - begun) / 1_000;
                writeln!(
                    context,
                    "{bytes} bytes from {address}: {}.{:03} ms",
                    took / 1000,
                    took % 1000
                )?;
            }
            None => writeln!(context, "no answer from {address} within 2 s")?,
        }
    }
    writeln!(context, "{sent} sent, {received} received")?;
    Ok(if received > 0 {
        status::OK
    } else {
        status::FAILED
    })
}

/// Waits for the answer to a ping until `end`; its bytes.
fn await_echo(
    context: &mut Context<'_>,
    socket: &Socket<Memory>,
    (kind, number): (u8, u16),
    end: u64,
) -> Result<Option<usize>, Failure> {
    let mut room = [0; 128];
    loop {
        match socket.recv(&mut room, MessageFlags::empty()) {
            Ok(count) => {
                let is_ours = room[0] == kind && room[6..8] == number.to_be_bytes();
                if count >= ECHO_HEADER && is_ours {
                    return Ok(Some(count));
                }
            }
            Err(error) if is_nothing_yet(error) => {}
            Err(error) => return Err(failed(error)),
        }
        context.check()?;
        if context.host.now() >= end {
            return Ok(None);
        }
    }
}

/// Makes a socket whose calls come back now and then.
pub(crate) fn patient(
    net: &Session,
    domain: Domain,
    kind: SocketType,
) -> Result<Socket<Memory>, Failure> {
    let socket = net.socket(domain, kind, IpProtocol::Any);
    let socket = socket.map_err(failed)?;
    make_patient(&socket)?;
    Ok(socket)
}

fn make_patient(socket: &Socket<Memory>) -> Result<(), Failure> {
    for option in [SocketOption::ReceiveTimeout, SocketOption::SendTimeout] {
        socket.setsockopt(option, LOOK).map_err(failed)?;
    }
    Ok(())
}

pub(crate) const fn domain_of(address: IpAddr) -> Domain {
    match address {
        IpAddr::V4(_) => Domain::Inet,
        IpAddr::V6(_) => Domain::Inet6,
    }
}

/// Connects a stream, as long as the user has patience.
pub(crate) fn connect(
    context: &mut Context<'_>,
    net: &Session,
    to: SocketAddr,
) -> Result<Socket<Memory>, Failure> {
    let socket = patient(net, domain_of(to.ip()), SocketType::Stream)?;
    let end = context.host.now() + PATIENCE;
    let mut result = socket.connect(to);
    loop {
        match result {
            Ok(()) => return Ok(socket),
            Err(Error::Net(NetError::WouldBlock | NetError::Already)) => {}
            Err(Error::Net(NetError::IsConnected)) => return Ok(socket),
            Err(error) => return Err(Failure::new(format_args!("{to}: {error}"))),
        }
        context.check()?;
        if context.host.now() >= end {
            return Err(Failure::new(format_args!("{to}: nobody answered in time")));
        }
        context.host.sleep(20 * MILLISECOND)?;
        result = match socket.poll() {
            Ok(ready) if ready.is_empty() => Err(Error::Net(NetError::WouldBlock)),
            Ok(_) => match socket.getsockopt(SocketOption::LastError) {
                Ok(0) => Ok(()),
                Ok(number) => Err(error_of(number)),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
    }
}

fn error_of(number: u64) -> Error {
    let number = u32::try_from(number).unwrap_or(0);
    Error::Net(NetError::from_number(number).unwrap_or(NetError::Aborted))
}

/// Sends all of `bytes`.
pub(crate) fn send_all(
    context: &mut Context<'_>,
    socket: &Socket<Memory>,
    mut bytes: &[u8],
) -> Result<(), Failure> {
    while !bytes.is_empty() {
        match socket.send(bytes, MessageFlags::empty()) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or(&[]),
            Err(error) if is_nothing_yet(error) => context.check()?,
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

/// Receives what is there; waits for it as long as the user has patience.
pub(crate) fn receive(
    context: &mut Context<'_>,
    socket: &Socket<Memory>,
    room: &mut [u8],
) -> Result<usize, Failure> {
    loop {
        match socket.recv(room, MessageFlags::empty()) {
            Ok(count) => return Ok(count),
            Err(error) if is_nothing_yet(error) => context.check()?,
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Waits for a connection at a port of any of this machine's addresses.
fn accept(
    context: &mut Context<'_>,
    net: &Session,
    port: u16,
) -> Result<(Socket<Memory>, SocketAddr), Failure> {
    let listener = patient(net, Domain::Inet6, SocketType::Stream)?;
    let at = SocketAddr::new(IpAddr::from([0; 16]), port);
    listener.bind(at).map_err(failed)?;
    listener.listen(1).map_err(failed)?;
    loop {
        match listener.accept(MessageFlags::empty()) {
            Ok((socket, from)) => {
                make_patient(&socket)?;
                return Ok((socket, from));
            }
            Err(error) if is_nothing_yet(error) => context.check()?,
            Err(error) => return Err(failed(error)),
        }
    }
}

fn nc(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let udp = arguments.iter().any(|word| word == "-u");
    let rest: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|word| *word != "-u")
        .collect();
    let net = ready(context)?;
    match (rest.as_slice(), udp) {
        (["-l", at], false) => {
            let (socket, _) = accept(context, &net, port(at)?)?;
            converse(context, &socket)
        }
        (["-l", at], true) => hear(context, &net, port(at)?),
        ([name, at], false) => {
            let to = SocketAddr::new(host(&net, name, false)?, port(at)?);
            let socket = connect(context, &net, to)?;
            converse(context, &socket)
        }
        ([name, at], true) => {
            let to = SocketAddr::new(host(&net, name, false)?, port(at)?);
            ask(context, &net, to)
        }
        _ => Err(Failure::usage(
            "a host and a port are needed, or -l and a port",
        )),
    }
}

/// Sends the command's input and the end of it; writes what comes until the peer ends.
fn converse(context: &mut Context<'_>, socket: &Socket<Memory>) -> Result<u8, Failure> {
    let input = context.input;
    send_all(context, socket, input)?;
    let how = gritos_net_client::api::ShutdownHow::Send;
    socket.shutdown(how).map_err(failed)?;
    let mut room = vec![0; CHUNK];
    loop {
        let count = receive(context, socket, &mut room)?;
        if count == 0 {
            return Ok(status::OK);
        }
        context.write(room.get(..count).unwrap_or(&[]));
    }
}

/// Sends the command's input as one message and writes the answer, if one comes within two seconds.
fn ask(context: &mut Context<'_>, net: &Session, to: SocketAddr) -> Result<u8, Failure> {
    let socket = patient(net, domain_of(to.ip()), SocketType::Datagram)?;
    socket.connect(to).map_err(failed)?;
    let sent = socket.send(context.input, MessageFlags::empty());
    sent.map_err(failed)?;
    let end = context.host.now() + 2 * SECOND;
    let mut room = vec![0; CHUNK];
    while context.host.now() < end {
        match socket.recv(&mut room, MessageFlags::empty()) {
            Ok(count) => {
                context.write(room.get(..count).unwrap_or(&[]));
                return Ok(status::OK);
            }
            Err(error) if is_nothing_yet(error) => context.check()?,
            Err(error) => return Err(failed(error)),
        }
    }
    Err(Failure::new(format_args!("{to} did not answer within 2 s")))
}

/// Waits for one message, writes it, and answers with the command's input if there is some.
fn hear(context: &mut Context<'_>, net: &Session, port: u16) -> Result<u8, Failure> {
    let socket = patient(net, Domain::Inet6, SocketType::Datagram)?;
    let at = SocketAddr::new(IpAddr::from([0; 16]), port);
    socket.bind(at).map_err(failed)?;
    let mut room = vec![0; CHUNK];
    loop {
        match socket.recvfrom(&mut room, MessageFlags::empty()) {
            Ok((count, from)) => {
                context.write(room.get(..count).unwrap_or(&[]));
                if !context.input.is_empty() {
                    let sent = socket.sendto(context.input, from, MessageFlags::empty());
                    sent.map_err(failed)?;
                }
                return Ok(status::OK);
            }
            Err(error) if is_nothing_yet(error) => context.check()?,
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Host, port and path of `http://HOST[:PORT][/PATH]`.
fn split_url(url: &str) -> Result<(&str, u16, String), Failure> {
    let wrong = || Failure::usage(format_args!("`{url}` is no URL like http://host:80/path"));
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
    let (place, path) = match rest.split_once('/') {
        Some((place, path)) => (place, alloc::format!("/{path}")),
        None => (rest, String::from("/")),
    };
    let (name, at) = match place.rsplit_once(':') {
        Some((name, at)) if !at.ends_with(']') => (name, port(at)?),
        _ => (place, 80),
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    if name.is_empty() || path.bytes().any(|byte| byte <= b' ') {
        return Err(wrong());
    }
    Ok((name, at, path))
}

/// Most bytes of the head of an answer.
const HEAD_LIMIT: usize = 16 << 10;

fn get(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (url, file) = match arguments {
        [url] => (url, None),
        [url, file] => (url, Some(context.path(file))),
        _ => return Err(Failure::usage("a URL is needed, and perhaps a file")),
    };
    let (name, at, path) = split_url(url)?;
    let net = ready(context)?;
    let to = SocketAddr::new(host(&net, name, false)?, at);
    let socket = connect(context, &net, to)?;
    let request = alloc::format!(
        "GET {path} HTTP/1.1\r\nHost: {name}:{at}\r\nConnection: close\r\nAccept-Encoding: identity\r\n\r\n"
    );
    send_all(context, &socket, request.as_bytes())?;
    let mut room = vec![0; CHUNK];
    let mut head = Vec::new();
    let body_at = loop {
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        let count = receive(context, &socket, &mut room)?;
        if count == 0 || head.len() > HEAD_LIMIT {
            return Err(Failure::new("the answer is no HTTP"));
        }
        head.extend_from_slice(room.get(..count).unwrap_or(&[]));
    };
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or(&[]);
    let line = String::from_utf8_lossy(line).into_owned();
    let good = line.split(' ').nth(1) == Some("200");
    let mut part: Vec<u8> = head.split_off(body_at);
    let mut append = false;
    loop {
        match &file {
            Some(file) => {
                let written = context.host.write_file(file, append, &part);
                written.map_err(Failure::Failed)?;
                append = true;
            }
            None => context.write(&part),
        }
        let count = receive(context, &socket, &mut room)?;
        if count == 0 {
            break;
        }
        part.clear();
        part.extend_from_slice(room.get(..count).unwrap_or(&[]));
    }
    if good {
        return Ok(status::OK);
    }
    Err(Failure::new(format_args!("{url}: {line}")))
}
