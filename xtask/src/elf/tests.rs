use gritos_abi::Rights;

use super::{Program, parse};

/// A segment of a made-up ELF file: address, bytes, size in memory, flags (1 X, 2 W, 4 R).
pub(crate) type Part<'a> = (u64, &'a [u8], u64, u32);

/// A made-up ELF file; `kernel_end` becomes the symbol `__kernel_end`.
pub(crate) fn elf(entry: u64, parts: &[Part<'_>], kernel_end: Option<u64>) -> Vec<u8> {
    const HEADER: usize = 64;
    const PROGRAM_HEADER: usize = 56;
    let data_at = HEADER + PROGRAM_HEADER * parts.len();
    let (mut headers, mut data) = (Vec::<u8>::new(), Vec::<u8>::new());
    for &(address, bytes, memory, flags) in parts {
        let offset = (data_at + data.len()) as u64;
        headers.extend(1_u32.to_le_bytes());
        headers.extend(flags.to_le_bytes());
        for value in [offset, address, address, bytes.len() as u64, memory, 1] {
            headers.extend(value.to_le_bytes());
        }
        data.extend(bytes);
    }
    let names = b"\0__kernel_end\0";
    let mut symbols = vec![0; 24];
    if let Some(value) = kernel_end {
        symbols.extend(1_u32.to_le_bytes()); // name
        symbols.extend([0x10, 0]); // global, no type
        symbols.extend(0xfff1_u16.to_le_bytes()); // absolute
        symbols.extend(value.to_le_bytes());
        symbols.extend(0_u64.to_le_bytes());
    }
    let symbols_at = (data_at + data.len()) as u64;
    let names_at = symbols_at + symbols.len() as u64;
    let sections_at = names_at + names.len() as u64;

    let mut out = b"\x7fELF\x02\x01\x01".to_vec();
    out.resize(16, 0);
    out.extend(2_u16.to_le_bytes()); // ET_EXEC
    out.extend(183_u16.to_le_bytes()); // EM_AARCH64
    out.extend(1_u32.to_le_bytes());
    for value in [entry, HEADER as u64, sections_at] {
        out.extend(value.to_le_bytes());
    }
    out.extend(0_u32.to_le_bytes());
    for value in [HEADER, PROGRAM_HEADER, parts.len(), 64, 3, 2] {
        out.extend((value as u16).to_le_bytes());
    }
    out.extend(headers);
    out.extend(data);
    out.extend(&symbols);
    out.extend(names);
    out.extend([0; 64]);
    // Symbol table (type 2, 24 bytes each, names in section 2), then string table (type 3).
    for (kind, offset, size, link, info, each) in [
        (
            2_u32,
            symbols_at,
            symbols.len() as u64,
            2_u32,
            1_u32,
            24_u64,
        ),
        (3, names_at, names.len() as u64, 0, 0, 0),
    ] {
        out.extend(0_u32.to_le_bytes());
        out.extend(kind.to_le_bytes());
        for value in [0, 0, offset, size] {
            out.extend(u64::to_le_bytes(value));
        }
        out.extend(link.to_le_bytes());
        out.extend(info.to_le_bytes());
        out.extend(1_u64.to_le_bytes());
        out.extend(each.to_le_bytes());
    }
    out
}

fn refusal(bytes: &[u8]) -> String {
    parse(bytes)
        .expect_err("such a file must be refused")
        .to_string()
}

#[test]
fn segments_come_in_the_order_of_their_addresses_with_their_rights() {
    let file = elf(
        0x2000,
        &[(0x3000, b"data", 8, 6), (0x2000, b"code", 4, 5)],
        Some(0x4000),
    );
    let Program {
        entry,
        loads,
        kernel_end,
    } = parse(&file).expect("a good file");
    assert_eq!((entry, kernel_end), (0x2000, Some(0x4000)));
    assert_eq!(loads.len(), 2);
    assert_eq!(
        (loads[0].address, loads[0].rights),
        (0x2000, Rights::READ | Rights::EXECUTE)
    );
    assert_eq!(
        (loads[1].bytes.as_slice(), loads[1].memory_bytes),
        (&b"data"[..], 8)
    );
}

#[test]
fn what_cannot_be_loaded_is_refused_with_the_reason() {
    assert!(refusal(b"no such thing").contains("ELF"));
    assert!(refusal(&elf(0, &[], None)).contains("nothing to load"));
    assert!(refusal(&elf(0, &[(0, b"x", 1, 7)], None)).contains("writable and executable"));
    let overlap = elf(0, &[(0, b"abcd", 4, 5), (2, b"x", 1, 4)], None);
    assert!(refusal(&overlap).contains("overlap"));
    assert!(refusal(&elf(9, &[(0, b"abcd", 4, 5)], None)).contains("entry point"));
    let mut other_machine = elf(0, &[(0, b"x", 1, 5)], None);
    other_machine[18] = 62;
    assert!(refusal(&other_machine).contains("AArch64"));
    let mut movable = elf(0, &[(0, b"x", 1, 5)], None);
    movable[16] = 3;
    assert!(refusal(&movable).contains("fixed addresses"));
}

#[test]
fn no_truncated_file_makes_the_reader_panic() {
    let file = elf(
        0x2000,
        &[(0x2000, b"code", 4, 5), (0x3000, b"data", 8, 6)],
        Some(0x4000),
    );
    for len in 0..file.len() {
        // Whether a cut is noticed depends on what it cut; that it is survived must not.
        let _ = parse(&file[..len]);
    }
}
