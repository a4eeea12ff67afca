//! The reference pages name what the crate defines, with its numbers.

use std::path::Path;

use gritos_abi::{Rights, Status, Syscall};

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs/reference")
        .join(name);
    std::fs::read_to_string(path).expect("the page is there")
}

#[test]
fn errors_md_explains_every_status_under_its_number() {
    let page = page("errors.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).collect();
    for status in Status::ALL {
        let row = format!("| {} | `{status:?}` | ", status as u8);
        assert!(
            rows.iter().any(|line| line.starts_with(&row)),
            "no row begins with {row:?}"
        );
    }
    // A header and its rule stand above; nothing beyond the list.
    let numbered = rows
        .iter()
        .filter(|row| row.as_bytes().get(2).is_some_and(u8::is_ascii_digit));
    assert_eq!(numbered.count(), Status::ALL.len());
}

#[test]
fn abi_md_names_every_system_call_and_right() {
    let page = page("abi.md");
    for call in (0..Syscall::COUNT).filter_map(Syscall::from_number) {
        let row = format!("| {} | `{call:?}` | ", call as u16);
        assert!(page.contains(&row), "no row {row:?}");
    }
    for (name, right) in Rights::KERNEL.iter_names() {
        let row = format!("| {} | {name} | ", right.bits().trailing_zeros());
        assert!(name == "KERNEL" || page.contains(&row), "no row {row:?}");
    }
}
