//! Calls that may have to wait, and their callers.

use core::net::SocketAddr;

use gritos_idl_runtime::{BufferRange, BufferSource, ServerPort, Status, Wire};
use gritos_net_api::{
    IpAddress, MessageFlags, NetError, Readiness, SocketAcceptAnswer, SocketAcceptTicket,
    SocketAddress, SocketConnectTicket, SocketRecvTicket, SocketRecvfromReply,
    SocketRecvfromTicket, SocketSendTicket, SocketSendtoTicket, SocketsResolveTicket,
};
use gritos_service::{MapMemory, Use};

use super::{Range, Service, Signals, bad_buffer, bad_memory};
use crate::address;
use crate::frame::{Clock, FrameDevice};
use crate::resolver::QueryId;
use crate::socket::SocketId;
use crate::stack::Stack;

/// What a call wants, and how far it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    Accept {
        socket: SocketId,
        address: BufferRange,
    },
    Connect {
        socket: SocketId,
    },
    Send {
        socket: SocketId,
        data: BufferRange,
        to: Option<SocketAddr>,
        /// Bytes that were taken already.
        done: usize,
    },
    Receive {
        socket: SocketId,
        data: BufferRange,
        address: Option<BufferRange>,
        flags: MessageFlags,
        /// Bytes that were received already.
        done: usize,
    },
    Resolve {
        query: QueryId,
        addresses: BufferRange,
    },
}

/// Which of the queues at a socket a call stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    In,
    Out,
    Other,
}

impl Call {
    pub(super) const fn socket(&self) -> Option<SocketId> {
        match self {
            Self::Accept { socket, .. }
            | Self::Connect { socket }
            | Self::Send { socket, .. }
            | Self::Receive { socket, .. } => Some(*socket),
            Self::Resolve { .. } => None,
        }
    }

    /// Whether it sends or receives.
    pub(super) const fn moves_bytes(&self) -> bool {
        matches!(self, Self::Send { .. } | Self::Receive { .. })
    }

    /// Whether something was taken that others may follow; the end of a stream is not.
    const fn takes(&self, done: &Done) -> bool {
        match self {
            Self::Accept { .. } => done.accepted.is_some(),
            Self::Receive { flags, .. } => done.number > 0 && !flags.contains(MessageFlags::PEEK),
            _ => false,
        }
    }

    const fn queue(&self) -> Queue {
        match self {
            Self::Accept { .. } | Self::Receive { .. } => Queue::In,
            Self::Connect { .. } | Self::Send { .. } => Queue::Out,
            Self::Resolve { .. } => Queue::Other,
        }
    }

    /// Whether every buffer that is used when the call is done will still be what it is
    /// now: memory that comes with a call is there for the length of the call only, and
    /// its slot may hold somebody else's by then.
    const fn is_lasting(&self) -> bool {
        match self {
            Self::Connect { .. } => true,
            Self::Accept { address, .. } => is_registered(address),
            Self::Send { data, .. } => is_registered(data),
            Self::Receive { data, address, .. } => {
                is_registered(data)
                    && match address {
                        Some(address) => is_registered(address),
                        None => true,
                    }
            }
            Self::Resolve { addresses, .. } => is_registered(addresses),
        }
    }
}

const fn is_registered(buffer: &BufferRange) -> bool {
    matches!(buffer.source, BufferSource::Registered(_))
}

/// What came of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// Bytes, or addresses.
    pub(super) number: u64,
    /// Bytes of an address.
    pub(super) address_length: u32,
    /// The connection that was accepted.
    pub(super) accepted: Option<SocketId>,
}

/// The caller's ticket.
#[derive(Debug)]
pub(super) enum Request {
    Accept(SocketAcceptTicket),
    Connect(SocketConnectTicket),
    Send(SocketSendTicket),
    SendTo(SocketSendtoTicket),
    Receive(SocketRecvTicket),
    ReceiveFrom(SocketRecvfromTicket),
    Resolve(SocketsResolveTicket),
}

/// A caller that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The session that made the socket.
    client: u32,
    call: Call,
    request: Request,
    pub(super) deadline_ns: Option<u64>,
    /// Its Reply is set aside only after this turn, and cannot be answered before.
    fresh: bool,
}

impl<D, C, P, S, const N: usize> Service<D, C, P, S, N>
where
    D: FrameDevice,
    C: Clock,
    P: MapMemory,
    S: Signals,
{
    /// Does as much of a call as can be done now.
    pub(super) fn attempt(&mut self, call: &mut Call) -> Result<Done, NetError> {
        let result = self.attempt_unseen(call);
        if let Some(socket) = call.socket() {
            self.look_again(socket, result.is_ok_and(|done| call.takes(&done)));
        }
        result
    }

    fn attempt_unseen(&mut self, call: &mut Call) -> Result<Done, NetError> {
        match call {
            Call::Accept { socket, address } => self.attempt_accept(*socket, address),
            Call::Connect { socket } => self.stack.connected(*socket).map(|()| Done::default()),
            Call::Send {
                socket,
                data,
                to,
                done,
            } => {
                let (stack, socket, to) = (&mut self.stack, *socket, *to);
                let sent = self.buffers.with(data, Use::Read, |range| {
                    stack.send(socket, &mut Range(range), *done, to)
                });
                *done += sent.map_err(bad_buffer)??;
                let all = data.length as usize;
                if *done < all {
                    return Err(NetError::WouldBlock);
                }
                Ok(Done {
                    number: *done as u64,
                    ..Done::default()
                })
            }
            Call::Receive {
                socket,
                data,
                address,
                flags,
                done,
            } => self.attempt_receive(*socket, data, address.as_ref(), *flags, done),
            Call::Resolve { query, addresses } => self.attempt_resolve(*query, addresses),
        }
    }

    fn attempt_accept(
        &mut self,
        socket: SocketId,
        address: &BufferRange,
    ) -> Result<Done, NetError> {
        // A buffer that is none must not cost a connection.
        self.check_address_buffer(address)?;
        let (accepted, from) = self.stack.accept(socket)?;
        match self.write_address(address, from) {
            Ok(address_length) => Ok(Done {
                address_length,
                accepted: Some(accepted),
                ..Done::default()
            }),
            Err(error) => {
                // It was there a moment ago; nobody else knows of it.
                let _ = self.stack.close(accepted);
                Err(error)
            }
        }
    }

    fn attempt_receive(
        &mut self,
        socket: SocketId,
        data: &BufferRange,
        address: Option<&BufferRange>,
        flags: MessageFlags,
        done: &mut usize,
    ) -> Result<Done, NetError> {
        if let Some(address) = address {
            self.check_address_buffer(address)?;
        }
        let peek = flags.contains(MessageFlags::PEEK);
        let stack = &mut self.stack;
        let received = self.buffers.with(data, Use::Write, |range| {
            stack.receive(socket, &mut Range(range), *done, peek)
        });
        let received = received.map_err(bad_buffer)??;
        *done += received.bytes;
        let wants_all = flags.contains(MessageFlags::WAIT_ALL) && !peek;
        let is_stream = self.stack.is_stream(socket)?;
        if wants_all && is_stream && received.bytes > 0 && (*done as u64) < data.length {
            return Err(NetError::WouldBlock);
        }
        let address_length = match address {
            Some(address) => self.write_address(address, received.from)?,
            None => 0,
        };
        Ok(Done {
            number: *done as u64,
            address_length,
            accepted: None,
        })
    }

    fn attempt_resolve(
        &mut self,
        query: QueryId,
        addresses: &BufferRange,
    ) -> Result<Done, NetError> {
        let found = self.stack.resolved(query)?;
        let written = self.buffers.with(addresses, Use::Write, |range| {
            let room = range.len() / IpAddress::SIZE as u64;
            let mut count = 0;
            for ip in found {
                if count == room {
                    break;
                }
                let mut bytes = [0; IpAddress::SIZE];
                address::ip_to_api(ip).encode(&mut bytes);
                let at = count * IpAddress::SIZE as u64;
                range.write(at, &bytes).map_err(bad_memory)?;
                count += 1;
            }
            Ok(count)
        });
        let number = written.map_err(bad_buffer)??;
        Ok(Done {
            number,
            ..Done::default()
        })
    }

    /// Reads a `SocketAddress`.
    pub(super) fn read_address(&mut self, buffer: &BufferRange) -> Result<SocketAddr, NetError> {
        let mut bytes = [0; SocketAddress::SIZE];
        let read = self.buffers.with(buffer, Use::Read, |range| {
            if range.len() < bytes.len() as u64 {
                return Err(NetError::Invalid);
            }
            range.read(0, &mut bytes).map_err(bad_memory)
        });
        read.map_err(bad_buffer)??;
        SocketAddress::decode(&bytes)
            .map(|address| address::from_api(&address))
            .map_err(|_| NetError::FamilyNotSupported)
    }

    /// Whether an address could be written: the buffer has room for one, or is
    /// empty, which says that none is wanted.
    fn check_address_buffer(&mut self, buffer: &BufferRange) -> Result<(), NetError> {
        let length = self.buffers.with(buffer, Use::Write, |range| range.len());
        match length.map_err(bad_buffer)? {
            0 => Ok(()),
            length if length >= SocketAddress::SIZE as u64 => Ok(()),
            _ => Err(NetError::Invalid),
        }
    }

    /// Writes an address, unless none is wanted; its bytes.
    pub(super) fn write_address(
        &mut self,
        buffer: &BufferRange,
        address: SocketAddr,
    ) -> Result<u32, NetError> {
        self.check_address_buffer(buffer)?;
        let mut bytes = [0; SocketAddress::SIZE];
        address::to_api(address).encode(&mut bytes);
        let written = self.buffers.with(buffer, Use::Write, |range| {
            if range.is_empty() {
                return Ok(0);
            }
            range.write(0, &bytes).map_err(bad_memory)?;
            Ok(bytes.len() as u32)
        });
        written.map_err(bad_buffer)?
    }

    /// Begins a call at a socket. `Ok(None)` if its caller has to wait.
    pub(super) fn begin(
        &mut self,
        call: &mut Call,
        flags: MessageFlags,
    ) -> Result<Option<Done>, NetError> {
        let result = if self.has_earlier(call) {
            Err(NetError::WouldBlock)
        } else {
            self.attempt(call)
        };
        let Some(socket) = call.socket() else {
            return result.map(Some);
        };
        if result != Err(NetError::WouldBlock) {
            return partial(call, result).map(Some);
        }
        let no_wait = flags.contains(MessageFlags::DONT_WAIT);
        if no_wait || self.stack.options(socket)?.non_blocking {
            return partial(call, result).map(Some);
        }
        let owner = self.stack.owner(socket)?;
        match self.may_keep(owner, call) {
            Ok(()) => Ok(None),
            Err(error) => partial(call, Err(error)).map(Some),
        }
    }

    /// Whether somebody waits for the same already.
    fn has_earlier(&self, call: &Call) -> bool {
        self.waiting.iter().any(|waiting| {
            waiting.call.socket() == call.socket() && waiting.call.queue() == call.queue()
        })
    }

    /// Whether one more caller of a client's sockets may wait.
    pub(super) fn may_keep(&self, client: u32, call: &Call) -> Result<(), NetError> {
        if !call.is_lasting() {
            return Err(NetError::WouldBlock);
        }
        let mine = self
            .waiting
            .iter()
            .filter(|waiting| waiting.client == client);
        if mine.count() < self.limits.waiting {
            Ok(())
        } else {
            Err(NetError::ClientLimit)
        }
    }

    /// Lets a caller wait. For the time that the socket's options say; without a
    /// socket for as long as it takes.
    pub(super) fn keep(
        &mut self,
        client: u32,
        socket: Option<SocketId>,
        call: Call,
        request: Request,
    ) {
        let options = socket.and_then(|socket| self.stack.options(socket).ok());
        let limit_ns = options.map_or(0, |options| match call.queue() {
            Queue::In => options.receive_timeout,
            _ => options.send_timeout,
        });
        let now_ns = self.clock.now_ns();
        self.waiting.push(Waiting {
            client,
            call,
            request,
            deadline_ns: (limit_ns > 0).then(|| now_ns.saturating_add(limit_ns)),
            fresh: true,
        });
    }

    /// Whether a caller has waited for as long as it wants to.
    pub(super) fn is_somebody_late(&self, now_ns: u64) -> bool {
        let deadlines = self.waiting.iter().filter_map(|one| one.deadline_ns);
        deadlines.into_iter().any(|at| at <= now_ns)
    }

    /// Whether a caller waits for room.
    pub(super) fn does_somebody_send(&self) -> bool {
        let mut calls = self.waiting.iter().map(|one| &one.call);
        calls.any(|call| matches!(call, Call::Send { .. }))
    }

    /// Goes on with every call at whose socket something happened, or with `all`, and answers those that are
    /// done.
    pub(super) fn serve_waiting<Q: ServerPort>(&mut self, port: &mut Q, now_ns: u64, all: bool) {
        let mut at = 0;
        while at < self.waiting.len() {
            match self.serve_one(at, now_ns, all) {
                Some(result) => {
                    let waiting = self.waiting.remove(at);
                    self.answer(port, waiting.request, result);
                }
                None => at += 1,
            }
        }
    }

    /// Goes on with one call; its result, if it is done.
    fn serve_one(&mut self, at: usize, now_ns: u64, all: bool) -> Option<Result<Done, NetError>> {
        let (earlier, rest) = self.waiting.split_at(at);
        let waiting = rest.first()?;
        let mut call = waiting.call;
        let late = waiting.deadline_ns.is_some_and(|at| now_ns >= at);
        let place = |call: &Call| (call.socket(), call.queue());
        let is_behind = call.socket().is_some()
            && earlier
                .iter()
                .any(|other| place(&other.call) == place(&call));
        if waiting.fresh {
            return None;
        }
        let idle = call
            .socket()
            .is_some_and(|socket| !self.stack.has_moved_at(socket));
        if idle && !all && !late {
            return None;
        }
        let result = if is_behind {
            Err(NetError::WouldBlock)
        } else {
            let result = self.attempt(&mut call);
            if let Some(waiting) = self.waiting.get_mut(at) {
                waiting.call = call;
            }
            result
        };
        if result == Err(NetError::WouldBlock) && !late {
            return None;
        }
        // A socket that went away while somebody waited was closed here.
        let result = match result {
            Err(NetError::BadSocket) => Err(NetError::Aborted),
            other => other,
        };
        Some(partial(&call, result))
    }

    /// Makes a caller that was kept in a turn in which nothing moved one like all others; when it has waited long
    /// enough, if there was one.
    pub(super) fn settle_calmly(&mut self) -> Option<Option<u64>> {
        let waiting = self.waiting.last_mut().filter(|waiting| waiting.fresh)?;
        waiting.fresh = false;
        Some(waiting.deadline_ns)
    }

    /// Makes callers that were kept in this turn ones like all others; whether one
    /// of them could be answered at once.
    pub(super) fn settle_fresh(&mut self) -> bool {
        let stack = &mut self.stack;
        let fresh = self.waiting.iter_mut().filter(|waiting| waiting.fresh);
        fresh.fold(false, |any, waiting| {
            waiting.fresh = false;
            any | is_ready(stack, &waiting.call)
        })
    }

    fn answer<Q: ServerPort>(
        &mut self,
        port: &mut Q,
        request: Request,
        result: Result<Done, NetError>,
    ) {
        let number = result.map(|done| done.number);
        let delivered: Result<(), Status> = match request {
            Request::Accept(ticket) => {
                let accepted = result.ok().and_then(|done| done.accepted);
                let answer = self.accept_answer(result);
                let delivered = ticket.answer(port, answer);
                if let (Err(_), Some(accepted)) = (delivered, accepted) {
                    // Nobody will ever hold it.
                    let _ = self.stack.close(accepted);
                }
                delivered
            }
            Request::Connect(ticket) => ticket.answer(port, number.map(|_| ())),
            Request::Send(ticket) => ticket.answer(port, number),
            Request::SendTo(ticket) => ticket.answer(port, number),
            Request::Receive(ticket) => ticket.answer(port, number),
            Request::ReceiveFrom(ticket) => ticket.answer(port, received(result)),
            Request::Resolve(ticket) => ticket.answer(port, number.map(|count| count as u32)),
        };
        // A caller that has gone away meanwhile is no concern of ours.
        let _ = delivered;
    }

    pub(super) fn accept_answer(
        &self,
        result: Result<Done, NetError>,
    ) -> Result<SocketAcceptAnswer, NetError> {
        let done = result?;
        let accepted = done.accepted.ok_or(NetError::Aborted)?;
        Ok(SocketAcceptAnswer {
            socket: self.grant(accepted),
            address_length: done.address_length,
        })
    }
}

/// Whether a call would probably not wait.
fn is_ready<D: FrameDevice>(stack: &mut Stack<D>, call: &Call) -> bool {
    let wanted = match call {
        Call::Accept { .. } | Call::Receive { .. } => Readiness::READABLE,
        Call::Connect { .. } | Call::Send { .. } => Readiness::WRITABLE,
        Call::Resolve { query, .. } => return stack.is_resolved(*query),
    };
    let ready = call.socket().map(|socket| stack.readiness(socket));
    // A socket that is gone is an answer too.
    !matches!(ready, Some(Ok(ready)) if !ready.intersects(wanted | Readiness::ERROR))
}

/// Bytes that a call has moved.
const fn moved(call: &Call) -> usize {
    match call {
        Call::Send { done, .. } | Call::Receive { done, .. } => *done,
        _ => 0,
    }
}

/// A call that did a part before it failed has succeeded with that part; the
/// error is met again by the next call.
fn partial(call: &Call, result: Result<Done, NetError>) -> Result<Done, NetError> {
    let done = moved(call);
    match result {
        Err(_) if done > 0 => Ok(Done {
            number: done as u64,
            ..Done::default()
        }),
        other => other,
    }
}

/// The answer to `recvfrom`.
pub(super) fn received(result: Result<Done, NetError>) -> Result<SocketRecvfromReply, NetError> {
    result.map(|done| SocketRecvfromReply {
        bytes_received: done.number,
        address_length: done.address_length,
    })
}
