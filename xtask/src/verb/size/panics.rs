//! Calls in the kernel's binary that lead to a panic.
//!
//! Their number is a ratchet towards zero: each is a claim that something cannot happen, and an
//! optimiser that sees the proof removes the call.

use std::path::Path;

use anyhow::{Context, Result};
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

/// A call that does not return.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Site {
    pub(crate) function: String,
    pub(crate) panics_in: String,
}

/// Paths of the functions through which the standard library panics.
const PANICKING: [&str; 8] = [
    "core::panicking::",
    "core::option::unwrap_failed",
    "core::option::expect_failed",
    "core::result::unwrap_failed",
    "core::slice::index::slice_",
    "core::slice::copy_from_slice_impl::len_mismatch_fail",
    "core::str::slice_error_fail",
    "core::cell::panic_",
];

/// A function of the binary.
struct Function {
    start: u64,
    end: u64,
    name: String,
}

impl Function {
    fn panics(&self) -> bool {
        PANICKING.iter().any(|path| self.name.starts_with(path))
    }
}

/// Finds every branch into a panicking function from one that is not.
pub(crate) fn sites(kernel: &Path) -> Result<Vec<Site>> {
    let bytes = std::fs::read(kernel)?;
    let file = ElfFile64::<Endianness>::parse(bytes.as_slice()).context("the kernel is ELF")?;
    let mut functions: Vec<Function> = file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0)
        .map(|symbol| Function {
            start: symbol.address(),
            end: symbol.address() + symbol.size(),
            name: format!(
                "{:#}",
                rustc_demangle::demangle(symbol.name().unwrap_or("?"))
            ),
        })
        .collect();
    functions.sort_by_key(|function| function.start);
    let at = |address: u64| {
        let index = functions
            .partition_point(|f| f.start <= address)
            .checked_sub(1)?;
        functions.get(index).filter(|f| address < f.end)
    };
    let mut sites = Vec::new();
    for section in file
        .sections()
        .filter(|section| section.kind() == SectionKind::Text)
    {
        let (base, data) = (section.address(), section.data()?);
        for (index, word) in (0_u64..).zip(data.as_chunks::<4>().0) {
            let address = base + 4 * index;
            let Some(target) = branch_target(u32::from_le_bytes(*word), address) else {
                continue;
            };
            if let (Some(from), Some(to)) = (at(address), at(target))
                && to.panics()
                && !from.panics()
            {
                sites.push(Site {
                    function: from.name.clone(),
                    panics_in: to.name.clone(),
                });
            }
        }
    }
    sites.sort();
    Ok(sites)
}

/// Where an unconditional immediate branch (B, BL) at `address` goes; `None` for any other word.
/// Arm ARM, "B" and "BL": bits 30:26 are 0b00101, the offset is imm26 words.
fn branch_target(word: u32, address: u64) -> Option<u64> {
    if word & 0x7c00_0000 != 0x1400_0000 {
        return None;
    }
    let offset = i64::from((word << 6).cast_signed() >> 6) * 4;
    Some(address.wrapping_add_signed(offset))
}

#[cfg(test)]
mod tests {
    use super::branch_target;

    #[test]
    fn branches_are_told_from_other_instructions() {
        assert_eq!(branch_target(0x9400_0001, 0x1000), Some(0x1004)); // bl .+4
        assert_eq!(branch_target(0x17ff_ffff, 0x1000), Some(0xffc)); // b .-4
        assert_eq!(branch_target(0xd65f_03c0, 0x1000), None); // ret
        assert_eq!(branch_target(0x5400_0040, 0x1000), None); // b.eq
    }
}
