//! More of everything than one client may have; then, all given back, as much as before.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use gritos_base_api::BaseError;
use gritos_idl_runtime::{Address, Cap, Error, Status};
use gritos_net_client::api::{MessageFlags, NetError, SocketClient, SocketOption, SocketType};
use gritos_service::release;

use super::{Desk, leave, refused, register, says};
use crate::component::came_to;
use crate::memory::Region;
use crate::patient::Patient;

/// More than a client may have sockets, callers that wait, and buffers.
const MANY: usize = 1000;
/// Bytes of the largest socket buffer.
const LARGEST: u64 = 1 << 20;
/// Fewer than any of these that a client can have is too few.
const LEAST_SOCKETS: usize = 64;
const LEAST_BUFFERS: usize = 4;
const LEAST_WAITING: usize = 8;

pub(super) fn reached(desk: &Desk<'_>) -> Result<(), String> {
    let first = sockets(desk)?;
    let second = sockets(desk)?;
    if first != second {
        return Err(format!("{first} sockets, and then {second}"));
    }
    let first = bytes(desk)?;
    let second = bytes(desk)?;
    if first != second {
        return Err(format!("{first} large sockets, and then {second}"));
    }
    waiting(desk)?;
    buffers(desk)?;
    options(desk)
}

fn close_all(sockets: Vec<SocketClient<Patient>>) -> Result<(), String> {
    sockets.into_iter().try_for_each(leave)
}

/// As many sockets as there may be; how many.
fn sockets(desk: &Desk<'_>) -> Result<usize, String> {
    let mut made = Vec::new();
    for _ in 0..MANY {
        let (domain, protocol) = (
            gritos_net_client::api::Domain::Inet,
            gritos_net_client::api::IpProtocol::Any,
        );
        match desk.net().socket(domain, SocketType::Stream, protocol) {
            Ok(socket) => made.push(SocketClient::new(socket, Patient::LONG)),
            other => {
                says("one socket more", &other, NetError::ClientLimit)?;
                break;
            }
        }
    }
    let count = made.len();
    close_all(made)?;
    match count {
        LEAST_SOCKETS..MANY => Ok(count),
        _ => Err(format!("{count} sockets could be made")),
    }
}

/// Sockets of the largest buffers, until no memory is left for this client; how many.
fn bytes(desk: &Desk<'_>) -> Result<usize, String> {
    let mut made = Vec::new();
    let mut is_full = false;
    for _ in 0..LEAST_SOCKETS {
        let mut socket = desk.socket(SocketType::Datagram)?;
        for option in [SocketOption::ReceiveBuffer, SocketOption::SendBuffer] {
            let set = socket.setsockopt(option, LARGEST);
            set.map_err(|error| came_to("a large buffer", &error))?;
        }
        let bound = socket.bind(desk.here(0)?);
        made.push(socket);
        if bound.is_err() {
            says("one large socket more", &bound, NetError::NoBuffers)?;
            is_full = true;
            break;
        }
    }
    let count = made.len() - 1;
    close_all(made)?;
    match is_full {
        true if count > 0 => Ok(count),
        _ => Err(format!("{count} large sockets could be made")),
    }
}

/// Callers that nobody answers and whose time is over stay in the service's books until their sockets are closed; there
/// are so many and no more.
fn waiting(desk: &Desk<'_>) -> Result<(), String> {
    let mut made = Vec::new();
    let mut refusal = None;
    for _ in 0..LEAST_SOCKETS {
        let socket = desk.socket(SocketType::Datagram)?;
        let mut hasty = SocketClient::new(socket.target(), Patient::SHORT);
        let count = hasty.recv(desk.room(), MessageFlags::empty());
        made.push(socket);
        if count != Err(Error::Call(Status::TimedOut)) {
            refusal = Some(count);
            break;
        }
    }
    let count = made.len();
    match refusal {
        Some(refusal) => says("one caller more", &refusal, NetError::ClientLimit)?,
        None => return Err(format!("{count} callers may wait")),
    }
    if count <= LEAST_WAITING {
        return Err(format!("{count} callers are too many"));
    }
    close_all(made)
}

/// As many registered buffers as there may be.
fn buffers(desk: &Desk<'_>) -> Result<(), String> {
    let region = Region::new(4, 4096)?;
    let mut made: Vec<Address> = Vec::new();
    for _ in 0..MANY {
        let access = gritos_base_api::BufferAccess::READ;
        let memory = gritos_service::memory_cap(region.object(), crate::memory::RIGHTS);
        match desk.base().register(memory, access) {
            Ok(reply) => made.push(reply.buffer.address()),
            other => {
                refused(
                    "one buffer more",
                    &other,
                    &[Error::Server(BaseError::Limit)],
                )?;
                break;
            }
        }
    }
    let count = made.len();
    for buffer in made {
        let given_back = desk.base().unregister(Cap::new(buffer));
        given_back.map_err(|error| came_to("unregister", &error))?;
        let _ = release(buffer);
    }
    if !(LEAST_BUFFERS..MANY).contains(&count) {
        return Err(format!("{count} buffers could be registered"));
    }
    // There is room again.
    let again = register(Cap::new(desk.session.address()), &region)?;
    let given_back = desk.base().unregister(Cap::new(again));
    let _ = release(again);
    given_back.map_err(|error| came_to("unregister", &error))
}

/// Values of options, and numbers, that are out of range.
fn options(desk: &Desk<'_>) -> Result<(), String> {
    let mut socket = desk.socket(SocketType::Stream)?;
    for (option, value) in [
        (SocketOption::ReceiveBuffer, 0),
        (SocketOption::ReceiveBuffer, LARGEST + 1),
        (SocketOption::SendBuffer, u64::MAX),
        (SocketOption::HopLimit, 0),
        (SocketOption::HopLimit, 256),
        (SocketOption::NonBlocking, 2),
        (SocketOption::NoDelay, u64::MAX),
    ] {
        let set = socket.setsockopt(option, value);
        says(&format!("{option:?} of {value}"), &set, NetError::Invalid)?;
    }
    for option in [SocketOption::LastError, SocketOption::Type] {
        let set = socket.setsockopt(option, 1);
        says(&format!("setting {option:?}"), &set, NetError::NoOption)?;
    }
    // A time that ends beyond all time is none.
    for option in [SocketOption::ReceiveTimeout, SocketOption::KeepAlive] {
        let set = socket.setsockopt(option, u64::MAX);
        set.map_err(|error| came_to("the longest time", &error))?;
    }
    let bound = socket.bind(desk.here(super::PORT)?);
    bound.map_err(|error| came_to("bind", &error))?;
    // More may not wait than the limit, however many are asked for: the number is narrowed.
    let all = socket.listen(u32::MAX);
    all.map_err(|error| came_to("listening for all the world", &error))?;
    leave(socket)
}
