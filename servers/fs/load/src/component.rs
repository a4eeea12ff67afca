//! Steps, and what is checked between them.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use gritos_fs_client::{ComponentClient, Errno, Mode, OpenFile, OpenFlags, connect};
use gritos_sys::heap::Heap;
use gritos_sys::{Error, ipc, time};

use crate::pattern::{self, MOST, PLACES};

#[global_allocator]
static HEAP: Heap = Heap::new();

/// Pieces in which the heap may grow.
const HEAP_PIECES: u16 = 16;
/// Where the files are.
const FOLDER: &str = "/data/load";
/// Pause before something is tried again, in nanoseconds.
const PAUSE: u64 = 20_000_000;
/// How often a step is tried before the component gives up.
const TRIES: u32 = 1000;
/// Permissions of what is made.
const MODE: Mode = Mode::from_bits_retain(0o755);

pub(crate) fn main(_argument: u64) {
    // What went wrong is in the log; without one nobody would look.
    let _ = start();
}

fn start() -> Result<(), Error> {
    let environment = gritos_service::start()?;
    gritos_log_client::install(&environment, log::LevelFilter::Info);
    HEAP.provide_own(HEAP_PIECES)?;
    match connect("files").map(Load::new) {
        Ok(mut load) => load.run(),
        Err(error) => log::error!("no files: {error}"),
    }
    Ok(())
}

/// Why the component stops.
enum End {
    /// The server said so.
    Errno(Errno),
    /// What was read is not what was written.
    Wrong,
}

impl From<Errno> for End {
    fn from(error: Errno) -> Self {
        Self::Errno(error)
    }
}

struct Load {
    client: ComponentClient,
    bytes: Vec<u8>,
    room: Vec<u8>,
}

impl Load {
    fn new(client: ComponentClient) -> Self {
        Self {
            client,
            bytes: vec![0; MOST],
            room: vec![0; MOST],
        }
    }

    fn run(&mut self) {
        let mut next = match self.take_stock() {
            Ok(next) => next,
            Err(End::Wrong) => return,
            Err(End::Errno(error)) => {
                log::error!("cannot look at {FOLDER}: {error}");
                return;
            }
        };
        let mut tries = 0;
        loop {
            match self.step(next) {
                Ok(()) => {
                    log::info!("durable {next}");
                    (next, tries) = (next + 1, 0);
                }
                Err(End::Wrong) => return,
                Err(End::Errno(error)) => {
                    // A server that was restarted says so once; a device that fails goes on failing.
                    if tries == 0 {
                        log::info!("step {next}: {error}");
                    }
                    tries += 1;
                    if tries > TRIES {
                        log::error!("step {next} failed too often");
                        return;
                    }
                    let _ = ipc::sleep_until(time::after(PAUSE));
                }
            }
        }
    }

    /// Looks at all that is there; returns the first step that is still to be done.
    fn take_stock(&mut self) -> Result<u64, End> {
        match self.client.mkdir(FOLDER, MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let mut found = Vec::new();
        for place in 0..PLACES {
            match self.read(&name(place)) {
                Ok(Some(n)) => found.push((place, n)),
                Ok(None) => {
                    log::error!("WRONG: place {place} holds what was never written");
                    return Err(End::Wrong);
                }
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let Some(last) = found.iter().map(|(_, n)| *n).max() else {
            log::info!("begins");
            return Ok(0);
        };
        let missing = found.len() as u64 != PLACES.min(last + 1);
        let old = found
            .iter()
            .find(|(place, n)| !pattern::is_current(*place, *n, last));
        if missing || old.is_some() {
            log::error!(
                "WRONG: after step {last} there are {} files, {old:?}",
                found.len()
            );
            return Err(End::Wrong);
        }
        log::info!("found {last}");
        Ok(last + 1)
    }

    fn step(&mut self, n: u64) -> Result<(), End> {
        let place = n % PLACES;
        let target = name(place);
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
        let new = alloc::format!("{FOLDER}/new");
        self.with(&new, flags, |load, file| {
            let length = pattern::length(n);
            let bytes = load.bytes.get_mut(..length).unwrap_or(&mut []);
            pattern::fill(n, bytes);
            if load.client.write(file, 0, bytes)? != length {
                return Err(Errno::NOSPC);
            }
            load.client.fsync(file)
        })?;
        // The folder is open before the name moves: should the server be restarted in between, then `fsync` says so.
        // One that is opened afterwards has lost nothing that it knows of.
        let folder = OpenFlags::READ | OpenFlags::DIRECTORY;
        self.with(FOLDER, folder, |load, folder| {
            load.client.rename(&new, &target, true)?;
            load.client.fsync(folder)
        })?;
        // One that was written earlier is as it was.
        let earlier = n.saturating_sub(n.wrapping_mul(7) % PLACES);
        match self.read(&name(earlier % PLACES))? {
            Some(found) if found == earlier => Ok(()),
            found => {
                log::error!("WRONG: place of step {earlier} holds {found:?}");
                Err(End::Wrong)
            }
        }
    }

    /// The step whose contents a file has; `None` if it has none.
    fn read(&mut self, path: &str) -> Result<Option<u64>, Errno> {
        let length = self.with(path, OpenFlags::READ, |load, file| {
            load.client.read(file, 0, &mut load.bytes)
        })?;
        let bytes = self.bytes.get(..length).unwrap_or(&[]);
        Ok(pattern::step_of(bytes, &mut self.room))
    }

    /// Does something with an open file.
    fn with<R>(
        &mut self,
        path: &str,
        flags: OpenFlags,
        action: impl FnOnce(&mut Self, OpenFile) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        let file = self.client.open(path, flags, MODE)?;
        let result = action(self, file);
        // A file of an earlier life of the server is closed already.
        let _ = self.client.close(file);
        result
    }
}

fn name(place: u64) -> String {
    alloc::format!("{FOLDER}/{place}")
}
