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
/// Header flag: EL0 may use the performance counters, of which there is one set for all programs.
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

/// Fields one behind the other; those behind the end of the bytes are zero.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    #[inline(never)]
    fn bytes(&mut self, into: &mut [u8]) {
        if let Some((first, rest)) = self.0.split_at_checked(into.len()) {
            into.copy_from_slice(first);
            self.0 = rest;
        }
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        self.bytes(&mut array);
        array
    }

    #[inline(never)]
    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    #[inline(never)]
    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }
}

/// Byte offset of the CRC within the header.
pub const HEADER_CRC_OFFSET: usize = 32;

impl Header {
    /// Reads the header at the start of `bytes`, which may be longer or
    /// shorter than the image. Checks everything but the CRC.
    ///
    /// # Errors
    /// [`ImageError::Truncated`], [`Magic`](ImageError::Magic),
    /// [`Version`](ImageError::Version), [`EntryCount`](ImageError::EntryCount).
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        if bytes.len() < HEADER_CRC_OFFSET + 4 {
            return Err(ImageError::Truncated);
        }
        let mut fields = Fields(bytes);
        if fields.array() != MAGIC {
            return Err(ImageError::Magic);
        }
        match fields.u32() {
            VERSION => {}
            other => return Err(ImageError::Version(other)),
        }
        let entry_count = fields.u32();
        let total_bytes = fields.u64();
        let (flags, _, crc32c) = (fields.u32(), fields.u32(), fields.u32());
        let header = Self {
            total_bytes,
            entry_count,
            flags,
            crc32c,
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
    #[inline(never)]
    fn read(bytes: &[u8]) -> Self {
        let mut fields = Fields(bytes);
        let mut entry = Self {
            name: fields.array(),
            kind: fields.u32(),
            crc32c: fields.u32(),
            offset: fields.u64(),
            bytes: fields.u64(),
            sha256: fields.array(),
            entry_point: fields.u64(),
            stack: fields.u64(),
            segment_count: fields.u32(),
            flags: fields.u32(),
            segments: [Segment::default(); SEGMENT_LIMIT],
        };
        for segment in &mut entry.segments {
            segment.address = fields.u64();
            segment.offset = fields.u64();
            segment.file_bytes = fields.u64();
            segment.memory_bytes = fields.u64();
            segment.rights = fields.u64() as u32;
        }
        entry
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
        self.bytes.get(at..at + ENTRY_BYTES).map(Entry::read)
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

#[cfg(feature = "user")]
mod write;
#[cfg(feature = "user")]
pub use write::crc32c;

#[cfg(test)]
mod tests;
