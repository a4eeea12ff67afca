//! A disk behind its driver, which may be restarted at any time.
//!
//! When the driver is gone, or broke the protocol, the disk is attached anew and the request is made again.
//! That is safe: a driver resets the device before it serves, so that nothing of an earlier life is under way,
//! and what the device had completed it keeps until it is flushed, whoever drives it.

use gritos_block_api::{BlockDevice as Protocol, BlockDeviceClient, BlockFeatures, BlockStatus};
use gritos_block_core::{Disk, DiskError};
use gritos_fs_core::block::{BlockDevice, BlockError, Extent, Geometry, SECTOR_BYTES};
use gritos_idl_runtime::{
    Address, Cap as StubCap, Error as CallError, Incoming, Outcome, Outgoing, Rights, Transport,
};
use gritos_service::{Kernel, object_cap, release};
use gritos_sys::cap::{MemoryObject, Notification};
use gritos_sys::environment::{self, Environment};
use gritos_sys::invoke::Permissions;
use gritos_sys::shared::{SHARED_BASE, SharedBuf};
use gritos_sys::slots::own;
use gritos_sys::{Cap, Error, ipc, time};

use crate::wires::Wires;

/// Requests outstanding at a time.
const DEPTH: usize = 32;
/// Bytes of the data area.
const DATA_BYTES: u32 = 1 << 20;
/// How often a request is made before it has failed.
const ATTEMPTS: u32 = 5;
/// Pause before a driver is asked again, in nanoseconds.
const PAUSE: u64 = 100_000_000;
/// How long a driver may take to answer a call, in nanoseconds.
const CALL_PATIENCE: u64 = 10_000_000_000;
/// Where the memory that is shared with the driver is mapped. Memory of clients is at the other end of the
/// addresses for shared memory.
const MEMORY_AT: u64 = SHARED_BASE;

/// Calls that end, even if nobody answers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Patient(Kernel);

impl Transport for Patient {
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        target: Address,
        message: Outgoing<CAPS>,
        timeout_ns: Option<u64>,
    ) -> Incoming {
        let timeout = Some(timeout_ns.unwrap_or(CALL_PATIENCE));
        self.0.call::<CAPS, WINDOW>(target, message, timeout)
    }

    fn send<const CAPS: usize>(&mut self, target: Address, message: Outgoing<CAPS>) -> Outcome {
        self.0.send(target, message)
    }

    fn discard(&mut self, incoming: &Incoming) {
        self.0.discard(incoming);
    }
}

/// Rings and memory of one life of the driver.
struct Attached {
    disk: Disk<SharedBuf, Wires, DEPTH>,
    memory: Address,
    doorbell: Address,
}

/// A disk.
pub(crate) struct DriverDisk {
    session: StubCap<Protocol>,
    wake: Cap<Notification>,
    geometry: Geometry,
    attached: Option<Attached>,
}

impl DriverDisk {
    /// The disk behind a session.
    ///
    /// # Errors
    /// `Io` if there is none, or none whose blocks have 512 bytes; why no memory or slot was left is the
    /// kernel's to say.
    pub(crate) fn new(session: StubCap<Protocol>) -> Result<Result<Self, DiskError>, Error> {
        let wake = Environment::MEMORY.create::<Notification>(own::take()?)?;
        let mut disk = Self {
            session,
            wake,
            geometry: Geometry {
                sectors: 0,
                read_only: true,
                flushes: false,
            },
            attached: None,
        };
        Ok(disk.first_attach().map(|attached| {
            let found = attached.disk.geometry();
            disk.geometry = Geometry {
                sectors: found.blocks,
                read_only: found.features.contains(BlockFeatures::READ_ONLY),
                // A device that cannot be flushed completes writes when they are durable.
                flushes: true,
            };
            disk.attached = Some(attached);
            disk
        }))
    }

    /// Attaches to a driver that may need another start.
    fn first_attach(&self) -> Result<Attached, DiskError> {
        for _ in 1..ATTEMPTS {
            match self.attach() {
                Err(DiskError::Gone) => {
                    let _ = ipc::sleep_until(time::after(PAUSE));
                }
                result => return result,
            }
        }
        self.attach()
    }

    /// Gets rings and memory from the driver.
    fn attach(&self) -> Result<Attached, DiskError> {
        let mut driver = BlockDeviceClient::new(self.session, Patient::default());
        let geometry = driver.geometry().map_err(|error| match error {
            // It serves, and has no disk.
            CallError::Server(_) => DiskError::Status(BlockStatus::IoError),
            _ => DiskError::Gone,
        })?;
        if geometry.block_bytes as usize != SECTOR_BYTES {
            return Err(DiskError::Status(BlockStatus::Unsupported));
        }
        let wake = StubCap::with_rights(self.wake.address(), Rights::SEND);
        let given = driver
            .attach(DEPTH as u32, DATA_BYTES, wake)
            .map_err(|_| DiskError::Gone)?;
        let (memory, doorbell) = (given.memory.address(), given.doorbell.address());
        let object = object_cap::<_, MemoryObject>(given.memory);
        let mapped = environment::map(object, MEMORY_AT, Permissions::ReadWrite)
            .and_then(|()| SharedBuf::of(object))
            .map_err(|_| DiskError::Gone)
            .and_then(|shared| {
                let wires = Wires::new(object_cap(given.doorbell), self.wake, shared);
                Disk::new(shared, given.layout, geometry, wires)
            });
        match mapped {
            Ok(disk) => Ok(Attached {
                disk,
                memory,
                doorbell,
            }),
            Err(error) => {
                forget(memory, doorbell);
                Err(error)
            }
        }
    }

    /// Makes a request, of as many lives of the driver as it takes.
    fn with(
        &mut self,
        mut request: impl FnMut(&mut Disk<SharedBuf, Wires, DEPTH>) -> Result<(), DiskError>,
    ) -> Result<(), BlockError> {
        for attempt in 0..ATTEMPTS {
            if self.attached.is_none() {
                if attempt > 0 {
                    let _ = ipc::sleep_until(time::after(PAUSE));
                }
                self.attached = self.attach().ok().filter(|attached| {
                    // Another disk is none: nothing that is known of this one holds for it.
                    attached.disk.geometry().blocks == self.geometry.sectors
                });
            }
            let Some(attached) = self.attached.as_mut() else {
                continue;
            };
            match request(&mut attached.disk) {
                Ok(()) => return Ok(()),
                Err(DiskError::Gone | DiskError::Corrupt | DiskError::TimedOut) => {
                    if let Some(Attached {
                        memory, doorbell, ..
                    }) = self.attached.take()
                    {
                        forget(memory, doorbell);
                    }
                }
                Err(DiskError::Status(BlockStatus::ReadOnly)) => return Err(BlockError::ReadOnly),
                Err(DiskError::OutOfRange) => return Err(BlockError::OutOfRange),
                Err(DiskError::Status(_) | DiskError::Full) => return Err(BlockError::Io),
            }
        }
        Err(BlockError::Io)
    }
}

/// Gives back what came with an attachment, which also unmaps the memory.
fn forget(memory: Address, doorbell: Address) {
    // What the driver took away is gone already, and its slot is free all the same.
    let _ = release(memory);
    let _ = release(doorbell);
}

impl BlockDevice for DriverDisk {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read(&mut self, sector: u64, into: &mut [u8]) -> Result<(), BlockError> {
        self.with(|disk| disk.read(sector, into))
    }

    fn write(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        self.with(|disk| disk.write(sector, from))
    }

    fn write_all(&mut self, extents: &[Extent<'_>], durable: bool) -> Result<(), BlockError> {
        let writes = extents.iter().map(|extent| (extent.sector, extent.bytes));
        self.with(|disk| disk.write_all(writes.clone(), durable))
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        self.with(Disk::flush)
    }
}
