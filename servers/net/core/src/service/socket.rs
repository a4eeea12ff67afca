//! `Socket`: what a socket is for.

use gritos_idl_runtime::object::Notification;
use gritos_idl_runtime::{BufferRange, Caller, Cap, Later, Response};
use gritos_net_api::{
    MessageFlags, NetError, Readiness, ShutdownHow, SocketAcceptAnswer, SocketAcceptTicket,
    SocketConnectTicket, SocketOption, SocketRecvTicket, SocketRecvfromReply, SocketRecvfromTicket,
    SocketSendTicket, SocketSendtoTicket, SocketServer,
};
use gritos_service::MapMemory;

use super::waiting::{Call, Done, Request, received};
use super::{Service, Signals};
use crate::frame::{Clock, FrameDevice};
use crate::socket::SocketId;

const fn id_of(caller: &Caller) -> SocketId {
    SocketId::from_number(caller.badge)
}

impl<D, C, P, S, const N: usize> Service<D, C, P, S, N>
where
    D: FrameDevice,
    C: Clock,
    P: MapMemory,
    S: Signals,
{
    /// Does a call, or keeps its caller.
    fn run<T, R>(
        &mut self,
        socket: SocketId,
        mut call: Call,
        flags: MessageFlags,
        later: Later<'_, T>,
        request: impl FnOnce(T) -> Request,
        answer: impl FnOnce(&Self, Result<Done, NetError>) -> Result<R, NetError>,
    ) -> Response<R, NetError>
    where
        T: From<gritos_idl_runtime::Ticket>,
    {
        self.only_took = matches!(call, Call::Receive { .. });
        let begun = if self.uses_rings(socket) && call.moves_bytes() {
            Err(NetError::Invalid)
        } else {
            self.begin(&mut call, flags)
        };
        match begun {
            Ok(None) => {
                // `begin` has just looked at the socket.
                let owner = self.stack.owner(socket).unwrap_or(0);
                self.keep(owner, Some(socket), call, request(later.keep()));
                Response::Later
            }
            Ok(Some(done)) => Response::Now(answer(self, Ok(done))),
            Err(error) => Response::Now(answer(self, Err(error))),
        }
    }
}

fn number<T>(_: &T, result: Result<Done, NetError>) -> Result<u64, NetError> {
    result.map(|done| done.number)
}

impl<D, C, P, S, const N: usize> SocketServer for Service<D, C, P, S, N>
where
    D: FrameDevice,
    C: Clock,
    P: MapMemory,
    S: Signals,
{
    fn bind(&mut self, caller: Caller, address: BufferRange) -> Result<(), NetError> {
        let to = self.read_address(&address)?;
        self.stack.bind(id_of(&caller), to)
    }

    fn listen(&mut self, caller: Caller, backlog: u32) -> Result<(), NetError> {
        self.stack.listen(id_of(&caller), backlog)
    }

    fn accept(
        &mut self,
        caller: Caller,
        later: Later<'_, SocketAcceptTicket>,
        address: BufferRange,
        flags: MessageFlags,
    ) -> Response<SocketAcceptAnswer, NetError> {
        let socket = id_of(&caller);
        let call = Call::Accept { socket, address };
        self.run(
            socket,
            call,
            flags,
            later,
            Request::Accept,
            |server, done| server.accept_answer(done),
        )
    }

    fn connect(
        &mut self,
        caller: Caller,
        later: Later<'_, SocketConnectTicket>,
        address: BufferRange,
        flags: MessageFlags,
    ) -> Response<(), NetError> {
        let socket = id_of(&caller);
        let started = self
            .read_address(&address)
            .and_then(|to| self.stack.connect(socket, to));
        if let Err(error) = started {
            return Response::Now(Err(error));
        }
        let call = Call::Connect { socket };
        self.run(socket, call, flags, later, Request::Connect, |_, done| {
            done.map(|_| ())
        })
    }

    fn send(
        &mut self,
        caller: Caller,
        later: Later<'_, SocketSendTicket>,
        data: BufferRange,
        flags: MessageFlags,
    ) -> Response<u64, NetError> {
        let socket = id_of(&caller);
        let call = Call::Send {
            socket,
            data,
            to: None,
            done: 0,
        };
        self.run(socket, call, flags, later, Request::Send, number)
    }

    fn recv(
        &mut self,
        caller: Caller,
        later: Later<'_, SocketRecvTicket>,
        data: BufferRange,
        flags: MessageFlags,
    ) -> Response<u64, NetError> {
        let socket = id_of(&caller);
        let call = Call::Receive {
            socket,
            data,
            address: None,
            flags,
            done: 0,
        };
        self.run(socket, call, flags, later, Request::Receive, number)
    }

    fn close(&mut self, caller: Caller) -> Result<(), NetError> {
        self.stack.close(id_of(&caller))?;
        self.drop_unwatched();
        self.drop_unused_rings();
        Ok(())
    }

    fn getsockopt(&mut self, caller: Caller, option: SocketOption) -> Result<u64, NetError> {
        self.stack.option(id_of(&caller), option)
    }

    fn setsockopt(
        &mut self,
        caller: Caller,
        option: SocketOption,
        value: u64,
    ) -> Result<(), NetError> {
        self.stack.set_option(id_of(&caller), option, value)
    }

    fn shutdown(&mut self, caller: Caller, how: ShutdownHow) -> Result<(), NetError> {
        self.shut_down(id_of(&caller), how)
    }

    fn getsockname(&mut self, caller: Caller, address: BufferRange) -> Result<u32, NetError> {
        let local = self.stack.local_address(id_of(&caller))?;
        self.write_address(&address, local)
    }

    fn getpeername(&mut self, caller: Caller, address: BufferRange) -> Result<u32, NetError> {
        let peer = self.stack.peer_address(id_of(&caller))?;
        self.write_address(&address, peer)
    }

    fn sendto(
        &mut self,
        caller: Caller,
        later: Later<'_, SocketSendtoTicket>,
        data: BufferRange,
        address: BufferRange,
        flags: MessageFlags,
    ) -> Response<u64, NetError> {
        let socket = id_of(&caller);
        let to = match self.read_address(&address) {
            Ok(to) => Some(to),
            Err(error) => return Response::Now(Err(error)),
        };
        let call = Call::Send {
            socket,
            data,
            to,
            done: 0,
        };
        self.run(socket, call, flags, later, Request::SendTo, number)
    }

    fn recvfrom(
        &mut self,
        caller: Caller,
        later: Later<'_, SocketRecvfromTicket>,
        data: BufferRange,
        address: BufferRange,
        flags: MessageFlags,
    ) -> Response<SocketRecvfromReply, NetError> {
        let socket = id_of(&caller);
        let call = Call::Receive {
            socket,
            data,
            address: Some(address),
            flags,
            done: 0,
        };
        self.run(
            socket,
            call,
            flags,
            later,
            Request::ReceiveFrom,
            |_, done| received(done),
        )
    }

    fn poll(&mut self, caller: Caller) -> Result<Readiness, NetError> {
        self.stack.readiness(id_of(&caller))
    }

    fn watch(
        &mut self,
        caller: Caller,
        notification: Cap<Notification>,
        interest: Readiness,
    ) -> Result<Readiness, NetError> {
        self.set_watch(id_of(&caller), notification, interest)
    }

    fn rings(
        &mut self,
        caller: Caller,
        received: BufferRange,
        sent: BufferRange,
        notification: Cap<Notification>,
    ) -> Result<(), NetError> {
        self.begin_rings(id_of(&caller), received, sent, notification)
    }

    fn exchange(&mut self, caller: Caller) -> Result<Readiness, NetError> {
        self.rings_readiness(id_of(&caller))
    }
}
