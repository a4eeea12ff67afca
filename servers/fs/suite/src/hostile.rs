//! A client that takes its memory away, or changes it, while the server uses it.
//!
//! It comes before the server: its calls have a deadline at random, and when that ends a call the server is
//! interrupted wherever it is, in the midst of a copy as likely as not.

use alloc::format;
use alloc::string::String;
use alloc::vec;

use gritos_fs_client::{Client, Errno, Link, MEMORY_BYTES, Mode, OpenFlags};
use gritos_fs_suite::Random;
use gritos_service::idl::{Address, Incoming, Outcome, Outgoing, Transport};
use gritos_service::{Kernel, call_cap, memory_cap, release};
use gritos_sys::Error;
use gritos_sys::abi::Rights;
use gritos_sys::cap::{Cap, Endpoint, Untyped};
use gritos_sys::environment::{self, Environment};
use gritos_sys::invoke::Permissions;
use gritos_sys::shared::{SHARED_BASE, SharedBuf};
use gritos_sys::slots::own;

/// Rounds if the arguments do not say.
const ROUNDS: u32 = 300;
/// Longest time until a call is given up, in nanoseconds: longer than most calls take.
const PATIENCE: u64 = 1_000_000;
/// Bytes that are read and written.
const BYTES: usize = 96 * 1024;
/// Memory of a round, and what is kept for it.
const MEMORY: u64 = (MEMORY_BYTES as u64).next_multiple_of(4096);
const ROOM: u64 = 2 * MEMORY;
/// Where it is mapped: behind what the other client of this program has.
const MEMORY_AT: u64 = SHARED_BASE + (16 << 20);
const MODE: Mode = Mode::from_bits_retain(0o600);
const NEW: OpenFlags = OpenFlags::READ
    .union(OpenFlags::WRITE)
    .union(OpenFlags::CREATE);

/// Calls that end at a moment of the client's choice.
#[derive(Debug, Default)]
struct Hasty {
    kernel: Kernel,
    patience: Option<u64>,
}

impl Transport for Hasty {
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        target: Address,
        message: Outgoing<CAPS>,
        timeout_ns: Option<u64>,
    ) -> Incoming {
        let timeout = timeout_ns.or(self.patience);
        self.kernel.call::<CAPS, WINDOW>(target, message, timeout)
    }

    fn send<const CAPS: usize>(&mut self, target: Address, message: Outgoing<CAPS>) -> Outcome {
        self.kernel.send(target, message)
    }

    fn discard(&mut self, incoming: &Incoming) {
        self.kernel.discard(incoming);
    }
}

impl Link for Hasty {
    fn release(&mut self, address: Address) {
        // A slot that cannot be emptied stays taken: the next round finds that out.
        let _ = release(address);
    }
}

/// How many calls were given up, and how often the memory went.
#[derive(Default)]
struct Count {
    late: u32,
    gone: u32,
}

/// Runs so many rounds in a folder that is there.
pub(crate) fn run(folder: &str, rounds: Option<u32>) -> Result<String, String> {
    let environment = Environment::own().map_err(text)?;
    let session = environment.service("files").ok_or("no service `files`")?;
    let slot = own::take().map_err(text)?;
    let room = Environment::MEMORY.split(ROOM, slot).map_err(text)?;
    let path = format!("{folder}/file");
    let mut random = Random::new(1);
    let mut count = Count::default();
    let mut life = None;
    let rounds = rounds.unwrap_or(ROUNDS);
    for number in 0..rounds {
        let result = round(session, room, &path, &mut random, &mut count);
        let now = result.map_err(|why| format!("round {number}: {why}"))?;
        if *life.get_or_insert(now) != now {
            return Err(format!("the server died in round {number}"));
        }
    }
    if count.late == 0 || count.gone == 0 {
        return Err(format!(
            "{} calls were given up and {} lost their memory: too few",
            count.late, count.gone
        ));
    }
    Ok(format!(
        "{rounds} rounds, {} calls given up, memory gone {} times",
        count.late, count.gone
    ))
}

/// One life of some memory; which life of the server it was.
fn round(
    session: Cap<Endpoint>,
    room: Cap<Untyped>,
    path: &str,
    random: &mut Random,
    count: &mut Count,
) -> Result<u64, String> {
    let slot = own::take().map_err(text)?;
    let memory = room.create_memory(MEMORY, slot).map_err(text)?;
    environment::map(memory, MEMORY_AT, Permissions::ReadWrite).map_err(text)?;
    let shared = SharedBuf::of(memory).map_err(text)?;
    let object = memory_cap(memory, Rights::READ | Rights::WRITE | Rights::MAP);
    let mut client = Client::new(Hasty::default(), call_cap(session), object, shared)
        .map_err(|error| format!("registering: {error}"))?;
    let file = client
        .open(path, NEW, MODE)
        .map_err(|error| format!("opening: {error}"))?;
    let mut bytes = vec![0; BYTES];
    for _ in 0..2 {
        client.transport().patience = Some(random.below(PATIENCE));
        let result = if random.below(2) == 0 {
            client.write(file, random.below(BYTES as u64), &bytes)
        } else {
            client.read(file, 0, &mut bytes)
        };
        client.transport().patience = None;
        match result {
            Ok(_) => {}
            Err(Errno::TIMEDOUT) => count.late += 1,
            Err(error) => return Err(format!("reading or writing: {error}")),
        }
        // The server may be in the midst of it.
        let _ = shared.write(random.below(BYTES as u64) as usize, &[0x5a; 64]);
    }
    let fate = random.below(3);
    if fate == 1 {
        // The server's view of it. It is refused once, and the library registers it again.
        own::of(memory).revoke().map_err(text)?;
        client
            .stat(path)
            .map_err(|error| format!("registering again: {error}"))?;
        count.gone += 1;
    }
    let gone = fate == 2;
    if gone {
        own::of(room).revoke().map_err(text)?;
        match client.stat(path) {
            Err(Errno::FAULT) => count.gone += 1,
            other => return Err(format!("a call without memory came to {other:?}")),
        }
    }
    client
        .close(file)
        .map_err(|error| format!("closing: {error}"))?;
    let life = client
        .generation()
        .map_err(|error| format!("asking for its life: {error}"))?;
    client
        .disconnect()
        .map_err(|error| format!("unregistering: {error}"))?;
    if !gone {
        own::of(room).revoke().map_err(text)?;
    }
    own::give_back(slot);
    Ok(life)
}

fn text(error: Error) -> String {
    format!("{error}")
}
