//! The client of a component, over the kernel.

use gritos_idl_runtime::{Address, Incoming, Outcome, Outgoing, Rights, Transport};
use gritos_service::{Kernel, call_cap, memory_cap, release};
use gritos_sys::Error;
use gritos_sys::environment::{self, Environment};
use gritos_sys::invoke::Permissions;
use gritos_sys::shared::{SHARED_BASE, SharedBuf};
use gritos_sys::slots::own;

use crate::{Client, Errno, Link, MEMORY_BYTES};

/// Carries calls to the kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct ComponentLink(Kernel);

impl Transport for ComponentLink {
    #[inline(always)]
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        target: Address,
        message: Outgoing<CAPS>,
        timeout_ns: Option<u64>,
    ) -> Incoming {
        self.0.call::<CAPS, WINDOW>(target, message, timeout_ns)
    }

    #[inline(always)]
    fn send<const CAPS: usize>(&mut self, target: Address, message: Outgoing<CAPS>) -> Outcome {
        self.0.send(target, message)
    }

    fn discard(&mut self, incoming: &Incoming) {
        self.0.discard(incoming);
    }
}

impl Link for ComponentLink {
    fn release(&mut self, address: Address) {
        // A slot that cannot be emptied stays taken; the kernel has told why elsewhere.
        let _ = release(address);
    }
}

/// The client of a component.
pub type ComponentClient = Client<ComponentLink, SharedBuf>;

/// Where the memory is mapped: the first address for shared memory, which a component
/// that serves uses from the other end.
const MEMORY_AT: u64 = SHARED_BASE;

/// Connects with the service that the component uses under `name`. Once per component.
///
/// # Errors
/// `NOENT` if the component may not use it, `NOMEM`, and those of registering memory.
pub fn connect(name: &str) -> Result<ComponentClient, Errno> {
    let environment = Environment::own().map_err(|_| Errno::NOENT)?;
    let session = environment.service(name).ok_or(Errno::NOENT)?;
    let no_memory = |_: Error| Errno::NOMEM;
    let slot = own::take().map_err(no_memory)?;
    let bytes = MEMORY_BYTES as u64;
    let memory = Environment::MEMORY
        .create_memory(bytes, slot)
        .map_err(no_memory)?;
    environment::map(memory, MEMORY_AT, Permissions::ReadWrite).map_err(no_memory)?;
    let shared = SharedBuf::of(memory).map_err(no_memory)?;
    let object = memory_cap(memory, Rights::READ | Rights::WRITE | Rights::MAP);
    Client::new(ComponentLink::default(), call_cap(session), object, shared)
}
