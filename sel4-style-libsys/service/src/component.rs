//! The beginning of a component, and the step from libsys' capabilities to
//! those of stubs.

use gritos_idl_runtime::{Cap, object};
use gritos_sys::cap;

#[cfg(target_os = "none")]
use gritos_sys::{Error, environment::Environment, slots::own};

/// Reads the environment and makes the component's free slots available. The
/// first thing that a component does.
///
/// # Errors
/// For a task that was not started as a component.
#[cfg(target_os = "none")]
pub fn start() -> Result<Environment<'static>, Error> {
    let environment = Environment::own()?;
    gritos_sys::rt::supervised();
    let (first, end) = environment.free_slots();
    own::provide(first, end);
    Ok(environment)
}

/// As on the target, where there is an environment.
///
/// # Errors
/// `Unsupported`, always: on a host there is none.
#[cfg(not(target_os = "none"))]
pub fn start() -> Result<gritos_sys::environment::Environment<'static>, gritos_sys::Error> {
    use gritos_sys::abi::Status;
    use gritos_sys::error::Operation;
    Err(gritos_sys::Error::local(
        Status::Unsupported,
        Operation::Load,
    ))
}

/// A session or an object of a server, to be called through the stubs of `K`.
#[must_use]
pub const fn call_cap<K, const R: u32>(endpoint: gritos_sys::Cap<cap::Endpoint, R>) -> Cap<K> {
    Cap::new(endpoint.address())
}

/// A memory object, to be sent through stubs with these rights.
#[must_use]
pub const fn memory_cap<const R: u32>(
    memory: gritos_sys::Cap<cap::MemoryObject, R>,
    rights: gritos_sys::abi::Rights,
) -> Cap<object::MemoryObject> {
    Cap::with_rights(memory.address(), rights)
}

/// A capability that came through stubs, for libsys.
#[must_use]
pub const fn object_cap<K, T>(cap: Cap<K>) -> gritos_sys::Cap<T> {
    gritos_sys::Cap::at(cap.address())
}
