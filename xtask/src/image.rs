//! The boot image: kernel and programs in one flat file, as `gritos_abi::boot_image` lays it out.
//!
//! The same contents give the same bytes: nothing here looks at a clock, a path or an environment.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use gritos_abi::boot_image::{
    BootImage, ENTRY_BYTES, ENTRY_LIMIT, Entry, EntryKind, HEADER_BYTES, HEADER_CRC_OFFSET, Header,
    PAGE, SEGMENT_LIMIT, Segment, crc32c,
};
use sha2::{Digest, Sha256};

use crate::elf;
use crate::system::Compiled;

mod program;

use program::{FlatKernel, Mapped};

/// Offset of `image_size` in the arm64 Image header (Linux `Documentation/arch/arm64/booting.rst`,
/// "Call the kernel image").
const IMAGE_SIZE_OFFSET: usize = 16;

/// What goes into an image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    /// `gritos_abi::boot_image::FLAG_*`.
    pub(crate) flags: u32,
    /// The table of what runs.
    pub(crate) system: Option<Vec<u8>>,
    /// Programs for the root task to start.
    pub(crate) components: Vec<ComponentFile>,
    /// Files, by name.
    pub(crate) data: Vec<(String, Vec<u8>)>,
}

impl Contents {
    /// Adds a system: its table, and its programs, each built with `build`.
    pub(crate) fn add_system(
        &mut self,
        system: Compiled,
        build: &dyn Fn(&str) -> Result<PathBuf>,
    ) -> Result<()> {
        self.system = Some(system.table);
        for binary in system.binaries {
            self.components.push(ComponentFile {
                path: build(&binary.package)?,
                name: binary.name,
                stack_bytes: binary.stack_bytes,
            });
        }
        Ok(())
    }
}

/// A program for the root task to start.
#[derive(Clone, Debug)]
pub(crate) struct ComponentFile {
    /// Name of its entry.
    pub(crate) name: String,
    /// Its ELF file.
    pub(crate) path: PathBuf,
    /// Bytes of stack that it wants.
    pub(crate) stack_bytes: u64,
}

/// Puts the kernel and the root task of these ELF files into an image with `contents`.
pub(crate) fn assemble(kernel: &Path, root: Option<&Path>, contents: &Contents) -> Result<Vec<u8>> {
    let kernel = program::flatten(&elf::read(kernel)?)
        .with_context(|| format!("{} is no kernel", kernel.display()))?;
    let mut programs = Vec::new();
    if let Some(path) = root {
        let root = program::root_task(&elf::read(path)?)
            .with_context(|| format!("{} is no root task", path.display()))?;
        programs.push(("root", EntryKind::Root, root));
    }
    for file in &contents.components {
        let component = program::component(&elf::read(&file.path)?, file.stack_bytes)
            .with_context(|| format!("{} is no component", file.path.display()))?;
        programs.push((&file.name, EntryKind::Component, component));
    }
    let image = build(kernel, &programs, contents)?;
    verify(&image)?;
    Ok(image.bytes)
}

/// The program of this ELF file as a board's firmware loads it, without a boot image: the first stage.
pub(crate) fn flat(path: &Path) -> Result<Vec<u8>> {
    let program = program::flatten(&elf::read(path)?)
        .with_context(|| format!("{} is no program for a board", path.display()))?;
    Ok(program.bytes)
}

/// An image and where its boot image begins.
struct Image {
    bytes: Vec<u8>,
    boot_image: usize,
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

/// Adds a program with the segments that it is mapped as.
fn program_entry(
    builder: &mut Builder,
    name: &str,
    kind: EntryKind,
    program: &Mapped,
) -> Result<Entry> {
    let mut segments = [Segment::default(); SEGMENT_LIMIT];
    let start = builder.end();
    for (segment, load) in segments.iter_mut().zip(&program.loads) {
        *segment = Segment {
            address: load.address,
            offset: builder.append(&load.bytes),
            file_bytes: load.bytes.len() as u64,
            memory_bytes: load.memory_bytes,
            rights: load.rights.bits(),
        };
    }
    Ok(Entry {
        entry_point: program.entry_point,
        stack: program.stack,
        segment_count: u32::try_from(program.loads.len())?,
        segments,
        ..builder.entry(name, kind, start, builder.end() - start)?
    })
}

/// Puts everything behind the kernel; `programs` with the names and kinds of their entries.
fn build(
    mut kernel: FlatKernel,
    programs: &[(&str, EntryKind, Mapped)],
    contents: &Contents,
) -> Result<Image> {
    let system = contents.system.iter();
    let files: Vec<_> = system
        .map(|table| (gritos_system::ENTRY_NAME, EntryKind::System, table))
        .chain(
            contents
                .data
                .iter()
                .map(|(name, bytes)| (name.as_str(), EntryKind::Data, bytes)),
        )
        .collect();
    let mut builder = Builder::new(1 + programs.len() + files.len())?;
    let mut rest = Vec::new();
    for (name, kind, program) in programs {
        rest.push(program_entry(&mut builder, name, *kind, program)?);
    }
    for (name, kind, bytes) in files {
        let offset = builder.append(bytes);
        rest.push(builder.entry(name, kind, offset, bytes.len() as u64)?);
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
