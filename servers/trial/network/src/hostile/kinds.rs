//! Capabilities of the wrong kind, wherever a method takes one.

use alloc::format;
use alloc::string::String;
use alloc::vec;

use gritos_base_api::{BaseError, BufferAccess};
use gritos_idl_runtime::{Address, Buffer, Cap, Error, Rights, Status, WireError};
use gritos_net_client::api::{
    Domain, IpProtocol, NetError, Readiness, SocketClient, SocketType, SocketsClient,
};
use gritos_service::{memory_cap, release};
use gritos_sys::environment::Environment;

use super::calls::{self, Sockets};
use super::{Desk, leave, refused, says};
use crate::component::came_to;
use crate::memory::Region;
use crate::patient::Patient;

/// Slots in which nothing is.
const EMPTY: Address = Address(200);

/// Whether the kernel, the stub or the service refused something; that nobody answered, or not in time, is no refusal.
fn is_refusal<E>(error: &Error<E>) -> bool {
    match error {
        Error::Refused(_) | Error::Server(_) => true,
        Error::Call(status) => !matches!(status, Status::ServerDied | Status::TimedOut),
        _ => false,
    }
}

fn fails<T: core::fmt::Debug, E: core::fmt::Debug>(
    what: &str,
    result: &Result<T, Error<E>>,
) -> Result<(), String> {
    match result {
        Err(error) if is_refusal(error) => Ok(()),
        other => Err(came_to(what, other)),
    }
}

pub(super) fn wrong(desk: &Desk<'_>) -> Result<(), String> {
    let mut sockets = Sockets::new(desk)?;
    let some_socket = desk.socket(SocketType::Datagram)?;
    let socket = some_socket.target().address();
    let memory = desk.region.object().address();
    let common = [
        ("a session", desk.session.address()),
        ("a socket", socket),
        ("a thread", Environment::TCB.address()),
        ("an address space", Environment::SPACE.address()),
        ("a CNode", Environment::CNODE.address()),
        ("an Untyped", Environment::MEMORY.address()),
        ("nothing", EMPTY),
    ];
    // Where a buffer is to be.
    let no_buffers = [("a notification", desk.bell)];
    for (kind, address) in common.into_iter().chain(no_buffers) {
        let good = desk.here(super::PORT)?;
        let bad = Buffer::registered(address, 0, 64);
        let calls = calls::with(desk, &mut sockets, bad, good);
        let rings = calls::rings(desk, &mut sockets, bad);
        for (name, result) in calls.into_iter().chain(rings) {
            fails(&format!("{name} with {kind} in place of a buffer"), &result)?;
        }
    }
    // Where a notification is to be.
    let no_bells = [("a buffer", desk.buffer), ("memory", memory)];
    for (kind, address) in common.into_iter().chain(no_bells) {
        let watched = sockets
            .messages
            .watch(Cap::new(address), Readiness::READABLE);
        fails(
            &format!("watch with {kind} in place of a notification"),
            &watched,
        )?;
        let rings = sockets.stream.rings(
            desk.range(4096, 4096),
            desk.range(8192, 4096),
            Cap::new(address),
        );
        fails(
            &format!("rings with {kind} in place of a notification"),
            &rings,
        )?;
    }
    // Where memory and a buffer of one's own are to be.
    let others = [("a notification", desk.bell), ("a buffer", desk.buffer)];
    for (kind, address) in common.into_iter().chain(others) {
        let access = BufferAccess::READ;
        let registered = desk.base().register(Cap::new(address), access);
        fails(&format!("register of {kind}"), &registered)?;
        if address != desk.buffer {
            let taken_back = desk.base().unregister(Cap::new(address));
            fails(&format!("unregister of {kind}"), &taken_back)?;
        }
    }
    // What is called.
    let callees = vec![
        ("a session", desk.session.address()),
        ("a buffer", desk.buffer),
        ("a notification", desk.bell),
        ("memory", memory),
        ("nothing", EMPTY),
    ];
    for (kind, address) in callees {
        let mut confused = SocketClient::new(Cap::new(address), Patient::LONG);
        fails(&format!("close of {kind}"), &confused.close())?;
        fails(&format!("poll of {kind}"), &confused.poll())?;
        fails(
            &format!("bind of {kind}"),
            &confused.bind(desk.range(0, 64)),
        )?;
    }
    for (kind, address) in [("a socket", socket), ("a buffer", desk.buffer)] {
        let mut confused = SocketsClient::new(Cap::new(address), Patient::LONG);
        let made = confused.socket(Domain::Inet, SocketType::Stream, IpProtocol::Any);
        fails(&format!("socket of {kind}"), &made)?;
    }
    let list = desk.net().list(0, desk.range(4096, 4096));
    fails("list without its right", &list)?;
    leave(some_socket)?;
    sockets.leave()
}

/// Memory, and buffers, with fewer rights than a call needs.
pub(super) fn memory(desk: &Desk<'_>) -> Result<(), String> {
    let region = Region::new(1, 4096)?;
    let (read, write) = (BufferAccess::READ, BufferAccess::WRITE);
    for (rights, access) in [
        (Rights::READ | Rights::MAP, write),
        (Rights::READ | Rights::MAP, read | write),
        (Rights::READ | Rights::WRITE, read),
    ] {
        let narrowed = memory_cap(region.object(), rights);
        let registered = desk.base().register(narrowed, access);
        refused(
            "memory without a right",
            &registered,
            &[Error::Server(BaseError::Access)],
        )?;
    }
    let whole = memory_cap(region.object(), crate::memory::RIGHTS);
    let registered = desk.base().register(whole, BufferAccess::empty());
    refused(
        "memory for nothing",
        &registered,
        &[Error::Server(BaseError::Invalid)],
    )?;

    // A buffer that the service may only read, and one that it may only write: the capability says so.
    let mut sockets = Sockets::new(desk)?;
    let Sockets {
        messages, fresh, ..
    } = &mut sockets;
    let no_right = [Error::Refused(WireError::BadCapRights)];
    for access in [read, write] {
        let registered = desk.base().register(whole, access);
        let buffer = registered
            .map_err(|error| came_to("register", &error))?
            .buffer;
        let range = Buffer::registered(buffer.address(), 0, 64);
        let (name, bind) = (messages.getsockname(range), fresh.bind(range));
        if access == read {
            refused("writing what may be read", &name, &no_right)?;
            // Zeros are no address.
            says(
                "reading what may be read",
                &bind,
                NetError::FamilyNotSupported,
            )?;
        } else {
            name.map_err(|error| came_to("writing what may be written", &error))?;
            refused("reading what may be written", &bind, &no_right)?;
        }
        let back = desk.base().unregister(buffer);
        back.map_err(|error| came_to("unregister", &error))?;
        // It is a capability still, and worth nothing.
        let used = match access == read {
            true => fresh.bind(range),
            false => messages.getsockname(range).map(drop),
        };
        says("a buffer taken back", &used, NetError::BadBuffer)?;
        let again = desk.base().unregister(buffer);
        refused(
            "unregister again",
            &again,
            &[Error::Server(BaseError::NotRegistered)],
        )?;
        let _ = release(buffer.address());
    }
    sockets.leave()
}
