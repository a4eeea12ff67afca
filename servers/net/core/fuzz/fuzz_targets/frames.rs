//! Any bytes as a script of frames, calls and time.
#![no_main]

use gritos_net_core::host::frames;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    frames::play(bytes);
});
