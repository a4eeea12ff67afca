//! A device at the end of a cable that the test holds.

use gritos_ethernet_core::api::{EthernetCounters, EthernetLayout};
use gritos_ethernet_core::{
    Adapter, Busy, Link, LinkError, Signals, Station, layout, memory_bytes,
};
use gritos_ring::Memory;
use gritos_ring::host::HostMemory;
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

pub(crate) const RECEIVE: u32 = 8;
pub(crate) const TRANSMIT: u32 = 4;

/// A device with room for so many frames either way.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) room: usize,
    /// It is still sending what it has.
    pub(crate) busy: bool,
    empty: VecDeque<(u16, HostMemory, usize)>,
    filled: VecDeque<(u16, usize)>,
    sent: VecDeque<u16>,
    /// What left.
    pub(crate) out: Vec<Vec<u8>>,
}

impl Wire {
    /// A frame comes in; says whether there was a slot.
    pub(crate) fn deliver(&mut self, frame: &[u8]) -> bool {
        let Some((slot, memory, offset)) = self.empty.pop_front() else {
            return false;
        };
        memory.write(offset, frame).unwrap();
        self.filled.push_back((slot, frame.len()));
        true
    }

    /// Slots into which the device can receive.
    pub(crate) fn empty_slots(&self) -> usize {
        self.empty.len()
    }

    /// Slots of frames that left and that nobody has taken back.
    pub(crate) fn unclaimed(&self) -> usize {
        self.sent.len()
    }

    /// A frame arrives damaged.
    pub(crate) fn deliver_damaged(&mut self) {
        let (slot, ..) = self.empty.pop_front().unwrap();
        self.filled.push_back((slot, 0));
    }
}

impl Adapter<HostMemory> for Wire {
    fn give(&mut self, slot: u16, memory: &HostMemory, offset: usize) -> Result<(), Busy> {
        if self.empty.len() == self.room {
            return Err(Busy);
        }
        self.empty.push_back((slot, memory.clone(), offset));
        Ok(())
    }

    fn received(&mut self) -> Option<(u16, usize)> {
        self.filled.pop_front()
    }

    fn send(
        &mut self,
        slot: u16,
        memory: &HostMemory,
        offset: usize,
        bytes: usize,
    ) -> Result<(), Busy> {
        if self.sent.len() == self.room {
            return Err(Busy);
        }
        let mut frame = vec![0; bytes];
        memory.read(offset, &mut frame).unwrap();
        self.out.push(frame);
        self.sent.push_back(slot);
        Ok(())
    }

    fn sent(&mut self) -> Option<u16> {
        match self.busy {
            true => None,
            false => self.sent.pop_front(),
        }
    }
}

/// Counts rings of the doorbell.
#[derive(Clone, Default)]
pub(crate) struct Bell(pub(crate) Rc<Cell<u32>>);

impl Signals for Bell {
    fn ring(&mut self) -> Result<(), LinkError> {
        self.0.set(self.0.get() + 1);
        Ok(())
    }
}

/// Both sides and what is between them.
pub(crate) struct Setup {
    pub(crate) wire: Wire,
    pub(crate) station: Station<HostMemory>,
    pub(crate) counters: EthernetCounters,
    pub(crate) link: Link<HostMemory, Bell>,
    pub(crate) bell: Bell,
    pub(crate) memory: HostMemory,
    pub(crate) layout: EthernetLayout,
    /// How often the client was signalled.
    pub(crate) signals: u32,
    /// Most frames that left and need not be noticed at once.
    left_behind: usize,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self::sized(RECEIVE, TRANSMIT, 6)
    }

    /// So many slots, and a device with room for `room` frames either way.
    pub(crate) fn sized(receive: u32, transmit: u32, room: usize) -> Self {
        let layout = layout(receive, transmit).unwrap();
        let memory = HostMemory::new(memory_bytes(&layout, receive + transmit) as usize);
        let station = Station::new(memory.clone(), receive, transmit, layout).unwrap();
        let bell = Bell::default();
        let link = Link::new(memory.clone(), receive, transmit, layout, bell.clone()).unwrap();
        Self {
            wire: Wire {
                room,
                ..Wire::default()
            },
            station,
            counters: no_counters(),
            link,
            bell,
            memory,
            layout,
            signals: 0,
            left_behind: transmit as usize / 16,
        }
    }

    /// The driver is woken once, and runs for as long as it says that there is more.
    pub(crate) fn interrupt(&mut self) {
        while self
            .station
            .run(&mut self.wire, &mut self.counters)
            .unwrap()
            .more
        {}
    }

    /// The driver runs until there is nothing to do at once.
    pub(crate) fn run(&mut self) {
        for _ in 0..100 {
            let pass = self
                .station
                .run(&mut self.wire, &mut self.counters)
                .unwrap();
            self.signals += u32::from(pass.signal);
            let rests = self.wire.busy || self.wire.sent.len() <= self.left_behind;
            if !pass.more && rests {
                return;
            }
        }
        panic!("the driver never comes to rest");
    }
}

pub(crate) fn no_counters() -> EthernetCounters {
    EthernetCounters {
        received_frames: 0,
        received_bytes: 0,
        sent_frames: 0,
        sent_bytes: 0,
        dropped_frames: 0,
        interrupts: 0,
    }
}

/// A frame that tells which one it is.
pub(crate) fn frame(number: usize, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i * 31 + number) as u8).collect()
}
