//! Where booting ends.

use gritos_kernel_core::memory_map::Region;

use super::boot::BootFacts;
use crate::{
    arch::fault,
    drivers::{console::Console, gic::Gic, timer},
};

/// Takes over from [`boot`](super::boot).
pub(crate) fn start(facts: BootFacts<'_>) -> ! {
    banner(&facts);
    facts.boot_tables.close();
    fault::halt()
}

/// Says what was booted on what.
fn banner(facts: &BootFacts<'_>) {
    const KIB: u64 = 1024;
    let region = |region: &Region| {
        Console
            .text(" ")
            .hex(region.start, 1)
            .text("..")
            .hex(region.end, 1);
    };
    let out = Console.text("\ngRiTOS ").text(env!("CARGO_PKG_VERSION"));
    out.text(" on ")
        .text(facts.board.name)
        .text(", entered at EL")
        .number(facts.entry_el);
    out.text("\n  kernel    ");
    region(&facts.kernel);
    out.text("\n  image     ");
    region(&facts.payload);
    out.text("\n  ram       ");
    facts.platform.ram.as_slice().iter().for_each(region);
    out.text("\n  free      ");
    facts.free.as_slice().iter().for_each(region);
    out.text(", ")
        .number(facts.free.total_bytes() / KIB)
        .text(" KiB");
    out.text("\n  interrupts ").text(match facts.gic {
        Gic::V2(_) => "GICv2, ",
        Gic::V3(_) => "GICv3, ",
    });
    out.number(facts.gic.lines().into()).text(" lines");
    out.text("\n  timer      ")
        .number(timer::frequency() / 1000)
        .text(" kHz, interrupt ");
    out.number(facts.platform.timer_irq.into());
    out.text("\n  processors ")
        .number(facts.platform.processors.into())
        .text(", one in use\n");
}
