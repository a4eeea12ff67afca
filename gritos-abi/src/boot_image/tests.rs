//! Whole images, then damaged ones.

use super::{
    BootImage, ENTRY_BYTES, Entry, EntryKind, HEADER_BYTES, HEADER_CRC_OFFSET, Header, ImageError,
    PAGE, Segment, crc32c,
};
use std::vec::Vec;

fn image() -> Vec<u8> {
    let payload = [0x5a; 4096];
    let mut entry = Entry {
        name: [0; 32],
        kind: EntryKind::Root as u32,
        crc32c: crc32c(0, &payload),
        offset: PAGE,
        bytes: PAGE,
        sha256: [7; 32],
        entry_point: 0x20_0000,
        stack: 0x40_0000,
        segment_count: 1,
        flags: 0,
        segments: [Segment::default(); 4],
    };
    entry.name[..4].copy_from_slice(b"root");
    entry.segments[0] = Segment {
        address: 0x20_0000,
        offset: PAGE,
        file_bytes: PAGE,
        memory_bytes: PAGE,
        rights: 5,
    };
    let mut header = Header {
        total_bytes: 2 * PAGE,
        entry_count: 1,
        flags: 1,
        crc32c: 0,
    };
    let mut table = header.to_bytes().to_vec();
    table.extend(entry.to_bytes());
    header.crc32c = crc32c(0, &table);
    let mut out = header.to_bytes().to_vec();
    out.extend(entry.to_bytes());
    out.resize(PAGE as usize, 0);
    out.extend(payload);
    out
}

fn reseal(bytes: &mut [u8]) {
    bytes[HEADER_CRC_OFFSET..HEADER_CRC_OFFSET + 4].fill(0);
    let crc = crc32c(0, &bytes[..HEADER_BYTES + ENTRY_BYTES]);
    bytes[HEADER_CRC_OFFSET..HEADER_CRC_OFFSET + 4].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn crc_matches_the_vector_of_rfc_3720() {
    assert_eq!(crc32c(0, &[0; 32]), 0x8a91_36aa);
    assert_eq!(crc32c(0, b"123456789"), 0xe306_9283);
    assert_eq!(crc32c(crc32c(0, b"1234"), b"56789"), 0xe306_9283);
}

#[test]
fn a_written_image_reads_back() {
    let bytes = image();
    let image = BootImage::parse(&bytes, crc32c).unwrap();
    let entry = image.entry(0).unwrap();
    assert_eq!(
        (entry.name(), entry.segments().len(), entry.sha256),
        ("root", 1, [7; 32])
    );
    assert_eq!(image.verify(0, &[], crc32c), Ok(()));
    assert_eq!(image.payload(&entry).unwrap().len(), 4096);
    assert!(image.entry(1).is_none());
}

#[test]
fn every_flipped_byte_of_the_table_is_noticed() {
    let bytes = image();
    for at in 0..HEADER_BYTES + ENTRY_BYTES {
        let mut bad = bytes.clone();
        bad[at] ^= 0x40;
        assert!(BootImage::parse(&bad, crc32c).is_err(), "byte {at}");
    }
}

#[test]
fn a_damaged_payload_names_its_entry() {
    let mut bytes = image();
    bytes[5000] ^= 1;
    let image = BootImage::parse(&bytes, crc32c).unwrap();
    assert_eq!(image.verify(0, &[], crc32c), Err(ImageError::EntryCrc(0)));
}

#[test]
fn ranges_that_leave_the_image_are_refused_even_with_a_good_crc() {
    for (at, value) in [
        (40, 3 * PAGE),
        (40, 1),
        (48, u64::MAX),
        (112, 1),
        (112, !4095),
        (120, 2 * PAGE),
        (128, 2 * PAGE),
    ] {
        let mut bad = image();
        bad[HEADER_BYTES + at..HEADER_BYTES + at + 8].copy_from_slice(&value.to_le_bytes());
        reseal(&mut bad);
        let found = BootImage::parse(&bad, crc32c).err();
        assert_eq!(
            found,
            Some(ImageError::EntryRange(0)),
            "field {at} = {value:#x}"
        );
    }
}

#[test]
fn truncation_at_every_length_is_refused() {
    let bytes = image();
    for len in 0..bytes.len() {
        assert!(BootImage::parse(&bytes[..len], crc32c).is_err());
    }
}
