//! Address spaces and memory, and translation tables as the processor reads them.

use gritos_kernel_core::handle::SpaceRef;
use gritos_kernel_core::host::{HostKernel, Object};

use crate::common::*;

pub(crate) const UNTYPED: u32 = slot::UNTYPED_FIRST as u32;
pub(crate) const DEVICE: u32 = UNTYPED + 1;
pub(crate) const ROOT: u32 = slot::CNODE as u32;
pub(crate) const PAGE: u64 = 4096;
pub(crate) const LARGE: u64 = 2 << 20;
/// One past the user addresses.
pub(crate) const TOP: u64 = 1 << 39;
pub(crate) const R: u64 = 1;
pub(crate) const RW: u64 = 3;
pub(crate) const RX: u64 = 5;

pub(crate) fn map(cap: u32, space: u32, words: [u64; 4]) -> Ask {
    Ask::invoke(cap, method::MemoryObject::Map as u64)
        .words(&words)
        .cap(space, 0, 0)
}

pub(crate) fn on(cap: u32, method: method::MemoryObject, word: u64) -> Ask {
    Ask::invoke(cap, method as u64).words(&[word])
}

pub(crate) fn unmap(cap: u32) -> Ask {
    on(cap, method::MemoryObject::Unmap, 0)
}

pub(crate) fn retype(from: u32, words: [u64; 6]) -> Ask {
    Ask::invoke(from, method::Untyped::Retype as u64)
        .words(&words)
        .cap(ROOT, 0, 0)
}

/// Gives an address space its ASID.
pub(crate) fn assign(space: u32) -> Ask {
    Ask::invoke(
        slot::ASID_CONTROL.into(),
        method::AsidControl::Assign as u64,
    )
    .cap(space, 0, 0)
}

/// An address space with an ASID and memory for 32 tables.
pub(crate) fn make_space(w: &mut World) -> (u32, SpaceRef) {
    let space = w.make(ObjectType::AddressSpace, 0, 1);
    let root = w.root;
    w.succeed(root, &assign(space));
    let tables = w.make(ObjectType::Untyped, 32 * PAGE, 1);
    let donate = Ask::invoke(space, method::AddressSpace::Donate as u64);
    w.succeed(root, &donate.cap(tables, 0, 0));
    (space, space_ref(w, space))
}

fn space_ref(w: &World, cap: u32) -> SpaceRef {
    SpaceRef::from_raw(w.root_cap(cap).object.get()).unwrap()
}

/// Memory of a type, and its physical address.
pub(crate) fn make_memory(w: &mut World, bytes: u64, memory_type: u64) -> (u32, u64) {
    let (root, to) = (w.root, w.free_slots(1));
    let from = if memory_type == 2 { DEVICE } else { UNTYPED };
    let m = ObjectType::MemoryObject as u64;
    w.succeed(
        root,
        &retype(from, [m, bytes, 1, to.into(), 0, memory_type]),
    );
    (to, u64::from(w.root_cap(to).object.get()) << 4)
}

pub(crate) fn info(space: u32) -> Ask {
    Ask::invoke(space, method::AddressSpace::Info as u64)
}

/// The descriptor that translates page number `page` in `space`: of a page, or of the 2 MiB block around it.
pub(crate) fn leaf(kernel: &HostKernel, space: SpaceRef, page: u64) -> Option<u64> {
    let mut table = space.root()?.raw();
    for level in 1..=3 {
        let Some(Object::Table(entries)) = kernel.store.get(table) else {
            panic!("no table at handle {table:#x}");
        };
        let index = page >> (9 * (3 - level)) & 511;
        let entry = entries.0[index as usize].get();
        match (entry & 3, level) {
            (0, _) => return None,
            (3, 1 | 2) => table = ((entry & 0xffff_ffff_f000) >> 4) as u32,
            (1, 2) | (3, 3) => return Some(entry),
            _ => panic!("entry {entry:#x} at level {level}"),
        }
    }
    None
}
