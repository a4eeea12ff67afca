//! What tools alone need: writing an image, and a checksum without the
//! processor's help.

use super::{ENTRY_BYTES, Entry, HEADER_BYTES, HEADER_CRC_OFFSET, Header, MAGIC, VERSION};

impl Header {
    /// The bytes of the header.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&self.entry_count.to_le_bytes());
        out[16..24].copy_from_slice(&self.total_bytes.to_le_bytes());
        out[24..28].copy_from_slice(&self.flags.to_le_bytes());
        out[HEADER_CRC_OFFSET..36].copy_from_slice(&self.crc32c.to_le_bytes());
        out
    }
}

impl Entry {
    /// The bytes of the entry.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ENTRY_BYTES] {
        let mut out = [0; ENTRY_BYTES];
        out[..32].copy_from_slice(&self.name);
        out[32..36].copy_from_slice(&self.kind.to_le_bytes());
        out[36..40].copy_from_slice(&self.crc32c.to_le_bytes());
        out[40..48].copy_from_slice(&self.offset.to_le_bytes());
        out[48..56].copy_from_slice(&self.bytes.to_le_bytes());
        out[56..88].copy_from_slice(&self.sha256);
        out[88..96].copy_from_slice(&self.entry_point.to_le_bytes());
        out[96..104].copy_from_slice(&self.stack.to_le_bytes());
        out[104..108].copy_from_slice(&self.segment_count.to_le_bytes());
        out[108..112].copy_from_slice(&self.flags.to_le_bytes());
        for (i, segment) in self.segments.iter().enumerate() {
            let at = 112 + 40 * i;
            out[at..at + 8].copy_from_slice(&segment.address.to_le_bytes());
            out[at + 8..at + 16].copy_from_slice(&segment.offset.to_le_bytes());
            out[at + 16..at + 24].copy_from_slice(&segment.file_bytes.to_le_bytes());
            out[at + 24..at + 32].copy_from_slice(&segment.memory_bytes.to_le_bytes());
            out[at + 32..at + 36].copy_from_slice(&segment.rights.to_le_bytes());
        }
        out
    }
}

/// CRC-32C (Castagnoli) of `bytes`, continued from `crc` (0 to begin), a bit at
/// a time: for hosts and for checking faster ones. RFC 3720, appendix B.4.
#[must_use]
pub fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(!crc, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    }) ^ u32::MAX
}
