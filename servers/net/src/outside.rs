//! Time, randomness, notifications and calls that do not wait for ever.

use gritos_entropy_api::{Entropy as EntropyService, EntropyClient};
use gritos_idl_runtime::object::Notification as StubNotification;
use gritos_idl_runtime::{Address, Cap as StubCap, Incoming, Outcome, Outgoing, Transport};
use gritos_net_core::{Clock, Entropy, Signals};
use gritos_service::{Kernel, adopt, object_cap, release};
use gritos_sys::cap::Notification;
use gritos_sys::time;

/// The system's time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now_ns(&self) -> u64 {
        time::nanoseconds(time::now())
    }
}

/// Notifications of clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientSignals;

impl Signals for ClientSignals {
    fn keep(
        &mut self,
        notification: StubCap<StubNotification>,
    ) -> Option<StubCap<StubNotification>> {
        let slot = adopt(notification.address()).ok()?;
        Some(StubCap::new(slot.address()))
    }

    fn signal(&mut self, notification: StubCap<StubNotification>, bits: u64) {
        // A client that revoked its notification is not told.
        let _ = object_cap::<_, Notification>(notification).signal(bits);
    }

    fn release(&mut self, notification: StubCap<StubNotification>) {
        // A slot that cannot be emptied stays taken: nothing else can be done here.
        let _ = release(notification.address());
    }
}

/// Random bytes that were read from a source beforehand.
pub(crate) struct Seed([u8; 32]);

impl Seed {
    /// Reads them; `None` if the source has none.
    pub(crate) fn read(source: StubCap<EntropyService>) -> Option<Self> {
        let mut seed = [0; 32];
        let bytes = EntropyClient::new(source, Kernel).read(32).ok()?;
        seed.copy_from_slice(bytes.as_slice().get(..32)?);
        Some(Self(seed))
    }
}

impl Entropy for Seed {
    fn seed(&mut self, seed: &mut [u8; 32]) {
        // Each byte is used once.
        *seed = core::mem::take(&mut self.0);
    }
}

/// Calls through the kernel that give up after some time: a driver that is being started again must not
/// keep clients waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patient {
    /// Nanoseconds that the driver has to answer.
    limit_ns: u64,
}

impl Patient {
    /// For calls that make clients wait while a driver is being started again.
    pub(crate) const SHORTLY: Self = Self {
        limit_ns: 20_000_000,
    };
    /// For calls that a driver answers at once, being more urgent; a call to one that dies ends. So long, because the
    /// machine below may be an emulator on a busy host.
    pub(crate) const LONG: Self = Self {
        limit_ns: 1_000_000_000,
    };
}

impl Transport for Patient {
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        target: Address,
        message: Outgoing<CAPS>,
        timeout_ns: Option<u64>,
    ) -> Incoming {
        let timeout_ns = timeout_ns.unwrap_or(self.limit_ns);
        Kernel.call::<CAPS, WINDOW>(target, message, Some(timeout_ns))
    }

    fn send<const CAPS: usize>(&mut self, target: Address, message: Outgoing<CAPS>) -> Outcome {
        Kernel.send(target, message)
    }

    fn discard(&mut self, incoming: &Incoming) {
        Kernel.discard(incoming);
    }
}
