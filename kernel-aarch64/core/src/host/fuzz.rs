//! What fuzzers drive: byte strings into everything that reads what nobody
//! trusts.
//!
//! Each function takes any bytes and panics only if the code under test breaks
//! a promise. The fuzz targets in `core/fuzz`, the replay of their corpora and
//! the random campaign all call these, so that whatever one of them finds can
//! be replayed by the others.

use gritos_abi::boot_image::{BootImage, EntryKind, HEADER_CRC_OFFSET, ImageError, crc32c};

use crate::dtb::{self, Gic, PlatformInfo};
use crate::memory_map::Region;

mod bytes;
mod calls;
mod choose;
mod event;

pub use bytes::Random;
pub use calls::{Tally, furnished_kernel, system_calls, system_calls_followed};
pub use event::Event;

/// Reads a device tree; what was found must be usable.
///
/// # Panics
/// If a tree is accepted that the kernel cannot use.
pub fn device_tree(blob: &[u8]) {
    let size = dtb::total_size(blob);
    let Ok(info) = PlatformInfo::from_device_tree(blob) else {
        return;
    };
    assert!(
        size.is_ok_and(|s| s <= blob.len()),
        "a tree beyond its blob"
    );
    for set in [info.ram.as_slice(), info.reserved.as_slice()] {
        assert!(set.iter().all(|region| region.start < region.end));
        let apart = |pair: &[Region]| pair.first().map(|r| r.end) < pair.last().map(|r| r.start);
        assert!(set.windows(2).all(apart), "regions touch: {set:x?}");
    }
    assert!(!info.ram.as_slice().is_empty(), "no RAM");
    let registers = match info.gic {
        Gic::V2 { distributor, cpu } => [distributor, cpu],
        Gic::V3 {
            distributor,
            redistributors,
        } => [distributor, redistributors],
    };
    let all = registers
        .into_iter()
        .chain([info.uart.registers])
        .chain(info.bcm_pm);
    for region in all {
        assert!(!region.is_empty(), "a device without registers: {info:x?}");
    }
    assert!(info.seed.as_slice().len() <= 64);
}

/// Reads a boot image, once with its CRC checked and once as if it were right.
///
/// # Panics
/// If a checked image has an entry that reaches outside it.
pub fn boot_image(bytes: &[u8]) {
    check_image(bytes, crc32c);
    let found = bytes
        .get(HEADER_CRC_OFFSET..)
        .and_then(|rest| rest.first_chunk());
    let found = found.map_or(0, |crc| u32::from_le_bytes(*crc));
    check_image(bytes, |_, _| found);
}

fn check_image(bytes: &[u8], crc: impl Fn(u32, &[u8]) -> u32) {
    let Ok(image) = BootImage::parse(bytes, &crc) else {
        return;
    };
    let header = image.header();
    assert!(
        header.total_bytes <= bytes.len() as u64,
        "longer than its bytes"
    );
    assert_eq!(image.entries().count(), header.entry_count as usize);
    for (index, entry) in (0..).zip(image.entries()) {
        let kernel = entry.kind == EntryKind::Kernel as u32;
        let payload = image.payload(&entry);
        assert!(
            kernel || payload.is_some(),
            "entry {index} reaches outside the image"
        );
        assert_eq!(entry.segments().len(), entry.segment_count as usize);
        for segment in entry.segments() {
            let end = segment.offset.checked_add(segment.file_bytes);
            assert!(
                end.is_some_and(|end| end <= header.total_bytes),
                "{segment:x?}"
            );
            let end = segment.address.checked_add(segment.memory_bytes);
            assert!(end.is_some_and(|end| end <= 1 << 39), "{segment:x?}");
        }
        assert!(entry.name().len() <= entry.name.len());
        match image.verify(index, bytes, &crc) {
            Ok(()) | Err(ImageError::EntryCrc(_)) => {}
            Err(ImageError::EntryRange(_)) => assert!(kernel, "entry {index} was checked"),
            Err(other) => panic!("verify says {other:?}"),
        }
    }
    assert_eq!(image.entry(header.entry_count), None);
}
