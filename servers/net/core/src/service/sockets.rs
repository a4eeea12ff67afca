//! `Sockets`: what a session is for.

use gritos_idl_runtime::{BufferRange, Caller, Grant, Later, Response, Rights, Wire};
use gritos_net_api::{
    Domain, InterfaceStatus, IpProtocol, MAX_NAME, NetError, Socket, SocketStatus, SocketType,
    SocketsListReply, SocketsResolveTicket, SocketsServer,
};
use gritos_service::{MapMemory, Use};

use super::waiting::{Call, Request};
use super::{Service, Signals, bad_buffer, bad_memory};
use crate::frame::{Clock, FrameDevice};
use crate::socket::SocketId;

/// Most sockets that one call tells of, so that nobody waits long for it.
const LISTED: u64 = 32;

/// What whoever makes a socket may do with it: everything, and pass it on.
const ALL_RIGHTS: Rights = Rights::SEND
    .union(Rights::GRANT)
    .union(Socket::SEND_DATA)
    .union(Socket::RECEIVE_DATA)
    .union(Socket::CONFIGURE)
    .union(Socket::ACCEPT);

impl<D, C, P, S, const N: usize> SocketsServer for Service<D, C, P, S, N>
where
    D: FrameDevice,
    C: Clock,
    P: MapMemory,
    S: Signals,
{
    fn socket(
        &mut self,
        caller: Caller,
        domain: Domain,
        kind: SocketType,
        protocol: IpProtocol,
    ) -> Result<Grant<Socket>, NetError> {
        let id = self.stack.socket(caller.badge, domain, kind, protocol)?;
        Ok(self.grant(id))
    }

    fn resolve(
        &mut self,
        caller: Caller,
        later: Later<'_, SocketsResolveTicket>,
        name: BufferRange,
        addresses: BufferRange,
    ) -> Response<u32, NetError> {
        let mut bytes = [0; MAX_NAME as usize];
        let read = self.buffers.with(&name, Use::Read, |range| {
            let length = usize::try_from(range.len()).map_err(|_| NetError::Invalid)?;
            let bytes = bytes.get_mut(..length).ok_or(NetError::Invalid)?;
            range.read(0, bytes).map_err(bad_memory)?;
            Ok(length)
        });
        let started = match read.map_err(bad_buffer) {
            Ok(Ok(length)) => {
                let name = bytes.get(..length).unwrap_or(&[]);
                self.stack.resolve(caller.badge, name)
            }
            Ok(Err(error)) | Err(error) => Err(error),
        };
        let query = match started {
            Ok(query) => query,
            Err(error) => return Response::Now(Err(error)),
        };
        let mut call = Call::Resolve { query, addresses };
        match self.attempt(&mut call) {
            Err(NetError::WouldBlock) => match self.may_keep(caller.badge, &call) {
                Ok(()) => {
                    self.keep(caller.badge, None, call, Request::Resolve(later.keep()));
                    Response::Later
                }
                Err(error) => {
                    self.stack.forget_names(|id, _| id == query);
                    Response::Now(Err(error))
                }
            },
            result => Response::Now(result.map(|done| done.number as u32)),
        }
    }

    fn interface(&mut self, _caller: Caller, status: BufferRange) -> Result<(), NetError> {
        let mut bytes = [0; InterfaceStatus::SIZE];
        self.stack.status().encode(&mut bytes);
        let written = self.buffers.with(&status, Use::Write, |range| {
            if range.len() < bytes.len() as u64 {
                return Err(NetError::Invalid);
            }
            range.write(0, &bytes).map_err(bad_memory)
        });
        written.map_err(bad_buffer)?
    }

    fn list(
        &mut self,
        _caller: Caller,
        first: u32,
        sockets: BufferRange,
    ) -> Result<SocketsListReply, NetError> {
        let stack = &self.stack;
        let written = self.buffers.with(&sockets, Use::Write, |range| {
            let size = SocketStatus::SIZE as u64;
            let room = (range.len() / size).min(LISTED);
            if room == 0 {
                return Err(NetError::Invalid);
            }
            let mut count = 0;
            for (place, status) in stack.list(first) {
                if count == room {
                    return Ok((count, place));
                }
                let mut bytes = [0; SocketStatus::SIZE];
                status.encode(&mut bytes);
                range.write(count * size, &bytes).map_err(bad_memory)?;
                count += 1;
            }
            Ok((count, 0))
        });
        let (count, next) = written.map_err(bad_buffer)??;
        Ok(SocketsListReply {
            count: count as u32,
            next,
        })
    }
}

impl<D, C, P, S, const N: usize> Service<D, C, P, S, N>
where
    D: FrameDevice,
    C: Clock,
    P: MapMemory,
    S: Signals,
{
    /// The capability to a socket that its maker gets.
    pub(super) const fn grant(&self, id: SocketId) -> Grant<Socket> {
        Grant::object(self.endpoint, id.number(), ALL_RIGHTS)
    }
}
