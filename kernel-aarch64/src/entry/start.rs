//! Where booting ends and the first thread begins.

use core::arch::asm;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

use gritos_abi::boot_image::{EntryKind, FLAG_COUNTERS, FLAG_QUIET, FLAG_SEMIHOSTING};
use gritos_abi::boot_info;
use gritos_board::BoardId;
use gritos_kernel_core::boot::{RootError, RootFacts};
use gritos_kernel_core::handle::TcbRef;
use gritos_kernel_core::kernel::Kernel;
use gritos_kernel_core::memory_map::Region;

use super::boot::{BootFacts, stop};
use crate::{
    arch::{
        layout::{KERNEL_BASE, LINEAR_BASE},
        machine::{Hardware, Log},
        trap::{self, Processor},
    },
    drivers::{console::Console, gic::Gic, timer},
    store::LinearStore,
};

/// The state of the boot processor, which is the only one in use.
struct BootProcessor(UnsafeCell<MaybeUninit<Processor>>);

// SAFETY: `start`, which runs once, on one processor, takes the only reference there ever is.
unsafe impl Sync for BootProcessor {}

static BOOT_PROCESSOR: BootProcessor = BootProcessor(UnsafeCell::new(MaybeUninit::uninit()));

/// Takes over from [`boot`](super::boot): starts the root task.
pub(crate) fn start(facts: BootFacts<'_>) -> ! {
    let flags = facts.image.as_ref().map_or(0, |image| image.header().flags);
    if flags & FLAG_QUIET == 0 {
        banner(&facts);
        if flags & FLAG_COUNTERS != 0 {
            Console.text("  counters   open to programs\n");
        }
    }
    let root = facts.image.as_ref().and_then(|image| {
        image
            .entries()
            .find(|entry| entry.kind == EntryKind::Root as u32)
    });
    let Some(root) = root else {
        stop("\nno root task: the boot image has no such entry")
    };
    let processor = make_processor(&facts, flags);
    set_counters(flags & FLAG_COUNTERS != 0);
    let board = match facts.board.id {
        BoardId::QemuVirt => boot_info::Board::Virt,
        BoardId::Rpi4 => boot_info::Board::RaspberryPi4,
    };
    let (start, end) = facts.board.devices;
    // Whole pages behind the first bank, whose end the boot loader decided.
    let first = facts.platform.ram.as_slice().first();
    let behind = first.map_or(end, |bank| bank.end.saturating_add(0xfff) & !0xfff);
    let share = Region::between(behind, facts.board.share_end);
    let root_facts = RootFacts {
        board: board as u64,
        image: facts.payload,
        flags,
        entry: &root,
        device_tree: facts.device_tree,
        free: facts.free.as_slice(),
        devices: &[Region { start, end }, share],
    };
    match processor.kernel.start_root(&root_facts) {
        Ok(()) => {}
        Err(RootError::Memory) => stop("\nno memory for the root task"),
        Err(RootError::Segment(_)) => stop("\na segment of the root task cannot be mapped"),
        Err(RootError::Regions) => stop("\ntoo many regions of memory"),
    }
    processor.root = processor.kernel.cpu.current;
    let machine = &processor.kernel.machine;
    machine.gic.enable(machine.timer_irq);
    facts.boot_tables.close();
    trap::enter_user(processor)
}

/// Sets up the kernel's state.
fn make_processor(facts: &BootFacts<'_>, flags: u32) -> &'static mut Processor {
    unsafe extern "C" {
        safe static __empty_table: u8;
    }
    let dczid: u64;
    // SAFETY: reads a constant of the processor.
    unsafe { asm!("mrs {}, dczid_el0", out(reg) dczid, options(nomem, nostack, pure)) };
    if dczid & 0x1f != 4 {
        stop("\nDC ZVA is prohibited, or its block is not 64 bytes");
    }
    let empty_ttbr0 = facts.kernel.start + ((&raw const __empty_table).addr() - KERNEL_BASE) as u64;
    let seed = facts
        .platform
        .seed
        .as_slice()
        .first_chunk::<32>()
        .map(|bytes| {
            let mut words = [0; 4];
            for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
                *word = chunk.iter().fold(0, |w, byte| w << 8 | u64::from(*byte));
            }
            words
        });
    // SAFETY: boot mapped exactly the free RAM into the linear map, and closes the tables.
    let store = unsafe { LinearStore::new(LINEAR_BASE) };
    // SAFETY: called once, see `BootProcessor`.
    let slot = unsafe { &mut *BOOT_PROCESSOR.0.get() };
    slot.write(Processor {
        kernel: Kernel::new(
            store,
            Hardware {
                gic: facts.gic,
                power: facts.power,
                empty_ttbr0,
                seed,
                semihosting: flags & FLAG_SEMIHOSTING != 0,
                timer_irq: facts.platform.timer_irq,
                log: Log::EMPTY,
            },
        ),
        root: None::<TcbRef>,
    })
}

/// Lets EL0 use the performance counters, all of them and for writing too, as is needed to choose what they
/// count; or none (Arm ARM, "The Performance Monitors Extension", `PMUSERENR_EL0`).
fn set_counters(open: bool) {
    const CYCLE: u64 = 1 << 31;
    /// EN, which the others (SW, CR, ER) are part of.
    const USE: u64 = 0b0001;
    /// E, P, C and LC: start from zero, 64 bits.
    const START: u64 = 0b100_0111;
    // SAFETY: nothing in the kernel depends on these counters.
    unsafe {
        asm!(
            "msr pmccfiltr_el0, xzr",
            "msr pmcntenset_el0, {cycle}",
            "msr pmuserenr_el0, {user}",
            "msr pmcr_el0, {start}",
            cycle = in(reg) CYCLE,
            user = in(reg) if open { USE } else { 0 },
            start = in(reg) START,
            options(nomem, nostack, preserves_flags),
        );
    }
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
