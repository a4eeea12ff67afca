//! Any bytes as a boot image.
#![no_main]

use gritos_kernel_core::host::fuzz;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzz::boot_image(bytes));
