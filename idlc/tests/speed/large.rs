//! A large interface, and a clock for what is done with it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use idlc::load::Memory;

/// So many protocols of 20 methods each, in `large.gidl`.
pub(crate) fn interface(protocols: usize) -> Memory {
    let mut text =
        String::from("/// Large.\npackage large version 1;\nerror LargeError { FAILED = 1 }\n");
    for p in 0..protocols {
        let _ = write!(
            text,
            "/// Structure {p}.\nstruct S{p} {{ a: u32, b: [u8; 4], c: string<7> }}\n/// Protocol {p}.\nprotocol P{p} fails LargeError {{\n"
        );
        for m in 0..20 {
            let _ = writeln!(
                text,
                "    /// Method {m}.\n    method_{p}_{m}(first: u64, second: u32, third: S{p}, data: buffer<in>) -> (x: u64, y: u16);"
            );
        }
        text.push_str("}\n");
    }
    let mut files = Memory::default();
    files.0.insert(PathBuf::from("large.gidl"), text);
    files
}

/// Time that this thread has been on a processor, where the system counts it.
pub(crate) fn spent() -> Option<Duration> {
    // Linux: the first number is the time spent, in nanoseconds.
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let spent = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(spent))
}
