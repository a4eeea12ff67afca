//! Sockets that were closed, and sockets of others.

use alloc::format;
use alloc::string::String;

use gritos_idl_runtime::{Cap, Error, Status, WireError};
use gritos_lend_api::LendClient;
use gritos_net_client::api::{
    MessageFlags, NetError, Readiness, ShutdownHow, SocketClient, SocketOption, SocketType,
};
use gritos_service::call_cap;

use super::{Desk, Outcome, forget, leave, refused, says};
use crate::component::came_to;
use crate::patient::Patient;

const NO_WAIT: MessageFlags = MessageFlags::DONT_WAIT;

/// What each method of a socket but `close` comes to, with arguments that are good.
fn all(
    desk: &Desk<'_>,
    socket: &mut SocketClient<Patient>,
) -> Result<[(&'static str, Outcome); 17], String> {
    let here = desk.here(super::PORT)?;
    let (room, other_room) = (desk.range(4096, 4096), desk.range(8192, 4096));
    let bell = Cap::new(desk.bell);
    Ok([
        ("bind", socket.bind(here)),
        ("listen", socket.listen(1)),
        ("accept", socket.accept(room, NO_WAIT).map(drop)),
        ("connect", socket.connect(here, NO_WAIT)),
        ("send", socket.send(here, NO_WAIT).map(drop)),
        ("recv", socket.recv(room, NO_WAIT).map(drop)),
        (
            "getsockopt",
            socket.getsockopt(SocketOption::Type).map(drop),
        ),
        ("setsockopt", socket.setsockopt(SocketOption::HopLimit, 9)),
        ("shutdown", socket.shutdown(ShutdownHow::Both)),
        ("getsockname", socket.getsockname(room).map(drop)),
        ("getpeername", socket.getpeername(room).map(drop)),
        ("sendto", socket.sendto(here, here, NO_WAIT).map(drop)),
        (
            "recvfrom",
            socket.recvfrom(room, other_room, NO_WAIT).map(drop),
        ),
        ("poll", socket.poll().map(drop)),
        ("watch", socket.watch(bell, Readiness::READABLE).map(drop)),
        ("rings", socket.rings(room, other_room, bell)),
        ("exchange", socket.exchange().map(drop)),
    ])
}

/// Whoever holds a closed socket's capability gets its error from every method, also when its place has a new owner.
pub(super) fn closed(desk: &Desk<'_>) -> Result<(), String> {
    for kind in [SocketType::Stream, SocketType::Datagram] {
        let mut old = desk.socket(kind)?;
        old.close().map_err(|error| came_to("close", &error))?;
        let mut new = desk.socket(kind)?;
        for (name, result) in all(desk, &mut old)? {
            says(
                &format!("{name} of a closed socket"),
                &result,
                NetError::BadSocket,
            )?;
        }
        says("closing it again", &old.close(), NetError::BadSocket)?;
        let kept = new.getsockopt(SocketOption::HopLimit);
        if kept != Ok(64) {
            return Err(came_to("the option of the socket in its place", &kept));
        }
        forget(old.target());
        leave(new)?;
    }
    Ok(())
}

/// A socket that another client lent for receiving does that and nothing else, and is gone when that client closes it.
pub(super) fn foreign(desk: &Desk<'_>) -> Result<(), String> {
    let session = desk
        .environment
        .service("lend")
        .ok_or("no service `lend`")?;
    let mut lender = LendClient::new(call_cap(session), Patient::LONG);
    let no_right = Error::Refused(WireError::MissingRight);
    let no_grant = Error::Call(Status::EndpointNoGrant);
    let no_socket = Error::Server(NetError::BadSocket);
    let lent = lender.lend().map_err(|error| came_to("lend", &error))?;
    let mut socket = SocketClient::new(lent, Patient::LONG);
    for (name, result) in all(desk, &mut socket)? {
        let what = format!("{name} of a socket that is lent");
        match name {
            "getsockname" | "getsockopt" | "poll" => {
                result.map_err(|error| came_to(&what, &error))?;
            }
            "recv" | "recvfrom" => says(&what, &result, NetError::WouldBlock)?,
            "getpeername" => says(&what, &result, NetError::NotConnected)?,
            // It was lent without the right to hand over anything, such as a notification.
            "watch" | "rings" => refused(&what, &result, &[no_grant])?,
            _ => refused(&what, &result, &[no_right])?,
        }
    }
    lender
        .take_back()
        .map_err(|error| came_to("take_back", &error))?;
    for (name, result) in all(desk, &mut socket)? {
        let what = format!("{name} of a socket that was lent");
        refused(&what, &result, &[no_socket, no_right, no_grant])?;
    }
    forget(lent);
    Ok(())
}
