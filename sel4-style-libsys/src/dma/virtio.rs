//! A virtio device behind registers, driven through `virtio-drivers`' transport
//! and queues.
//!
//! A [`Device`] owns its queues. Chains of [`DmaRange`]s go to a queue with
//! [`submit`](Device::submit) and come back from [`pop`](Device::pop); the
//! device copies nothing and neither does this module. What a chain means is
//! the driver's business, and so this is all that drivers for disks, networks
//! and entropy need, in safe code.
//!
//! The device is believed as little as possible: tokens that it returns are
//! looked up, lengths are the driver's to check.

use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};

use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::transport::{DeviceStatus, Transport};

use self::pool::Pages;
use crate::dma::DmaRange;
use crate::mmio::Registers;

mod pool;

pub use pool::provide;
pub use virtio_drivers::transport::DeviceType;

/// Bytes of a device's registers, its configuration space included.
const REGISTER_BYTES: usize = 0x200;
/// Most ranges of a chain.
pub const CHAIN_LIMIT: usize = 4;

bitflags::bitflags! {
    /// Features that are offered or accepted; each kind of device has its own,
    /// those named here are every device's.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u64 {
        /// The device follows virtio 1.0 or later.
        const VERSION_1 = 1 << 32;
        const _ = !0;
    }
}

/// Why a device cannot be used, or not in this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VirtioError {
    /// There is no virtio device behind the registers, or none that follows
    /// virtio 1.0.
    NoDevice,
    /// The device did not accept the features, or has failed.
    Refused,
    /// It has no such queue, or a smaller one.
    Queue,
    /// No memory is left for queues.
    NoMemory,
    /// The queue has no room for this chain for now.
    Full,
    /// The chain is empty or has too many ranges.
    Chain,
    /// The device returned what it was not given.
    Corrupt,
}

impl fmt::Display for VirtioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoDevice => "there is no virtio device",
            Self::Refused => "the virtio device refused",
            Self::Queue => "the virtio device has no such queue",
            Self::NoMemory => "no memory is left for the queues of the virtio device",
            Self::Full => "the queue of the virtio device is full",
            Self::Chain => "a chain has one to four ranges",
            Self::Corrupt => "the virtio device returned what it was not given",
        })
    }
}

impl core::error::Error for VirtioError {}

impl From<virtio_drivers::Error> for VirtioError {
    fn from(error: virtio_drivers::Error) -> Self {
        match error {
            virtio_drivers::Error::QueueFull => Self::Full,
            virtio_drivers::Error::DmaError => Self::NoMemory,
            virtio_drivers::Error::InvalidParam | virtio_drivers::Error::AlreadyUsed => Self::Queue,
            _ => Self::Corrupt,
        }
    }
}

/// Which interrupts a device had raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupts {
    /// A queue has something to pop.
    pub queue: bool,
    /// The configuration space changed.
    pub configuration: bool,
}

/// Ranges of one chain: first those that the device reads, then those that it
/// writes.
#[derive(Clone, Copy, Debug)]
struct Chain {
    ranges: [DmaRange; CHAIN_LIMIT],
    readable: usize,
    count: usize,
}

struct Queue<const SIZE: usize> {
    ring: VirtQueue<Pages, SIZE>,
    /// The chains that the device has, by token.
    chains: [Option<Chain>; SIZE],
    /// Chains were submitted since the device was last notified.
    news: bool,
}

/// A virtio device with up to `QUEUES` queues of `SIZE` descriptors each.
pub struct Device<const QUEUES: usize, const SIZE: usize> {
    // Dropped before the queues: dropping it resets the device, which then
    // accesses their memory no more.
    transport: MmioTransport<'static>,
    queues: [Option<Queue<SIZE>>; QUEUES],
}

impl<const QUEUES: usize, const SIZE: usize> fmt::Debug for Device<QUEUES, SIZE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.transport)
    }
}

impl<const QUEUES: usize, const SIZE: usize> Device<QUEUES, SIZE> {
    /// The device of type `kind` whose registers begin at `offset`.
    ///
    /// # Errors
    /// `NoDevice` if there is none, or one of another type.
    pub fn new(
        registers: &Registers,
        offset: usize,
        kind: DeviceType,
    ) -> Result<Self, VirtioError> {
        let end = offset.checked_add(REGISTER_BYTES);
        if end.is_none_or(|end| end > registers.len()) || !offset.is_multiple_of(REGISTER_BYTES) {
            return Err(VirtioError::NoDevice);
        }
        let header: *mut VirtIOHeader =
            core::ptr::with_exposed_provenance_mut(registers.base() + offset);
        let header = NonNull::new(header).ok_or(VirtioError::NoDevice)?;
        // SAFETY: the registers are mapped for as long as the component lives,
        // aligned, and so many.
        let transport = unsafe { MmioTransport::new(header, REGISTER_BYTES) }
            .map_err(|_| VirtioError::NoDevice)?;
        if transport.device_type() != kind || transport.requires_legacy_layout() {
            return Err(VirtioError::NoDevice);
        }
        Ok(Self {
            transport,
            queues: [const { None }; QUEUES],
        })
    }

    /// Resets the device and starts it anew with what it offers of `wanted`, and
    /// with empty queues. Returns what was agreed on. Chains that it had are
    /// forgotten, it no longer accesses them.
    ///
    /// # Errors
    /// `Refused`, `Queue`, `NoMemory`.
    pub fn start(&mut self, wanted: Features) -> Result<Features, VirtioError> {
        self.reset()?;
        let agreed = self.transport.begin_init(wanted | Features::VERSION_1);
        let ok = self
            .transport
            .get_status()
            .contains(DeviceStatus::FEATURES_OK);
        if !ok || !agreed.contains(Features::VERSION_1) {
            return Err(VirtioError::Refused);
        }
        for (index, queue) in (0..).zip(&mut self.queues) {
            *queue = Some(Queue {
                ring: VirtQueue::new(&mut self.transport, index, false, false)?,
                chains: [None; SIZE],
                news: false,
            });
        }
        self.transport.finish_init();
        Ok(agreed)
    }

    /// Resets the device: it accesses no memory from then on.
    fn reset(&mut self) -> Result<(), VirtioError> {
        const PATIENCE: u32 = 100_000;
        self.transport.set_status(DeviceStatus::empty());
        let mut tries = 0..PATIENCE;
        if !tries.any(|_| self.transport.get_status().is_empty()) {
            return Err(VirtioError::Refused);
        }
        self.queues.iter_mut().for_each(|queue| *queue = None);
        Ok(())
    }

    /// Whether the device says that it failed and must be started anew.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.transport
            .get_status()
            .contains(DeviceStatus::DEVICE_NEEDS_RESET)
    }

    /// Reads a byte of the configuration space; 0 beyond its end.
    #[must_use]
    pub fn configuration(&self, offset: usize) -> u8 {
        self.transport.read_config_space(offset).unwrap_or(0)
    }

    /// Reads 32 bits of the configuration space at a multiple of 4; 0 beyond its
    /// end.
    #[must_use]
    pub fn configuration32(&self, offset: usize) -> u32 {
        if !offset.is_multiple_of(size_of::<u32>()) {
            return 0;
        }
        self.transport.read_config_space(offset).unwrap_or(0)
    }

    /// Counts changes of the configuration space.
    #[must_use]
    pub fn configuration_generation(&self) -> u32 {
        self.transport.read_config_generation()
    }

    /// Acknowledges what the device's interrupt was about.
    pub fn acknowledge(&mut self) -> Interrupts {
        let status = self.transport.ack_interrupt().bits();
        Interrupts {
            queue: status & 1 != 0,
            configuration: status & 2 != 0,
        }
    }

    fn queue(&mut self, index: usize) -> Result<&mut Queue<SIZE>, VirtioError> {
        let queue = self.queues.get_mut(index).and_then(Option::as_mut);
        queue.ok_or(VirtioError::Queue)
    }

    /// Gives the device a chain: `readable` ranges, then `writable` ones. Returns
    /// a token below `SIZE` that no other chain of the queue has, until it is
    /// popped. The device learns of it with [`notify`](Self::notify).
    ///
    /// # Errors
    /// `Full`, `Chain`, `Queue`.
    pub fn submit(
        &mut self,
        index: usize,
        readable: &[DmaRange],
        writable: &[DmaRange],
    ) -> Result<u16, VirtioError> {
        let queue = self.queue(index)?;
        let chain = Chain::new(readable, writable)?;
        let token = chain.with_slices(|readable, writable| {
            // SAFETY: the ranges are memory that stays mapped and that nobody
            // refers to; the device may access it until the chain is popped.
            unsafe { queue.ring.add(readable, writable) }
        })?;
        let place = queue.chains.get_mut(usize::from(token));
        *place.ok_or(VirtioError::Corrupt)? = Some(chain);
        queue.news = true;
        Ok(token)
    }

    /// Tells the device of chains that were submitted to this queue since the
    /// last time, unless it does not want to be told.
    pub fn notify(&mut self, index: usize) {
        let Ok(queue) = self.queue(index) else { return };
        if !core::mem::take(&mut queue.news) {
            return;
        }
        // The device either sees the chains or has asked to be told.
        fence(Ordering::SeqCst);
        if queue.ring.should_notify()
            && let Ok(index) = u16::try_from(index)
        {
            self.transport.notify(index);
        }
    }

    /// A chain that the device is done with: its token, and how many bytes the
    /// device says it wrote.
    ///
    /// # Errors
    /// `Corrupt`: the device is to be started anew.
    pub fn pop(&mut self, index: usize) -> Result<Option<(u16, u32)>, VirtioError> {
        let queue = self.queue(index)?;
        let Some(token) = queue.ring.peek_used() else {
            return Ok(None);
        };
        let Queue { ring, chains, .. } = queue;
        let place = chains.get_mut(usize::from(token));
        let place = place.ok_or(VirtioError::Corrupt)?;
        let chain = place.as_ref().ok_or(VirtioError::Corrupt)?;
        let written = chain.with_slices(|readable, writable| {
            // SAFETY: these are the ranges that were added under this token.
            unsafe { ring.pop_used(token, readable, writable) }
        });
        *place = None;
        let written = written?;
        Ok(Some((token, written)))
    }

    /// Says whether the device shall interrupt when it is done with chains of
    /// this queue. Returns whether there are some to pop already, of which it
    /// may have said nothing.
    pub fn set_interrupts(&mut self, index: usize, wanted: bool) -> bool {
        let Ok(queue) = self.queue(index) else {
            return false;
        };
        queue.ring.set_dev_notify(wanted);
        // Either the device sees that interrupts are wanted, or we see what it
        // did before.
        fence(Ordering::SeqCst);
        queue.ring.can_pop()
    }

    /// Descriptors of the queue that are free; a chain takes one per range.
    #[must_use]
    pub fn free(&self, index: usize) -> usize {
        let queue = self.queues.get(index).and_then(Option::as_ref);
        queue.map_or(0, |queue| queue.ring.available_desc())
    }
}

impl Chain {
    fn new(readable: &[DmaRange], writable: &[DmaRange]) -> Result<Self, VirtioError> {
        let count = readable.len() + writable.len();
        let first = *readable
            .first()
            .or(writable.first())
            .ok_or(VirtioError::Chain)?;
        let mut ranges = [first; CHAIN_LIMIT];
        if count > CHAIN_LIMIT {
            return Err(VirtioError::Chain);
        }
        let all = readable.iter().chain(writable);
        for (place, range) in ranges.iter_mut().zip(all) {
            *place = *range;
        }
        Ok(Self {
            ranges,
            readable: readable.len(),
            count,
        })
    }

    /// Calls `f` with the ranges as the slices that `virtio-drivers` wants. It
    /// takes their addresses and lengths and leaves the bytes alone.
    fn with_slices<R>(
        &self,
        f: impl for<'a> FnOnce(&'a [&'a [u8]], &'a mut [&'a mut [u8]]) -> R,
    ) -> R {
        let input = |range: &DmaRange| -> &[u8] {
            let start = core::ptr::with_exposed_provenance(range.address);
            // SAFETY: a range lies in a `DmaMemory`, which stays mapped; nothing
            // is read through the slice.
            unsafe { core::slice::from_raw_parts(start, range.len as usize) }
        };
        let output = |range: &DmaRange| -> &mut [u8] {
            let start = core::ptr::with_exposed_provenance_mut(range.address);
            // SAFETY: as above; nothing is read or written through the slice.
            unsafe { core::slice::from_raw_parts_mut(start, range.len as usize) }
        };
        let (readable, writable) = self.ranges[..self.count].split_at(self.readable);
        // What networks use comes without filling places that stay empty.
        match (readable, writable) {
            ([], [one]) => f(&[], &mut [output(one)]),
            ([one, two], []) => f(&[input(one), input(two)], &mut []),
            _ => {
                let mut inputs: [&[u8]; CHAIN_LIMIT] = [&[]; CHAIN_LIMIT];
                for (slice, range) in inputs.iter_mut().zip(readable) {
                    *slice = input(range);
                }
                let mut outputs: [&mut [u8]; CHAIN_LIMIT] =
                    core::array::from_fn(|_| -> &mut [u8] { &mut [] });
                for (slice, range) in outputs.iter_mut().zip(writable) {
                    *slice = output(range);
                }
                f(&inputs[..readable.len()], &mut outputs[..writable.len()])
            }
        }
    }
}
