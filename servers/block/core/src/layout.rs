//! Where rings and data lie in the memory of an attachment.

use gritos_block_api::{BlockLayout, Geometry, MAX_DATA_BYTES, MAX_DEPTH};
use gritos_ring::ring_bytes;

use crate::{COMPLETION_BYTES, REQUEST_BYTES};

const PAGE_BYTES: u32 = 4096;
/// Largest block that a client accepts, in bytes.
pub const BLOCK_BYTES_LIMIT: u32 = 4096;

/// The layout for rings of `depth` entries and `data_bytes` of data: requests,
/// completions, data from the next page on. `None` if `attach` does not allow
/// these numbers.
#[must_use]
pub fn layout(depth: u32, data_bytes: u32) -> Option<BlockLayout> {
    if depth > MAX_DEPTH || data_bytes > MAX_DATA_BYTES {
        return None;
    }
    if data_bytes == 0 || !data_bytes.is_multiple_of(PAGE_BYTES) {
        return None;
    }
    let completions = u32::try_from(ring_bytes(depth, REQUEST_BYTES)?).ok()?;
    let end = completions + u32::try_from(ring_bytes(depth, COMPLETION_BYTES)?).ok()?;
    Some(BlockLayout {
        requests: 0,
        completions,
        data: end.next_multiple_of(PAGE_BYTES),
        data_bytes,
    })
}

/// Bytes of memory that a layout needs.
#[must_use]
pub const fn memory_bytes(layout: &BlockLayout) -> u64 {
    layout.data as u64 + layout.data_bytes as u64
}

/// Whether a client can work with this geometry.
#[must_use]
pub const fn geometry_is_sound(geometry: &Geometry) -> bool {
    let bytes = geometry.block_bytes;
    bytes >= 512
        && bytes <= BLOCK_BYTES_LIMIT
        && bytes.is_power_of_two()
        && geometry.request_blocks > 0
        && geometry.blocks.checked_mul(bytes as u64).is_some()
}

#[cfg(test)]
mod tests {
    use super::{layout, memory_bytes};

    #[test]
    fn parts_follow_each_other_without_overlap() {
        for depth in [1, 2, 16, 256] {
            let layout = layout(depth, 8192).unwrap();
            assert!(layout.requests + 128 + depth * 24 <= layout.completions);
            assert!(layout.completions + 128 + depth * 8 <= layout.data);
            assert_eq!(layout.data % 4096, 0);
            assert_eq!(memory_bytes(&layout), u64::from(layout.data) + 8192);
        }
    }

    #[test]
    fn what_attach_forbids_has_no_layout() {
        for (depth, data) in [
            (0, 4096),
            (3, 4096),
            (512, 4096),
            (4, 0),
            (4, 100),
            (4, 17 << 20),
        ] {
            assert_eq!(layout(depth, data), None, "{depth} {data}");
        }
    }
}
