//! From capabilities to a served interface.

use gritos_ethernet_api::EthernetDriver;
use gritos_idl_runtime::serve;
use gritos_service::Port;
use gritos_sys::cap::Notification;
use gritos_sys::dma::{DmaMemory, virtio};
use gritos_sys::environment::Environment;
use gritos_sys::slots::own;
use gritos_sys::{Error, Mask, mmio};
use log::{error, info};

use crate::driver::{Driver, INTERRUPT};
use crate::nic::Nic;

/// Bytes of the device's queues: three pages for each of two, and some to spare.
const QUEUE_BYTES: u64 = 8 * 4096;
/// Bytes of the memory in which the header of frames lies.
const HEADER_BYTES: u64 = 4096;

pub(crate) fn main(_argument: u64) {
    if let Err(error) = run() {
        error!("{error}");
    }
}

fn run() -> Result<(), Error> {
    let environment = gritos_service::start()?;
    gritos_log_client::install(&environment, log::LevelFilter::Info);
    let (Some(endpoint), Some(device), Some(interrupt)) = (
        environment.endpoint("ethernet"),
        environment.device("virtio-net"),
        environment.interrupt("virtio-net", 0),
    ) else {
        error!(
            "the system table must give it a service `ethernet` and the device \
             `virtio-net`"
        );
        return Ok(());
    };
    let memory = Environment::MEMORY;
    virtio::provide(memory.create_memory(QUEUE_BYTES, own::take()?)?)?;
    let header = DmaMemory::map(memory.create_memory(HEADER_BYTES, own::take()?)?)?;
    let registers = mmio::Registers::map(device.registers)?;

    let events = memory.create::<Notification>(own::take()?)?;
    Environment::TCB.bind_notification(events)?;
    let interrupted = own::take()?.mint(events, Mask::AS_HELD, INTERRUPT)?;

    let nic = match Nic::start(&registers, &header) {
        Ok(nic) => nic,
        Err(error) => {
            error!("{error}");
            return Ok(());
        }
    };
    let mut port = Port::<1>::new(endpoint, 1)?;
    let about = nic.interface();
    let mut driver = Driver::new(nic);
    interrupt.bind(interrupted, true)?;
    let [a, b, c, d, e, f] = about.address;
    info!(
        "the interface {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x} is {}",
        if about.up { "up" } else { "down" }
    );
    let status = serve::<EthernetDriver, _, _>(&mut port, &mut driver);
    error!("cannot receive any more: {status:?}");
    Ok(())
}
