//! Sizes and times as people write them.

/// Units of size, largest first.
const SIZES: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];
/// Units of time in nanoseconds, largest first.
const TIMES: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Bytes of a size such as `64 KiB`.
pub(crate) fn size(text: &str) -> Option<u64> {
    quantity(text, &SIZES)
}

/// Nanoseconds of a time such as `5 ms`.
pub(crate) fn time(text: &str) -> Option<u64> {
    quantity(text, &TIMES)
}

/// A size in the largest unit in which it is a whole number.
pub(crate) fn show_size(bytes: u64) -> String {
    show(bytes, &SIZES)
}

/// A time in the largest unit in which it is a whole number.
pub(crate) fn show_time(nanoseconds: u64) -> String {
    show(nanoseconds, &TIMES)
}

/// A whole number and a unit, with or without spaces between them.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
    let (number, unit) = text.split_at(text.len() - digits.len());
    let number: u64 = number.replace('_', "").parse().ok()?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.checked_mul(*factor)
}

fn show(value: u64, units: &[(&str, u64)]) -> String {
    let fits = |&&(_, factor): &&(&str, u64)| value >= factor && value.is_multiple_of(factor);
    match units.iter().find(fits) {
        Some((name, factor)) => format!("{} {name}", value / factor),
        None => format!("0 {}", units.last().map_or("", |unit| unit.0)),
    }
}

/// Bytes of memory as QEMU's `-m` takes it: mebibytes, or with a suffix.
pub(crate) fn machine_memory(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: u64 = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "M" => 1 << 20,
        "B" => 1,
        "K" => 1 << 10,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::{machine_memory, show_size, show_time, size, time};

    #[test]
    fn quantities_have_a_number_and_a_unit() {
        assert_eq!(size("64 KiB"), Some(65_536));
        assert_eq!(size("1MiB"), Some(1 << 20));
        assert_eq!(size("1_024 B"), Some(1024));
        assert_eq!(time("5 ms"), Some(5_000_000));
        assert_eq!(time("2 min"), Some(120_000_000_000));
        for wrong in [
            "",
            "5",
            "ms",
            "5 MB",
            "1.5 MiB",
            "-1 B",
            "99999999999999999999 B",
        ] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
        assert_eq!(size("18446744073709551615 GiB"), None);
    }

    #[test]
    fn what_is_shown_is_read() {
        for bytes in [0, 1, 4096, 65_536, 3 << 20, 1 << 30, (1 << 20) + 1] {
            assert_eq!(size(&show_size(bytes)), Some(bytes));
        }
        assert_eq!(show_time(90_000_000_000), "90 s");
    }

    #[test]
    fn memory_is_read_as_qemu_reads_it() {
        assert_eq!(machine_memory("512"), Some(512 << 20));
        assert_eq!(machine_memory("2G"), Some(2 << 30));
        assert_eq!(machine_memory("512m"), Some(512 << 20));
        assert_eq!(machine_memory("much"), None);
    }
}
