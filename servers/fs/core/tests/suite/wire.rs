//! Clients of the server in this program.

use gritos_fs_client::{Client, Link, MEMORY_BYTES};
use gritos_fs_core::host::{HostMemory, World};
use gritos_fs_core::memfs::MemoryVolume;
use gritos_fs_core::service::Limits;
use gritos_idl_runtime::{Address, Cap, Incoming, Outcome, Outgoing, Rights, Transport};

use crate::support::{now, tree};

/// The world as a client's transport.
#[derive(Clone)]
pub(crate) struct Wire(pub(crate) World);

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

impl Transport for Wire {
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        target: Address,
        message: Outgoing<CAPS>,
        timeout_ns: Option<u64>,
    ) -> Incoming {
        self.0.call::<CAPS, WINDOW>(target, message, timeout_ns)
    }

    fn send<const CAPS: usize>(&mut self, target: Address, message: Outgoing<CAPS>) -> Outcome {
        self.0.send(target, message)
    }

    fn discard(&mut self, incoming: &Incoming) {
        self.0.discard(incoming);
    }
}

impl Link for Wire {
    fn release(&mut self, address: Address) {
        self.0.release(address);
    }
}

pub(crate) type TestClient = Client<Wire, HostMemory>;

pub(crate) const MEMORY_RIGHTS: Rights = Rights::READ.union(Rights::WRITE).union(Rights::MAP);

/// A server with file systems in memory.
pub(crate) fn world(limits: Limits) -> World {
    World::new(tree(Box::new(MemoryVolume::new(64 << 20, now))), limits)
}

/// A client with a session, and its memory.
pub(crate) fn client(world: &World, number: u32) -> (TestClient, HostMemory) {
    let memory = HostMemory::new(MEMORY_BYTES);
    let object = world.memory(memory, MEMORY_RIGHTS);
    let session = Cap::new(world.session(number, Rights::empty()));
    let client = Client::new(Wire(world.clone()), session, object, memory);
    (client.expect("connecting"), memory)
}
