//! What happened to connections while nobody looked.

use gritos_net_api::NetError;
use smoltcp::socket::tcp::{self, State};
use smoltcp::wire::IpCidr;

use super::{Stack, stream};
use crate::frame::FrameDevice;
use crate::link::{Protocol, Unreachable};
use crate::socket::{Body, Phase, Socket};
use core::net::{IpAddr, SocketAddr};

/// What moved a connection: a segment of its peer, or time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Peer,
    Time,
}

impl<D: FrameDevice> Stack<D> {
    /// Looks at every connection; whether one has ended since.
    pub(super) fn observe(&mut self, cause: Cause) -> bool {
        let mut ended = false;
        if self.set.has_nothing_moved() {
            return ended;
        }
        let set = &mut self.set;
        let known = &self.known;
        for (_, socket) in self.table.iter_mut() {
            let Body::Stream(held) = &mut socket.body else {
                continue;
            };
            if held.phase == Phase::Ended {
                continue;
            }
            if !set.has_moved(held.handle) {
                continue;
            }
            let tcp = set.get_mut::<tcp::Socket<'_>>(held.handle);
            let (before, state) = (held.last, tcp.state());
            held.last = state;
            if socket.receive_shut && tcp.can_recv() {
                // Nobody will read it, and the peer shall not wait for that. There
                // is something to receive, so that this cannot fail.
                let _ = tcp.recv(|bytes| (bytes.len(), ()));
            }
            match (held.phase, state) {
                (Phase::Connecting, State::Closed) => {
                    ended = true;
                    let handle = held.handle;
                    set.remove(handle);
                    socket.body = Body::Fresh;
                    let error = match cause {
                        Cause::Peer => NetError::Refused,
                        Cause::Time => end_by_time(socket, known),
                    };
                    fail_connect(socket, error);
                }
                (Phase::Connecting, State::SynSent | State::SynReceived) => {}
                (Phase::Connecting, _) => {
                    held.phase = Phase::Open;
                    stream::be_patient(tcp, held.probed_since, self.now_ns);
                }
                (_, State::Closed) => {
                    held.phase = Phase::Ended;
                    ended = true;
                    let in_order = matches!(before, State::LastAck | State::TimeWait);
                    if !in_order {
                        socket.error = Some(match cause {
                            Cause::Peer => NetError::Reset,
                            Cause::Time => end_by_time(socket, known),
                        });
                    }
                }
                _ => stream::be_patient(tcp, held.probed_since, self.now_ns),
            }
        }
        ended
    }

    /// Tells the socket that sent it that a packet did not arrive.
    pub(super) fn note_unreachable(&mut self, packet: Unreachable) {
        let error = if packet.port_closed {
            NetError::Refused
        } else {
            NetError::HostUnreachable
        };
        for (_, socket) in self.table.iter_mut() {
            if socket.remote != Some(packet.remote) || !is_local(socket, packet.local) {
                continue;
            }
            match (&socket.body, packet.protocol) {
                (Body::Datagram(_), Protocol::Udp) => socket.error = Some(error),
                // Only before it is established: later it may be a forgery, and TCP
                // finds out by itself.
                (Body::Stream(held), Protocol::Tcp) if held.phase == Phase::Connecting => {
                    self.set.remove(held.handle);
                    self.set.note_lost();
                    socket.body = Body::Fresh;
                    fail_connect(socket, error);
                }
                _ => {}
            }
        }
    }
}

fn is_local(socket: &Socket, local: SocketAddr) -> bool {
    socket.local.is_some_and(|own| {
        own.port() == local.port() && (own.ip().is_unspecified() || own.ip() == local.ip())
    })
}

/// A socket that could not connect may try again.
fn fail_connect(socket: &mut Socket, error: NetError) {
    socket.error = Some(error);
    socket.remote = None;
    socket.local = None;
}

/// Why a connection ended without a word of its peer.
fn end_by_time(socket: &Socket, known: &[IpCidr]) -> NetError {
    let still_here = socket.local.is_some_and(|local| {
        known
            .iter()
            .any(|cidr| IpAddr::from(cidr.address()) == local.ip())
    });
    if still_here {
        NetError::TimedOut
    } else {
        NetError::NetworkDown
    }
}
