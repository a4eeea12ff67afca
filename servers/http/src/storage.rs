//! The way to the file server: calls that are given up at last. A file server that has ended answers nobody, and
//! connections that need no file must be served on.

use gritos_fs_client::api::FileSystem;
use gritos_fs_client::{Client, Errno, Link};
use gritos_idl_runtime::object::MemoryObject;
use gritos_idl_runtime::{Address, Cap, Incoming, Outcome, Outgoing, Rights, Transport};
use gritos_service::{Kernel, call_cap, memory_cap, release};
use gritos_sys::environment::{self, Environment};
use gritos_sys::invoke::Permissions;
use gritos_sys::shared::{SHARED_BASE, SharedBuf};
use gritos_sys::slots::own;
use gritos_sys::{Error, time};

/// Nanoseconds after which a call is given up: longer than a driver may take that is started anew.
const PATIENCE_NS: u64 = 2_000_000_000;
/// Nanoseconds for which a file server is left alone that did not answer: all connections wait with each attempt.
const REST_NS: u64 = 5_000_000_000;
/// Where the memory is mapped that is shared with the file server; that of the network lies above.
const MEMORY_AT: u64 = SHARED_BASE;

/// A session with the file server.
pub(crate) type Storage = Client<Patient, SharedBuf>;

/// Calls through the kernel, with an end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patient;

impl Transport for Patient {
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        target: Address,
        message: Outgoing<CAPS>,
        timeout_ns: Option<u64>,
    ) -> Incoming {
        let timeout_ns = timeout_ns.unwrap_or(PATIENCE_NS).min(PATIENCE_NS);
        Kernel.call::<CAPS, WINDOW>(target, message, Some(timeout_ns))
    }

    fn send<const CAPS: usize>(&mut self, target: Address, message: Outgoing<CAPS>) -> Outcome {
        Kernel.send(target, message)
    }

    fn discard(&mut self, incoming: &Incoming) {
        Kernel.discard(incoming);
    }
}

impl Link for Patient {
    fn release(&mut self, address: Address) {
        // A slot that cannot be emptied stays taken: nothing can be done here.
        let _ = release(address);
    }
}

/// The way there, also while nobody is at its end.
pub(crate) struct Door {
    session: Cap<FileSystem>,
    memory: Cap<MemoryObject>,
    shared: SharedBuf,
    storage: Option<Storage>,
    /// Nobody is asked before this time.
    closed_until_ns: u64,
}

impl Door {
    /// The way to the service `fs`, if the component may use it. Once in its life.
    ///
    /// # Errors
    /// When memory or slots are used up.
    pub(crate) fn new(environment: &Environment<'_>) -> Result<Option<Self>, Error> {
        let Some(session) = environment.service("fs") else {
            return Ok(None);
        };
        let bytes = gritos_fs_client::MEMORY_BYTES as u64;
        let memory = Environment::MEMORY.create_memory(bytes, own::take()?)?;
        environment::map(memory, MEMORY_AT, Permissions::ReadWrite)?;
        Ok(Some(Self {
            session: call_cap(session),
            memory: memory_cap(memory, Rights::READ | Rights::WRITE | Rights::MAP),
            shared: SharedBuf::of(memory)?,
            storage: None,
            closed_until_ns: 0,
        }))
    }

    /// The file server, for work that begins at `now_ns`.
    ///
    /// # Errors
    /// `TIMEDOUT` if it did not answer lately, and those of registering memory.
    pub(crate) fn open(&mut self, now_ns: u64) -> Result<&mut Storage, Errno> {
        if now_ns < self.closed_until_ns {
            return Err(Errno::TIMEDOUT);
        }
        if self.storage.is_none() {
            match Client::new(Patient, self.session, self.memory, self.shared) {
                Ok(storage) => self.storage = Some(storage),
                Err(error) => {
                    self.rest();
                    return Err(error);
                }
            }
        }
        self.storage.as_mut().ok_or(Errno::TIMEDOUT)
    }

    /// The file server, for a file that is open.
    ///
    /// # Errors
    /// `BADF` if there is none.
    pub(crate) fn opened(&mut self) -> Result<&mut Storage, Errno> {
        self.storage.as_mut().ok_or(Errno::BADF)
    }

    /// Notes what came of a call: who did not answer is left alone for a while.
    pub(crate) fn note<T>(&mut self, result: Result<T, Errno>) -> Result<T, Errno> {
        if matches!(result, Err(Errno::TIMEDOUT)) {
            self.rest();
        }
        result
    }

    fn rest(&mut self) {
        self.closed_until_ns = time::nanoseconds(time::now()).saturating_add(REST_NS);
    }
}
