//! What calls to the file server cost: `calls OPERATION COUNT` makes a call so many times,
//! through the client library, the protocol, and a file system in memory.
//!
//! Under `valgrind --tool=callgrind` the part of each function can be told; what stands in
//! for the kernel is in `host.rs`.

use std::process::ExitCode;

use gritos_fs_api::{Mode, OpenFlags};
use gritos_fs_client::{Client, Errno, Link, MEMORY_BYTES};
use gritos_fs_core::host::{HostMemory, World};
use gritos_fs_core::memfs::MemoryVolume;
use gritos_fs_core::service::Limits;
use gritos_fs_core::vfs::Vfs;
use gritos_idl_runtime::{Address, Cap, Incoming, Outcome, Outgoing, Rights, Transport};

fn now() -> u64 {
    1_700_000_000_000_000_000
}

struct Wire(World);

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

fn run(operation: &str, count: u64) -> Result<(), Errno> {
    let mut vfs = Vfs::new(Box::new(MemoryVolume::root_of(&["m"], now)));
    let volume = Box::new(MemoryVolume::new(64 << 20, now));
    vfs.mount("/m", volume).map_err(|_| Errno::IO)?;
    let world = World::new(vfs, Limits::default());
    let memory = HostMemory::new(MEMORY_BYTES);
    let object = world.memory(memory, Rights::READ | Rights::WRITE | Rights::MAP);
    let session = Cap::new(world.session(1, Rights::empty()));
    let mut client = Client::new(Wire(world.clone()), session, object, memory)?;
    let flags = OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE;
    let mode = Mode::from_bits_retain(0o644);
    let file = client.open("/m/kept", flags, mode)?;
    let mut page = [7; 4096];
    client.write(file, 0, &page)?;
    for _ in 0..count {
        match operation {
            "open" => {
                let file = client.open("/m/kept", OpenFlags::READ, mode)?;
                client.close(file)?;
            }
            "stat" => drop(client.stat("/m/kept")?),
            "read" => drop(client.read(file, 0, &mut page)?),
            "write" => drop(client.write(file, 0, &page)?),
            _ => return Err(Errno::INVAL),
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let count = arguments.get(2).and_then(|count| count.parse().ok());
    match run(
        arguments.get(1).map_or("", String::as_str),
        count.unwrap_or(1),
    ) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}; operations are open, stat, read, write");
            ExitCode::FAILURE
        }
    }
}
