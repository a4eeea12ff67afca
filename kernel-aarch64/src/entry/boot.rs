//! The part of booting that runs in Rust.

use crate::{arch::fault, drivers::console::Console};

/// Called by `reset.s` once, with the stack set and the MMU on.
#[unsafe(no_mangle)]
extern "C" fn boot(device_tree: u64, load: u64, entry_el: u64) -> ! {
    Console.text("gRiTOS at ").hex(load, 1).text(", entered at EL").number(entry_el);
    Console.text(", device tree at ").hex(device_tree, 1).text("\n");
    fault::halt()
}
