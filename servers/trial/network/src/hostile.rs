//! A client that makes each mistake there is, and expects the error that belongs to it.
//!
//! Nothing here is random: what each call comes to is known. After each group of mistakes the service is the one that
//! it was, in the life that it was, and serves this client as it serves everybody.

use alloc::format;
use alloc::string::String;
use core::fmt::Debug;

use gritos_base_api::{BufferAccess, Session, SessionClient};
use gritos_idl_runtime::{Address, Buffer, Cap, Error, Wire};
use gritos_net_client::api::{
    Domain, IpProtocol, NetError, Socket, SocketAddress, SocketAddressV4, SocketClient, SocketType,
    Sockets, SocketsClient,
};
use gritos_service::{call_cap, memory_cap, release};
use gritos_sys::cap::Notification;
use gritos_sys::environment::Environment;
use gritos_sys::slots::own;

use crate::component::came_to;
use crate::memory::{RIGHTS, Region};
use crate::patient::Patient;

mod calls;
mod ends;
mod filter;
mod kinds;
mod limits;
mod ranges;
mod taken;

/// What a call came to.
pub(super) type Outcome = Result<(), Error<NetError>>;

/// Bytes of the registered buffer.
pub(super) const BYTES: u64 = 16 << 10;
/// Where a good address lies in it, and where there is room for what is received.
pub(super) const ADDRESS_AT: u64 = 0;
pub(super) const ROOM_AT: u64 = 4096;
pub(super) const ADDRESS_BYTES: u64 = SocketAddress::SIZE as u64;
/// Ports of this machine that the filter leaves to this client: from here on.
pub(super) const PORT: u16 = 4000;

/// What an honest client holds.
pub(super) struct Desk<'a> {
    pub(super) environment: &'a Environment<'a>,
    pub(super) session: Cap<Sockets>,
    pub(super) region: Region,
    /// The buffer's capability.
    pub(super) buffer: Address,
    pub(super) bell: Address,
}

impl<'a> Desk<'a> {
    fn new(environment: &'a Environment<'a>) -> Result<Self, String> {
        let session = environment.service("net").ok_or("no service `net`")?;
        let region = Region::new(0, BYTES)?;
        let buffer = register(call_cap(session), &region)?;
        let bell = own::take()
            .and_then(|slot| Environment::MEMORY.create::<Notification>(slot))
            .map_err(|error| came_to("making a notification", &error))?;
        Ok(Self {
            environment,
            session: call_cap(session),
            region,
            buffer,
            bell: bell.address(),
        })
    }

    pub(super) const fn base(&self) -> SessionClient<Patient> {
        SessionClient::new(Cap::new(self.session.address()), Patient::LONG)
    }

    pub(super) const fn net(&self) -> SocketsClient<Patient> {
        SocketsClient::new(self.session, Patient::LONG)
    }

    /// A socket that the caller closes with [`leave`].
    pub(super) fn socket(&self, kind: SocketType) -> Result<SocketClient<Patient>, String> {
        let made = self.net().socket(Domain::Inet, kind, IpProtocol::Any);
        let socket = made.map_err(|error| came_to("making a socket", &error))?;
        Ok(SocketClient::new(socket, Patient::LONG))
    }

    pub(super) const fn range(&self, offset: u64, length: u64) -> Buffer {
        Buffer::registered(self.buffer, offset, length)
    }

    /// Room for something that is received.
    pub(super) const fn room(&self) -> Buffer {
        self.range(ROOM_AT, 256)
    }

    /// Writes an address into the buffer.
    pub(super) fn address(&self, address: [u8; 4], port: u16) -> Result<Buffer, String> {
        let mut bytes = [0; SocketAddress::SIZE];
        SocketAddress::V4(SocketAddressV4 { address, port }).encode(&mut bytes);
        self.put(&bytes)
    }

    /// Writes bytes where addresses lie.
    pub(super) fn put(&self, bytes: &[u8]) -> Result<Buffer, String> {
        let shared = self.region.shared()?;
        shared
            .write(ADDRESS_AT as usize, bytes)
            .map_err(|error| came_to("writing an address", &error))?;
        Ok(self.range(ADDRESS_AT, bytes.len() as u64))
    }

    /// This machine's port `port`.
    pub(super) fn here(&self, port: u16) -> Result<Buffer, String> {
        self.address([127, 0, 0, 1], port)
    }
}

/// Closes a socket and gives its slot back.
pub(super) fn leave(mut socket: SocketClient<Patient>) -> Result<(), String> {
    let closed = socket.close();
    forget(socket.target());
    closed.map_err(|error| came_to("closing a socket", &error))
}

/// Gives the slot of a socket back.
pub(super) fn forget(socket: Cap<Socket>) {
    // One that cannot be emptied stays taken.
    let _ = release(socket.address());
}

/// Registers a region with the network service.
pub(crate) fn register(session: Cap<Session>, region: &Region) -> Result<Address, String> {
    let access = BufferAccess::READ | BufferAccess::WRITE;
    let reply = SessionClient::new(session, Patient::LONG)
        .register(memory_cap(region.object(), RIGHTS), access)
        .map_err(|error| came_to("registering memory", &error))?;
    Ok(reply.buffer.address())
}

/// Fails unless a call failed in one of these ways.
pub(super) fn refused<T: Debug, E: Debug + PartialEq>(
    what: &str,
    result: &Result<T, Error<E>>,
    wanted: &[Error<E>],
) -> Result<(), String> {
    match result {
        Err(error) if wanted.contains(error) => Ok(()),
        other => Err(format!("{what} came to {other:?} in place of {wanted:?}")),
    }
}

/// As [`refused`] where the service itself is to say no.
pub(super) fn says<T: Debug>(
    what: &str,
    result: &Result<T, Error<NetError>>,
    wanted: NetError,
) -> Result<(), String> {
    refused(what, result, &[Error::Server(wanted)])
}

type Check = fn(&Desk<'_>) -> Result<(), String>;

const CHECKS: [(&str, Check); 9] = [
    ("ranges", ranges::outside),
    ("kinds of capabilities", kinds::wrong),
    ("kinds of memory", kinds::memory),
    ("closed sockets", ends::closed),
    ("sockets of others", ends::foreign),
    ("memory taken away", taken::revoked),
    ("rings", taken::rings),
    ("the filter", filter::denies),
    ("limits", limits::reached),
];

pub(crate) fn run(environment: &Environment<'_>) -> Result<String, String> {
    let desk = Desk::new(environment)?;
    let life = |when: &str| {
        let life = desk.base().generation();
        life.map_err(|error| came_to(when, &error))
    };
    let before = life("the first call")?;
    for (name, check) in CHECKS {
        check(&desk).map_err(|why| format!("{name}: {why}"))?;
        if life(name)? != before {
            return Err(format!("{name}: the service was started anew"));
        }
        honest(&desk).map_err(|why| format!("after {name}: {why}"))?;
    }
    Ok(format!("{} groups of mistakes", CHECKS.len()))
}

/// Does what an honest client does: a message goes to this machine itself, and comes.
fn honest(desk: &Desk<'_>) -> Result<(), String> {
    const TEXT: &[u8] = b"as if nothing had been";
    let mut socket = desk.socket(SocketType::Datagram)?;
    let failed = |what: &'static str| move |error: Error<NetError>| came_to(what, &error);
    let here = desk.here(PORT)?;
    socket.bind(here).map_err(failed("bind"))?;
    let shared = desk.region.shared()?;
    let (data_at, length) = (1024, TEXT.len() as u64);
    shared
        .write(data_at, TEXT)
        .map_err(|error| came_to("writing", &error))?;
    let flags = gritos_net_client::api::MessageFlags::empty();
    socket
        .sendto(desk.range(data_at as u64, length), here, flags)
        .map_err(failed("sendto"))?;
    let count = socket.recv(desk.room(), flags).map_err(failed("recv"))?;
    let mut heard = [0; TEXT.len()];
    shared
        .read(ROOM_AT as usize, &mut heard)
        .map_err(|error| came_to("reading", &error))?;
    if count != length || heard != TEXT {
        return Err(format!("{count} bytes came: {heard:?}"));
    }
    leave(socket)
}
