//! Every method that takes a buffer, called with one that is wrong.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use gritos_idl_runtime::{Buffer, Cap};
use gritos_net_client::api::{MessageFlags, SocketClient, SocketType};

use super::{Desk, Outcome, leave};
use crate::component::came_to;
use crate::patient::Patient;

/// Where the listener waits, and the socket of messages is bound.
const LISTENER_PORT: u16 = super::PORT + 1;
const MESSAGES_PORT: u16 = super::PORT + 2;
const NO_WAIT: MessageFlags = MessageFlags::DONT_WAIT;

/// A socket of each kind and state.
pub(super) struct Sockets {
    /// Bound to nothing.
    pub(super) fresh: SocketClient<Patient>,
    /// Bound, and connected to itself.
    pub(super) messages: SocketClient<Patient>,
    pub(super) listener: SocketClient<Patient>,
    /// Both ends of a connection.
    pub(super) stream: SocketClient<Patient>,
    pub(super) other: SocketClient<Patient>,
}

impl Sockets {
    pub(super) fn new(desk: &Desk<'_>) -> Result<Self, String> {
        let failed = |what: &'static str| move |error| came_to(what, &error);
        let mut messages = desk.socket(SocketType::Datagram)?;
        let here = desk.here(MESSAGES_PORT)?;
        messages.bind(here).map_err(failed("binding messages"))?;
        messages
            .connect(here, NO_WAIT)
            .map_err(failed("connecting messages"))?;
        let mut listener = desk.socket(SocketType::Stream)?;
        let mut stream = desk.socket(SocketType::Stream)?;
        let here = desk.here(LISTENER_PORT)?;
        listener
            .setsockopt(gritos_net_client::api::SocketOption::ReuseAddress, 1)
            .map_err(failed("reusing the address"))?;
        listener.bind(here).map_err(failed("binding a listener"))?;
        listener.listen(2).map_err(failed("listening"))?;
        stream
            .connect(here, MessageFlags::empty())
            .map_err(failed("connecting"))?;
        let accepted = listener
            .accept(desk.room(), MessageFlags::empty())
            .map_err(failed("accepting"))?;
        Ok(Self {
            fresh: desk.socket(SocketType::Datagram)?,
            messages,
            listener,
            stream,
            other: SocketClient::new(accepted.socket, Patient::LONG),
        })
    }

    pub(super) fn leave(self) -> Result<(), String> {
        for socket in [
            self.fresh,
            self.messages,
            self.listener,
            self.other,
            self.stream,
        ] {
            leave(socket)?;
        }
        Ok(())
    }
}

/// What each method that takes a buffer comes to with `bad` in place of it, where `good` is a good one that holds an
/// address, and room for one. Methods with two are called twice. `rings` looks at its buffers later: see [`rings`].
pub(super) fn with(
    desk: &Desk<'_>,
    sockets: &mut Sockets,
    bad: Buffer,
    good: Buffer,
) -> Vec<(&'static str, Outcome)> {
    let mut net = desk.net();
    let Sockets {
        fresh,
        messages,
        listener,
        stream,
        ..
    } = sockets;
    vec![
        ("bind", fresh.bind(bad)),
        ("connect", messages.connect(bad, NO_WAIT)),
        ("accept", listener.accept(bad, NO_WAIT).map(drop)),
        ("send", messages.send(bad, NO_WAIT).map(drop)),
        ("send of a stream", stream.send(bad, NO_WAIT).map(drop)),
        ("recv", messages.recv(bad, NO_WAIT).map(drop)),
        ("recv of a stream", stream.recv(bad, NO_WAIT).map(drop)),
        (
            "sendto, data",
            messages.sendto(bad, good, NO_WAIT).map(drop),
        ),
        (
            "sendto, address",
            messages.sendto(good, bad, NO_WAIT).map(drop),
        ),
        (
            "recvfrom, data",
            messages.recvfrom(bad, good, NO_WAIT).map(drop),
        ),
        (
            "recvfrom, address",
            messages.recvfrom(good, bad, NO_WAIT).map(drop),
        ),
        ("getsockname", messages.getsockname(bad).map(drop)),
        ("getpeername", messages.getpeername(bad).map(drop)),
        ("resolve", net.resolve(bad, good).map(drop)),
        ("interface", net.interface(bad)),
    ]
}

/// The same of `rings`.
pub(super) fn rings(
    desk: &Desk<'_>,
    sockets: &mut Sockets,
    bad: Buffer,
) -> [(&'static str, Outcome); 2] {
    let (good, bell) = (desk.range(8192, 1024), Cap::new(desk.bell));
    let stream = &mut sockets.stream;
    [
        ("rings, received", stream.rings(bad, good, bell)),
        ("rings, sent", stream.rings(good, bad, bell)),
    ]
}
