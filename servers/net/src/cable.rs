//! The way to the Ethernet driver, which may come and go.

use gritos_ethernet_api::{EthernetDevice, EthernetDeviceClient, EthernetDeviceEvents, Interface};
use gritos_ethernet_core::{Link, LinkError, Signals};
use gritos_idl_runtime::{Cap as StubCap, Rights};
use gritos_net_core::FrameDevice;
use gritos_service::object_cap;
use gritos_sys::Cap;
use gritos_sys::cap::{MemoryObject, Notification};
use gritos_sys::environment;
use gritos_sys::invoke::Permissions;
use gritos_sys::shared::{SHARED_BASE, SharedBuf};
use gritos_sys::slots::{Slot, own};
use log::{error, warn};

use crate::outside::Patient;

/// Slots of either direction: what a peer sends at once has room, and so have the answers.
const RECEIVE_SLOTS: u32 = 256;
const TRANSMIT_SLOTS: u32 = 256;
/// Bytes of packets until the driver says how many.
const DEFAULT_MTU: usize = 1500;
/// Where the driver's memory is mapped.
const MAPPED_AT: u64 = SHARED_BASE;
/// Nanoseconds between the first two attempts to reach a driver; each pause is twice as long as the one
/// before, up to a limit. Also when it is reached each time and lost at once.
const RETRY_NS: u64 = 50_000_000;
const RETRY_LIMIT_NS: u64 = 5_000_000_000;
/// Nanoseconds between looks at a cable, however idle it is: a driver that died says nothing.
const CHECK_NS: u64 = 500_000_000;

/// Has the driver look at the rings.
#[derive(Debug)]
struct Doorbell(EthernetDeviceClient<Patient>);

impl Signals for Doorbell {
    fn ring(&mut self) -> Result<(), LinkError> {
        // One that does not answer in time is as good as gone.
        self.0.look().map_err(|_| LinkError::Gone)
    }
}

/// What an attachment consists of.
struct Plugged {
    link: Link<SharedBuf, Doorbell>,
    memory: Slot,
}

/// An Ethernet interface behind a driver.
pub(crate) struct Cable {
    session: StubCap<EthernetDevice>,
    driver: EthernetDeviceClient<Patient>,
    wake: Cap<Notification>,
    /// What the driver said of it, once it has.
    interface: Option<Interface>,
    plugged: Option<Plugged>,
    retry_ns: u64,
    pause_ns: u64,
    /// When the driver was reached last.
    plugged_ns: u64,
    /// When it is looked at next although nothing came.
    check_ns: u64,
    /// Frames that were given to the driver.
    sent: u64,
    /// How many those were when it had no room for another one at the last check.
    full_at: Option<u64>,
    /// The driver said that the link may have changed.
    changed: bool,
    /// The driver was asked for the interface and did not answer.
    stale: bool,
}

impl Cable {
    /// Plugs into the driver behind `session`. `wake` is signalled when frames come in.
    pub(crate) fn new(session: StubCap<EthernetDevice>, wake: Cap<Notification>) -> Self {
        let mut cable = Self {
            session,
            driver: EthernetDeviceClient::new(session, Patient::SHORTLY),
            wake,
            interface: None,
            plugged: None,
            retry_ns: 0,
            pause_ns: RETRY_NS,
            plugged_ns: 0,
            check_ns: 0,
            sent: 0,
            full_at: None,
            changed: false,
            stale: false,
        };
        cable.plug(0);
        cable
    }

    /// Whether the driver answers, and has said what the interface is like.
    pub(crate) const fn is_ready(&self) -> bool {
        self.plugged.is_some() && self.interface.is_some()
    }

    /// Asks the driver once more for what it has not answered, without a pause.
    pub(crate) fn hurry(&mut self) {
        match self.plugged {
            Some(_) => self.ask_interface(),
            None => {
                self.retry_ns = 0;
                self.pause_ns = RETRY_NS;
                self.plug(0);
            }
        }
    }

    fn plug(&mut self, now_ns: u64) {
        if now_ns < self.retry_ns {
            return;
        }
        self.retry_ns = now_ns + self.pause_ns;
        self.pause_ns = (2 * self.pause_ns).min(RETRY_LIMIT_NS);
        self.ask_interface();
        let wake = StubCap::with_rights(self.wake.address(), Rights::SEND);
        let Ok(reply) = self.driver.attach(RECEIVE_SLOTS, TRANSMIT_SLOTS, wake) else {
            return;
        };
        let memory = object_cap::<_, MemoryObject>(reply.memory);
        let slot = own::of(memory);
        let mapped = environment::map(memory, MAPPED_AT, Permissions::ReadWrite)
            .and_then(|()| SharedBuf::of(memory));
        let link = mapped.map_err(|_| LinkError::Gone).and_then(|shared| {
            Link::new(
                shared,
                RECEIVE_SLOTS,
                TRANSMIT_SLOTS,
                reply.layout,
                Doorbell(EthernetDeviceClient::new(self.session, Patient::LONG)),
            )
        });
        match link {
            Ok(link) => {
                self.plugged_ns = now_ns;
                self.full_at = None;
                self.plugged = Some(Plugged { link, memory: slot });
            }
            Err(error) => {
                error!("{error}");
                forget(slot);
            }
        }
    }

    /// Asks what the interface is like. An answer that does not come in time must not be taken for one: what was
    /// known stays, and is asked for again.
    fn ask_interface(&mut self) {
        match self.driver.interface() {
            Ok(interface) => {
                self.interface = Some(interface);
                self.stale = false;
            }
            Err(_) => self.stale = true,
        }
    }

    /// Gives up an attachment that is of no further use.
    fn unplug(&mut self) {
        if let Some(plugged) = self.plugged.take() {
            forget(plugged.memory);
        }
    }

    /// Looks whether the driver still does what it is for.
    fn check(&mut self, now_ns: u64) {
        if self.plugged.is_none() {
            return;
        }
        if now_ns - self.plugged_ns >= CHECK_NS {
            // This attachment was no failure: the next attempt may follow soon.
            self.pause_ns = RETRY_NS;
        }
        if self.can_send() {
            self.full_at = None;
        } else if self.full_at == Some(self.sent) {
            // Nothing that waits for room, in the loop of this machine either, would ever get some.
            warn!("the driver takes no frames any more: it is attached to anew");
            self.unplug();
            self.plug(now_ns);
        } else {
            self.full_at = Some(self.sent);
        }
    }

    fn with<R>(
        &mut self,
        action: impl FnOnce(&mut Link<SharedBuf, Doorbell>) -> Result<R, LinkError>,
    ) -> Option<R> {
        let plugged = self.plugged.as_mut()?;
        match action(&mut plugged.link) {
            Ok(result) => Some(result),
            Err(LinkError::Gone | LinkError::Corrupt) => {
                self.unplug();
                None
            }
            Err(LinkError::Full | LinkError::Length) => None,
        }
    }
}

/// Deletes what an attachment brought; it may be gone already.
fn forget(memory: Slot) {
    let _ = own::delete(memory);
}

impl FrameDevice for Cable {
    fn mac(&self) -> [u8; 6] {
        self.interface.map_or([0; 6], |interface| interface.address)
    }

    fn mtu(&self) -> usize {
        self.interface
            .map_or(DEFAULT_MTU, |interface| interface.mtu.into())
    }

    fn link_up(&self) -> bool {
        self.plugged.is_some() && self.interface.is_some_and(|interface| interface.up)
    }

    fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        let next = |link: &mut Link<SharedBuf, Doorbell>| loop {
            match link.receive(frame) {
                // One that stayed would be found again for ever.
                Err(LinkError::Length) => link.skip()?,
                other => return other,
            }
        };
        self.with(next).flatten()
    }

    fn can_send(&mut self) -> bool {
        match self.plugged {
            Some(_) => self.with(Link::can_send).unwrap_or(true),
            None => true,
        }
    }

    fn send(&mut self, frame: &[u8]) {
        self.sent += 1;
        self.with(|link| link.send(frame));
    }

    fn flush(&mut self) -> bool {
        !self.with(Link::submit).unwrap_or(true)
    }

    fn tend(&mut self, now_ns: u64) -> Option<u64> {
        if self.plugged.is_none() {
            self.plug(now_ns);
        }
        let checks = now_ns >= self.check_ns;
        if checks {
            self.check_ns = now_ns + CHECK_NS;
            self.check(now_ns);
        }
        // Once in a while: each question that a driver leaves open costs everybody the time it had for it.
        if self.plugged.is_some() && (core::mem::take(&mut self.changed) || (checks && self.stale))
        {
            self.ask_interface();
        }
        match self.plugged {
            Some(_) => Some(self.check_ns),
            None => Some(self.retry_ns),
        }
    }

    fn notified(&mut self, bits: u64) {
        self.changed |= bits & EthernetDeviceEvents::LINK.bits() != 0;
    }

    fn arm(&mut self, send: bool) -> bool {
        self.with(|link| link.arm(send)).unwrap_or(true)
    }
}
