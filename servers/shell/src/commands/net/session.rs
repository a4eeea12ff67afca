//! The shell's one session with the network service. It is kept from command to command: memory is mapped
//! and registered once in the shell's life, and registered again only when the service was started anew.

use core::sync::atomic::{AtomicU32, Ordering};

use gritos_idl_runtime::{Address, Incoming, Outcome, Outgoing, Rights, Transport};
use gritos_net_client::api::Sockets;
use gritos_net_client::{KernelBell, Local, Net, RingMemory};
use gritos_service::{Kernel, memory_cap, release};
use gritos_shell_core::Failure;
use gritos_sys::Cap;
use gritos_sys::cap::{MemoryObject, Notification};
use gritos_sys::environment::{self, Environment};
use gritos_sys::invoke::Permissions;
use gritos_sys::shared::{SHARED_BASE, SharedBuf};
use gritos_sys::slots::own;

/// Where the memory is mapped, and its bytes. Clients of other services have the addresses below.
const MAPPED_AT: u64 = SHARED_BASE + (1 << 32);
const BYTES: u64 = 128 << 10;
/// Nanoseconds after which a call is given up: sockets of commands never wait that long.
const PATIENCE_NS: u64 = 25_000_000_000;

/// Slots of the memory and of the capability that names it at the service; 0 while there is none.
static MEMORY: AtomicU32 = AtomicU32::new(0);
static BUFFER: AtomicU32 = AtomicU32::new(0);

/// The network.
pub(crate) type Network = Net<Memory>;

/// The shared memory, and how calls are made: such as come back, unless said otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory<T = Patient>(SharedBuf, T);

/// Calls through the kernel that are given up at last: a service that has ended answers nobody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patient;

impl Transport for Patient {
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        target: Address,
        message: Outgoing<CAPS>,
        timeout_ns: Option<u64>,
    ) -> Incoming {
        let timeout_ns = timeout_ns.unwrap_or(PATIENCE_NS);
        Kernel.call::<CAPS, WINDOW>(target, message, Some(timeout_ns))
    }

    fn send<const CAPS: usize>(&mut self, target: Address, message: Outgoing<CAPS>) -> Outcome {
        Kernel.send(target, message)
    }

    fn discard(&mut self, incoming: &Incoming) {
        Kernel.discard(incoming);
    }
}

impl<T: Transport + Copy> Local for Memory<T> {
    type Transport = T;

    fn transport(&self) -> T {
        self.1
    }

    fn bytes(&self) -> usize {
        self.0.len()
    }

    fn read(&self, offset: usize, to: &mut [u8]) -> bool {
        self.0.read(offset, to).is_ok()
    }

    fn write(&self, offset: usize, from: &[u8]) -> bool {
        self.0.write(offset, from).is_ok()
    }

    fn release(&self, capability: Address) {
        // A slot that cannot be emptied stays taken: nothing can be done here.
        let _ = release(capability);
    }
}

/// The shared memory, made at the first call.
fn memory() -> Result<Cap<MemoryObject>, Failure> {
    let known = Address(MEMORY.load(Ordering::Relaxed));
    if known != Address::NULL {
        return Ok(Cap::at(known));
    }
    let slot = own::take().map_err(Failure::new)?;
    let made = Environment::MEMORY.create_memory(BYTES, slot);
    let memory = made.map_err(Failure::new)?;
    environment::map(memory, MAPPED_AT, Permissions::ReadWrite).map_err(Failure::new)?;
    MEMORY.store(memory.address().0, Ordering::Relaxed);
    Ok(memory)
}

/// The session with the network service.
///
/// # Errors
/// If the shell may not use it, or it does not answer.
pub(crate) fn open() -> Result<Network, Failure> {
    let session = crate::commands::service::<Sockets>("net")?;
    let memory = memory()?;
    let local = Memory(SharedBuf::of(memory).map_err(Failure::new)?, Patient);
    let buffer = Address(BUFFER.load(Ordering::Relaxed));
    if buffer != Address::NULL {
        let net = Net::attached(session, buffer, local);
        if net.status().is_ok() {
            return Ok(net);
        }
        // The service was started anew and knows the memory no more.
        BUFFER.store(0, Ordering::Relaxed);
        let _ = release(buffer);
    }
    let object = memory_cap(memory, Rights::READ | Rights::WRITE | Rights::MAP);
    let net = Net::attach(session, object, local).map_err(Failure::new)?;
    BUFFER.store(net.buffer().0, Ordering::Relaxed);
    Ok(net)
}

/// The same session for calls without an end of their own, as programs make them that have nothing else to do.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_plain() -> Result<Net<Memory<Kernel>>, Failure> {
    let buffer = open()?.buffer();
    let session = crate::commands::service::<Sockets>("net")?;
    let shared = SharedBuf::of(memory()?).map_err(Failure::new)?;
    Ok(Net::attached(session, buffer, Memory(shared, Kernel)))
}

/// Where the memory of rings is mapped, and its bytes: half a mebibyte each way, and the counters.
const RINGS_AT: u64 = MAPPED_AT + (1 << 24);
const RING_BYTES: u64 = (1 << 20) + 4096;
/// Nanoseconds without news after which a stream is given up.
const RING_PATIENCE_NS: u64 = 30_000_000_000;

/// Slots of that memory and of the notification that goes with it.
static RINGS: AtomicU32 = AtomicU32::new(0);
static BELL: AtomicU32 = AtomicU32::new(0);

/// Memory for the rings of one stream, registered with the service; whoever asks takes it back with
/// [`RingMemory::unregister`].
///
/// # Errors
/// If there is no memory, or the service says no.
pub(crate) fn rings(net: &Network) -> Result<(RingMemory<SharedBuf>, KernelBell), Failure> {
    if RINGS.load(Ordering::Relaxed) == 0 {
        let bell = Environment::MEMORY
            .create::<Notification>(own::take().map_err(Failure::new)?)
            .map_err(Failure::new)?;
        let slot = own::take().map_err(Failure::new)?;
        let memory = Environment::MEMORY.create_memory(RING_BYTES, slot);
        let memory = memory.map_err(Failure::new)?;
        environment::map(memory, RINGS_AT, Permissions::ReadWrite).map_err(Failure::new)?;
        BELL.store(bell.address().0, Ordering::Relaxed);
        RINGS.store(memory.address().0, Ordering::Relaxed);
    }
    let memory: Cap<MemoryObject> = Cap::at(Address(RINGS.load(Ordering::Relaxed)));
    let notification: Cap<Notification> = Cap::at(Address(BELL.load(Ordering::Relaxed)));
    // Bits of the stream before say nothing of this one.
    let _ = notification.poll();
    let shared = SharedBuf::of(memory).map_err(Failure::new)?;
    let object = memory_cap(memory, Rights::READ | Rights::WRITE | Rights::MAP);
    let rings = RingMemory::register(net, object, shared).map_err(Failure::new)?;
    let bell = KernelBell {
        notification,
        patience_ns: Some(RING_PATIENCE_NS),
    };
    Ok((rings, bell))
}
