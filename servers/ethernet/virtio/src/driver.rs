//! The service: one client, its slots, and the device.

use gritos_base_api::{BaseError, SupervisionServer};
use gritos_ethernet_api::{
    EthernetCounters, EthernetDeviceAttachAnswer, EthernetDeviceEvents, EthernetDeviceServer,
    EthernetError, EthernetLayout, Interface, MAX_SLOTS,
};
use gritos_ethernet_core::{Station, layout, memory_bytes};
use gritos_idl_runtime::{Caller, Cap as StubCap, Hooks, Rights, object};
use gritos_service::{Port, adopt, memory_cap};
use gritos_sys::cap::{MemoryObject, Notification};
use gritos_sys::dma::DmaMemory;
use gritos_sys::environment::Environment;
use gritos_sys::slots::{Slot, own};
use gritos_sys::{Cap, Error};

use crate::nic::Nic;

/// The bit of the driver's notification, which the device sets.
pub(crate) const INTERRUPT: u32 = 1 << 0;
/// Passes in a row before a message is looked at.
const PASSES: usize = 4;
/// The port's deadline for a turn without a message, at once.
const AT_ONCE: Option<u64> = Some(0);

const NOTHING_YET: EthernetCounters = EthernetCounters {
    received_frames: 0,
    received_bytes: 0,
    sent_frames: 0,
    sent_bytes: 0,
    dropped_frames: 0,
    interrupts: 0,
};

/// The client's side: its number, its slots, how to wake it.
struct Attachment {
    client: u32,
    station: Station<DmaMemory>,
    wake: Slot,
}

/// Memory for slots and rings, which stays the driver's.
struct Shared {
    cap: Cap<MemoryObject>,
    memory: DmaMemory,
}

/// The service.
pub(crate) struct Driver {
    nic: Nic,
    shared: Option<Shared>,
    attachment: Option<Attachment>,
    counters: EthernetCounters,
}

impl Driver {
    /// Serves `nic`.
    pub(crate) const fn new(nic: Nic) -> Self {
        Self {
            nic,
            shared: None,
            attachment: None,
            counters: NOTHING_YET,
        }
    }

    /// The memory that is shared with clients, made at the first attachment.
    fn shared(&mut self, layout: &EthernetLayout, slots: u32) -> Result<&Shared, Error> {
        if self.shared.is_none() {
            let largest = gritos_ethernet_core::layout(MAX_SLOTS, MAX_SLOTS);
            let bytes = memory_bytes(&largest.unwrap_or(*layout), (2 * MAX_SLOTS).max(slots));
            let cap = Environment::MEMORY.create_memory(bytes, own::take()?)?;
            let memory = DmaMemory::map(cap)?;
            self.shared = Some(Shared { cap, memory });
        }
        let none = Error::local(
            gritos_sys::abi::Status::NoMemory,
            gritos_sys::error::Operation::Load,
        );
        self.shared.as_ref().ok_or(none)
    }

    /// Takes rings and slots from whoever has them. The device is started anew, so that it accesses
    /// them no more; nothing of one client's frames is left for the next.
    fn detach_client(&mut self) -> bool {
        let Some(attachment) = self.attachment.take() else {
            return false;
        };
        // It is started once more before somebody else attaches.
        let _ = self.nic.restart();
        // Capabilities that nobody has any more need no taking back.
        let _ = own::delete(attachment.wake);
        if let Some(shared) = &self.shared {
            let _ = own::of(shared.cap).revoke();
            wipe(&shared.memory);
        }
        true
    }

    /// Moves what can be moved. Whether there is more to do at once.
    fn run(&mut self) -> bool {
        let Some(attachment) = &mut self.attachment else {
            return false;
        };
        for _ in 0..PASSES {
            let pass = attachment.station.run(&mut self.nic, &mut self.counters);
            let Ok(pass) = pass else {
                // The client broke the protocol, or its memory is not what it was.
                self.detach_client();
                return false;
            };
            if pass.signal {
                tell(attachment, EthernetDeviceEvents::FRAMES);
            }
            if self.nic.is_corrupt() {
                self.detach_client();
                return false;
            }
            let wanted = attachment.station.waits_for_sent();
            if !pass.more && !self.nic.tell_of_sent(wanted) {
                return false;
            }
        }
        true
    }
}

fn tell(attachment: &Attachment, event: EthernetDeviceEvents) {
    // A client that revoked its notification is not told.
    let _ = attachment.wake.cap::<Notification>().signal(event.bits());
}

/// Overwrites what is in a memory object that nobody else has.
fn wipe(memory: &DmaMemory) {
    const ZEROS: [u8; 4096] = [0; 4096];
    let shared = memory.shared();
    for offset in (0..shared.len()).step_by(ZEROS.len()) {
        // It is the driver's own memory and stays mapped.
        let _ = shared.write(offset, &ZEROS);
    }
}

impl EthernetDeviceServer for Driver {
    fn interface(&mut self, _caller: Caller) -> Result<Interface, EthernetError> {
        Ok(self.nic.interface())
    }

    fn attach(
        &mut self,
        caller: Caller,
        receive_slots: u32,
        transmit_slots: u32,
        wake: StubCap<object::Notification>,
    ) -> Result<EthernetDeviceAttachAnswer, EthernetError> {
        let layout = layout(receive_slots, transmit_slots).ok_or(EthernetError::Invalid)?;
        let holder = self.attachment.as_ref().map(|a| a.client);
        if holder.is_some_and(|holder| holder != caller.badge) {
            return Err(EthernetError::Busy);
        }
        self.detach_client();
        self.nic.restart().map_err(|_| EthernetError::Io)?;
        let slots = receive_slots + transmit_slots;
        let shared = self.shared(&layout, slots);
        let shared = shared.map_err(|_| EthernetError::NoMemory)?;
        let station = Station::new(shared.memory, receive_slots, transmit_slots, layout);
        let station = station.map_err(|_| EthernetError::NoMemory)?;
        let memory = memory_cap(shared.cap, Rights::READ | Rights::WRITE | Rights::MAP);
        let wake = adopt(wake.address()).map_err(|_| EthernetError::NoMemory)?;
        self.attachment = Some(Attachment {
            client: caller.badge,
            station,
            wake,
        });
        Ok(EthernetDeviceAttachAnswer { memory, layout })
    }

    fn detach(&mut self, caller: Caller) -> Result<(), EthernetError> {
        match &self.attachment {
            Some(attachment) if attachment.client == caller.badge => {
                self.detach_client();
                Ok(())
            }
            _ => Err(EthernetError::NotAttached),
        }
    }

    fn counters(&mut self, _caller: Caller) -> Result<EthernetCounters, EthernetError> {
        Ok(self.counters)
    }

    #[inline]
    fn look(&mut self, caller: Caller) -> Result<(), EthernetError> {
        // The turn after each message looks at the rings.
        match &self.attachment {
            Some(attachment) if attachment.client == caller.badge => Ok(()),
            _ => Err(EthernetError::NotAttached),
        }
    }
}

impl SupervisionServer for Driver {
    fn client_gone(&mut self, _caller: Caller, client: u32) -> Result<u32, BaseError> {
        let had = self.attachment.as_ref().is_some_and(|a| a.client == client);
        Ok(u32::from(had && self.detach_client()))
    }
}

impl Hooks<Port<1>> for Driver {
    fn notified(&mut self, _port: &mut Port<1>, bits: u64) {
        if bits & u64::from(INTERRUPT) == 0 {
            return;
        }
        self.counters.interrupts += 1;
        let interrupts = self.nic.acknowledge();
        if interrupts.configuration
            && let Some(attachment) = &self.attachment
        {
            tell(attachment, EthernetDeviceEvents::LINK);
        }
    }

    fn turn(&mut self, port: &mut Port<1>) {
        let more = self.run();
        port.set_deadline(if more { AT_ONCE } else { None });
    }
}
