//! Ranges that lie outside of the memory, or whose ends overflow.

use alloc::format;
use alloc::string::String;

use gritos_idl_runtime::{Buffer, Error, WireError};
use gritos_net_client::api::{MessageFlags, NetError, SocketType};

use super::calls::{self, Sockets};
use super::{ADDRESS_BYTES, BYTES, Desk, leave, refused, says};
use crate::component::came_to;

/// Offset and length.
const OUTSIDE: [(u64, u64); 8] = [
    (BYTES, 1),
    (0, BYTES + 1),
    (1, BYTES),
    (BYTES - 1, 2),
    (u64::MAX - 1, 1),
    (u64::MAX, 1),
    (1 << 40, 1 << 40),
    (1 << 63, 1 << 63),
];

pub(super) fn outside(desk: &Desk<'_>) -> Result<(), String> {
    let mut sockets = Sockets::new(desk)?;
    for (offset, length) in OUTSIDE {
        let good = desk.here(super::PORT)?;
        let bad = desk.range(offset, length);
        let calls = calls::with(desk, &mut sockets, bad, good);
        let rings = calls::rings(desk, &mut sockets, bad);
        for (name, result) in calls.into_iter().chain(rings) {
            let what = format!("{name} with {length} bytes at {offset}");
            let wanted = [
                Error::Server(NetError::Invalid),
                Error::Refused(WireError::BadLength),
            ];
            refused(&what, &result, &wanted)?;
        }
    }
    // The same of memory that comes with the call.
    let memory = |offset, length| {
        Buffer::memory(
            gritos_service::memory_cap(desk.region.object(), crate::memory::RIGHTS),
            offset,
            length,
        )
    };
    for (offset, length) in [(BYTES, 1), (0, BYTES + 1), (u64::MAX - 1, 1)] {
        let result = sockets.fresh.bind(memory(offset, length));
        says("bind with memory", &result, NetError::Invalid)?;
    }
    let short = desk.range(0, ADDRESS_BYTES - 1);
    says(
        "an address in too little",
        &sockets.messages.connect(short, MessageFlags::DONT_WAIT),
        NetError::Invalid,
    )?;
    says(
        "an address into too little",
        &sockets.messages.getsockname(short),
        NetError::Invalid,
    )?;
    sockets.leave()?;
    addresses(desk)
}

/// Bytes that are no address, and addresses that are of no use.
fn addresses(desk: &Desk<'_>) -> Result<(), String> {
    let mut socket = desk.socket(SocketType::Datagram)?;
    for kind in [0, 1, 5, 255] {
        let mut bytes = [0xff; ADDRESS_BYTES as usize];
        bytes[0] = kind;
        let none = desk.put(&bytes)?;
        says(
            "bind to no address",
            &socket.bind(none),
            NetError::FamilyNotSupported,
        )?;
    }
    let foreign = desk.address([10, 9, 8, 7], super::PORT)?;
    says(
        "bind to another's address",
        &socket.bind(foreign),
        NetError::AddressNotAvailable,
    )?;
    let without_port = desk.here(0)?;
    says(
        "a message to no port",
        &socket.sendto(desk.range(1024, 1), without_port, MessageFlags::DONT_WAIT),
        NetError::AddressNotAvailable,
    )?;
    // More than a message can have, from memory that is there.
    let here = desk.here(super::PORT)?;
    let bound = socket.bind(here);
    bound.map_err(|error| came_to("bind", &error))?;
    says(
        "a message of all the memory",
        &socket.sendto(desk.range(0, BYTES), here, MessageFlags::DONT_WAIT),
        NetError::MessageTooLarge,
    )?;
    leave(socket)
}
