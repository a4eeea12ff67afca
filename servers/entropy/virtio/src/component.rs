//! From capabilities to a served source.

use gritos_entropy_api::EntropySource;
use gritos_idl_runtime::serve;
use gritos_service::Port;
use gritos_sys::cap::Notification;
use gritos_sys::dma::DmaMemory;
use gritos_sys::dma::virtio::{self, Device, DeviceType, Features};
use gritos_sys::environment::Environment;
use gritos_sys::slots::own;
use gritos_sys::{Error, mmio};
use log::{error, info};

use crate::source::{DESCRIPTORS, REPLIES, Source};

/// Bytes of the device's queue, and of the memory that it writes random bytes into.
const QUEUE_BYTES: u64 = 4 * 4096;
const MEMORY_BYTES: u64 = 4096;

pub(crate) fn main(_argument: u64) {
    if let Err(error) = run() {
        error!("{error}");
    }
}

fn run() -> Result<(), Error> {
    let environment = gritos_service::start()?;
    gritos_log_client::install(&environment, log::LevelFilter::Info);
    let (Some(endpoint), Some(device), Some(interrupt)) = (
        environment.endpoint("entropy"),
        environment.device("virtio-rng"),
        environment.interrupt("virtio-rng", 0),
    ) else {
        error!(
            "the system table must give it a service `entropy` and the device \
             `virtio-rng`"
        );
        return Ok(());
    };
    let memory = Environment::MEMORY;
    virtio::provide(memory.create_memory(QUEUE_BYTES, own::take()?)?)?;
    let random = DmaMemory::map(memory.create_memory(MEMORY_BYTES, own::take()?)?)?;
    let registers = mmio::Registers::map(device.registers)?;
    let started = Device::<1, DESCRIPTORS>::new(&registers, 0, DeviceType::EntropySource)
        .and_then(|mut device| device.start(Features::empty()).map(|_| device));
    let device = match started {
        Ok(device) => device,
        Err(error) => {
            error!("{error}");
            return Ok(());
        }
    };
    let arrived = memory.create::<Notification>(own::take()?)?;
    Environment::TCB.bind_notification(arrived)?;
    let mut port = Port::<REPLIES>::new(endpoint, 0)?;
    let mut source = Source::new(device, random);
    interrupt.bind(arrived, true)?;
    info!("the machine gives random bytes");
    let status = serve::<EntropySource, _, _>(&mut port, &mut source);
    error!("cannot receive any more: {status:?}");
    Ok(())
}
