//! Jobs on the queue of the device.

use gritos_block_api::{BlockFeatures, BlockStatus, Geometry};
use gritos_block_core::virtio::{self, HEADER_BYTES, NO_STATUS};
use gritos_block_core::{Backend, Busy, Job, Operation, Tag};
use gritos_block_driver::{DmaMemory, Hardware};
use gritos_sys::dma::DmaRange;
use gritos_sys::dma::virtio::{Device, Features, VirtioError};
use gritos_sys::environment::Environment;
use gritos_sys::slots::own;
use gritos_sys::{Error, mmio};
use virtio_drivers::transport::DeviceType;

/// Descriptors of the queue; a request takes up to three of them.
const QUEUE: usize = 128;
/// Requests that the device can have.
const JOBS: usize = QUEUE / 3;
/// Bytes of a job's header and, behind it, its status.
const CONTROL_BYTES: usize = 32;
/// Most times that a failed device is started anew.
const STARTS: u32 = 8;

/// A job that the device has.
#[derive(Clone, Copy, Debug)]
struct Given {
    tag: Tag,
    /// Which header it has.
    control: usize,
}

/// The device.
pub(crate) struct Disk {
    device: Device<1, QUEUE>,
    wanted: Features,
    block_bytes: u32,
    /// Whether flushing means anything to the device.
    flushes: bool,
    /// Headers and status bytes.
    control: DmaMemory,
    /// Headers that no job has.
    free: [usize; JOBS],
    free_count: usize,
    /// What each chain of the device is, by its token.
    given: [Option<Given>; QUEUE],
    /// A job that ended without the device.
    ended: Option<(Tag, BlockStatus)>,
    /// The device was started anew: what it had has failed.
    losing: bool,
    /// The device failed so often that it is left alone.
    dead: bool,
    starts: u32,
}

impl Disk {
    /// Starts the device behind `registers`. The inner error is the device's.
    pub(crate) fn start(
        registers: &mmio::Registers,
    ) -> Result<Result<(Self, Geometry), VirtioError>, Error> {
        let memory = Environment::MEMORY.create_memory(4096, own::take()?)?;
        let control = DmaMemory::map(memory)?;
        Ok(Self::with(registers, control))
    }

    fn with(
        registers: &mmio::Registers,
        control: DmaMemory,
    ) -> Result<(Self, Geometry), VirtioError> {
        let mut device = Device::new(registers, 0, DeviceType::Block)?;
        let wanted = Features::from_bits_retain(
            virtio::FEATURE_READ_ONLY | virtio::FEATURE_BLOCK_SIZE | virtio::FEATURE_FLUSH,
        );
        let features = device.start(wanted)?.bits();
        let geometry = virtio::geometry(
            features,
            sectors(&device),
            device.configuration32(virtio::CONFIG_BLOCK_SIZE),
        );
        let disk = Self {
            device,
            wanted,
            block_bytes: geometry.block_bytes,
            flushes: geometry.features.contains(BlockFeatures::FLUSH),
            control,
            free: core::array::from_fn(|index| index),
            free_count: JOBS,
            given: [None; QUEUE],
            ended: None,
            losing: false,
            dead: false,
            starts: 0,
        };
        Ok((disk, geometry))
    }

    /// Gives the device a job under a header that is free.
    fn give(&mut self, job: &Job, memory: &DmaMemory, control: usize) -> Result<u16, VirtioError> {
        let at = control * CONTROL_BYTES;
        let bytes = virtio::header(job.operation, job.block, self.block_bytes);
        let shared = self.control.shared();
        let written = shared
            .write(at, &bytes)
            .and_then(|()| shared.write(at + HEADER_BYTES, &[NO_STATUS]));
        let (Ok(()), Some(header), Some(status)) = (
            written,
            self.control.range(at, HEADER_BYTES),
            self.control.range(at + HEADER_BYTES, 1),
        ) else {
            return Err(VirtioError::Chain);
        };
        let data = || {
            memory
                .range(job.offset, job.bytes)
                .ok_or(VirtioError::Chain)
        };
        match job.operation {
            Operation::Read => self.submit(&[header], &[data()?, status]),
            Operation::Write => self.submit(&[header, data()?], &[status]),
            Operation::Flush => self.submit(&[header], &[status]),
        }
    }

    fn submit(&mut self, from: &[DmaRange], to: &[DmaRange]) -> Result<u16, VirtioError> {
        self.device.submit(0, from, to)
    }

    /// Starts the device anew after it broke the rules. What it had has failed.
    fn recover(&mut self) {
        self.starts += 1;
        self.losing = true;
        self.dead = self.starts > STARTS || self.device.start(self.wanted).is_err();
    }

    /// A job that the device lost when it was started anew.
    fn lost(&mut self) -> Option<(Tag, BlockStatus)> {
        let given = self.given.iter_mut().find_map(Option::take)?;
        self.put_back(given.control);
        Some((given.tag, BlockStatus::IoError))
    }

    fn put_back(&mut self, control: usize) {
        if let Some(place) = self.free.get_mut(self.free_count) {
            *place = control;
            self.free_count += 1;
        }
    }

    /// Whether the device has jobs.
    fn is_busy(&self) -> bool {
        self.free_count < JOBS
    }
}

impl Backend<DmaMemory> for Disk {
    fn start(&mut self, job: &Job, memory: &DmaMemory, tag: Tag) -> Result<(), Busy> {
        let nothing_to_do = job.operation == Operation::Flush && !self.flushes;
        if nothing_to_do || self.dead {
            if self.ended.is_some() {
                return Err(Busy);
            }
            let status = match self.dead {
                true => BlockStatus::IoError,
                false => BlockStatus::Ok,
            };
            self.ended = Some((tag, status));
            return Ok(());
        }
        let last = self.free_count.checked_sub(1).ok_or(Busy)?;
        let control = self.free.get(last).copied().ok_or(Busy)?;
        let token = self.give(job, memory, control).map_err(|_| Busy)?;
        if let Some(place) = self.given.get_mut(usize::from(token)) {
            self.free_count = last;
            *place = Some(Given { tag, control });
        }
        Ok(())
    }

    fn finished(&mut self) -> Option<(Tag, BlockStatus)> {
        if let Some(ended) = self.ended.take() {
            return Some(ended);
        }
        if self.losing {
            let lost = self.lost();
            self.losing = lost.is_some();
            return lost;
        }
        if self.dead {
            return None;
        }
        match self.device.pop(0) {
            Ok(None) => None,
            Ok(Some((token, _))) => {
                let given = self.given.get_mut(usize::from(token))?.take()?;
                self.put_back(given.control);
                let mut status = [NO_STATUS];
                let at = given.control * CONTROL_BYTES + HEADER_BYTES;
                // Memory of our own is always there.
                let _ = self.control.shared().read(at, &mut status);
                Some((given.tag, virtio::status(status[0])))
            }
            Err(_) => {
                self.recover();
                self.lost()
            }
        }
    }

    fn kick(&mut self) {
        self.device.notify(0);
    }
}

impl Hardware for Disk {
    fn interrupt(&mut self) {
        let interrupts = self.device.acknowledge();
        if interrupts.configuration && self.device.has_failed() {
            self.recover();
        }
        self.device.set_interrupts(0, false);
    }

    fn rest(&mut self) -> bool {
        self.losing || self.is_busy() && self.device.set_interrupts(0, true)
    }
}

/// How many sectors the device has, read as one number although it is two registers.
fn sectors(device: &Device<1, QUEUE>) -> u64 {
    const TRIES: u32 = 8;
    let mut sectors = 0;
    for _ in 0..TRIES {
        let before = device.configuration_generation();
        let low = device.configuration32(virtio::CONFIG_CAPACITY);
        let high = device.configuration32(virtio::CONFIG_CAPACITY + 4);
        sectors = u64::from(high) << 32 | u64::from(low);
        if device.configuration_generation() == before {
            break;
        }
    }
    sectors
}
