//! From capabilities to the parts of the suite.

use alloc::format;
use alloc::string::String;

use gritos_fs_client::posix::Posix;
use gritos_fs_client::{ComponentClient, ComponentLink, connect};
use gritos_fs_suite::stress::Worker;
use gritos_fs_suite::{Site, fsx, many, rules};
use gritos_sys::Error;
use gritos_sys::heap::Heap;
use gritos_sys::shared::SharedBuf;

use crate::hostile;

#[global_allocator]
static HEAP: Heap = Heap::new();

type ComponentPosix = Posix<ComponentLink, SharedBuf>;

/// Pieces in which the heap may grow.
const HEAP_PIECES: u16 = 16;
/// Steps of the parts that work at random.
const STEPS: u32 = 1_000;

pub(crate) fn main(_argument: u64) {
    // What went wrong is in the log; without one nobody would look.
    let _ = start();
}

fn start() -> Result<(), Error> {
    let environment = gritos_service::start()?;
    gritos_log_client::install(&environment, log::LevelFilter::Info);
    HEAP.provide_own(HEAP_PIECES)?;
    let arguments = environment.arguments();
    let result = match connect("files") {
        Ok(client) => run(client, arguments),
        Err(error) => Err(format!("no files: {error}")),
    };
    match result {
        Ok(done) => log::info!("{arguments}: passed, {done}"),
        Err(why) => log::error!("{arguments}: FAILED, {why}"),
    }
    Ok(())
}

/// Runs the part that the arguments name, in the folder that they name.
fn run(client: ComponentClient, arguments: &str) -> Result<String, String> {
    let mut words = arguments.split(' ');
    let (part, folder) = (words.next().unwrap_or(""), words.next().unwrap_or("/data"));
    let count = words.next().and_then(|word| word.parse().ok());
    let elsewhere = if folder.starts_with("/tmp") {
        "/data"
    } else {
        "/tmp"
    };
    let mut posix = Posix::new(client);
    if part == "stress" {
        return stress(posix, folder);
    }
    posix
        .mkdir(folder, 0o755)
        .map_err(|error| format!("mkdir {folder}: {error}"))?;
    let mut site = Site {
        posix: &mut posix,
        folder: String::from(folder),
        elsewhere,
        // Of the components, those that write much work on the disk.
        alone: folder.starts_with("/tmp"),
    };
    match part {
        "rules" => rules::check(&mut site).map(|count| format!("{count} rules")),
        "many" => many::run(&mut site, count),
        "hostile" => hostile::run(folder, count),
        "fsx" => fsx::run(&mut site, 7, STEPS).map(|()| format!("{STEPS} steps")),
        other => Err(format!("there is no part `{other}`")),
    }
}

/// One of the clients that work at once: `folder` is its home.
fn stress(posix: ComponentPosix, folder: &str) -> Result<String, String> {
    let seed = folder.bytes().map(u64::from).sum();
    let mut worker = Worker::new(posix, folder, "/data/all", seed)?;
    for step in 0..STEPS {
        worker.step().map_err(|why| format!("step {step}: {why}"))?;
    }
    worker.check()?;
    Ok(format!("{STEPS} steps"))
}
