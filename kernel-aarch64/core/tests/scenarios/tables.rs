//! Translation tables as the processor reads them.

use gritos_kernel_core::handle::SpaceRef;
use gritos_kernel_core::host::{HostKernel, Object};

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
