//! From capabilities to served files.

use gritos_fs_api::FileService as Protocols;
use gritos_fs_core::service::{FileService, Limits};
use gritos_idl_runtime::serve;
use gritos_service::{Buffers, Port, SharedMapper};
use gritos_sys::Error;
use gritos_sys::heap::Heap;

use crate::timed::TimedPort;
use crate::{clock, mounts};

#[global_allocator]
static HEAP: Heap = Heap::new();

/// Pieces in which the heap may grow.
const HEAP_PIECES: u16 = 31;
/// Callers that can wait for a commit, and the one in hand.
const REPLIES: usize = 16;
/// Capabilities that come with a call: two paths.
const WINDOW: u32 = 2;
/// Buffers of all clients, and of one.
const BUFFERS: usize = 64;
const BUFFERS_OF_CLIENT: usize = 8;
/// The same, and one place for memory that comes with a call.
const MAPPINGS: usize = BUFFERS + 1;

pub(crate) fn main(_argument: u64) {
    if let Err(error) = run() {
        log::error!("{error}");
    }
}

fn run() -> Result<(), Error> {
    let environment = gritos_service::start()?;
    gritos_log_client::install(&environment, log::LevelFilter::Info);
    HEAP.provide_own(HEAP_PIECES)?;
    let Some(endpoint) = environment.endpoint("files") else {
        log::error!("the system table must let it offer the service `files`");
        return Ok(());
    };
    let port = Port::<REPLIES>::new(endpoint, WINDOW)?;
    let mut port = TimedPort::new(port, &environment)?;
    clock::set(&environment);
    let vfs = mounts::mount_all(&environment, clock::now);
    let buffers =
        Buffers::<_, BUFFERS>::new(SharedMapper::<MAPPINGS>::default(), BUFFERS_OF_CLIENT);
    let mut service = FileService::new(
        vfs,
        buffers,
        Limits::default(),
        endpoint.address(),
        environment.generation(),
    );
    let status = serve::<Protocols, _, _>(&mut port, &mut service);
    log::error!("cannot receive any more: {status:?}");
    Ok(())
}
