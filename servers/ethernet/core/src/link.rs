//! An Ethernet interface, as its client uses it.

use core::fmt;

use gritos_ethernet_api::{EthernetLayout, Frame, MAX_FRAME_BYTES};
use gritos_ring::{Consumer, Memory, Producer, RingError};

use crate::slots::Slots;
use crate::{ENTRY_BYTES, HEADER_BYTES, batch, decode, encode, memory_bytes, slot_offset};

/// How the client wakes the driver.
pub trait Signals {
    /// Has the driver look at the rings.
    ///
    /// # Errors
    /// [`LinkError::Gone`] if there is no driver.
    fn ring(&mut self) -> Result<(), LinkError>;
}

/// Why a link did not do what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// The driver is gone; attach again.
    Gone,
    /// The driver broke the protocol; attach again.
    Corrupt,
    /// Every slot for sending is under way.
    Full,
    /// The frame is shorter than its header or does not fit a slot, or the
    /// buffer is smaller than the frame.
    Length,
}

impl From<RingError> for LinkError {
    fn from(error: RingError) -> Self {
        match error {
            RingError::Gone => Self::Gone,
            RingError::Corrupt | RingError::Layout | RingError::Full => Self::Corrupt,
        }
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "the driver of the interface is gone",
            Self::Corrupt => "the driver of the interface broke the protocol",
            Self::Full => "all slots for sending are under way",
            Self::Length => "the length of the frame is not possible",
        })
    }
}

impl core::error::Error for LinkError {}

/// An attached interface.
///
/// Nothing here waits. What is sent and what is given back to the driver goes
/// out with [`submit`](Self::submit); before the client sleeps, it asks with
/// [`arm`](Self::arm) for a signal. After `Gone` and `Corrupt` the link is of
/// no further use.
#[derive(Debug)]
pub struct Link<M, S> {
    memory: M,
    signals: S,
    layout: EthernetLayout,
    receive_slots: u16,
    /// Slots that were given back and not shown.
    given_back: u16,
    receive_free: Producer<M, ENTRY_BYTES>,
    received: Consumer<M, ENTRY_BYTES>,
    transmit: Producer<M, ENTRY_BYTES>,
    transmit_free: Consumer<M, ENTRY_BYTES>,
    /// Slots that are the client's.
    held: Slots,
    free: Slots,
    /// A frame that was looked at and not taken.
    next: Option<Frame>,
}

impl<M: Memory + Clone, S: Signals> Link<M, S> {
    /// The link behind what `attach` returned for these numbers of slots. All
    /// slots for receiving go to the driver.
    ///
    /// # Errors
    /// `Corrupt` if layout and memory make no sense, `Gone`.
    pub fn new(
        memory: M,
        receive_slots: u32,
        transmit_slots: u32,
        layout: EthernetLayout,
        signals: S,
    ) -> Result<Self, LinkError> {
        if crate::layout(receive_slots, transmit_slots) != Some(layout)
            || memory_bytes(&layout, receive_slots + transmit_slots) > memory.len() as u64
        {
            return Err(LinkError::Corrupt);
        }
        let EthernetLayout {
            receive_free,
            received,
            transmit,
            transmit_free,
            ..
        } = layout;
        let consumer = |at: u32, slots| Consumer::new(memory.clone(), at as usize, slots);
        let producer = |at: u32, slots| Producer::new(memory.clone(), at as usize, slots);
        let mut link = Self {
            receive_free: producer(receive_free, receive_slots)?,
            received: consumer(received, receive_slots)?,
            transmit: producer(transmit, transmit_slots)?,
            transmit_free: consumer(transmit_free, transmit_slots)?,
            // A layout has 256 slots of either kind at most.
            receive_slots: receive_slots as u16,
            given_back: receive_slots as u16,
            held: Slots::all(receive_slots as u16),
            free: Slots::all(transmit_slots as u16),
            next: None,
            memory,
            signals,
            layout,
        };
        while let Some(slot) = link.held.take() {
            link.receive_free.push(&encode(Frame { slot, length: 0 }))?;
        }
        // The driver signals the first frame without being asked.
        if link.show()? {
            link.signals.ring()?;
        }
        Ok(link)
    }

    /// Bytes of the next frame that [`receive`](Self::receive) returns, if there
    /// is one.
    ///
    /// # Errors
    /// `Gone`, `Corrupt`.
    pub fn next_bytes(&mut self) -> Result<Option<usize>, LinkError> {
        while self.next.is_none() {
            let Some(entry) = self.next_entry()? else {
                return Ok(None);
            };
            let frame = decode(&entry)?;
            // The driver has every slot but those held.
            self.held.insert(frame.slot)?;
            match usize::from(frame.length) {
                0 => self.give_back(frame.slot)?,
                bytes if (HEADER_BYTES..=MAX_FRAME_BYTES as usize).contains(&bytes) => {
                    self.next = Some(frame);
                }
                _ => return Err(LinkError::Corrupt),
            }
        }
        Ok(self.next.map(|frame| frame.length.into()))
    }

    fn next_entry(&mut self) -> Result<Option<[u8; ENTRY_BYTES]>, RingError> {
        if let Some(entry) = self.received.pop()? {
            return Ok(Some(entry));
        }
        self.received.refresh()?;
        self.received.pop()
    }

    fn give_back(&mut self, slot: u16) -> Result<(), RingError> {
        self.held.remove(slot)?;
        self.given_back += 1;
        self.receive_free.push(&encode(Frame { slot, length: 0 }))
    }

    /// Copies the next frame into `to` and gives its slot back; `None` if there
    /// is none.
    ///
    /// # Errors
    /// `Length` if `to` is too small, and the frame stays; `Gone`, `Corrupt`.
    pub fn receive(&mut self, to: &mut [u8]) -> Result<Option<usize>, LinkError> {
        let Some(bytes) = self.next_bytes()? else {
            return Ok(None);
        };
        let to = to.get_mut(..bytes).ok_or(LinkError::Length)?;
        if let Some(frame) = self.next.take() {
            let offset = slot_offset(&self.layout, frame.slot.into());
            self.memory.read(offset, to).map_err(|_| LinkError::Gone)?;
            self.give_back(frame.slot)?;
        }
        Ok(Some(bytes))
    }

    /// Gives the next frame back unread.
    ///
    /// # Errors
    /// `Gone`, `Corrupt`.
    pub fn skip(&mut self) -> Result<(), LinkError> {
        if self.next_bytes()?.is_some()
            && let Some(frame) = self.next.take()
        {
            self.give_back(frame.slot)?;
        }
        Ok(())
    }

    /// Whether a frame can be sent now.
    ///
    /// # Errors
    /// `Gone`, `Corrupt`.
    pub fn can_send(&mut self) -> Result<bool, LinkError> {
        if self.free.count() == 0 {
            self.reclaim()?;
        }
        Ok(self.free.count() > 0)
    }

    /// Takes slots of frames that were sent.
    fn reclaim(&mut self) -> Result<(), RingError> {
        self.transmit_free.refresh()?;
        while let Some(entry) = self.transmit_free.pop()? {
            self.free.insert(decode(&entry)?.slot)?;
        }
        self.transmit_free.release()?;
        Ok(())
    }

    /// Copies a frame into a slot. It leaves after [`submit`](Self::submit).
    ///
    /// # Errors
    /// `Full`, `Length`, `Gone`, `Corrupt`.
    pub fn send(&mut self, frame: &[u8]) -> Result<(), LinkError> {
        if !(HEADER_BYTES..=MAX_FRAME_BYTES as usize).contains(&frame.len()) {
            return Err(LinkError::Length);
        }
        if !self.can_send()? {
            return Err(LinkError::Full);
        }
        let slot = self.free.take().ok_or(LinkError::Full)?;
        let index = usize::from(self.receive_slots) + usize::from(slot);
        let offset = slot_offset(&self.layout, index);
        self.memory
            .write(offset, frame)
            .map_err(|_| LinkError::Gone)?;
        let length = frame.len() as u16;
        Ok(self.transmit.push(&encode(Frame { slot, length }))?)
    }

    /// Shows the driver what was sent and given back, and has it look if it
    /// waits for that. Says whether it did: as the client is awake, it need not be
    /// woken for frames that come in meanwhile, and has to [`arm`](Self::arm) anew.
    ///
    /// # Errors
    /// `Gone`.
    pub fn submit(&mut self) -> Result<bool, LinkError> {
        let rings = self.show()?;
        if rings {
            self.received.disarm()?;
            self.signals.ring()?;
        }
        Ok(rings)
    }

    /// Shows the driver what was sent, and what was given back if it is worth the while; whether it waits for
    /// that.
    fn show(&mut self) -> Result<bool, RingError> {
        let mut slots = false;
        if self.given_back >= batch(self.receive_slots) {
            self.given_back = 0;
            // First the room: the driver needs it to return the slots.
            self.received.release()?;
            slots = self.receive_free.publish()?;
        }
        let frames = self.transmit.publish()?;
        Ok(slots || frames)
    }

    /// Asks for a signal when a frame comes in and, if `send` is said, when one
    /// can be sent. Says whether to wait: if not, that is so already.
    ///
    /// # Errors
    /// `Gone`, `Corrupt`.
    pub fn arm(&mut self, send: bool) -> Result<bool, LinkError> {
        if self.next.is_some() || (send && self.can_send()?) {
            return Ok(false);
        }
        let mut wait = self.received.arm(1)?;
        if send {
            wait &= self.transmit_free.arm(1)?;
        }
        Ok(wait)
    }
}
