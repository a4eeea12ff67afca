//! A client's rings and slots as the driver sees them.

use gritos_ethernet_api::{EthernetCounters, EthernetLayout, Frame, MAX_FRAME_BYTES};
use gritos_ring::{Consumer, Memory, Producer, RingError, reset};

use crate::slots::Slots;
use crate::{ENTRY_BYTES, HEADER_BYTES, batch, decode, encode, memory_bytes, slot_offset};

/// The device takes no further slot for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// A device. Offsets are those of frames in the memory of the attachment.
pub trait Adapter<M> {
    /// Gives the device a slot to receive into, which has room for
    /// `MAX_FRAME_BYTES`.
    ///
    /// # Errors
    /// [`Busy`].
    fn give(&mut self, slot: u16, memory: &M, offset: usize) -> Result<(), Busy>;

    /// A slot that the device is done with, and the bytes of the frame in it; 0
    /// for a frame that arrived damaged.
    fn received(&mut self) -> Option<(u16, usize)>;

    /// Gives the device a frame to send.
    ///
    /// # Errors
    /// [`Busy`].
    fn send(&mut self, slot: u16, memory: &M, offset: usize, bytes: usize) -> Result<(), Busy>;

    /// A slot whose frame has left.
    fn sent(&mut self) -> Option<u16>;

    /// Tells the device of all slots that it was given.
    fn kick(&mut self) {}
}

/// What is to be done after a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// The client waits and is to be signalled.
    pub signal: bool,
    /// There may be more to do at once.
    pub more: bool,
}

/// The driver's side of an attachment.
#[derive(Debug)]
pub struct Station<M> {
    memory: M,
    layout: EthernetLayout,
    receive_slots: u16,
    receive_free: Consumer<M, ENTRY_BYTES>,
    received: Producer<M, ENTRY_BYTES>,
    transmit: Consumer<M, ENTRY_BYTES>,
    transmit_free: Producer<M, ENTRY_BYTES>,
    /// Slots that the driver or its device has.
    receiving: Slots,
    sending: Slots,
    /// What the device had no room for.
    held_receive: Option<u16>,
    held_transmit: Option<Frame>,
    /// The client rings when it has put a frame behind those that were taken.
    armed: bool,
    /// Most slots that the driver and its device had so far.
    most_receiving: u16,
}

impl<M: Memory + Clone> Station<M> {
    /// Makes empty rings in `memory`; `layout` is what [`layout`](crate::layout)
    /// made for these numbers of slots.
    ///
    /// # Errors
    /// `Layout` if it does not fit the memory, `Gone`.
    pub fn new(
        memory: M,
        receive_slots: u32,
        transmit_slots: u32,
        layout: EthernetLayout,
    ) -> Result<Self, RingError> {
        if crate::layout(receive_slots, transmit_slots) != Some(layout)
            || memory_bytes(&layout, receive_slots + transmit_slots) > memory.len() as u64
        {
            return Err(RingError::Layout);
        }
        let EthernetLayout {
            receive_free,
            received,
            transmit,
            transmit_free,
            ..
        } = layout;
        for ring in [receive_free, received, transmit, transmit_free] {
            reset(&memory, ring as usize)?;
        }
        let consumer = |at: u32, slots| Consumer::new(memory.clone(), at as usize, slots);
        let producer = |at: u32, slots| Producer::new(memory.clone(), at as usize, slots);
        Ok(Self {
            receive_free: consumer(receive_free, receive_slots)?,
            received: producer(received, receive_slots)?,
            transmit: consumer(transmit, transmit_slots)?,
            transmit_free: producer(transmit_free, transmit_slots)?,
            // A layout has 256 slots of either kind at most.
            receive_slots: receive_slots as u16,
            receiving: Slots::none(receive_slots as u16),
            sending: Slots::none(transmit_slots as u16),
            held_receive: None,
            held_transmit: None,
            armed: false,
            most_receiving: 0,
            memory,
            layout,
        })
    }

    /// One pass: frames that came in and slots of frames that left go to the
    /// client, empty slots and frames to send go to the device; a ring full of
    /// each at most. Unless there is more to do, the client's next frame is
    /// signalled.
    ///
    /// Slots go either way by the [batch](crate::batch), as nobody waits for a few of many.
    ///
    /// # Errors
    /// `Corrupt` if the client gives what it does not have, `Gone`. The
    /// attachment is of no further use then.
    pub fn run<A: Adapter<M>>(
        &mut self,
        adapter: &mut A,
        counters: &mut EthernetCounters,
    ) -> Result<Pass, RingError> {
        self.collect(adapter, counters)?;
        if self.receiving.count() <= self.most_receiving - batch(self.most_receiving) {
            self.fill(adapter)?;
            self.most_receiving = self.most_receiving.max(self.receiving.count());
        }
        let held = self.drain(adapter, counters)?;
        adapter.kick();
        // What left meanwhile made room for what was held, and nobody may say so again.
        let freed = held && self.collect(adapter, counters)?;
        // First the room, so that a slot which the client sees again fits into
        // the ring that it came from.
        let room = self.transmit.release()? | self.receive_free.release()?;
        let received = self.received.publish()?;
        let sent = self.transmit_free.publish()?;
        Ok(Pass {
            signal: received || sent || room,
            more: freed | self.has_more()?,
        })
    }

    /// Whether the driver is to be told when frames have left, although nobody asks: one waits until the device
    /// has room again, or so many slots are under way that the client soon has none.
    #[must_use]
    pub const fn waits_for_sent(&self) -> bool {
        self.held_transmit.is_some() || self.sending.count() > self.sending.end() / 2
    }

    /// Whether the client has put something that the device has room for.
    fn has_more(&mut self) -> Result<bool, RingError> {
        if self.held_transmit.is_none() && !self.armed {
            self.armed = self.transmit.arm(1)?;
        }
        let mut more = self.held_transmit.is_none() && !self.armed;
        // While the device has slots enough, the client's need no signal.
        if self.held_receive.is_none() && self.receiving.count() <= self.receive_slots / 2 {
            more |= !self.receive_free.arm(1)?;
        }
        Ok(more)
    }

    /// Takes back what the device is done with; whether frames have left.
    fn collect<A: Adapter<M>>(
        &mut self,
        adapter: &mut A,
        counters: &mut EthernetCounters,
    ) -> Result<bool, RingError> {
        while let Some((slot, bytes)) = adapter.received() {
            self.receiving.remove(slot)?;
            let good = (HEADER_BYTES..=MAX_FRAME_BYTES as usize).contains(&bytes);
            let length = if good { bytes as u16 } else { 0 };
            if good {
                counters.received_frames += 1;
                counters.received_bytes += bytes as u64;
            } else {
                counters.dropped_frames += 1;
            }
            push(&mut self.received, Frame { slot, length })?;
        }
        let before = self.sending.count();
        if self.held_transmit.is_none() && before < batch(self.sending.end()) {
            return Ok(false);
        }
        while let Some(slot) = adapter.sent() {
            self.sending.remove(slot)?;
            push(&mut self.transmit_free, Frame { slot, length: 0 })?;
        }
        Ok(self.sending.count() < before)
    }

    /// Gives the device the client's empty slots.
    fn fill<A: Adapter<M>>(&mut self, adapter: &mut A) -> Result<(), RingError> {
        let mut looked = false;
        loop {
            let slot = match self.held_receive.take() {
                Some(slot) => slot,
                None => {
                    if !looked {
                        self.receive_free.refresh()?;
                        looked = true;
                    }
                    let Some(entry) = self.receive_free.pop()? else {
                        return Ok(());
                    };
                    let slot = decode(&entry)?.slot;
                    self.receiving.insert(slot)?;
                    slot
                }
            };
            let offset = slot_offset(&self.layout, slot.into());
            if adapter.give(slot, &self.memory, offset).is_err() {
                self.held_receive = Some(slot);
                return Ok(());
            }
        }
    }

    /// Gives the device the client's frames; says whether one had no room.
    fn drain<A: Adapter<M>>(
        &mut self,
        adapter: &mut A,
        counters: &mut EthernetCounters,
    ) -> Result<bool, RingError> {
        self.transmit.refresh()?;
        loop {
            let frame = match self.held_transmit.take() {
                Some(frame) => frame,
                None => {
                    let Some(entry) = self.transmit.pop()? else {
                        return Ok(false);
                    };
                    self.armed = false;
                    let frame = decode(&entry)?;
                    self.sending.insert(frame.slot)?;
                    frame
                }
            };
            let bytes = usize::from(frame.length);
            if !(HEADER_BYTES..=MAX_FRAME_BYTES as usize).contains(&bytes) {
                counters.dropped_frames += 1;
                self.sending.remove(frame.slot)?;
                push(&mut self.transmit_free, Frame { length: 0, ..frame })?;
                continue;
            }
            let index = usize::from(self.receive_slots) + usize::from(frame.slot);
            let offset = slot_offset(&self.layout, index);
            if adapter
                .send(frame.slot, &self.memory, offset, bytes)
                .is_err()
            {
                self.held_transmit = Some(frame);
                return Ok(true);
            }
            counters.sent_frames += 1;
            counters.sent_bytes += bytes as u64;
        }
    }
}

/// Puts an entry that there must be room for, since the client has each slot
/// once and takes it out before it gives it back.
fn push<M: Memory>(ring: &mut Producer<M, ENTRY_BYTES>, frame: Frame) -> Result<(), RingError> {
    ring.push(&encode(frame)).map_err(|error| match error {
        RingError::Full => RingError::Corrupt,
        other => other,
    })
}
