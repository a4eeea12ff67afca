//! The device as the crate sees it, and what keeps the superblock whole.
//!
//! The superblock lies in two sectors and is written in place, so that a loss of power
//! can leave half of each version, which nothing can mount. ext4 leaves the first
//! 1 KiB of a volume alone; there every new superblock is written, and flushed, before
//! it replaces the old one. At mount a spoiled superblock is restored from there.
//!
//! While the journal is replayed, what was replayed is flushed before the journal is
//! declared empty, which the crate does not do. And the superblock says that there is
//! a journal to replay until there is none: the crate would say so too late and take it
//! back too early.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;

use gritos_fs_api::FsError;
use rsext4::endian::DiskFormat;
use rsext4::superblock::Ext4Superblock;
use rsext4::{
    BlockIo, DeviceCapabilities, DeviceGeometry, Ext4Error, Ext4Result, SectorId, WriteFlags,
};

use crate::block::{BlockDevice, BlockError, SECTOR_BYTES};

/// First sector of the superblock, and of what is behind it. As many lie before it.
const SUPER: u64 = 2;
const BEHIND: u64 = 4;
const SUPER_BYTES: usize = 1024;
/// Most bytes of a volume's group descriptors that are read into memory.
const MAX_GROUPS: u32 = 1 << 18;

/// Says that the journal is to be replayed.
const RECOVER: u32 = Ext4Superblock::EXT4_FEATURE_INCOMPAT_RECOVER;
/// Where the journal's superblock says where the journal starts; 0 if it is empty.
const JOURNAL_START: core::ops::Range<usize> = 0x1c..0x20;

pub(super) struct Guarded<D> {
    device: D,
    read_only: bool,
    /// The superblock was written and not flushed since.
    exposed: bool,
    /// The journal is being replayed.
    replaying: Rc<Cell<bool>>,
    /// The superblock of a volume that needs no recovery, to be written once its journal
    /// is empty.
    clean: Option<Vec<u8>>,
    /// The journal was declared empty since.
    emptied: bool,
}

/// How blocks of the journal begin, and the kinds that are its superblock.
const JOURNAL_MAGIC: [u8; 4] = 0xc03b_3998_u32.to_be_bytes();
const JOURNAL_SUPER: [[u8; 4]; 2] = [3_u32.to_be_bytes(), 4_u32.to_be_bytes()];

impl<D: BlockDevice> Guarded<D> {
    /// Looks at the superblock before the crate does: restores it if it is torn, refuses
    /// what cannot be, and marks the volume as one whose journal is in use.
    pub(super) fn prepare(mut device: D, read_only: bool) -> Result<Self, FsError> {
        if device.geometry().sectors < 64 {
            return Err(FsError::Corrupted);
        }
        let mut head = [0; 2 * SUPER_BYTES];
        device.read(0, &mut head).map_err(io)?;
        let (shadow, primary) = head.split_at(SUPER_BYTES);
        let mut guarded = Self {
            device,
            read_only,
            exposed: false,
            replaying: Rc::new(Cell::new(true)),
            clean: None,
            emptied: false,
        };
        let current = match (check(primary), check(shadow)) {
            (Some(superblock), _) => superblock,
            (None, Some(superblock)) if !read_only => {
                guarded.device.write(SUPER, shadow).map_err(io)?;
                guarded.device.flush().map_err(io)?;
                superblock
            }
            _ => return Err(FsError::Corrupted),
        };
        plausible(&current, guarded.device.geometry().sectors)?;
        let journal = Ext4Superblock::EXT4_FEATURE_COMPAT_HAS_JOURNAL;
        if !read_only && !current.has_feature_compat(journal) {
            return Err(FsError::NotSupported);
        }
        if !read_only && !current.has_feature_incompat(RECOVER) {
            guarded.write_super(&in_use(current)).map_err(io)?;
            guarded.flush_device().map_err(io)?;
        }
        Ok(guarded)
    }

    /// What says that the journal is being replayed; true until it is set otherwise.
    pub(super) fn replaying(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.replaying)
    }

    /// Writes the superblock, its copy first.
    fn write_super(&mut self, bytes: &[u8]) -> Result<(), BlockError> {
        if self.exposed {
            // Else both could be torn.
            self.flush_device()?;
        }
        self.device.write(0, bytes)?;
        self.device.flush()?;
        self.device.write(SUPER, bytes)?;
        self.exposed = true;
        Ok(())
    }

    fn flush_device(&mut self) -> Result<(), BlockError> {
        self.device.flush()?;
        self.exposed = false;
        Ok(())
    }

    fn write_sectors(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        if is_journal_super(from) {
            if self.replaying.get() {
                self.flush_device()?;
            }
            self.emptied |= from.get(JOURNAL_START).is_some_and(|start| start == [0; 4]);
        }
        let end = sector + (from.len() / SECTOR_BYTES) as u64;
        if sector > SUPER || end < BEHIND {
            return self.device.write(sector, from);
        }
        let at = |wanted: u64| (wanted - sector) as usize * SECTOR_BYTES;
        let superblock = from.get(at(SUPER)..at(BEHIND)).unwrap_or(&[]);
        let parsed = Ext4Superblock::from_disk_bytes(superblock);
        let superblock = if parsed.has_feature_incompat(RECOVER) {
            self.clean = None;
            superblock.to_vec()
        } else {
            // Replaying is what this one is for: it stays marked for the mount.
            self.clean = (!self.replaying.get()).then(|| superblock.to_vec());
            self.emptied = false;
            in_use(parsed)
        };
        let mut now = vec![0; SUPER_BYTES];
        self.device.read(SUPER, &mut now)?;
        if now != superblock {
            self.write_super(&superblock)?;
        }
        match from.get(at(BEHIND)..) {
            Some(rest) if !rest.is_empty() => self.device.write(BEHIND, rest),
            _ => Ok(()),
        }
    }
}

impl<D: BlockDevice> BlockIo for Guarded<D> {
    fn write(&mut self, buffer: &[u8], sector: SectorId, _count: u32) -> Ext4Result<()> {
        if self.read_only {
            return Err(Ext4Error::read_only());
        }
        self.write_sectors(sector.raw(), buffer).map_err(failure)
    }

    fn read(&mut self, buffer: &mut [u8], sector: SectorId, _count: u32) -> Ext4Result<()> {
        self.device.read(sector.raw(), buffer).map_err(failure)
    }

    fn write_with_flags(
        &mut self,
        buffer: &[u8],
        sector: SectorId,
        count: u32,
        flags: WriteFlags,
    ) -> Ext4Result<()> {
        self.write(buffer, sector, count)?;
        if flags.contains(WriteFlags::FUA) {
            self.flush()?;
        }
        Ok(())
    }

    fn geometry(&self) -> DeviceGeometry {
        DeviceGeometry::new(SECTOR_BYTES as u32, self.device.geometry().sectors)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        DeviceCapabilities {
            read_only: self.read_only,
            flush: true,
            ..DeviceCapabilities::default()
        }
    }

    fn flush(&mut self) -> Ext4Result<()> {
        if self.read_only {
            return Ok(());
        }
        self.flush_device().map_err(failure)?;
        if self.emptied
            && let Some(clean) = self.clean.take()
        {
            self.write_super(&clean).map_err(failure)?;
            self.flush_device().map_err(failure)?;
        }
        Ok(())
    }
}

/// A superblock that says that the journal is to be replayed.
fn in_use(mut superblock: Ext4Superblock) -> Vec<u8> {
    superblock.s_feature_incompat |= RECOVER;
    superblock.update_checksum();
    let mut bytes = vec![0; SUPER_BYTES];
    superblock.to_disk_bytes(&mut bytes);
    bytes
}

/// Whether a block looks like the journal's superblock. If a file's looks like it, that
/// costs a flush.
fn is_journal_super(block: &[u8]) -> bool {
    block.first_chunk() == Some(&JOURNAL_MAGIC)
        && block
            .get(4..8)
            .is_some_and(|kind| JOURNAL_SUPER.iter().any(|known| known == kind))
}

/// A superblock that is one and has its checksum.
fn check(bytes: &[u8]) -> Option<Ext4Superblock> {
    let superblock = Ext4Superblock::from_disk_bytes(bytes);
    superblock
        .verify_superblock()
        .ok()
        .filter(Ext4Superblock::is_valid)
}

/// Refuses sizes that would have the crate reserve memory without end.
fn plausible(superblock: &Ext4Superblock, sectors: u64) -> Result<(), FsError> {
    superblock
        .validate_geometry()
        .map_err(|_| FsError::Corrupted)?;
    let block = superblock
        .checked_block_size()
        .map_err(|_| FsError::Corrupted)?;
    let bytes = superblock.blocks_count().checked_mul(u64::from(block));
    let device = sectors.saturating_mul(SECTOR_BYTES as u64);
    let groups = superblock
        .checked_block_groups_count()
        .map_err(|_| FsError::Corrupted)?;
    if bytes.is_none_or(|bytes| bytes == 0 || bytes > device) || groups > MAX_GROUPS {
        return Err(FsError::Corrupted);
    }
    Ok(())
}

fn io(_: BlockError) -> FsError {
    FsError::Io
}

fn failure(error: BlockError) -> Ext4Error {
    match error {
        BlockError::Io => Ext4Error::io(),
        // The crate computed it from what is on the disk.
        BlockError::OutOfRange => Ext4Error::corrupted(),
        BlockError::ReadOnly => Ext4Error::read_only(),
    }
}
