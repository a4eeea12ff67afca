//! From capabilities to a served disk.

use gritos_block_api::{BlockDriver, BlockFeatures};
use gritos_block_driver::{Absent, Server};
use gritos_idl_runtime::serve;
use gritos_service::Port;
use gritos_sys::environment::Environment;
use gritos_sys::slots::own;
use gritos_sys::{Error, dma, mmio};

use crate::disk::Disk;

/// Clients at a time; one that attaches anew needs a second place until its old one is empty.
const CLIENTS: usize = 4;
/// Memory for the device's queue.
const QUEUE_BYTES: u64 = 32 << 10;

pub(crate) fn main(_argument: u64) {
    if let Err(error) = run() {
        log::error!("{error}");
    }
}

fn run() -> Result<(), Error> {
    let environment = gritos_service::start()?;
    gritos_log_client::install(&environment, log::LevelFilter::Info);
    let (Some(endpoint), Some(device), Some(interrupt)) = (
        environment.endpoint("disk"),
        environment.device("virtio-blk"),
        environment.interrupt("virtio-blk", 0),
    ) else {
        log::error!("the system table must give it a service `disk` and the device `virtio-blk`");
        return Ok(());
    };
    let mut port = Port::<1>::new(endpoint, 1)?;
    let registers = mmio::Registers::map(device.registers)?;
    let memory = Environment::MEMORY.create_memory(QUEUE_BYTES, own::take()?)?;
    dma::virtio::provide(memory)?;
    let status = match Disk::start(&registers)? {
        Ok((disk, geometry)) => {
            let mut server = Server::<_, CLIENTS>::new(disk, geometry)?;
            interrupt.bind(server.interrupts()?, true)?;
            log::info!(
                "a disk of {} MiB, in blocks of {} bytes, {}{}",
                geometry.blocks.saturating_mul(geometry.block_bytes.into()) >> 20,
                geometry.block_bytes,
                match geometry.features.contains(BlockFeatures::FLUSH) {
                    true => "with a cache that is flushed",
                    false => "without a cache",
                },
                match geometry.features.contains(BlockFeatures::READ_ONLY) {
                    true => ", read-only",
                    false => "",
                }
            );
            serve::<BlockDriver, _, _>(&mut port, &mut server)
        }
        Err(error) => {
            log::error!("{error}; there is no disk");
            serve::<BlockDriver, _, _>(&mut port, &mut Absent)
        }
    };
    log::error!("cannot receive any more: {status:?}");
    Ok(())
}
