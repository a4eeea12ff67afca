//! Programs as they lie in an image: whole pages that need no loader.

use anyhow::{Context, Result, ensure};
use gritos_abi::Rights;
use gritos_abi::boot_image::{PAGE, SEGMENT_LIMIT};

use crate::elf::{Load, Program};

/// Pages of the root task's stack.
const ROOT_STACK_PAGES: u64 = 24;

/// One past the highest address of a program.
const USER_END: u64 = 1 << 39;

/// Where the magic number of the arm64 Image header is.
const IMAGE_MAGIC_OFFSET: usize = 56;
const IMAGE_MAGIC: &[u8] = b"ARM\x64";

/// The kernel as it lies in memory.
pub(super) struct FlatKernel {
    pub(super) bytes: Vec<u8>,
    /// Length of the part that nothing writes: text and read-only data.
    pub(super) constant_bytes: usize,
}

pub(super) fn flatten(program: &Program) -> Result<FlatKernel> {
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

/// A program as it is mapped.
pub(super) struct Mapped {
    pub(super) entry_point: u64,
    /// The root task: where its stack begins. Others: bytes of stack wanted.
    pub(super) stack: u64,
    /// Segments, each whole pages in memory.
    pub(super) loads: Vec<Load>,
}

/// The root task: it is used in place, so its zeros are in the image, and its stack above an
/// unmapped page as well.
pub(super) fn root_task(program: &Program) -> Result<Mapped> {
    let mut loads = whole_pages(program)?;
    for load in &mut loads {
        load.bytes.resize(usize::try_from(load.memory_bytes)?, 0);
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
    mapped(program.entry, stack_top, loads)
}

/// A component: what is zero stays out of the image.
pub(super) fn component(program: &Program, stack_bytes: u64) -> Result<Mapped> {
    mapped(program.entry, stack_bytes, whole_pages(program)?)
}

fn mapped(entry_point: u64, stack: u64, loads: Vec<Load>) -> Result<Mapped> {
    ensure!(
        loads.iter().all(|load| load.end() < USER_END),
        "it lies outside the addresses of user space (39 bits)"
    );
    ensure!(
        loads.len() <= SEGMENT_LIMIT,
        "it has {} segments, the root task's stack included, and an entry takes {SEGMENT_LIMIT}",
        loads.len()
    );
    Ok(Mapped {
        entry_point,
        stack,
        loads,
    })
}

/// Segments that begin with a page and are whole pages in memory. Neighbours with the same rights
/// become one.
fn whole_pages(program: &Program) -> Result<Vec<Load>> {
    let mut loads: Vec<Load> = Vec::new();
    for load in &program.loads {
        let start = load.address & !(PAGE - 1);
        let end = load.end().next_multiple_of(PAGE);
        let mut bytes = vec![0; usize::try_from(load.address - start)?];
        bytes.extend(&load.bytes);
        match loads.last_mut() {
            Some(last) if start < last.end() => anyhow::bail!(
                "segments share the page at {start:#x}; the linker script must align each to 4 KiB"
            ),
            Some(last) if start == last.end() && last.rights == load.rights => {
                last.bytes.resize(usize::try_from(last.memory_bytes)?, 0);
                last.bytes.extend(&bytes);
                last.memory_bytes += end - start;
            }
            _ => loads.push(Load {
                address: start,
                memory_bytes: end - start,
                bytes,
                rights: load.rights,
            }),
        }
    }
    Ok(loads)
}
