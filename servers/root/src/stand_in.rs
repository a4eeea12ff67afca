//! Helpers that answer for components that are gone for good.
//!
//! The endpoint of a service outlives the component that serves it, so that who
//! calls between two lives is served by the next. If there is to be none, a
//! stand-in receives there and answers every call, those in the queue included,
//! that the service is unavailable: nobody waits for ever.

use gritos_service::Port;
use gritos_service::idl::{Kind, Outgoing, ServerPort, WireError};
use gritos_sys::abi::Address;
use gritos_sys::cap::{Endpoint, Reply};
use gritos_sys::memory::Region;
use gritos_sys::slots::Slot;
use gritos_sys::{Cap, Error, ipc, time};

use crate::grants::nth;
use crate::helper::{self, FREE_PLACE, Plan};
use crate::worker::Shared;

/// Memory of one.
pub(crate) const BYTES: u64 = 16 << 10;
/// Slots of one.
pub(crate) const SLOTS: u16 = helper::SLOTS + 1 + WINDOW;
/// Slots for capabilities of messages, which are deleted.
const WINDOW: u16 = 4;
/// Pause after a message that was not received, in nanoseconds.
const PAUSE: u64 = 1_000_000;

/// The stand-in of one service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StandIn {
    /// Its memory and slots, from the first time that it was needed on.
    pub(crate) held: Option<(Region, Slot)>,
    pub(crate) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The service has its component, or will.
    Absent,
    /// It is to be made.
    Wanted,
    /// It answers.
    Present,
}

impl StandIn {
    pub(crate) const NONE: Self = Self {
        held: None,
        state: State::Absent,
    };
}

/// Makes the stand-in of service `service` out of `own`.
pub(crate) fn make(shared: &Shared, service: u16, own: Slot, first: Slot) -> Result<(), Error> {
    let endpoint = shared.service_endpoint(service)?;
    let own = own.cap();
    // The one before may have been dismissed with a message in hand.
    (0..SLOTS).try_for_each(|position| nth(first, position).delete())?;
    let reply = own.create::<Reply>(nth(first, helper::SLOTS))?;
    // Two addresses in one word: the endpoint and what answers its callers.
    debug_assert!(reply.address().0 <= u32::from(u16::MAX));
    let argument = Address(endpoint.address().0 | reply.address().0 << 16);
    let plan = Plan {
        entry: run,
        argument,
        place: FREE_PLACE + u64::from(service),
        stack_bytes: 4 << 10,
        priority: helper::PRIORITY,
        faults: shared.helper_faults,
    };
    helper::make(&shared.creator, shared.cnode, own, first, &plan)?;
    Ok(())
}

extern "C" fn run(argument: u64) -> ! {
    let endpoint = Cap::<Endpoint>::at(Address(argument as u32 & 0xffff));
    let reply = Cap::<Reply>::at(Address(argument as u32 >> 16));
    let window = Address(reply.address().0 + 1);
    let mut port = Port::with_reply(endpoint, reply).with_window(window, WINDOW.into());
    let mut incoming = port.recv();
    loop {
        incoming = match incoming.outcome.kind() {
            Ok(Kind::Call) if incoming.outcome.is_ok() => {
                port.reply_recv(Outgoing::<0>::refusal(WireError::Unavailable))
            }
            _ if incoming.outcome.is_ok() => port.recv(),
            _ => {
                // A caller that is gone, for one: no reason to be busy.
                let _ = ipc::sleep_until(time::after(PAUSE));
                port.recv()
            }
        };
    }
}
