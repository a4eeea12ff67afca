//! From capabilities to a served site.

use core::net::{IpAddr, SocketAddr};
use log::{error, info};

use gritos_fs_client::OpenFile;
use gritos_net_client::api::{
    Domain, IpProtocol, MessageFlags, NetError, Readiness, SocketOption, SocketType,
};
use gritos_net_client::{Error as NetFailure, Net, SharedMemory, Socket};
use gritos_service::{call_cap, memory_cap};
use gritos_sys::abi::Rights;
use gritos_sys::cap::{Endpoint, MemoryObject, Notification};
use gritos_sys::environment::{self, Environment};
use gritos_sys::heap::Heap;
use gritos_sys::invoke::Permissions;
use gritos_sys::shared::{SHARED_BASE, SharedBuf};
use gritos_sys::slots::own;
use gritos_sys::{Cap, Error, Wait, ipc, time};

use crate::guests::{Bells, Guests, LISTENER};
use crate::site::Files;
use crate::storage::Door;

#[global_allocator]
static HEAP: Heap = Heap::new();

/// Pieces in which the heap may grow.
const HEAP_PIECES: u16 = 31;
/// Where memory that is shared with the network service is mapped, and its bytes. The file client has the
/// addresses below.
const MAPPED_AT: u64 = SHARED_BASE + (1 << 32);
const SHARED_BYTES: u64 = 64 << 10;
/// Port of the server.
const PORT: u16 = 80;
/// Connections that wait to be taken: browsers and load generators open many at the same moment.
const BACKLOG: u32 = 128;
/// Bytes of the buffers of a connection: a request is short, an answer may be long.
const RECEIVE_BYTES: u64 = 4 << 10;
const SEND_BYTES: u64 = 32 << 10;
/// Nanoseconds between looks for connections that are late, and before the network is tried again.
const SWEEP_NS: u64 = 1_000_000_000;
const RETRY_NS: u64 = 200_000_000;
/// The longest of these pauses: each is twice as long as the one before, for there may never be a network.
const RETRY_LIMIT_NS: u64 = 10_000_000_000;

pub(crate) fn main(_argument: u64) {
    if let Err(error) = run() {
        error!("{error}");
    }
}

fn run() -> Result<(), Error> {
    let environment = gritos_service::start()?;
    gritos_log_client::install(&environment, log::LevelFilter::Info);
    HEAP.provide_own(HEAP_PIECES)?;
    let Some(session) = environment.service("net") else {
        error!("the system table must let it use the service `net`");
        return Ok(());
    };
    let memory = Environment::MEMORY.create_memory(SHARED_BYTES, own::take()?)?;
    environment::map(memory, MAPPED_AT, Permissions::ReadWrite)?;
    let shared = SharedMemory(SharedBuf::of(memory)?);
    let events = Environment::MEMORY.create::<Notification>(own::take()?)?;
    let bells = Bells::new(events)?;
    let storage = Door::new(&environment)?;
    let mut site = Files::new(storage, environment.service("system").map(call_cap));
    let mut pause_ns = RETRY_NS;
    loop {
        match open(session, memory, shared, &bells) {
            Ok(listener) => {
                info!("listens at port {PORT}");
                serve(&listener, events, &bells, &mut site);
                pause_ns = RETRY_NS;
            }
            Err(NetFailure::Net(NetError::Access)) => {
                error!(
                    "the arguments of `net` in the system table must allow it to listen at \
                     port {PORT}"
                );
                return Ok(());
            }
            Err(_) => {}
        }
        // The network service was started anew, or is about to be.
        let _ = ipc::sleep_until(time::after(pause_ns));
        pause_ns = (2 * pause_ns).min(RETRY_LIMIT_NS);
    }
}

/// A socket that waits for connections.
fn open(
    session: Cap<Endpoint>,
    memory: Cap<MemoryObject>,
    shared: SharedMemory,
    bells: &Bells,
) -> Result<Socket<SharedMemory>, NetFailure> {
    let rights = Rights::READ | Rights::WRITE | Rights::MAP;
    let net = Net::attach(call_cap(session), memory_cap(memory, rights), shared)?;
    // IPv6 sockets speak IPv4 too.
    let listener = net.socket(Domain::Inet6, SocketType::Stream, IpProtocol::Tcp)?;
    listener.setsockopt(SocketOption::ReceiveBuffer, RECEIVE_BYTES)?;
    listener.setsockopt(SocketOption::SendBuffer, SEND_BYTES)?;
    listener.setsockopt(SocketOption::NoDelay, 1)?;
    // Connections of an earlier life may still be ending.
    listener.setsockopt(SocketOption::ReuseAddress, 1)?;
    listener.bind(SocketAddr::new(IpAddr::from([0; 16]), PORT))?;
    listener.listen(BACKLOG)?;
    listener.watch(bells.with_bit(0), Readiness::READABLE | Readiness::ERROR)?;
    Ok(listener)
}

/// Serves until the network service is gone.
fn serve(
    listener: &Socket<SharedMemory>,
    events: Cap<Notification>,
    bells: &Bells,
    site: &mut Files,
) {
    let mut guests = Guests::new();
    let mut sweep_ns = 0;
    // Somebody may have come before the socket was watched.
    let mut bits = LISTENER;
    loop {
        let now_ns = time::nanoseconds(time::now());
        let more = guests.serve(bits, site, now_ns);
        let sweeps = now_ns >= sweep_ns;
        if sweeps {
            guests.dismiss_late(site, now_ns);
            sweep_ns = now_ns + SWEEP_NS;
        }
        // Places may have become free for those who wait, and the service may be another one.
        let mut is_there = true;
        if (bits & LISTENER != 0 || sweeps) && guests.has_place() {
            is_there = admit(listener, bells, &mut guests, site, now_ns);
            bits &= !LISTENER;
        }
        if sweeps {
            is_there &= listener.poll().is_ok();
        }
        if !is_there {
            guests.dismiss_all(site);
            return;
        }
        // Who found no place is remembered until there is one.
        let unheard = bits & LISTENER;
        let rung = match more {
            true => events.poll(),
            false => events.wait(&Wait::until(time::ticks(sweep_ns))),
        };
        // A wait that timed out brings no bits.
        bits = rung.unwrap_or(0) | unheard;
    }
}

/// Takes in one who waits, if there is a place; the listener rings again if others do. False if the network
/// service is gone.
fn admit(
    listener: &Socket<SharedMemory>,
    bells: &Bells,
    guests: &mut Guests<OpenFile>,
    site: &mut Files,
    now_ns: u64,
) -> bool {
    while guests.has_place() {
        match listener.accept(MessageFlags::DONT_WAIT) {
            Ok((socket, _)) => {
                guests.admit(socket, bells, site, now_ns);
                return true;
            }
            Err(error) => match error.net() {
                // That one was reset while it waited.
                Some(NetError::Aborted) => {}
                Some(_) => return true,
                None => return false,
            },
        }
    }
    true
}
