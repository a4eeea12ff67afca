//! Memory that goes away: between calls, while a call waits, and under rings.

use alloc::format;
use alloc::string::String;

use gritos_idl_runtime::{Address, Buffer, Cap, Error, Status};
use gritos_net_client::api::{MessageFlags, NetError, SocketClient};
use gritos_service::release;

use super::calls::{self, Sockets};
use super::{Desk, leave, refused, register, says};
use crate::component::came_to;
use crate::memory::Region;
use crate::patient::Patient;

const BYTES: u64 = 16 << 10;
const WAIT: MessageFlags = MessageFlags::empty();

/// A buffer whose memory was revoked is an error of every call that uses it, and of a call that waits with it.
pub(super) fn revoked(desk: &Desk<'_>) -> Result<(), String> {
    let region = Region::new(2, BYTES)?;
    let buffer = register(Cap::new(desk.session.address()), &region)?;
    let range = Buffer::registered(buffer, 0, 200);
    let mut sockets = Sockets::new(desk)?;
    // Two callers that nobody answers: their time is over, and the service goes on without them.
    let mut messages = SocketClient::new(sockets.messages.target(), Patient::SHORT);
    let mut stream = SocketClient::new(sockets.stream.target(), Patient::SHORT);
    let timed_out = [Error::Call(Status::TimedOut)];
    refused(
        "a message that nobody sends",
        &messages.recv(range, WAIT),
        &timed_out,
    )?;
    refused(
        "bytes that nobody sends",
        &stream.recv(range, WAIT),
        &timed_out,
    )?;
    region.revoke()?;
    for (name, result) in calls::with(desk, &mut sockets, range, desk.here(super::PORT)?) {
        let wanted = match name {
            // The two that wait come first; whether there is memory for an address is seen once somebody connects.
            "accept" | "recv" | "recv of a stream" | "recvfrom, data" | "recvfrom, address" => {
                [NetError::BadBuffer, NetError::WouldBlock]
            }
            _ => [NetError::BadBuffer; 2],
        };
        let what = format!("{name} with memory that is gone");
        refused(&what, &result, &wanted.map(Error::Server))?;
    }
    // What they waited for comes, and finds no memory to go to.
    let data = desk.range(1024, 64);
    for sent in [
        sockets.messages.send(data, WAIT),
        sockets.other.send(data, WAIT),
    ] {
        sent.map_err(|error| came_to("sending to whose memory is gone", &error))?;
    }
    // The capability is one still, and can be given back.
    give_back(desk, buffer)?;
    // Other memory in the same place is served.
    region.renew()?;
    let buffer = register(Cap::new(desk.session.address()), &region)?;
    let named = sockets
        .messages
        .getsockname(Buffer::registered(buffer, 0, 64));
    named.map_err(|error| came_to("memory made anew", &error))?;
    give_back(desk, buffer)?;
    region.revoke()?;
    sockets.leave()
}

/// Has the service forget a buffer.
fn give_back(desk: &Desk<'_>, buffer: Address) -> Result<(), String> {
    let given_back = desk.base().unregister(Cap::new(buffer));
    let _ = release(buffer);
    given_back.map_err(|error| came_to("unregister", &error))
}

/// Offsets in a ring: what the producer has put in, and what the consumer has taken out.
const PRODUCED: usize = 0;
const CONSUMED: usize = 64;
const HALF: u64 = BYTES / 2;

/// Rings with impossible counters, and rings whose memory goes away, cost their owner the socket and nobody anything.
pub(super) fn rings(desk: &Desk<'_>) -> Result<(), String> {
    let region = Region::new(3, BYTES)?;
    for (at, value) in [
        // The server puts in what is received: the client cannot have taken more out.
        (CONSUMED, 77),
        (CONSUMED, u32::MAX),
        // The client cannot have put in more than there is room for.
        (HALF as usize + PRODUCED, u32::MAX / 2),
        (HALF as usize + PRODUCED, HALF as u32 + 1),
    ] {
        let (mut sockets, buffer) = ringed(desk, &region)?;
        let shared = region.shared()?;
        shared
            .store_release(at, value)
            .map_err(|error| came_to("writing a counter", &error))?;
        // A turn of the service sees it, at the latest the one after this call.
        let _ = sockets.stream.exchange();
        let what = format!("a stream whose counter at {at} is {value}");
        says(&what, &sockets.stream.poll(), NetError::BadSocket)?;
        lost(desk, sockets)?;
        give_back(desk, buffer)?;
        region.revoke()?;
        region.renew()?;
    }
    let (mut sockets, buffer) = ringed(desk, &region)?;
    says(
        "rings twice",
        &sockets.stream.rings(
            desk.range(4096, 1024),
            desk.range(8192, 1024),
            Cap::new(desk.bell),
        ),
        NetError::Invalid,
    )?;
    region.revoke()?;
    // Something comes that should go into the ring.
    let sent = sockets.other.send(desk.range(1024, 64), WAIT);
    sent.map_err(|error| came_to("sending into a ring that is gone", &error))?;
    let _ = sockets.stream.exchange();
    says(
        "a stream whose rings are gone",
        &sockets.stream.poll(),
        NetError::BadSocket,
    )?;
    give_back(desk, buffer)?;
    lost(desk, sockets)?;

    // Memory that is gone already is noticed when the first byte is to be moved.
    region.renew()?;
    let buffer = register(Cap::new(desk.session.address()), &region)?;
    region.revoke()?;
    let mut sockets = Sockets::new(desk)?;
    let range = |offset| Buffer::registered(buffer, offset, HALF);
    let rings = sockets
        .stream
        .rings(range(0), range(HALF), Cap::new(desk.bell));
    rings.map_err(|error| came_to("rings in memory that is gone", &error))?;
    says(
        "a stream without rings",
        &sockets.stream.poll(),
        NetError::BadSocket,
    )?;
    give_back(desk, buffer)?;
    lost(desk, sockets)
}

/// A connection to this machine itself, whose one end uses rings in `region`. The buffer is the
/// caller's to give back.
fn ringed(desk: &Desk<'_>, region: &Region) -> Result<(Sockets, Address), String> {
    let buffer = register(Cap::new(desk.session.address()), region)?;
    let mut sockets = Sockets::new(desk)?;
    let range = |offset| Buffer::registered(buffer, offset, HALF);
    let rings = sockets
        .stream
        .rings(range(0), range(HALF), Cap::new(desk.bell));
    rings.map_err(|error| came_to("rings", &error))?;
    Ok((sockets, buffer))
}

/// The stream is closed already; its peer hears of it, and the others are closed as ever.
fn lost(desk: &Desk<'_>, mut sockets: Sockets) -> Result<(), String> {
    let heard = sockets.other.recv(desk.room(), WAIT);
    match heard {
        Ok(0) | Err(Error::Server(NetError::Reset | NetError::Aborted)) => {}
        other => return Err(came_to("the peer of a stream that lied", &other)),
    }
    super::forget(sockets.stream.target());
    for socket in [
        sockets.fresh,
        sockets.messages,
        sockets.listener,
        sockets.other,
    ] {
        leave(socket)?;
    }
    Ok(())
}
