//! What a virtio block device reads and writes besides data (virtio 1.2, 5.2 "Block Device").

use gritos_block_api::{BlockFeatures, BlockStatus, Geometry};

use crate::Operation;

/// The device refuses writes (`VIRTIO_BLK_F_RO`).
pub const FEATURE_READ_ONLY: u64 = 1 << 5;
/// The device says how large its blocks are (`VIRTIO_BLK_F_BLK_SIZE`).
pub const FEATURE_BLOCK_SIZE: u64 = 1 << 6;
/// The device can be told to flush (`VIRTIO_BLK_F_FLUSH`).
pub const FEATURE_FLUSH: u64 = 1 << 9;

/// Where in the configuration space the number of sectors is, 64 bits.
pub const CONFIG_CAPACITY: usize = 0;
/// Where the size of a block is, 32 bits.
pub const CONFIG_BLOCK_SIZE: usize = 20;

/// Bytes of the header before the data of a request.
pub const HEADER_BYTES: usize = 16;
/// What the byte behind the data is until the device has written it: no status.
pub const NO_STATUS: u8 = 0xff;

/// The unit of a device's addresses, whatever its blocks are.
const SECTOR_BYTES: u32 = 512;

/// The header of a request on blocks of `block_bytes`.
#[must_use]
pub fn header(operation: Operation, block: u64, block_bytes: u32) -> [u8; HEADER_BYTES] {
    let kind: u32 = match operation {
        Operation::Read => 0,
        Operation::Write => 1,
        Operation::Flush => 4,
    };
    let sector = block.saturating_mul(u64::from(block_bytes / SECTOR_BYTES));
    let mut bytes = [0; HEADER_BYTES];
    bytes[..4].copy_from_slice(&kind.to_le_bytes());
    bytes[8..].copy_from_slice(&sector.to_le_bytes());
    bytes
}

/// What a status byte means. One that the device did not write, or that nobody knows, is an error.
#[must_use]
pub const fn status(byte: u8) -> BlockStatus {
    match byte {
        0 => BlockStatus::Ok,
        2 => BlockStatus::Unsupported,
        _ => BlockStatus::IoError,
    }
}

/// The geometry of a device with these features, so many sectors, and blocks of `block_size` bytes if it
/// said so. A size that no client can work with is taken for 512, in which any device is addressed.
#[must_use]
pub fn geometry(features: u64, sectors: u64, block_size: u32) -> Geometry {
    let offered = features & FEATURE_BLOCK_SIZE != 0;
    let usable = block_size.is_power_of_two()
        && (SECTOR_BYTES..=crate::BLOCK_BYTES_LIMIT).contains(&block_size);
    let block_bytes = if offered && usable {
        block_size
    } else {
        SECTOR_BYTES
    };
    let mut found = BlockFeatures::empty();
    found.set(BlockFeatures::READ_ONLY, features & FEATURE_READ_ONLY != 0);
    found.set(BlockFeatures::FLUSH, features & FEATURE_FLUSH != 0);
    Geometry {
        blocks: sectors / u64::from(block_bytes / SECTOR_BYTES),
        block_bytes,
        request_blocks: gritos_block_api::MAX_DATA_BYTES / block_bytes,
        features: found,
    }
}

#[cfg(test)]
mod tests {
    use super::{FEATURE_BLOCK_SIZE, FEATURE_FLUSH, FEATURE_READ_ONLY, geometry, header, status};
    use crate::Operation;
    use gritos_block_api::{BlockFeatures, BlockStatus};

    #[test]
    fn headers_count_in_sectors() {
        let bytes = header(Operation::Write, 0x0102, 4096);
        assert_eq!(bytes[..8], [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[8..], (0x0102_u64 * 8).to_le_bytes());
        assert_eq!(header(Operation::Flush, 0, 512)[0], 4);
        assert_eq!(header(Operation::Read, 5, 512)[8], 5);
    }

    #[test]
    fn only_what_the_device_wrote_is_success() {
        assert_eq!(status(0), BlockStatus::Ok);
        assert_eq!(status(2), BlockStatus::Unsupported);
        for byte in [1, 3, super::NO_STATUS] {
            assert_eq!(status(byte), BlockStatus::IoError);
        }
    }

    #[test]
    fn geometry_is_what_the_device_offers_and_clients_accept() {
        let disk = geometry(FEATURE_FLUSH | FEATURE_BLOCK_SIZE, 80, 4096);
        assert_eq!((disk.blocks, disk.block_bytes), (10, 4096));
        assert_eq!(disk.features, BlockFeatures::FLUSH);
        for odd in [0, 100, 3000, 65536] {
            let disk = geometry(FEATURE_READ_ONLY | FEATURE_BLOCK_SIZE, 80, odd);
            assert_eq!((disk.blocks, disk.block_bytes), (80, 512));
            assert_eq!(disk.features, BlockFeatures::READ_ONLY);
            assert!(crate::geometry_is_sound(&disk));
        }
        assert_eq!(geometry(0, 80, 4096).block_bytes, 512, "it did not say so");
    }
}
