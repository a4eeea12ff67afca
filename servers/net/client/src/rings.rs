//! A TCP connection whose data goes through memory shared with the service: no call moves it.

use embedded_io::{ErrorType, Read, Write};
use gritos_base_api::{BufferAccess, SessionClient};
use gritos_idl_runtime::object::{MemoryObject, Notification};
use gritos_idl_runtime::{Address, Buffer, Cap};
use gritos_net_api::{NetError, Readiness, ShutdownHow};
use gritos_ring::{ByteConsumer, ByteProducer, Memory, RingError, byte_capacity, reset};

use crate::{Error, Local, Net, Socket, TcpStream};

/// A notification that this stream alone waits for; its capability has no badge.
pub trait Bell {
    /// The capability, of which the service gets a copy.
    fn notification(&self) -> Cap<Notification>;

    /// Waits until bits are set, and takes them; `None` if nothing comes any more, or not in time.
    fn wait(&mut self) -> Option<u64>;
}

/// Memory that is registered with the service, for one stream after the other.
#[derive(Clone, Copy, Debug)]
pub struct RingMemory<M> {
    buffer: Address,
    memory: M,
}

impl<M: Memory> RingMemory<M> {
    /// Registers `object`, which `memory` reads and writes. Half of it is for either direction.
    ///
    /// # Errors
    /// [`Error::Setup`]; [`Error::Memory`] if it is smaller than 1 KiB.
    pub fn register<L: Local>(
        net: &Net<L>,
        object: Cap<MemoryObject>,
        memory: M,
    ) -> Result<Self, Error> {
        if memory.len() < 1024 {
            return Err(Error::Memory);
        }
        let session = Cap::with_rights(net.session.address(), net.session.rights());
        let reply = SessionClient::new(session, net.local.transport())
            .register(object, BufferAccess::READ | BufferAccess::WRITE)
            .map_err(Error::Setup)?;
        Ok(Self {
            buffer: reply.buffer.address(),
            memory,
        })
    }

    /// Takes the memory back from the service. A stream that still uses it is closed.
    ///
    /// # Errors
    /// [`Error::Setup`] if the service does not know it any more.
    pub fn unregister<L: Local>(self, net: &Net<L>) -> Result<(), Error> {
        let session = Cap::with_rights(net.session.address(), net.session.rights());
        let result = SessionClient::new(session, net.local.transport())
            .unregister(Cap::new(self.buffer))
            .map_err(Error::Setup);
        net.local.release(self.buffer);
        result
    }

    /// Bytes of one direction's part.
    fn half(&self) -> usize {
        self.memory.len() / 2 / gritos_ring::ALIGNMENT * gritos_ring::ALIGNMENT
    }

    const fn range(&self, offset: usize, length: usize) -> Buffer {
        Buffer::registered(self.buffer, offset as u64, length as u64)
    }
}

/// A TCP connection whose data goes through two rings in memory shared with the service.
///
/// Reading and writing copy from and to the rings; the service is called only if it waits for what was done.
#[derive(Debug)]
pub struct RingStream<L: Local, M, B> {
    socket: Socket<L>,
    memory: M,
    received: ByteConsumer,
    sent: ByteProducer,
    bell: B,
    ended: bool,
    calls: u64,
}

impl<L: Local> TcpStream<L> {
    /// As [`Socket::into_rings`].
    ///
    /// # Errors
    /// As there.
    pub fn into_rings<M: Memory, B: Bell>(
        self,
        memory: RingMemory<M>,
        bell: B,
    ) -> Result<RingStream<L, M, B>, Error> {
        self.into_socket().into_rings(memory, bell)
    }
}

impl<L: Local> Socket<L> {
    /// Moves the connection's data through `memory` from now on, which no other stream uses meanwhile.
    ///
    /// # Errors
    /// What the service says; [`Error::Memory`] if the memory is gone.
    pub fn into_rings<M: Memory, B: Bell>(
        self,
        memory: RingMemory<M>,
        bell: B,
    ) -> Result<RingStream<L, M, B>, Error> {
        let half = memory.half();
        let capacity = byte_capacity(half).ok_or(Error::Memory)?;
        let (to, shared) = (&memory, &memory.memory);
        reset(shared, 0)?;
        reset(shared, half)?;
        let received = ByteConsumer::new(shared, 0, capacity)?;
        let sent = ByteProducer::new(shared, half, capacity)?;
        self.client()
            .rings(to.range(0, half), to.range(half, half), bell.notification())?;
        Ok(RingStream {
            socket: self,
            memory: memory.memory,
            received,
            sent,
            bell,
            ended: false,
            calls: 0,
        })
    }
}

impl<L: Local, M: Memory, B: Bell> RingStream<L, M, B> {
    /// How often the service was called.
    #[must_use]
    pub const fn calls(&self) -> u64 {
        self.calls
    }

    /// Says that nothing more will be sent, received, or both. What was written before is sent.
    ///
    /// # Errors
    /// What the service says.
    pub fn shutdown(&mut self, how: ShutdownHow) -> Result<(), Error> {
        self.calls += 1;
        self.socket.shutdown(how)
    }

    /// Closes the connection once the service has taken everything that was written.
    ///
    /// # Errors
    /// What the service says.
    pub fn close(mut self) -> Result<(), Error> {
        self.flush()?;
        self.socket.close()
    }

    /// Tells the service that something was moved, and hears how the connection is.
    fn exchange(&mut self) -> Result<(), Error> {
        self.calls += 1;
        let ready = self.socket.client().exchange()?;
        self.ended |= ready.contains(Readiness::HANG_UP);
        Ok(())
    }

    /// Waits until the service signals.
    fn sleep(&mut self) -> Result<(), Error> {
        let Some(bits) = self.bell.wait() else {
            return Err(Error::Net(NetError::WouldBlock));
        };
        let bits = Readiness::from_bits_truncate(bits as u32);
        if bits.intersects(Readiness::HANG_UP | Readiness::ERROR) {
            self.ended |= bits.contains(Readiness::HANG_UP);
        }
        if bits.contains(Readiness::ERROR) {
            // What arrived before the failure can still be read.
            if self.received.filled(&self.memory)? == 0 {
                return self.exchange();
            }
        }
        Ok(())
    }

    /// Waits for room in the ring; how much there is.
    fn wait_for_room(&mut self, wanted: u32) -> Result<u32, Error> {
        loop {
            let room = self.sent.room(&self.memory)?;
            if room >= wanted {
                return Ok(room);
            }
            if self.sent.arm(&self.memory, wanted)? {
                self.sleep()?;
            }
        }
    }
}

impl From<RingError> for Error {
    fn from(_: RingError) -> Self {
        Self::Memory
    }
}

impl<L: Local, M, B> ErrorType for RingStream<L, M, B> {
    type Error = Error;
}

impl<L: Local, M: Memory, B: Bell> Read for RingStream<L, M, B> {
    fn read(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        if to.is_empty() {
            return Ok(0);
        }
        loop {
            let ended = self.ended;
            let filled = self.received.filled(&self.memory)? as usize;
            if filled > 0 {
                let count = filled.min(to.len());
                let to = to.get_mut(..count).unwrap_or(&mut []);
                self.received.get(&self.memory, 0, to)?;
                if self.received.release(&self.memory, count as u32)? {
                    // A connection that has failed since says so when the ring is empty.
                    let _ = self.exchange();
                }
                return Ok(count);
            }
            if ended {
                // Everything is out; did it end well?
                self.exchange()?;
                return Ok(0);
            }
            if self.received.arm(&self.memory, 1)? {
                self.sleep()?;
            }
        }
    }
}

impl<L: Local, M: Memory, B: Bell> Write for RingStream<L, M, B> {
    fn write(&mut self, data: &[u8]) -> Result<usize, Error> {
        if data.is_empty() {
            return Ok(0);
        }
        let room = self.sent.room(&self.memory)?;
        // A full ring is worth waiting for when a good part of it is free again.
        let room = match room {
            0 => self.wait_for_room(self.sent.capacity() / 4)?,
            room => room,
        };
        let count = data.len().min(room as usize);
        let data = data.get(..count).unwrap_or(&[]);
        self.sent.put(&self.memory, 0, data)?;
        if self.sent.publish(&self.memory, count as u32)? {
            self.exchange()?;
        }
        Ok(count)
    }

    /// Waits until the service has taken everything.
    fn flush(&mut self) -> Result<(), Error> {
        self.wait_for_room(self.sent.capacity()).map(|_| ())
    }
}
