//! Sessions, attachments, and when the queue runs.

use gritos_base_api::{BaseError, SupervisionServer};
use gritos_block_api::{
    BlockDevice, BlockDeviceAttachAnswer, BlockDeviceServer, BlockError, BlockFeatures, Geometry,
};
use gritos_block_core::{Attachment, Backend, Queue, layout, memory_bytes};
use gritos_idl_runtime::{Caller, Cap as StubCap, Hooks, object};
use gritos_service::Port;
use gritos_sys::abi::Rights;
use gritos_sys::cap::Notification;
use gritos_sys::dma::DmaMemory;
use gritos_sys::environment::Environment;
use gritos_sys::slots::own;
use gritos_sys::{Cap, Error, Mask, time};

use crate::DATA_BYTES_LIMIT;
use crate::place::Place;

/// Bit that the device's interrupt sets in the notification of a [`Server`].
pub const INTERRUPT: u32 = 1 << 0;
/// Bit that clients set.
const DOORBELL: u32 = 1 << 1;
/// Bytes set aside for a client: its data area, and rings of any depth.
const PLACE_BYTES: u64 = DATA_BYTES_LIMIT as u64 + (16 << 10);
/// Passes over the queue before whoever called is looked at.
const ROUNDS: u32 = 16;

/// A device that is driven by jobs on memory of its own choice.
pub trait Hardware: Backend<DmaMemory> {
    /// The device's interrupt came: acknowledges it.
    fn interrupt(&mut self);

    /// Nothing is left to do: asks for an interrupt at the end of the next job. Says whether one has ended
    /// already, for which there may be none.
    fn rest(&mut self) -> bool;

    /// When to look at the device although it did not interrupt, in ticks of the counter: a job has failed
    /// by then. By default never.
    fn deadline(&self) -> Option<u64> {
        None
    }
}

/// Serves one device to at most `N` clients.
pub struct Server<H, const N: usize> {
    hardware: H,
    geometry: Geometry,
    queue: Queue<DmaMemory, N>,
    places: [Option<Place>; N],
    /// Where clients and device signal, bound to the server's thread.
    arrived: Cap<Notification>,
    /// The same for clients.
    doorbell: Cap<Notification>,
}

impl<H, const N: usize> core::fmt::Debug for Server<H, N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Server")
            .field("geometry", &self.geometry)
            .finish_non_exhaustive()
    }
}

impl<H: Hardware, const N: usize> Server<H, N> {
    /// A server for a device of this geometry. Sets memory aside for its clients, and binds a notification to
    /// the component's first thread; the device's interrupt is to be bound to [`interrupts`](Self::interrupts).
    ///
    /// # Errors
    /// When the component's memory or slots do not suffice.
    pub fn new(hardware: H, geometry: Geometry) -> Result<Self, Error> {
        let arrived = Environment::MEMORY.create::<Notification>(own::take()?)?;
        Environment::TCB.bind_notification(arrived)?;
        let doorbell = own::take()?.mint(
            arrived,
            Mask::only(Rights::SEND.union(Rights::GRANT)),
            DOORBELL,
        )?;
        let mut places = [const { None }; N];
        for place in &mut places {
            *place = Some(Place::new(PLACE_BYTES)?);
        }
        Ok(Self {
            hardware,
            geometry,
            queue: Queue::default(),
            places,
            arrived,
            doorbell,
        })
    }

    /// What the device's interrupt is bound to: signals come with the bit [`INTERRUPT`].
    ///
    /// # Errors
    /// When no slot is left.
    pub fn interrupts(&self) -> Result<Cap<Notification>, Error> {
        own::take()?.mint(self.arrived, Mask::AS_HELD, INTERRUPT)
    }

    /// The disk as a session with these rights may use it.
    fn geometry_for(&self, rights: Rights) -> Geometry {
        let mut geometry = self.geometry;
        if !rights.contains(BlockDevice::MAY_WRITE) {
            geometry.features |= BlockFeatures::READ_ONLY;
        }
        geometry
    }

    /// Lets a client's attachment end; how many it had.
    fn leave(&mut self, client: u32) -> u32 {
        let mut count = 0;
        for (index, place) in self.places.iter_mut().enumerate() {
            let user = place.as_mut().and_then(|place| place.user.as_mut());
            if let Some(user) = user.filter(|user| user.client == client && !user.leaving) {
                user.leaving = true;
                self.queue.close(index);
                count += 1;
            }
        }
        self.reap();
        count
    }

    /// Takes places back of which nothing is under way any more.
    fn reap(&mut self) {
        while let Some(index) = self.queue.reap() {
            if let Some(Some(place)) = self.places.get_mut(index) {
                place.clear();
            }
        }
    }

    /// Runs the queue until there is nothing to do at once; says whether it gave up before.
    fn run(&mut self) -> bool {
        for _ in 0..ROUNDS {
            let places = &self.places;
            let more = self.queue.run(&mut self.hardware, |index| {
                if let Some(Some(place)) = places.get(index) {
                    place.wake();
                }
            });
            self.reap();
            if !more && !self.hardware.rest() {
                return false;
            }
        }
        true
    }
}

impl<H: Hardware, const N: usize> BlockDeviceServer for Server<H, N> {
    fn geometry(&mut self, caller: Caller) -> Result<Geometry, BlockError> {
        Ok(self.geometry_for(caller.rights))
    }

    fn attach(
        &mut self,
        caller: Caller,
        depth: u32,
        data_bytes: u32,
        wake: StubCap<object::Notification>,
    ) -> Result<BlockDeviceAttachAnswer, BlockError> {
        let layout = layout(depth, data_bytes).ok_or(BlockError::Invalid)?;
        if data_bytes > DATA_BYTES_LIMIT || data_bytes < self.geometry.block_bytes {
            return Err(BlockError::NoMemory);
        }
        self.leave(caller.badge);
        let index = self.queue.vacant().ok_or(BlockError::Limit)?;
        let geometry = self.geometry_for(caller.rights);
        let place = self
            .places
            .get_mut(index)
            .and_then(Option::as_mut)
            .ok_or(BlockError::Limit)?;
        let memory = place
            .open(
                caller.badge,
                memory_bytes(&layout).next_multiple_of(4096),
                wake,
            )
            .map_err(|_| BlockError::NoMemory)?;
        let object = place.user.as_ref().map(|user| user.memory.address());
        match (Attachment::new(memory, depth, layout, geometry), object) {
            (Ok(attachment), Some(object)) => {
                self.queue.insert(index, attachment);
                Ok(BlockDeviceAttachAnswer {
                    memory: StubCap::new(object),
                    doorbell: StubCap::new(self.doorbell.address()),
                    layout,
                })
            }
            _ => {
                place.clear();
                Err(BlockError::NoMemory)
            }
        }
    }

    fn detach(&mut self, caller: Caller) -> Result<(), BlockError> {
        match self.leave(caller.badge) {
            0 => Err(BlockError::NotAttached),
            _ => Ok(()),
        }
    }
}

impl<H: Hardware, const N: usize> SupervisionServer for Server<H, N> {
    fn client_gone(&mut self, _: Caller, client: u32) -> Result<u32, BaseError> {
        Ok(self.leave(client))
    }
}

impl<H: Hardware, const N: usize, const REPLIES: usize> Hooks<Port<REPLIES>> for Server<H, N> {
    fn notified(&mut self, _: &mut Port<REPLIES>, bits: u64) {
        if bits & u64::from(INTERRUPT) != 0 {
            self.hardware.interrupt();
        }
    }

    fn turn(&mut self, port: &mut Port<REPLIES>) {
        let again = self.run();
        // With work left, the next wait only takes what is there.
        let deadline = again.then(time::now);
        port.set_deadline(deadline.or_else(|| self.hardware.deadline()));
    }
}
