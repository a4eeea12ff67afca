//! Sockets that are closed, but not done: what was sent is still on its way.

use core::net::SocketAddr;

use gritos_net_api::SocketType;
use smoltcp::socket::tcp::{self, State};
use smoltcp::socket::udp;

use super::Stack;
use crate::frame::FrameDevice;
use crate::sets::Handle;
use crate::socket::{Body, Socket};

/// Nanoseconds after which a peer that does not end a connection is told that
/// it has ended.
const STREAM_LIMIT_NS: u64 = 60_000_000_000;
/// Nanoseconds after which messages that could not be sent are given up.
const DATAGRAM_LIMIT_NS: u64 = 5_000_000_000;
/// Connections that may wait for stray segments at their end; the oldest one
/// makes room.
const TIME_WAIT_LIMIT: usize = 16;

/// A socket that nobody holds any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lingering {
    handle: Handle,
    pub(super) client: u32,
    pub(super) bytes: usize,
    kind: SocketType,
    local: Option<SocketAddr>,
    deadline_ns: u64,
    /// It waits for stray segments, and for nothing else.
    waits: bool,
}

impl<D: FrameDevice> Stack<D> {
    /// Closes what a socket holds and keeps what has to be finished.
    pub(super) fn linger(&mut self, socket: Socket) {
        match &socket.body {
            Body::Fresh => {}
            Body::Listener(listener) => {
                for handle in listener.handles() {
                    self.abort(handle, &socket);
                }
            }
            Body::Stream(stream) => {
                let tcp = self.set.get_mut::<tcp::Socket<'_>>(stream.handle);
                tcp.set_timeout(None);
                if tcp.recv_queue() > 0 {
                    // The peer has to learn that its data was not read (RFC 2525,
                    // "Failure to RST on close with data pending").
                    tcp.abort();
                } else {
                    tcp.close();
                }
                self.set.touch(stream.handle);
                self.keep(stream.handle, &socket, STREAM_LIMIT_NS);
            }
            Body::Datagram(handle) if self.set.get::<udp::Socket<'_>>(*handle).send_queue() > 0 => {
                self.keep(*handle, &socket, DATAGRAM_LIMIT_NS);
            }
            // With nothing to send its port is free at once: no turn may come soon that would see it.
            Body::Datagram(handle) | Body::Echo(handle) => {
                self.set.remove(*handle);
            }
        }
    }

    /// Ends a connection at once; the peer is told.
    pub(super) fn abort(&mut self, handle: Handle, owner: &Socket) {
        self.set.get_mut::<tcp::Socket<'_>>(handle).abort();
        self.set.touch(handle);
        self.keep(handle, owner, STREAM_LIMIT_NS);
    }

    pub(super) fn keep(&mut self, handle: Handle, owner: &Socket, limit_ns: u64) {
        let deadline_ns = self.now_ns.saturating_add(limit_ns);
        let next = self.lingering_ns.into_iter().chain([deadline_ns]).min();
        self.lingering_ns = next;
        self.set.let_linger(handle);
        self.lingering.push(Lingering {
            handle,
            client: owner.client,
            bytes: owner.options.bytes(),
            kind: owner.kind,
            local: owner.local,
            deadline_ns,
            waits: false,
        });
    }

    /// Removes what is finished.
    pub(super) fn reap(&mut self) {
        let mut waits = 0;
        let now_ns = self.now_ns;
        let late = self.lingering_ns.is_some_and(|at| at <= now_ns);
        if !late && !self.set.has_lingering_moved() && !self.messages_linger() {
            return;
        }
        // From the youngest to the oldest, so that the oldest make room.
        for at in (0..self.lingering.len()).rev() {
            let Some(held) = self.lingering.get(at).copied() else {
                continue;
            };
            let news = now_ns >= held.deadline_ns || self.set.has_moved(held.handle);
            let has_to_go = held.waits && waits >= TIME_WAIT_LIMIT;
            if !news && !has_to_go {
                waits += usize::from(held.waits);
                continue;
            }
            let before = waits;
            let (done, ended) = self.is_done(&held, &mut waits);
            // The reset that was ordered goes out in the next turn, at once.
            if ended {
                self.set.touch(held.handle);
            }
            if done {
                self.set.remove(held.handle);
                self.lingering.remove(at);
            } else if let Some(held) = self.lingering.get_mut(at) {
                held.waits = waits > before;
            }
        }
        self.lingering_ns = self.lingering.iter().map(|held| held.deadline_ns).min();
    }

    fn messages_linger(&self) -> bool {
        let mut kinds = self.lingering.iter().map(|held| held.kind);
        kinds.any(|kind| kind != SocketType::Stream)
    }

    /// Whether it is finished, and whether it was ended just now.
    fn is_done(&mut self, held: &Lingering, waits: &mut usize) -> (bool, bool) {
        let late = self.now_ns >= held.deadline_ns;
        let done = match held.kind {
            SocketType::Stream => {
                let tcp = self.set.get_mut::<tcp::Socket<'_>>(held.handle);
                return is_stream_done(tcp, late, waits);
            }
            SocketType::Datagram => {
                late || self.set.get::<udp::Socket<'_>>(held.handle).send_queue() == 0
            }
            SocketType::Raw => true,
        };
        (done, false)
    }

    /// Whether a socket that nobody holds still uses a port.
    pub(super) fn lingers_at(&self, kind: SocketType, port: u16) -> bool {
        self.lingering
            .iter()
            .any(|held| held.kind == kind && held.local.is_some_and(|local| local.port() == port))
    }
}

fn is_stream_done(tcp: &mut tcp::Socket<'_>, late: bool, waits: &mut usize) -> (bool, bool) {
    let done = match tcp.state() {
        // The reset that ends it has been sent once it has no peer any more.
        State::Closed => late || tcp.remote_endpoint().is_none(),
        State::Listen => true,
        State::TimeWait => {
            *waits += 1;
            late || *waits > TIME_WAIT_LIMIT
        }
        _ => {
            if late || tcp.recv_queue() > 0 {
                tcp.abort();
                return (false, true);
            }
            false
        }
    };
    (done, false)
}
