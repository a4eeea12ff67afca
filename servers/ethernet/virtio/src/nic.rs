//! The device: two queues, and what its configuration space says.

use gritos_ethernet_api::{FRAME_OFFSET, Interface, MAX_FRAME_BYTES};
use gritos_ethernet_core::{Adapter, Busy, HEADER_BYTES};
use gritos_sys::dma::virtio::{Device, DeviceType, Features, Interrupts, VirtioError};
use gritos_sys::dma::{DmaMemory, DmaRange};
use gritos_sys::mmio::Registers;

/// Descriptors of each queue: a slot to receive into takes one, a frame to send two.
const DESCRIPTORS: usize = 128;
/// Queue of the first receiver (virtio 1.2, "Virtqueues" of the network device).
const RECEIVE: usize = 0;
/// Queue of the first transmitter.
const TRANSMIT: usize = 1;
/// Bytes of the header in front of each frame ("Device Operation", `virtio_net_hdr`).
const HEADER: usize = 12;
/// What the client keeps in front of a frame must have room for the header.
const _: () = assert!(FRAME_OFFSET as usize >= HEADER);

/// Bits of the features that are of use ("Feature bits").
const FEATURE_MTU: u64 = 1 << 3;
const FEATURE_MAC: u64 = 1 << 5;
const FEATURE_STATUS: u64 = 1 << 16;
/// Offsets in the configuration space ("Device configuration layout").
const CONFIG_STATUS: usize = 6;
const CONFIG_MTU: usize = 10;
/// Bit of the status that says that the link is up.
const LINK_UP: u8 = 1;
/// Packets of an Ethernet that says nothing else.
const DEFAULT_MTU: u16 = 1500;
/// Least that IPv6 needs (RFC 8200, "Packet Size Issues").
const LEAST_MTU: u16 = 1280;

/// The device.
pub(crate) struct Nic {
    device: Device<2, DESCRIPTORS>,
    agreed: Features,
    /// The header of every frame that is sent: zeros, which is no offload.
    header: DmaRange,
    /// The slot of each chain that the device has, by queue and token.
    slots: [[u16; DESCRIPTORS]; 2],
    /// The device returned what it was not given.
    corrupt: bool,
    /// The device interrupts when frames have left.
    tells_of_sent: bool,
}

impl Nic {
    /// Starts the device behind `registers`; `header` is memory of at least 12 zeros.
    ///
    /// # Errors
    /// If there is no such device, or it refuses.
    pub(crate) fn start(registers: &Registers, header: &DmaMemory) -> Result<Self, VirtioError> {
        let device = Device::new(registers, 0, DeviceType::Network)?;
        let mut nic = Self {
            device,
            agreed: Features::empty(),
            header: header.range(0, HEADER).ok_or(VirtioError::NoMemory)?,
            slots: [[0; DESCRIPTORS]; 2],
            corrupt: false,
            tells_of_sent: false,
        };
        nic.restart()?;
        Ok(nic)
    }

    /// Starts the device anew: it has no slot and accesses none from then on.
    ///
    /// # Errors
    /// If it refuses.
    pub(crate) fn restart(&mut self) -> Result<(), VirtioError> {
        let wanted = FEATURE_MTU | FEATURE_MAC | FEATURE_STATUS;
        self.agreed = self.device.start(Features::from_bits_retain(wanted))?;
        self.corrupt = false;
        // Slots of frames that left are looked for when some are wanted.
        self.tells_of_sent = false;
        self.device.set_interrupts(TRANSMIT, false);
        Ok(())
    }

    fn has(&self, feature: u64) -> bool {
        self.agreed.bits() & feature != 0
    }

    /// What the interface is like now.
    pub(crate) fn interface(&self) -> Interface {
        let byte = |at| self.device.configuration(at);
        let mtu = match self.has(FEATURE_MTU) {
            true => u16::from_le_bytes([byte(CONFIG_MTU), byte(CONFIG_MTU + 1)]),
            false => DEFAULT_MTU,
        };
        let most = (MAX_FRAME_BYTES as usize - HEADER_BYTES) as u16;
        Interface {
            // A device without an address has zeros here; the client then takes one of its own.
            address: match self.has(FEATURE_MAC) {
                true => core::array::from_fn(byte),
                false => [0; 6],
            },
            mtu: mtu.clamp(LEAST_MTU, most),
            up: !self.has(FEATURE_STATUS) || byte(CONFIG_STATUS) & LINK_UP != 0,
        }
    }

    /// Takes note of an interrupt.
    pub(crate) fn acknowledge(&mut self) -> Interrupts {
        self.device.acknowledge()
    }

    /// Whether the device must be started anew.
    pub(crate) const fn is_corrupt(&self) -> bool {
        self.corrupt
    }

    /// Says whether the device shall interrupt when frames have left; whether some have already.
    pub(crate) fn tell_of_sent(&mut self, wanted: bool) -> bool {
        if !wanted && !self.tells_of_sent {
            return false;
        }
        self.tells_of_sent = wanted;
        self.device.set_interrupts(TRANSMIT, wanted) && wanted
    }

    fn submit(
        &mut self,
        queue: usize,
        slot: u16,
        readable: &[DmaRange],
        writable: &[DmaRange],
    ) -> Result<(), Busy> {
        let token = self.device.submit(queue, readable, writable);
        let token = token.map_err(|_| Busy)?;
        let slots = self.slots.get_mut(queue).ok_or(Busy)?;
        *slots.get_mut(usize::from(token)).ok_or(Busy)? = slot;
        Ok(())
    }

    fn pop(&mut self, queue: usize) -> Option<(u16, usize)> {
        match self.device.pop(queue) {
            Ok(popped) => {
                let (token, written) = popped?;
                let slot = self.slots.get(queue)?.get(usize::from(token))?;
                Some((*slot, written as usize))
            }
            Err(_) => {
                self.corrupt = true;
                None
            }
        }
    }
}

impl Adapter<DmaMemory> for Nic {
    fn give(&mut self, slot: u16, memory: &DmaMemory, offset: usize) -> Result<(), Busy> {
        // The client has more slots than the device takes, so that this is the rule.
        if self.device.free(RECEIVE) == 0 {
            return Err(Busy);
        }
        let bytes = HEADER + MAX_FRAME_BYTES as usize;
        let range = memory.range(offset - HEADER, bytes).ok_or(Busy)?;
        self.submit(RECEIVE, slot, &[], &[range])
    }

    fn received(&mut self) -> Option<(u16, usize)> {
        let (slot, written) = self.pop(RECEIVE)?;
        Some((slot, written.saturating_sub(HEADER)))
    }

    fn send(
        &mut self,
        slot: u16,
        memory: &DmaMemory,
        offset: usize,
        bytes: usize,
    ) -> Result<(), Busy> {
        let frame = memory.range(offset, bytes).ok_or(Busy)?;
        let header = self.header;
        self.submit(TRANSMIT, slot, &[header, frame], &[])
    }

    fn sent(&mut self) -> Option<u16> {
        self.pop(TRANSMIT).map(|(slot, _)| slot)
    }

    fn kick(&mut self) {
        self.device.notify(RECEIVE);
        self.device.notify(TRANSMIT);
    }
}
