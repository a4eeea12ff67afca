//! The boot image: what follows the kernel in the flat file.
//!
//! ```text
//! +--------------------+ load address (2 MiB aligned)
//! | kernel, bss zeroed |
//! +--------------------+ next multiple of 4 KiB: offset 0 of the boot image
//! | header             | HEADER_BYTES
//! | entry 0 … n-1      | ENTRY_BYTES each
//! +--------------------+ multiple of 4 KiB
//! | payload            | segments, each from a multiple of 4 KiB on
//! | …                  |
//! +--------------------+ header.total_bytes
//! ```
//!
//! All numbers are little endian. `xtask` turns ELF files into segments, so
//! neither the kernel nor the root task parses ELF. Each entry has a CRC-32C,
//! which the kernel checks at boot, and a SHA-256, which the host checks.
//! `docs/reference/boot-image.md` is the normative text.

/// First eight bytes.
pub const MAGIC: [u8; 8] = *b"gRiTOSbi";
/// Version of the format.
pub const VERSION: u32 = 1;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 64;
/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 288;
/// Most entries.
pub const ENTRY_LIMIT: usize = 64;
/// Most segments of an entry.
pub const SEGMENT_LIMIT: usize = 4;
/// Alignment of payloads and segments.
pub const PAGE: u64 = 4096;

/// Header flag: `Platform::PowerOff` may pass its exit code to the emulator by
/// semihosting.
pub const FLAG_SEMIHOSTING: u32 = 1;
/// Header flag: performance counters can be read from EL0.
pub const FLAG_COUNTERS: u32 = 2;
/// Header flag: the kernel prints no banner.
pub const FLAG_QUIET: u32 = 4;

/// What an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum EntryKind {
    /// The kernel's text and read-only data; `offset` counts from the load
    /// address of the kernel.
    Kernel = 0,
    /// The root task: every segment is whole pages, used in place.
    Root = 1,
    /// A program for the root task to start.
    Component = 2,
    /// `system.toml` as a table.
    System = 3,
    /// Any other file.
    Data = 4,
}

/// The header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Bytes from offset 0 to the end of the last payload, whole pages.
    pub total_bytes: u64,
    /// Number of entries.
    pub entry_count: u32,
    /// `FLAG_*`.
    pub flags: u32,
    /// CRC-32C of header and entries with this field zero.
    pub crc32c: u32,
}

/// A part of a program, mapped as one piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Virtual address, a multiple of 4 KiB.
    pub address: u64,
    /// Where its bytes lie, from offset 0 of the boot image.
    pub offset: u64,
    /// Bytes in the image; the rest up to `memory_bytes` is zero.
    pub file_bytes: u64,
    /// Bytes in memory.
    pub memory_bytes: u64,
    /// Rights bits READ, WRITE, EXECUTE of [`Rights`](crate::Rights).
    pub rights: u32,
}

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name, UTF-8, padded with NUL.
    pub name: [u8; 32],
    /// What it holds, an [`EntryKind`] number.
    pub kind: u32,
    /// CRC-32C of the payload.
    pub crc32c: u32,
    /// Start of the payload from offset 0 of the boot image (kernel: from its
    /// load address).
    pub offset: u64,
    /// Bytes in the payload.
    pub bytes: u64,
    /// SHA-256 of the payload.
    pub sha256: [u8; 32],
    /// Programs: address of the first instruction.
    pub entry_point: u64,
    /// Programs: initial stack pointer (root task), or bytes of stack wanted.
    pub stack: u64,
    /// Number of segments.
    pub segment_count: u32,
    /// `ENTRY_FLAG_*`.
    pub flags: u32,
    /// The segments.
    pub segments: [Segment; SEGMENT_LIMIT],
}

/// Entry flag: the program uses FP and SIMD registers.
pub const ENTRY_FLAG_FP: u32 = 1;

/// What is wrong with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// Shorter than its header or its `total_bytes` says.
    Truncated,
    /// Does not begin with [`MAGIC`].
    Magic,
    /// Another version of the format; the version found.
    Version(u32),
    /// More entries than [`ENTRY_LIMIT`]; the number found.
    EntryCount(u32),
    /// The header's CRC does not match.
    HeaderCrc,
    /// Entry (by index) reaches outside the image or is misaligned.
    EntryRange(u32),
    /// Entry (by index) has a kind or segment count that does not exist.
    EntryFormat(u32),
    /// The payload of entry (by index) does not match its CRC.
    EntryCrc(u32),
}

#[inline(never)]
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

#[inline(never)]
fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(
        bytes.get(at..at.checked_add(8)?)?.try_into().ok()?,
    ))
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Byte offset of the CRC within the header.
pub const HEADER_CRC_OFFSET: usize = 32;

impl Header {
    /// The bytes of the header.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&self.entry_count.to_le_bytes());
        out[16..24].copy_from_slice(&self.total_bytes.to_le_bytes());
        out[24..28].copy_from_slice(&self.flags.to_le_bytes());
        out[HEADER_CRC_OFFSET..36].copy_from_slice(&self.crc32c.to_le_bytes());
        out
    }

    /// Reads the header at the start of `bytes`, which may be longer or
    /// shorter than the image. Checks everything but the CRC.
    ///
    /// # Errors
    /// [`ImageError::Truncated`], [`Magic`](ImageError::Magic),
    /// [`Version`](ImageError::Version), [`EntryCount`](ImageError::EntryCount).
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        let word = |at| u32_at(bytes, at).ok_or(ImageError::Truncated);
        if array_at(bytes, 0).ok_or(ImageError::Truncated)? != MAGIC {
            return Err(ImageError::Magic);
        }
        match word(8)? {
            VERSION => {}
            other => return Err(ImageError::Version(other)),
        }
        let header = Self {
            entry_count: word(12)?,
            total_bytes: u64_at(bytes, 16).ok_or(ImageError::Truncated)?,
            flags: word(24)?,
            crc32c: word(HEADER_CRC_OFFSET)?,
        };
        if header.entry_count as usize > ENTRY_LIMIT {
            return Err(ImageError::EntryCount(header.entry_count));
        }
        if header.total_bytes < header.table_bytes() as u64
            || !header.total_bytes.is_multiple_of(PAGE)
        {
            return Err(ImageError::Truncated);
        }
        Ok(header)
    }

    /// Bytes of header and entries together.
    #[must_use]
    pub const fn table_bytes(&self) -> usize {
        HEADER_BYTES + ENTRY_BYTES * self.entry_count as usize
    }
}

impl Entry {
    /// The bytes of the entry.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ENTRY_BYTES] {
        let mut out = [0; ENTRY_BYTES];
        out[..32].copy_from_slice(&self.name);
        out[32..36].copy_from_slice(&self.kind.to_le_bytes());
        out[36..40].copy_from_slice(&self.crc32c.to_le_bytes());
        out[40..48].copy_from_slice(&self.offset.to_le_bytes());
        out[48..56].copy_from_slice(&self.bytes.to_le_bytes());
        out[56..88].copy_from_slice(&self.sha256);
        out[88..96].copy_from_slice(&self.entry_point.to_le_bytes());
        out[96..104].copy_from_slice(&self.stack.to_le_bytes());
        out[104..108].copy_from_slice(&self.segment_count.to_le_bytes());
        out[108..112].copy_from_slice(&self.flags.to_le_bytes());
        for (i, segment) in self.segments.iter().enumerate() {
            let at = 112 + 40 * i;
            out[at..at + 8].copy_from_slice(&segment.address.to_le_bytes());
            out[at + 8..at + 16].copy_from_slice(&segment.offset.to_le_bytes());
            out[at + 16..at + 24].copy_from_slice(&segment.file_bytes.to_le_bytes());
            out[at + 24..at + 32].copy_from_slice(&segment.memory_bytes.to_le_bytes());
            out[at + 32..at + 36].copy_from_slice(&segment.rights.to_le_bytes());
        }
        out
    }

    #[inline(never)]
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut segments = [Segment::default(); SEGMENT_LIMIT];
        for (i, segment) in segments.iter_mut().enumerate() {
            let at = 112 + 40 * i;
            *segment = Segment {
                address: u64_at(bytes, at)?,
                offset: u64_at(bytes, at + 8)?,
                file_bytes: u64_at(bytes, at + 16)?,
                memory_bytes: u64_at(bytes, at + 24)?,
                rights: u32_at(bytes, at + 32)?,
            };
        }
        Some(Self {
            name: array_at(bytes, 0)?,
            kind: u32_at(bytes, 32)?,
            crc32c: u32_at(bytes, 36)?,
            offset: u64_at(bytes, 40)?,
            bytes: u64_at(bytes, 48)?,
            sha256: array_at(bytes, 56)?,
            entry_point: u64_at(bytes, 88)?,
            stack: u64_at(bytes, 96)?,
            segment_count: u32_at(bytes, 104)?,
            flags: u32_at(bytes, 108)?,
            segments,
        })
    }

    /// The name up to its padding; empty if it is not UTF-8.
    #[must_use]
    pub fn name(&self) -> &str {
        let len = self
            .name
            .iter()
            .position(|&b| b == 0)
            .unwrap_or(self.name.len());
        core::str::from_utf8(self.name.get(..len).unwrap_or(&[])).unwrap_or("")
    }

    /// The segments in use.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        self.segments
            .get(..self.segment_count as usize)
            .unwrap_or(&[])
    }
}

/// A checked view of an image in memory.
#[derive(Clone, Copy, Debug)]
pub struct BootImage<'a> {
    bytes: &'a [u8],
    header: Header,
}

impl<'a> BootImage<'a> {
    /// Checks header, table CRC and the ranges of all entries. Payload CRCs are
    /// checked one at a time by [`verify`](Self::verify).
    ///
    /// # Errors
    /// The first [`ImageError`] found.
    pub fn parse(bytes: &'a [u8], crc32c: impl Fn(u32, &[u8]) -> u32) -> Result<Self, ImageError> {
        let header = Header::parse(bytes)?;
        let table = bytes
            .get(..header.table_bytes())
            .ok_or(ImageError::Truncated)?;
        let bytes = usize::try_from(header.total_bytes)
            .ok()
            .and_then(|total| bytes.get(..total))
            .ok_or(ImageError::Truncated)?;
        let (before, after) = table.split_at(HEADER_CRC_OFFSET);
        let after = after.get(4..).ok_or(ImageError::Truncated)?;
        if crc32c(crc32c(crc32c(0, before), &[0; 4]), after) != header.crc32c {
            return Err(ImageError::HeaderCrc);
        }
        let image = Self { bytes, header };
        for index in 0..header.entry_count {
            let entry = image.entry(index).ok_or(ImageError::Truncated)?;
            if entry.kind > EntryKind::Data as u32 || entry.segment_count as usize > SEGMENT_LIMIT {
                return Err(ImageError::EntryFormat(index));
            }
            let inside = |offset: u64, len: u64| {
                offset.is_multiple_of(PAGE)
                    && offset
                        .checked_add(len)
                        .is_some_and(|end| end <= header.total_bytes)
            };
            let kernel = entry.kind == EntryKind::Kernel as u32;
            if !kernel && !inside(entry.offset, entry.bytes) {
                return Err(ImageError::EntryRange(index));
            }
            for s in entry.segments() {
                if !inside(s.offset, s.file_bytes)
                    || s.file_bytes > s.memory_bytes
                    || s.address
                        .checked_add(s.memory_bytes)
                        .is_none_or(|end| end > 1 << 39)
                    || !s.address.is_multiple_of(PAGE)
                {
                    return Err(ImageError::EntryRange(index));
                }
            }
        }
        Ok(image)
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Entry `index`, if there is one.
    #[must_use]
    #[inline(never)]
    pub fn entry(&self, index: u32) -> Option<Entry> {
        if index >= self.header.entry_count {
            return None;
        }
        let at = HEADER_BYTES + ENTRY_BYTES * index as usize;
        Entry::read(self.bytes.get(at..at + ENTRY_BYTES)?)
    }

    /// All entries in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        (0..self.header.entry_count).filter_map(|index| self.entry(index))
    }

    /// The payload of an entry that is not the kernel's.
    #[must_use]
    pub fn payload(&self, entry: &Entry) -> Option<&'a [u8]> {
        let start = usize::try_from(entry.offset).ok()?;
        let end = start.checked_add(usize::try_from(entry.bytes).ok()?)?;
        self.bytes.get(start..end)
    }

    /// Checks the payload CRC of entry `index`; `kernel` is the kernel as
    /// loaded, for the entry that describes it.
    ///
    /// # Errors
    /// [`ImageError::EntryRange`] and [`ImageError::EntryCrc`].
    #[inline(never)]
    pub fn verify(
        &self,
        index: u32,
        kernel: &[u8],
        crc32c: impl Fn(u32, &[u8]) -> u32,
    ) -> Result<(), ImageError> {
        let entry = self.entry(index).ok_or(ImageError::EntryRange(index))?;
        let payload = if entry.kind == EntryKind::Kernel as u32 {
            usize::try_from(entry.bytes)
                .ok()
                .and_then(|len| kernel.get(..len))
        } else {
            self.payload(&entry)
        };
        let payload = payload.ok_or(ImageError::EntryRange(index))?;
        if crc32c(0, payload) == entry.crc32c {
            Ok(())
        } else {
            Err(ImageError::EntryCrc(index))
        }
    }
}

/// CRC-32C (Castagnoli) of `bytes`, continued from `crc` (0 to begin), a bit at
/// a time: for hosts and for checking faster ones. RFC 3720, appendix B.4.
#[must_use]
pub fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(!crc, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    }) ^ u32::MAX
}

#[cfg(test)]
mod tests;
