//! Block devices: where sectors are read and written.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;

/// Bytes of a sector: the unit in which devices are addressed, whatever they use
/// themselves.
pub const SECTOR_BYTES: usize = 512;

/// Why a device did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockError {
    /// The device failed: what was to be read is not known, what was to be written may
    /// or may not have been.
    Io,
    /// The range ends beyond the device, or is not made of whole sectors.
    OutOfRange,
    /// The device, or this view of it, cannot be written.
    ReadOnly,
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io => "the device failed",
            Self::OutOfRange => "beyond the end of the device",
            Self::ReadOnly => "the device is read-only",
        })
    }
}

impl core::error::Error for BlockError {}

/// What is known of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Sectors of 512 bytes.
    pub sectors: u64,
    /// Whether it refuses writes.
    pub read_only: bool,
    /// Whether `flush` makes earlier writes durable. A device that cannot promise that
    /// is good for reading only.
    pub flushes: bool,
}

/// Bytes for whole sectors.
#[derive(Clone, Copy, Debug)]
pub struct Extent<'a> {
    /// The first of them.
    pub sector: u64,
    /// What is to be in them.
    pub bytes: &'a [u8],
}

/// A device that stores sectors. Calls return when the device has answered.
///
/// Writes are durable, and ordered, only by [`flush`](Self::flush): until it has
/// returned, any subset of the writes since the last one may survive a loss of power.
pub trait BlockDevice {
    /// Size and abilities; they do not change.
    fn geometry(&self) -> Geometry;

    /// Reads whole sectors from `sector` on.
    ///
    /// # Errors
    /// Any [`BlockError`] but `ReadOnly`; `into` then holds nothing of use.
    fn read(&mut self, sector: u64, into: &mut [u8]) -> Result<(), BlockError>;

    /// Hands out sectors from `sector` on, in order and in pieces of whole sectors, until
    /// `take` says that it has enough.
    ///
    /// # Errors
    /// As [`read`](Self::read); pieces before the error are good.
    fn read_with(
        &mut self,
        sector: u64,
        count: u64,
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), BlockError> {
        let mut piece = [0; 8 * SECTOR_BYTES];
        let mut done = 0;
        while done < count {
            let bytes = (count - done).min(8) as usize * SECTOR_BYTES;
            let at = sector.checked_add(done).ok_or(BlockError::OutOfRange)?;
            let now = piece.get_mut(..bytes).unwrap_or(&mut []);
            self.read(at, now)?;
            if !take(now) {
                break;
            }
            done += 8;
        }
        Ok(())
    }

    /// Writes whole sectors from `sector` on.
    ///
    /// # Errors
    /// Any [`BlockError`]; after `Io` the sectors may hold old, new or mixed bytes.
    fn write(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError>;

    /// Writes sectors from `sector` on that `fill` puts in their place: it is called with
    /// room for them, in order and in pieces of whole sectors, until it says that it could
    /// not. Returns how many were written; what is in a piece that it failed at is not.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn write_with(
        &mut self,
        sector: u64,
        count: u64,
        fill: &mut dyn FnMut(&mut [u8]) -> bool,
    ) -> Result<u64, BlockError> {
        let mut piece = [0; 8 * SECTOR_BYTES];
        let mut done = 0;
        while done < count {
            let sectors = (count - done).min(8);
            let at = sector.checked_add(done).ok_or(BlockError::OutOfRange)?;
            let now = piece.get_mut(..sectors as usize * SECTOR_BYTES);
            let now = now.unwrap_or(&mut []);
            if !fill(now) {
                break;
            }
            self.write(at, now)?;
            done += sectors;
        }
        Ok(done)
    }

    /// The same as [`write`](Self::write) for sectors that will not be read soon: no cache
    /// needs to keep them.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn write_past(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        self.write(sector, from)
    }

    /// Writes all of `extents`, which do not overlap, in any order and past caches; if
    /// `durable`, returns when they and all earlier writes are.
    ///
    /// # Errors
    /// As [`write`](Self::write) and [`flush`](Self::flush): of all extents.
    fn write_all(&mut self, extents: &[Extent<'_>], durable: bool) -> Result<(), BlockError> {
        let mut joined = Vec::new();
        let mut start = 0;
        for extent in extents {
            if start + sectors_in(&joined) != extent.sector && !joined.is_empty() {
                self.write_past(start, &joined)?;
                joined.clear();
            }
            if joined.is_empty() {
                start = extent.sector;
            }
            joined.extend_from_slice(extent.bytes);
        }
        if !joined.is_empty() {
            self.write_past(start, &joined)?;
        }
        if durable { self.flush() } else { Ok(()) }
    }

    /// Returns when all earlier writes are durable.
    ///
    /// # Errors
    /// [`BlockError::Io`]: which writes are durable is not known.
    fn flush(&mut self) -> Result<(), BlockError>;
}

const fn sectors_in(bytes: &[u8]) -> u64 {
    (bytes.len() / SECTOR_BYTES) as u64
}

impl<D: BlockDevice + ?Sized> BlockDevice for Box<D> {
    fn geometry(&self) -> Geometry {
        (**self).geometry()
    }

    fn read(&mut self, sector: u64, into: &mut [u8]) -> Result<(), BlockError> {
        (**self).read(sector, into)
    }

    fn read_with(
        &mut self,
        sector: u64,
        count: u64,
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), BlockError> {
        (**self).read_with(sector, count, take)
    }

    fn write(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        (**self).write(sector, from)
    }

    fn write_with(
        &mut self,
        sector: u64,
        count: u64,
        fill: &mut dyn FnMut(&mut [u8]) -> bool,
    ) -> Result<u64, BlockError> {
        (**self).write_with(sector, count, fill)
    }

    fn write_past(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        (**self).write_past(sector, from)
    }

    fn write_all(&mut self, extents: &[Extent<'_>], durable: bool) -> Result<(), BlockError> {
        (**self).write_all(extents, durable)
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        (**self).flush()
    }
}

/// One device behind several views, for the partitions of a disk.
#[derive(Debug)]
pub struct Shared<D>(Rc<RefCell<D>>);

impl<D> Shared<D> {
    /// Shares a device.
    pub fn new(device: D) -> Self {
        Self(Rc::new(RefCell::new(device)))
    }

    /// Calls `f` with the device, unless it is in use by a caller further up, which
    /// no view does.
    pub fn with<R>(&self, f: impl FnOnce(&mut D) -> R) -> Option<R> {
        self.0
            .try_borrow_mut()
            .ok()
            .map(|mut device| f(&mut device))
    }
}

impl<D> Clone for Shared<D> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<D: BlockDevice> BlockDevice for Shared<D> {
    fn geometry(&self) -> Geometry {
        self.0.borrow().geometry()
    }

    fn read(&mut self, sector: u64, into: &mut [u8]) -> Result<(), BlockError> {
        self.0.borrow_mut().read(sector, into)
    }

    fn read_with(
        &mut self,
        sector: u64,
        count: u64,
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), BlockError> {
        self.0.borrow_mut().read_with(sector, count, take)
    }

    fn write(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        self.0.borrow_mut().write(sector, from)
    }

    fn write_with(
        &mut self,
        sector: u64,
        count: u64,
        fill: &mut dyn FnMut(&mut [u8]) -> bool,
    ) -> Result<u64, BlockError> {
        self.0.borrow_mut().write_with(sector, count, fill)
    }

    fn write_past(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        self.0.borrow_mut().write_past(sector, from)
    }

    fn write_all(&mut self, extents: &[Extent<'_>], durable: bool) -> Result<(), BlockError> {
        self.0.borrow_mut().write_all(extents, durable)
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        self.0.borrow_mut().flush()
    }
}

/// Checks that `bytes` from `sector` on are whole sectors of a device; returns how
/// many.
///
/// # Errors
/// [`BlockError::OutOfRange`].
pub fn sectors_of(geometry: Geometry, sector: u64, bytes: usize) -> Result<u64, BlockError> {
    let count = (bytes / SECTOR_BYTES) as u64;
    let end = sector.checked_add(count).ok_or(BlockError::OutOfRange)?;
    if bytes.is_multiple_of(SECTOR_BYTES) && end <= geometry.sectors {
        Ok(count)
    } else {
        Err(BlockError::OutOfRange)
    }
}

/// A device in memory.
#[derive(Clone, Debug)]
pub struct MemoryDisk {
    bytes: Vec<u8>,
}

impl MemoryDisk {
    /// An empty one.
    #[must_use]
    pub fn new(sectors: usize) -> Self {
        Self {
            bytes: vec![0; sectors * SECTOR_BYTES],
        }
    }

    /// One that holds an image; bytes behind the last whole sector are not reachable.
    #[must_use]
    pub const fn from_image(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// What it holds.
    #[must_use]
    pub fn image(&self) -> &[u8] {
        &self.bytes
    }

    fn range(&self, sector: u64, bytes: usize) -> Result<core::ops::Range<usize>, BlockError> {
        sectors_of(self.geometry(), sector, bytes)?;
        let start = usize::try_from(sector).map_err(|_| BlockError::OutOfRange)? * SECTOR_BYTES;
        Ok(start..start + bytes)
    }
}

impl BlockDevice for MemoryDisk {
    fn geometry(&self) -> Geometry {
        Geometry {
            sectors: (self.bytes.len() / SECTOR_BYTES) as u64,
            read_only: false,
            flushes: true,
        }
    }

    fn read(&mut self, sector: u64, into: &mut [u8]) -> Result<(), BlockError> {
        let range = self.range(sector, into.len())?;
        into.copy_from_slice(self.bytes.get(range).ok_or(BlockError::OutOfRange)?);
        Ok(())
    }

    fn write(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        let range = self.range(sector, from.len())?;
        let place = self.bytes.get_mut(range).ok_or(BlockError::OutOfRange)?;
        place.copy_from_slice(from);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        Ok(())
    }
}
