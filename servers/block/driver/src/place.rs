//! Memory for one client at a time.
//!
//! Each place has an Untyped of its own, taken when the driver starts. Revoking it takes the memory object back
//! from the client as well, and makes room for the next one: however often clients come and go, a driver's
//! memory does not run out.

use gritos_idl_runtime::{Address, Cap as StubCap, object};
use gritos_service::{adopt, release};
use gritos_sys::cap::{MemoryObject, Notification, Untyped};
use gritos_sys::dma::DmaMemory;
use gritos_sys::environment::Environment;
use gritos_sys::slots::own;
use gritos_sys::{Cap, Error};

/// Memory, and the client that has it.
#[derive(Debug)]
pub(crate) struct Place {
    untyped: Cap<Untyped>,
    pub(crate) user: Option<User>,
}

/// Who uses a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    /// The client's badge.
    pub(crate) client: u32,
    /// The memory object.
    pub(crate) memory: Cap<MemoryObject>,
    /// What to signal.
    wake: Address,
    /// It detached or is gone: the place is free again once nothing is under way.
    pub(crate) leaving: bool,
}

impl Place {
    /// Sets `bytes` of the component's memory aside.
    pub(crate) fn new(bytes: u64) -> Result<Self, Error> {
        Ok(Self {
            untyped: Environment::MEMORY.split(bytes, own::take()?)?,
            user: None,
        })
    }

    /// Makes memory for a client, zeroed, and keeps its notification.
    pub(crate) fn open(
        &mut self,
        client: u32,
        bytes: u64,
        wake: StubCap<object::Notification>,
    ) -> Result<DmaMemory, Error> {
        let wake = adopt(wake.address())?;
        let made = own::take().and_then(|slot| {
            self.untyped
                .create_memory(bytes, slot)
                .and_then(|memory| Ok((memory, DmaMemory::map(memory)?)))
                .inspect_err(|_| own::give_back(slot))
        });
        match made {
            Ok((memory, mapped)) => {
                self.user = Some(User {
                    client,
                    memory,
                    wake: wake.address(),
                    leaving: false,
                });
                Ok(mapped)
            }
            Err(error) => {
                // Takes the memory object away if it was only not mapped.
                let _ = own::of(self.untyped).revoke();
                let _ = release(wake.address());
                Err(error)
            }
        }
    }

    /// Takes everything back from a client that has left.
    pub(crate) fn clear(&mut self) {
        let Some(user) = self.user.take() else { return };
        // Neither fails: the Untyped and the slot are ours.
        let _ = own::of(self.untyped).revoke();
        own::give_back(own::of(user.memory));
        let _ = release(user.wake);
    }

    /// Signals the client.
    pub(crate) fn wake(&self) {
        if let Some(user) = self.user {
            // A client that took its notification away is not told.
            let _ = Cap::<Notification>::at(user.wake).signal(1);
        }
    }
}
