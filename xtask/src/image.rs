//! The boot image: kernel and programs in one flat file, as `gritos_abi::boot_image` lays it out.
//!
//! The same contents give the same bytes: nothing here looks at a clock, a path or an environment.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use gritos_abi::Rights;
use gritos_abi::boot_image::{
    BootImage, ENTRY_BYTES, ENTRY_LIMIT, Entry, EntryKind, HEADER_BYTES, HEADER_CRC_OFFSET, Header,
    PAGE, SEGMENT_LIMIT, Segment, crc32c,
};
use sha2::{Digest, Sha256};

use crate::elf::{self, Load, Program};

/// Pages of the root task's stack.
const ROOT_STACK_PAGES: u64 = 16;

/// Offset of `image_size` and of the magic number in the arm64 Image header (Linux
/// `Documentation/arch/arm64/booting.rst`, "Call the kernel image").
const IMAGE_SIZE_OFFSET: usize = 16;
const IMAGE_MAGIC_OFFSET: usize = 56;
const IMAGE_MAGIC: &[u8] = b"ARM\x64";

/// What goes into an image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    /// `gritos_abi::boot_image::FLAG_*`.
    pub(crate) flags: u32,
    /// Files, by name.
    pub(crate) data: Vec<(String, Vec<u8>)>,
}

/// Puts the kernel and the root task of these ELF files into an image with `contents`.
pub(crate) fn assemble(kernel: &Path, root: Option<&Path>, contents: &Contents) -> Result<Vec<u8>> {
    let kernel = flatten(&elf::read(kernel)?)
        .with_context(|| format!("{} is no kernel", kernel.display()))?;
    let root = match root {
        Some(path) => Some(
            whole_pages(&elf::read(path)?)
                .with_context(|| format!("{} is no root task", path.display()))?,
        ),
        None => None,
    };
    let image = build(kernel, root.as_ref(), contents)?;
    verify(&image)?;
    Ok(image.bytes)
}

/// The kernel as it lies in memory.
struct FlatKernel {
    bytes: Vec<u8>,
    /// Length of the part that nothing writes: text and read-only data.
    constant_bytes: usize,
}

/// An image and where its boot image begins.
struct Image {
    bytes: Vec<u8>,
    boot_image: usize,
}

fn flatten(program: &Program) -> Result<FlatKernel> {
    let base = program
        .loads
        .first()
        .context("a program has segments")?
        .address;
    let end = program
        .kernel_end
        .context("it has no symbol `__kernel_end`")?;
    let size = end
        .checked_sub(base)
        .context("`__kernel_end` lies below its first segment")?;
    ensure!(
        program.loads.iter().all(|l| l.end() <= end),
        "it reaches beyond `__kernel_end`"
    );
    ensure!(size <= 1 << 30, "it is {size} bytes long");
    let size = usize::try_from(size)?.next_multiple_of(usize::try_from(PAGE)?);
    let mut bytes = vec![0; size];
    for load in &program.loads {
        let at = usize::try_from(load.address - base)?;
        bytes[at..at + load.bytes.len()].copy_from_slice(&load.bytes);
    }
    ensure!(
        bytes.get(IMAGE_MAGIC_OFFSET..IMAGE_MAGIC_OFFSET + 4) == Some(IMAGE_MAGIC),
        "it does not begin with an arm64 Image header"
    );
    let constant = program
        .loads
        .iter()
        .find(|load| load.rights.contains(Rights::WRITE))
        .map_or(end, |load| load.address)
        - base;
    Ok(FlatKernel {
        bytes,
        constant_bytes: usize::try_from(constant)?,
    })
}

/// The root task's segments, each whole pages with its zeros, and a stack above an unmapped page.
struct RootTask {
    entry_point: u64,
    stack_top: u64,
    loads: Vec<Load>,
}

fn whole_pages(program: &Program) -> Result<RootTask> {
    let mut loads: Vec<Load> = Vec::new();
    for load in &program.loads {
        let start = load.address & !(PAGE - 1);
        let end = load.end().next_multiple_of(PAGE);
        let mut bytes = vec![0; usize::try_from(load.address - start)?];
        bytes.extend(&load.bytes);
        bytes.resize(usize::try_from(end - start)?, 0);
        match loads.last_mut() {
            Some(last) if start < last.end() => anyhow::bail!(
                "segments share the page at {start:#x}; the linker script must align each to 4 KiB"
            ),
            Some(last) if start == last.end() && last.rights == load.rights => {
                last.bytes.extend(&bytes);
                last.memory_bytes += bytes.len() as u64;
            }
            _ => loads.push(Load {
                address: start,
                memory_bytes: bytes.len() as u64,
                bytes,
                rights: load.rights,
            }),
        }
    }
    let guard = loads.last().context("a program has segments")?.end();
    let stack = Load {
        address: guard + PAGE,
        bytes: vec![0; usize::try_from(ROOT_STACK_PAGES * PAGE)?],
        memory_bytes: ROOT_STACK_PAGES * PAGE,
        rights: Rights::READ | Rights::WRITE,
    };
    let stack_top = stack.end();
    loads.push(stack);
    ensure!(
        stack_top < 1 << 39,
        "it lies outside the addresses of user space (39 bits)"
    );
    ensure!(
        loads.len() <= SEGMENT_LIMIT,
        "it has {} segments with its stack, and an entry takes {SEGMENT_LIMIT}",
        loads.len()
    );
    Ok(RootTask {
        entry_point: program.entry,
        stack_top,
        loads,
    })
}

/// Grows payload by payload.
struct Builder {
    entries: Vec<Entry>,
    payloads: Vec<u8>,
    /// Offset of the first payload in the boot image.
    start: u64,
}

impl Builder {
    fn new(entry_count: usize) -> Result<Self> {
        ensure!(
            entry_count <= ENTRY_LIMIT,
            "{entry_count} entries, and an image takes {ENTRY_LIMIT}"
        );
        let table = (HEADER_BYTES + ENTRY_BYTES * entry_count) as u64;
        Ok(Self {
            entries: Vec::new(),
            payloads: Vec::new(),
            start: table.next_multiple_of(PAGE),
        })
    }

    /// Offset in the boot image behind all that was added.
    fn end(&self) -> u64 {
        self.start + self.payloads.len() as u64
    }

    /// Adds bytes from a page boundary on and returns their offset in the boot image.
    fn append(&mut self, bytes: &[u8]) -> u64 {
        let page = PAGE as usize;
        let at = self.payloads.len();
        self.payloads.extend(bytes);
        self.payloads
            .resize(self.payloads.len().next_multiple_of(page), 0);
        self.start + at as u64
    }

    /// The payload between an offset in the boot image and the end of what was added.
    fn entry(&self, name: &str, kind: EntryKind, offset: u64, bytes: u64) -> Result<Entry> {
        let at = usize::try_from(offset - self.start)?;
        let payload = &self.payloads[at..at + usize::try_from(bytes)?];
        describe(name, kind, offset, payload)
    }
}

fn describe(name: &str, kind: EntryKind, offset: u64, payload: &[u8]) -> Result<Entry> {
    let mut padded = [0; 32];
    ensure!(
        !name.is_empty() && name.len() < padded.len(),
        "the name `{name}` must have 1 to 31 bytes"
    );
    padded[..name.len()].copy_from_slice(name.as_bytes());
    Ok(Entry {
        name: padded,
        kind: kind as u32,
        crc32c: crc32c(0, payload),
        offset,
        bytes: payload.len() as u64,
        sha256: Sha256::digest(payload).into(),
        entry_point: 0,
        stack: 0,
        segment_count: 0,
        flags: 0,
        segments: [Segment::default(); SEGMENT_LIMIT],
    })
}

fn root_entry(builder: &mut Builder, root: &RootTask) -> Result<Entry> {
    let mut segments = [Segment::default(); SEGMENT_LIMIT];
    let start = builder.end();
    for (segment, load) in segments.iter_mut().zip(&root.loads) {
        *segment = Segment {
            address: load.address,
            offset: builder.append(&load.bytes),
            file_bytes: load.memory_bytes,
            memory_bytes: load.memory_bytes,
            rights: load.rights.bits(),
        };
    }
    Ok(Entry {
        entry_point: root.entry_point,
        stack: root.stack_top,
        segment_count: u32::try_from(root.loads.len())?,
        segments,
        ..builder.entry("root", EntryKind::Root, start, builder.end() - start)?
    })
}

fn build(mut kernel: FlatKernel, root: Option<&RootTask>, contents: &Contents) -> Result<Image> {
    let mut builder = Builder::new(1 + usize::from(root.is_some()) + contents.data.len())?;
    let mut rest = Vec::new();
    if let Some(root) = root {
        rest.push(root_entry(&mut builder, root)?);
    }
    for (name, bytes) in &contents.data {
        let offset = builder.append(bytes);
        rest.push(builder.entry(name, EntryKind::Data, offset, bytes.len() as u64)?);
    }

    let total = builder.end();
    // Loaders reserve what the header says, so it must cover what is appended; and the kernel's
    // own entry covers the header.
    let boot_image = kernel.bytes.len();
    let whole = boot_image as u64 + total;
    kernel.bytes[IMAGE_SIZE_OFFSET..IMAGE_SIZE_OFFSET + 8].copy_from_slice(&whole.to_le_bytes());
    let constant = &kernel.bytes[..kernel.constant_bytes];
    builder
        .entries
        .push(describe("kernel", EntryKind::Kernel, 0, constant)?);
    builder.entries.extend(rest);

    let mut header = Header {
        total_bytes: total,
        entry_count: u32::try_from(builder.entries.len())?,
        flags: contents.flags,
        crc32c: 0,
    };
    let mut table: Vec<u8> = header.to_bytes().to_vec();
    table.extend(builder.entries.iter().flat_map(Entry::to_bytes));
    header.crc32c = crc32c(0, &table);
    table[HEADER_CRC_OFFSET..HEADER_CRC_OFFSET + 4].copy_from_slice(&header.crc32c.to_le_bytes());
    table.resize(usize::try_from(builder.start)?, 0);

    let mut bytes = kernel.bytes;
    bytes.extend(table);
    bytes.extend(builder.payloads);
    Ok(Image { bytes, boot_image })
}

/// Reads the image back as the kernel will, and checks the digests that only the host checks.
fn verify(image: &Image) -> Result<()> {
    let (kernel, rest) = image.bytes.split_at(image.boot_image);
    let parsed = BootImage::parse(rest, crc32c)
        .map_err(|error| anyhow::anyhow!("the image just made is refused: {error:?}"))?;
    for (index, entry) in (0..).zip(parsed.entries()) {
        parsed
            .verify(index, kernel, crc32c)
            .map_err(|error| anyhow::anyhow!("entry `{}` is refused: {error:?}", entry.name()))?;
        let payload = match entry.kind {
            kind if kind == EntryKind::Kernel as u32 => kernel.get(..usize::try_from(entry.bytes)?),
            _ => parsed.payload(&entry),
        };
        let digest: Option<[u8; 32]> = payload.map(|bytes| Sha256::digest(bytes).into());
        ensure!(
            digest == Some(entry.sha256),
            "entry `{}` has a wrong SHA-256",
            entry.name()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
