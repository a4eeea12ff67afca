//! ELF files of the target, reduced to what gets loaded.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use gritos_abi::Rights;
use object::elf::{
    EM_AARCH64, ET_EXEC, FileHeader64, PF_R, PF_W, PF_X, PT_DYNAMIC, PT_INTERP, PT_LOAD,
    ProgramFlags,
};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSymbol};

/// A part of a program, as its program header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) address: u64,
    /// What the file holds of it.
    pub(crate) bytes: Vec<u8>,
    /// Size in memory; what the file does not hold is zero.
    pub(crate) memory_bytes: u64,
    pub(crate) rights: Rights,
}

impl Load {
    /// One past the last byte in memory.
    pub(crate) fn end(&self) -> u64 {
        self.address + self.memory_bytes
    }
}

/// A statically linked program.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) entry: u64,
    /// By ascending address; they do not overlap.
    pub(crate) loads: Vec<Load>,
    /// Value of the symbol `__kernel_end`, if there is one.
    pub(crate) kernel_end: Option<u64>,
}

/// Reads the program in `path`.
pub(crate) fn read(path: &Path) -> Result<Program> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&bytes).with_context(|| format!("{} cannot be made part of an image", path.display()))
}

fn parse(bytes: &[u8]) -> Result<Program> {
    let file = ElfFile64::<Endianness>::parse(bytes).context("not a 64-bit ELF file")?;
    let endian = file.endian();
    let header: &FileHeader64<Endianness> = file.elf_header();
    ensure!(
        header.e_machine(endian) == EM_AARCH64,
        "it is not for AArch64"
    );
    ensure!(
        header.e_type(endian) == ET_EXEC,
        "it is not linked at fixed addresses; the linker needs `-no-pie`"
    );
    let mut loads = Vec::new();
    for segment in file.elf_program_headers() {
        match segment.p_type(endian) {
            PT_LOAD if segment.p_memsz(endian) > 0 => {}
            PT_DYNAMIC | PT_INTERP => bail!("it is linked dynamically; there is no dynamic linker"),
            _ => continue,
        }
        let data = segment
            .data(endian, bytes)
            .ok()
            .context("a segment reaches beyond the end of the file")?;
        let (address, memory_bytes) = (segment.p_vaddr(endian), segment.p_memsz(endian));
        ensure!(
            data.len() as u64 <= memory_bytes && address.checked_add(memory_bytes).is_some(),
            "the segment at {address:#x} has impossible sizes"
        );
        let rights = rights(segment.p_flags(endian));
        ensure!(
            !rights.contains(Rights::WRITE | Rights::EXECUTE),
            "the segment at {address:#x} is writable and executable"
        );
        loads.push(Load {
            address,
            bytes: data.to_vec(),
            memory_bytes,
            rights,
        });
    }
    ensure!(!loads.is_empty(), "it has nothing to load");
    loads.sort_by_key(|load| load.address);
    for pair in loads.windows(2) {
        let [low, high] = pair else { continue };
        ensure!(
            low.end() <= high.address,
            "the segments at {:#x} and {:#x} overlap",
            low.address,
            high.address
        );
    }
    let entry = header.e_entry(endian);
    ensure!(
        loads
            .iter()
            .any(|load| load.rights.contains(Rights::EXECUTE)
                && (load.address..load.end()).contains(&entry)),
        "its entry point {entry:#x} is not in an executable segment"
    );
    let kernel_end = file
        .symbols()
        .find(|symbol| symbol.name() == Ok("__kernel_end"))
        .map(|s| s.address());
    Ok(Program {
        entry,
        loads,
        kernel_end,
    })
}

fn rights(flags: ProgramFlags) -> Rights {
    [
        (PF_R, Rights::READ),
        (PF_W, Rights::WRITE),
        (PF_X, Rights::EXECUTE),
    ]
    .into_iter()
    .filter(|&(flag, _)| flags.contains(flag))
    .fold(Rights::empty(), |all, (_, right)| all | right)
}

#[cfg(test)]
pub(crate) mod tests;
