//! Streams whose data goes through rings of bytes in memory of the client.
//!
//! Each turn moves what there is between the rings and the sockets. A ring on which nothing can be done is
//! armed: the client says `exchange` when that changes. Counters are the client's to write, so none of them
//! is believed without a check, and a stream whose client lies is closed.

use core::sync::atomic::{Ordering, fence};

use gritos_idl_runtime::object::Notification;
use gritos_idl_runtime::{BufferRange, Cap};
use gritos_net_api::{NetError, Readiness, ShutdownHow};
use gritos_ring::{ByteConsumer, ByteProducer, Gone, Memory, RingError, byte_capacity};
use gritos_service::{BufferMemory, MapMemory, Mapped, Use};

use super::{Service, Signals, bad_buffer};
use crate::buffers::{Sink, Source};
use crate::frame::{Clock, FrameDevice};
use crate::socket::SocketId;
use crate::stack::Stack;

/// Times that a direction is looked at in one turn: both ends of a ring and of the socket's buffer, and once
/// more for what came meanwhile.
const ROUNDS: usize = 4;

/// A stream that uses rings.
#[derive(Debug)]
pub(super) struct Streaming {
    socket: SocketId,
    notification: Cap<Notification>,
    received: BufferRange,
    sent: BufferRange,
    inbound: ByteProducer,
    outbound: ByteConsumer,
    /// Everything that the peer will send is in the ring.
    ended: bool,
    /// Nothing more can be sent.
    shut: bool,
    /// The client wants no more to be sent than what lies in the ring.
    shut_wanted: bool,
    failed: Option<NetError>,
    /// Something could be moved at once.
    due: bool,
}

/// What came of a look at one direction.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    moved: bool,
    due: bool,
    signal: Readiness,
}

/// A range of a client's memory as that of a ring.
#[derive(Debug)]
struct Window<M>(Mapped<M>);

impl<M: BufferMemory> Memory for Window<M> {
    fn len(&self) -> usize {
        usize::try_from(self.0.len()).unwrap_or(usize::MAX)
    }

    fn load(&self, offset: usize) -> Result<u32, Gone> {
        self.0.load(offset as u64).map_err(|_| Gone)
    }

    fn store(&self, offset: usize, value: u32) -> Result<(), Gone> {
        self.0.store(offset as u64, value).map_err(|_| Gone)
    }

    fn read(&self, offset: usize, to: &mut [u8]) -> Result<(), Gone> {
        self.0.read(offset as u64, to).map_err(|_| Gone)
    }

    fn write(&self, offset: usize, from: &[u8]) -> Result<(), Gone> {
        self.0.write(offset as u64, from).map_err(|_| Gone)
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

/// The free part of a ring.
struct Free<'a, M> {
    ring: &'a ByteProducer,
    memory: &'a Window<M>,
    bytes: u32,
}

impl<M: BufferMemory> Sink for Free<'_, M> {
    fn length(&self) -> usize {
        self.bytes as usize
    }

    fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), NetError> {
        let put = self.ring.put(self.memory, offset, from);
        put.map_err(|_| NetError::BadBuffer)
    }
}

/// The filled part of a ring.
struct Filled<'a, M> {
    ring: &'a ByteConsumer,
    memory: &'a Window<M>,
    bytes: u32,
}

impl<M: BufferMemory> Source for Filled<'_, M> {
    fn length(&self) -> usize {
        self.bytes as usize
    }

    fn read(&mut self, offset: usize, to: &mut [u8]) -> Result<(), NetError> {
        let got = self.ring.get(self.memory, offset, to);
        got.map_err(|_| NetError::BadBuffer)
    }
}

impl Streaming {
    /// Moves what was received into the ring.
    fn take_in<D: FrameDevice, M: BufferMemory>(
        &mut self,
        stack: &mut Stack<D>,
        memory: &Window<M>,
    ) -> Result<Progress, RingError> {
        let mut progress = Progress::default();
        for _ in 0..ROUNDS {
            if self.ended {
                return Ok(progress);
            }
            let bytes = self.inbound.room(memory)?;
            if bytes == 0 {
                if self.inbound.arm(memory, self.inbound.capacity() / 2)? {
                    return Ok(progress);
                }
                continue;
            }
            let mut room = Free {
                ring: &self.inbound,
                memory,
                bytes,
            };
            match stack.receive(self.socket, &mut room, 0, false) {
                Ok(received) if received.bytes > 0 => {
                    progress.moved = true;
                    if self.inbound.publish(memory, received.bytes as u32)? {
                        progress.signal |= Readiness::READABLE;
                    }
                }
                Err(NetError::WouldBlock) => return Ok(progress),
                Err(NetError::BadBuffer) => return Err(RingError::Gone),
                Ok(_) => {
                    self.ended = true;
                    progress.signal |= Readiness::HANG_UP;
                }
                Err(error) => progress.signal |= self.fail(error),
            }
        }
        progress.due = true;
        Ok(progress)
    }

    /// Moves what lies in the ring into the socket.
    fn take_out<D: FrameDevice, M: BufferMemory>(
        &mut self,
        stack: &mut Stack<D>,
        memory: &Window<M>,
    ) -> Result<Progress, RingError> {
        let mut progress = Progress::default();
        for _ in 0..ROUNDS {
            if self.shut {
                return Ok(progress);
            }
            let bytes = self.outbound.filled(memory)?;
            if bytes == 0 && self.shut_wanted {
                self.shut = true;
                // A connection that ended meanwhile needs no end of ours.
                let _ = stack.shutdown(self.socket, ShutdownHow::Send);
                progress.moved = true;
                return Ok(progress);
            }
            if bytes == 0 {
                if self.outbound.arm(memory, 1)? {
                    return Ok(progress);
                }
                continue;
            }
            let mut data = Filled {
                ring: &self.outbound,
                memory,
                bytes,
            };
            match stack.send(self.socket, &mut data, 0, None) {
                Ok(count) => {
                    progress.moved = true;
                    if self.outbound.release(memory, count as u32)? {
                        progress.signal |= Readiness::WRITABLE;
                    }
                }
                // The peer's acknowledgements bring the next turn.
                Err(NetError::WouldBlock) => return Ok(progress),
                Err(NetError::BadBuffer) => return Err(RingError::Gone),
                Err(error) => progress.signal |= self.fail(error),
            }
        }
        progress.due = true;
        Ok(progress)
    }

    const fn fail(&mut self, error: NetError) -> Readiness {
        self.failed = Some(error);
        self.shut = true;
        // What arrived before the failure can still be in the socket after a failure to send.
        if matches!(error, NetError::BrokenPipe) {
            return Readiness::ERROR;
        }
        self.ended = true;
        Readiness::ERROR.union(Readiness::HANG_UP)
    }
}

impl<D, C, P, S, const N: usize> Service<D, C, P, S, N>
where
    D: FrameDevice,
    C: Clock,
    P: MapMemory,
    S: Signals,
{
    /// `Socket.rings`.
    pub(super) fn begin_rings(
        &mut self,
        socket: SocketId,
        received: BufferRange,
        sent: BufferRange,
        notification: Cap<Notification>,
    ) -> Result<(), NetError> {
        if self.uses_rings(socket) {
            return Err(NetError::Invalid);
        }
        self.stack.connected(socket)?;
        if !self.stack.is_stream(socket)? {
            return Err(NetError::NotSupported);
        }
        if self.rings.len() >= self.limits.rings {
            return Err(NetError::ServerLimit);
        }
        let into = self.window(&received).map_err(bad_buffer)?;
        let from = self.window(&sent).map_err(bad_buffer)?;
        let capacity = |window: &Window<_>| byte_capacity(window.len()).ok_or(NetError::Invalid);
        let bad_layout = |_: RingError| NetError::Invalid;
        let inbound = ByteProducer::new(&into, 0, capacity(&into)?).map_err(bad_layout)?;
        let outbound = ByteConsumer::new(&from, 0, capacity(&from)?).map_err(bad_layout)?;
        let notification = self.signals.keep(notification).ok_or(NetError::NoMemory)?;
        self.rings.push(Streaming {
            socket,
            notification,
            received,
            sent,
            inbound,
            outbound,
            ended: false,
            shut: false,
            shut_wanted: false,
            failed: None,
            due: false,
        });
        Ok(())
    }

    /// A ring's memory; each time, because it may go away.
    fn window(&self, range: &BufferRange) -> Result<Window<P::Memory>, gritos_base_api::BaseError> {
        if !range.offset.is_multiple_of(gritos_ring::ALIGNMENT as u64) {
            return Err(gritos_base_api::BaseError::Invalid);
        }
        self.buffers.registered(range, Use::Both).map(Window)
    }

    /// Whether a socket's data goes through rings.
    pub(super) fn uses_rings(&self, socket: SocketId) -> bool {
        self.rings.iter().any(|stream| stream.socket == socket)
    }

    /// `Socket.exchange`; what there is to move is moved in the turn that follows.
    pub(super) fn rings_readiness(&self, socket: SocketId) -> Result<Readiness, NetError> {
        self.stack.owner(socket)?;
        let stream = self.rings.iter().find(|stream| stream.socket == socket);
        let stream = stream.ok_or(NetError::Invalid)?;
        if let Some(error) = stream.failed {
            return Err(error);
        }
        let mut ready = Readiness::empty();
        ready.set(Readiness::HANG_UP, stream.ended);
        Ok(ready)
    }

    /// `Socket.shutdown`: of a stream with rings, sending ends behind what lies in the ring.
    pub(super) fn shut_down(&mut self, socket: SocketId, how: ShutdownHow) -> Result<(), NetError> {
        let stream = self.rings.iter_mut().find(|one| one.socket == socket);
        match (stream, how) {
            (Some(stream), ShutdownHow::Send) => {
                stream.shut_wanted = true;
                Ok(())
            }
            (Some(stream), ShutdownHow::Both) => {
                stream.shut_wanted = true;
                self.stack.shutdown(socket, ShutdownHow::Receive)
            }
            _ => self.stack.shutdown(socket, how),
        }
    }

    /// Moves data between rings and sockets; whether any moved.
    #[inline]
    pub(super) fn move_rings(&mut self) -> bool {
        !self.rings.is_empty() && self.move_all_rings()
    }

    /// Not inlined: turns without rings are not to pay for it.
    #[inline(never)]
    fn move_all_rings(&mut self) -> bool {
        let mut any = false;
        let mut at = 0;
        while let Some(stream) = self.rings.get(at) {
            let windows = (self.window(&stream.received), self.window(&stream.sent));
            let Some(stream) = self.rings.get_mut(at) else {
                break;
            };
            let progress = match windows {
                (Ok(received), Ok(sent)) => stream
                    .take_in(&mut self.stack, &received)
                    .and_then(|taken| Ok((taken, stream.take_out(&mut self.stack, &sent)?))),
                _ => Err(RingError::Gone),
            };
            let Ok((taken, given)) = progress else {
                let stream = self.rings.swap_remove(at);
                self.signals.signal(
                    stream.notification,
                    u64::from((Readiness::ERROR | Readiness::HANG_UP).bits()),
                );
                self.signals.release(stream.notification);
                // It was there a moment ago, or is closed already.
                let _ = self.stack.close(stream.socket);
                self.drop_unwatched();
                any = true;
                continue;
            };
            stream.due = taken.due | given.due;
            any |= taken.moved | given.moved;
            let signal = taken.signal | given.signal;
            if !signal.is_empty() {
                self.signals
                    .signal(stream.notification, u64::from(signal.bits()));
            }
            at += 1;
        }
        any
    }

    /// Whether a stream has more to move at once.
    pub(super) fn rings_are_due(&self) -> bool {
        self.rings.iter().any(|stream| stream.due)
    }

    /// Forgets streams whose sockets are gone.
    pub(super) fn drop_unused_rings(&mut self) {
        let (stack, signals) = (&self.stack, &mut self.signals);
        self.rings.retain(|stream| {
            let stays = stack.owner(stream.socket).is_ok();
            if !stays {
                signals.release(stream.notification);
            }
            stays
        });
    }
}
