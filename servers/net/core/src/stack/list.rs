//! What the sockets of all clients are, for whoever may see them. Connections that wait for `accept`, and those that
//! nobody holds any more, are not among them.

use gritos_net_api::{SocketState, SocketStatus};
use smoltcp::socket::tcp::{self, State};

use super::Stack;
use crate::address;
use crate::frame::FrameDevice;
use crate::socket::{Body, Socket};

impl<D: FrameDevice> Stack<D> {
    /// The sockets from this place in the table on, each with its place.
    pub(crate) fn list(&self, first: u32) -> impl Iterator<Item = (u32, SocketStatus)> + '_ {
        let sockets = self.table.starting_at(first as usize);
        sockets.map(|(place, socket)| (place as u32, self.status_of(socket)))
    }

    fn status_of(&self, socket: &Socket) -> SocketStatus {
        let (state, received, sent) = match &socket.body {
            Body::Fresh => (SocketState::Closed, 0, 0),
            Body::Listener(listener) => {
                (SocketState::Listen, listener.ready.len(), listener.backlog)
            }
            Body::Stream(stream) => {
                let tcp = self.set.get::<tcp::Socket<'_>>(stream.handle);
                (state(tcp.state()), tcp.recv_queue(), tcp.send_queue())
            }
            Body::Datagram(_) | Body::Echo(_) => (SocketState::Messages, 0, 0),
        };
        SocketStatus {
            client: socket.client,
            // Buffers are smaller than 4 GiB.
            received: received as u32,
            sent: sent as u32,
            kind: socket.kind,
            state,
            local: socket.local.map(address::to_api),
            remote: socket.remote.map(address::to_api),
        }
    }
}

const fn state(state: State) -> SocketState {
    match state {
        State::Closed => SocketState::Closed,
        State::Listen => SocketState::Listen,
        State::SynSent => SocketState::SynSent,
        State::SynReceived => SocketState::SynReceived,
        State::Established => SocketState::Established,
        State::FinWait1 => SocketState::FinWait1,
        State::FinWait2 => SocketState::FinWait2,
        State::CloseWait => SocketState::CloseWait,
        State::Closing => SocketState::Closing,
        State::LastAck => SocketState::LastAck,
        State::TimeWait => SocketState::TimeWait,
    }
}
