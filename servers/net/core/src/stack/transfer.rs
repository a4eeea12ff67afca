//! Sending and receiving, whatever the kind of socket.

use core::net::SocketAddr;

use gritos_net_api::{NetError, SocketType};

use super::Stack;
use crate::buffers::{Sink, Source};
use crate::frame::FrameDevice;
use crate::socket::{Body, Received, SocketId};

impl<D: FrameDevice> Stack<D> {
    /// Sends bytes of a stream, those from `skip` on, or one message; how many
    /// bytes were taken. `to` is for messages; without it they go to the
    /// connected peer.
    ///
    /// # Errors
    /// `WOULD_BLOCK` if there is no room, `NOT_CONNECTED`, `IS_CONNECTED` if a
    /// stream is given an address, `BROKEN_PIPE`, `RESET`, `TIMED_OUT`,
    /// `DESTINATION_REQUIRED`, `MESSAGE_TOO_LARGE`, `ACCESS` if no rule allows
    /// it, `NETWORK_DOWN`, `NETWORK_UNREACHABLE`, `REFUSED` or
    /// `HOST_UNREACHABLE` if an earlier message did not arrive, `NOT_PERMITTED` if
    /// an ICMP message is no echo request, `BAD_BUFFER`, `BAD_SOCKET`.
    pub fn send(
        &mut self,
        id: SocketId,
        data: &mut dyn Source,
        skip: usize,
        to: Option<SocketAddr>,
    ) -> Result<usize, NetError> {
        let socket = self.table.get(id)?;
        match (socket.kind, to) {
            (SocketType::Stream, None) => self.send_stream(id, data, skip),
            (SocketType::Stream, Some(_)) if matches!(socket.body, Body::Stream(_)) => {
                Err(NetError::IsConnected)
            }
            (SocketType::Stream, Some(_)) => Err(NetError::NotSupported),
            _ => self.send_message(id, data, to),
        }
    }

    /// Receives bytes of a stream behind the first `skip` bytes of `room`, or one
    /// message. Of a stream 0 bytes mean that it has ended. With `peek` what
    /// is received stays in the queue.
    ///
    /// # Errors
    /// `WOULD_BLOCK` if nothing is there, `NOT_CONNECTED`, `RESET`,
    /// `TIMED_OUT`, `REFUSED` or `HOST_UNREACHABLE` if a message did not
    /// arrive, `NOT_SUPPORTED`, `BAD_BUFFER`, `BAD_SOCKET`.
    pub fn receive(
        &mut self,
        id: SocketId,
        room: &mut dyn Sink,
        skip: usize,
        peek: bool,
    ) -> Result<Received, NetError> {
        let socket = self.table.get(id)?;
        if socket.kind != SocketType::Stream {
            return self.receive_message(id, room, peek);
        }
        let from = socket.remote;
        let bytes = self.receive_stream(id, room, skip, peek)?;
        let from = from.ok_or(NetError::NotConnected)?;
        Ok(Received { bytes, from })
    }
}
