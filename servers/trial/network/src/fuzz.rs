//! Messages of random numbers, words and capabilities to the service, and to its sockets and buffers.
//!
//! Most are nearly right: methods that there are, small numbers, capabilities that fit somewhere. What they come to does
//! not matter, as long as each comes to something. The filter leaves this client the machine itself alone: what it does
//! by chance harms nobody outside.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use gritos_base_api::SessionClient;
use gritos_idl_runtime::{Address, Cap, CapSlot, Kind, Outgoing, Rights, Status, Transport, Wire};
use gritos_net_client::api::{
    Domain, IpProtocol, SocketAddress, SocketAddressV4, SocketType, Sockets, SocketsClient,
};
use gritos_service::{Kernel, call_cap, release};
use gritos_sys::cap::Notification;
use gritos_sys::environment::Environment;
use gritos_sys::slots::own;

use crate::component::came_to;
use crate::hostile::register;
use crate::memory::Region;
use crate::patient::Patient;
use crate::random::Random;

/// Bytes of the memory that is shared.
const BYTES: u64 = 16 << 10;
/// Sockets that it has at a time.
const SOCKETS: usize = 6;
/// Longest time of a call, in nanoseconds.
const LONGEST: u64 = 300_000;
/// Calls after which its sockets are made anew.
const LIFE: u32 = 40;
/// Where ports begin that the filter leaves it.
const PORT: u16 = 5000;

/// Makes as many calls as `argument` says.
pub(crate) fn run(argument: &str, environment: &Environment<'_>) -> Result<String, String> {
    let count: u32 = argument.parse().unwrap_or(1000);
    let session = environment.service("net").ok_or("no service `net`")?;
    let region = Region::new(0, BYTES)?;
    let bell = own::take()
        .and_then(|slot| Environment::MEMORY.create::<Notification>(slot))
        .map_err(|error| came_to("making a notification", &error))?;
    let mut random = Random::new(environment.generation());
    let mut buffer = register(call_cap(session), &region)?;
    let mut sockets: Vec<Address> = Vec::new();
    let (mut done, mut refused, mut late) = (0_u32, 0_u32, 0_u32);
    for number in 0..count {
        if number % LIFE == 0 {
            for socket in sockets.drain(..) {
                // It closes with the last capability of its client's, or was closed by chance.
                let _ = gritos_net_client::api::SocketClient::new(Cap::new(socket), Patient::LONG)
                    .close();
                let _ = release(socket);
            }
            sockets = open(call_cap(session), &mut random)?;
            let mut base = SessionClient::new(call_cap(session), Patient::LONG);
            let _ = base.unregister(Cap::new(buffer));
            let _ = release(buffer);
            buffer = register(call_cap(session), &region)?;
            write_addresses(&region, &mut random)?;
        }
        let mut targets = sockets.clone();
        targets.extend([session.address(), session.address(), buffer]);
        // Half of what it sends is the buffer.
        let mut sources = sockets.clone();
        sources.extend([buffer; SOCKETS + 4]);
        sources.extend([
            session.address(),
            bell.address(),
            region.object().address(),
            Address::NULL,
            Address(0xdead),
        ]);
        let target = random.pick(&targets);
        let message = message(&mut random, target == session.address(), &sources);
        let patience = Some(1 + random.below(LONGEST));
        let reply = Kernel.call::<4, 4>(target, message, patience);
        Kernel.discard(&reply);
        match reply.outcome.status() {
            Ok(Status::Ok) if reply.outcome.kind() == Ok(Kind::Reply) && reply.tag == 0 => {
                done += 1;
            }
            Ok(Status::TimedOut) => late += 1,
            Ok(Status::ServerDied) => return Err(format!("call {number} killed the service")),
            _ => refused += 1,
        }
    }
    Ok(format!(
        "{done} done, {refused} refused, {late} not answered in time"
    ))
}

fn open(session: Cap<Sockets>, random: &mut Random) -> Result<Vec<Address>, String> {
    let mut net = SocketsClient::new(session, Patient::LONG);
    let kinds = [SocketType::Stream, SocketType::Datagram, SocketType::Raw];
    let mut made = Vec::new();
    for number in 0..SOCKETS {
        let kind = kinds.get(number % kinds.len()).copied();
        let domain = match random.below(4) {
            0 => Domain::Inet6,
            _ => Domain::Inet,
        };
        let protocol = match (kind, domain) {
            (Some(SocketType::Raw), Domain::Inet6) => IpProtocol::Icmpv6,
            (Some(SocketType::Raw), _) => IpProtocol::Icmp,
            _ => IpProtocol::Any,
        };
        let socket = net.socket(domain, kind.unwrap_or(SocketType::Stream), protocol);
        made.push(
            socket
                .map_err(|error| came_to("a socket", &error))?
                .address(),
        );
    }
    Ok(made)
}

/// Addresses of this machine, one after the other, so that some calls find one.
fn write_addresses(region: &Region, random: &mut Random) -> Result<(), String> {
    let shared = region.shared()?;
    for at in (0..1024).step_by(64) {
        let mut bytes = [0; SocketAddress::SIZE];
        let port = PORT + random.below(8) as u16;
        let address = [127, 0, 0, 1];
        SocketAddress::V4(SocketAddressV4 { address, port }).encode(&mut bytes);
        shared
            .write(at, &bytes)
            .map_err(|error| came_to("writing an address", &error))?;
    }
    Ok(())
}

/// Methods of a session, and of a socket: number, words and capabilities. A message of another shape is refused before
/// anybody looks into it.
const OF_SESSIONS: [(u64, u32, u32); 6] = [
    (1, 1, 0),
    (21, 2, 1),
    (22, 3, 1),
    (0x1001, 1, 1),
    (0x1002, 0, 1),
    (0x1003, 0, 0),
];
const OF_SOCKETS: [(u64, u32, u32); 17] = [
    (2, 2, 1),
    (3, 1, 0),
    (4, 3, 1),
    (5, 3, 1),
    (6, 3, 1),
    (7, 3, 1),
    (8, 0, 0),
    (9, 1, 0),
    (10, 2, 0),
    (11, 1, 0),
    (12, 2, 1),
    (13, 2, 1),
    (14, 5, 2),
    (15, 5, 2),
    (16, 0, 0),
    (17, 1, 1),
    (18, 4, 3),
];

/// A message to a session or to something else.
fn message(random: &mut Random, to_session: bool, sources: &[Address]) -> Outgoing<4> {
    let (mut tag, mut count, mut cap_count) = match to_session {
        true => random.pick(&OF_SESSIONS),
        false => random.pick(&OF_SOCKETS),
    };
    // One of eight is none that there is.
    match random.below(24) {
        0 => tag = random.next(),
        1 => count = random.below(9) as u32,
        2 => cap_count = random.below(5) as u32,
        _ => {}
    }
    let mut words = [0; 8];
    for (place, word) in words.iter_mut().enumerate().take(count as usize) {
        *word = match random.below(8) {
            0 => random.next(),
            1 => u64::MAX - random.below(9),
            // Offsets and lengths, numbers of options and flags.
            _ if place < 4 && place % 2 == 0 => 64 * random.below(300),
            2 => random.below(8000),
            3 => random.below(40),
            _ => 28 + 2 * random.below(4),
        };
    }
    if cap_count > 0 && random.below(2) == 0 {
        // Flags, if there are any: mostly not to wait.
        if let Some(flags) = words.get_mut((count.max(1) - 1) as usize) {
            *flags = 2 | random.below(8);
        }
    }
    let caps = core::array::from_fn(|_| CapSlot {
        source: random.pick(sources),
        rights: match random.below(4) {
            0 => Rights::from_bits_retain(random.next() as u32),
            _ => Rights::AS_HELD,
        },
        badge: match random.below(16) {
            0 => random.next() as u32,
            _ => 0,
        },
        moved: false,
    });
    Outgoing {
        cap_count,
        ..Outgoing::with_caps(tag, words, count, caps)
    }
}
