//! The device in blocks, and what keeps the superblock whole.
//!
//! The superblock lies in two sectors and is written in place, so that a loss of power
//! can leave half of each version, which nothing can mount. ext4 leaves the first
//! 1 KiB of a volume alone; there every new superblock is written, and flushed, before
//! it replaces the old one. At mount a spoiled superblock is restored from there.

use gritos_fs_api::FsError;

use super::superblock::{self, BYTES, Superblock};
use crate::block::{BlockDevice, BlockError, Extent, SECTOR_BYTES};

/// First sector of the superblock.
const PRIMARY: u64 = (BYTES / SECTOR_BYTES) as u64;

pub(super) struct Disk<D> {
    device: D,
    block_bytes: usize,
}

impl<D: BlockDevice> Disk<D> {
    /// Finds the superblock, restoring it if it is torn and that is allowed.
    pub(super) fn open(mut device: D, read_only: bool) -> Result<(Self, Superblock), FsError> {
        let sectors = device.geometry().sectors;
        if sectors < 64 {
            return Err(FsError::Corrupted);
        }
        let mut head = [0; 2 * BYTES];
        device.read(0, &mut head).map_err(failure)?;
        let (shadow, primary) = head.split_at(BYTES);
        let raw = match (superblock::is_whole(primary), superblock::is_whole(shadow)) {
            (true, _) => primary,
            (false, true) => {
                if !read_only {
                    device.write(PRIMARY, shadow).map_err(failure)?;
                    device.flush().map_err(failure)?;
                }
                shadow
            }
            _ => return Err(FsError::Corrupted),
        };
        let superblock = Superblock::parse(raw, sectors)?;
        let block_bytes = superblock.block_bytes;
        Ok((
            Self {
                device,
                block_bytes,
            },
            superblock,
        ))
    }

    /// Sectors of the device.
    pub(super) fn sectors(&self) -> u64 {
        self.device.geometry().sectors
    }

    pub(super) const fn sector(&self, block: u64) -> u64 {
        block * (self.block_bytes / SECTOR_BYTES) as u64
    }

    /// Reads whole sectors, `skip` of them behind the start of a block.
    pub(super) fn read(&mut self, block: u64, skip: u64, to: &mut [u8]) -> Result<(), FsError> {
        let sector = self.sector(block) + skip;
        self.device.read(sector, to).map_err(failure)
    }

    /// Hands out whole sectors, in order, until `take` has enough.
    pub(super) fn read_with(
        &mut self,
        block: u64,
        skip: u64,
        count: u64,
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), FsError> {
        let sector = self.sector(block) + skip;
        self.device.read_with(sector, count, take).map_err(failure)
    }

    /// Writes whole sectors, which are likely to be read again.
    pub(super) fn write(&mut self, block: u64, skip: u64, from: &[u8]) -> Result<(), FsError> {
        let sector = self.sector(block) + skip;
        self.device.write(sector, from).map_err(failure)
    }

    /// Writes whole sectors that `fill` provides.
    ///
    /// # Errors
    /// `BadBuffer` if it could not.
    pub(super) fn write_with(
        &mut self,
        block: u64,
        skip: u64,
        count: u64,
        fill: &mut dyn FnMut(&mut [u8]) -> bool,
    ) -> Result<(), FsError> {
        let sector = self.sector(block) + skip;
        match self.device.write_with(sector, count, fill) {
            Ok(written) if written == count => Ok(()),
            Ok(_) => Err(FsError::BadBuffer),
            Err(error) => Err(failure(error)),
        }
    }

    /// Writes whole blocks that will not be read soon.
    pub(super) fn write_past(&mut self, block: u64, from: &[u8]) -> Result<(), FsError> {
        let sector = self.sector(block);
        self.device.write_past(sector, from).map_err(failure)
    }

    /// Writes all of `extents` in any order. They and everything before them are durable
    /// afterwards.
    pub(super) fn write_durably(&mut self, extents: &[Extent<'_>]) -> Result<(), FsError> {
        self.device.write_all(extents, true).map_err(failure)
    }

    pub(super) fn flush(&mut self) -> Result<(), FsError> {
        self.device.flush().map_err(failure)
    }

    /// Writes the superblock, its copy first; both are durable afterwards.
    pub(super) fn write_superblock(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        self.device.write(0, bytes).map_err(failure)?;
        self.flush()?;
        self.device.write(PRIMARY, bytes).map_err(failure)?;
        self.flush()
    }
}

fn failure(error: BlockError) -> FsError {
    match error {
        BlockError::Io => FsError::Io,
        // It was computed from what is on the disk.
        BlockError::OutOfRange => FsError::Corrupted,
        BlockError::ReadOnly => FsError::ReadOnly,
    }
}
