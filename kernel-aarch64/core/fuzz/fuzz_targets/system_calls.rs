//! Any bytes as system calls of the threads of a system.
#![no_main]

use gritos_kernel_core::host::fuzz::{Tally, system_calls};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| system_calls(bytes, &mut Tally::default()));
