//! What the root task prints: the machine, the boot image, faults.

use core::fmt::{Result, Write};

use gritos_device_tree::Machine;
use gritos_service::idl::Incoming;
use gritos_sys::abi::Rights;
use gritos_sys::abi::boot_image::{BootImage, Entry, EntryKind, Segment};
use gritos_sys::abi::boot_info::{Board, BootInfo, UNTYPED_LIMIT};
use gritos_sys::abi::fault::FaultKind;
use gritos_sys::abi::message::DATA_WORDS;
use gritos_sys::cap::Tcb;
use gritos_sys::process::STACK_TOP;
use gritos_sys::thread::PAGE_BYTES;
use gritos_sys::{Cap, rt};
use gritos_system::Component;

const MIB: u64 = 1 << 20;
const KIB: u64 = 1 << 10;
/// Banks of RAM that are printed.
const BANKS: usize = 8;
/// General registers of a thread, x0 to x30.
const REGISTERS: u64 = 31;

/// Prints what the kernel told about the machine.
pub(crate) fn machine(out: &mut dyn Write, info: &BootInfo) -> Result {
    let board = match info.board {
        board if board == Board::Virt as u64 => "QEMU virt",
        board if board == Board::RaspberryPi4 as u64 => "Raspberry Pi 4",
        _ => "unknown board",
    };
    let described = usize::try_from(info.untyped_count).unwrap_or(UNTYPED_LIMIT);
    let regions = info.untyped.get(..described).unwrap_or(&info.untyped);
    let normal = || regions.iter().filter(|region| region.device == 0);
    let bytes: u64 = normal().map(|region| region.size).sum();
    writeln!(
        out,
        "root: {board}, counter {}.{:03} MHz, {} MiB free in {} regions, {} of devices",
        info.counter_hz / 1_000_000,
        info.counter_hz / 1_000 % 1_000,
        bytes / MIB,
        normal().count(),
        regions.len() - normal().count(),
    )?;
    for region in normal() {
        writeln!(
            out,
            "root:   {:#012x}..{:#012x} {:>8} KiB",
            region.base,
            region.base + region.size,
            region.size / KIB
        )?;
    }
    Ok(())
}

/// Prints what the firmware's device tree says of the machine, as the kernel's banner has it.
pub(crate) fn tree(out: &mut dyn Write, tree: &[u8]) -> Result {
    let machine = match Machine::read(tree) {
        Ok(machine) => machine,
        // The kernel has read it; what it cannot be read for here is its business alone.
        Err(error) => return writeln!(out, "root: {error}"),
    };
    if let Some(model) = machine.model() {
        writeln!(out, "root: {model}")?;
    }
    write!(out, "root:   ram       ")?;
    for bank in machine.ram().take(BANKS) {
        write!(out, " {:#x}..{:#x}", bank.start, bank.end)?;
    }
    writeln!(out)?;
    if let Some(gic) = machine.gic() {
        writeln!(out, "root:   interrupts {gic}")?;
    }
    writeln!(
        out,
        "root:   processors {}, one in use",
        machine.processors()
    )
}

/// Prints the entries of the boot image.
pub(crate) fn image(out: &mut dyn Write, image: &BootImage<'_>) -> Result {
    let header = image.header();
    writeln!(
        out,
        "root: boot image of {} KiB, {} entries",
        header.total_bytes / KIB,
        header.entry_count
    )?;
    for entry in image.entries() {
        let kind = match entry.kind {
            kind if kind == EntryKind::Kernel as u32 => "kernel",
            kind if kind == EntryKind::Root as u32 => "root task",
            kind if kind == EntryKind::Component as u32 => "component",
            kind if kind == EntryKind::System as u32 => "system table",
            _ => "data",
        };
        writeln!(
            out,
            "root:   {:<16} {kind:<12} {:>8} bytes, crc {:08x}",
            entry.name(),
            entry.bytes,
            entry.crc32c
        )?;
    }
    Ok(())
}

/// A fault as it was reported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// The first thread of the component.
    tcb: Cap<Tcb>,
    tag: u64,
    address: u64,
    pc: u64,
    sp: u64,
    syndrome: u64,
}

impl Fault {
    /// Reads a fault message about a thread of the component whose first one is `tcb`.
    pub(crate) fn decode(tcb: Cap<Tcb>, incoming: &Incoming) -> Self {
        let [address, pc, sp, syndrome, ..] = incoming.words;
        Self::new(tcb, incoming.tag, [address, pc, sp, syndrome])
    }

    /// The fault whose message has this tag and these words.
    pub(crate) const fn new(tcb: Cap<Tcb>, tag: u64, words: [u64; 4]) -> Self {
        let [address, pc, sp, syndrome] = words;
        Self {
            tcb,
            tag,
            address,
            pc,
            sp,
            syndrome,
        }
    }

    /// The first thread of the component.
    pub(crate) const fn tcb(&self) -> Cap<Tcb> {
        self.tcb
    }

    /// Where it happened.
    pub(crate) const fn pc(&self) -> u64 {
        self.pc
    }

    /// The stack pointer.
    pub(crate) const fn sp(&self) -> u64 {
        self.sp
    }

    /// The tag of its message.
    pub(crate) const fn tag(&self) -> u64 {
        self.tag
    }

    /// The words of its message.
    pub(crate) const fn words(&self) -> [u64; 4] {
        [self.address, self.pc, self.sp, self.syndrome]
    }

    /// The immediate of the `brk` that caused it, if one did.
    pub(crate) fn breakpoint(&self) -> Option<u16> {
        (self.tag == FaultKind::Breakpoint as u64).then_some(self.syndrome as u16)
    }

    /// What it was, in a component whose first stack has so many bytes.
    fn what(&self, stack_bytes: u64) -> &'static str {
        let guard_end = STACK_TOP.saturating_sub(stack_bytes);
        let guard = guard_end.saturating_sub(PAGE_BYTES)..guard_end;
        if self.tag == FaultKind::DataAbort as u64 && guard.contains(&self.address) {
            return "stack overflow";
        }
        const KINDS: [&str; 9] = [
            "load or store without a mapping that allows it",
            "instruction fetch without a mapping that allows it",
            "undefined instruction",
            "misaligned access",
            "breakpoint",
            "FP or SIMD instruction without permission",
            "external abort",
            "budget exhausted",
            "exception",
        ];
        let kind = usize::try_from(self.tag).unwrap_or(usize::MAX);
        KINDS.get(kind).copied().unwrap_or("fault of unknown kind")
    }
}

/// Bytes of the image that are the text of a program, and the address of the
/// first.
pub(crate) fn text<'a>(entry: &Entry, image: &BootImage<'a>) -> Option<(&'a [u8], u64)> {
    let executable = Rights::EXECUTE.bits();
    let segment = entry
        .segments()
        .iter()
        .find(|segment| segment.rights & executable != 0)?;
    let offset = usize::try_from(segment.offset.checked_sub(entry.offset)?).ok()?;
    Some((image.payload(entry)?.get(offset..)?, segment.address))
}

/// Prints how a component failed.
pub(crate) fn fault(
    out: &mut dyn Write,
    spec: &Component<'_>,
    entry: Option<&Entry>,
    fault: &Fault,
) -> Result {
    let name = spec.name;
    if fault.breakpoint() == Some(rt::PANIC) {
        return last_words(out, name, fault.tcb);
    }
    let program = entry.map_or(&[][..], |entry| entry.segments());
    let start = |segment: &Segment| segment.address;
    let within = program.iter().any(|segment| {
        (segment.address..segment.address + segment.memory_bytes).contains(&fault.pc)
    });
    match (within, program.first().map(start)) {
        (true, Some(base)) => write!(out, "root: {name}+{:#x}: ", fault.pc - base)?,
        _ => write!(out, "root: {name}, outside its program: ")?,
    }
    writeln!(
        out,
        "{} at address {:#x} (pc {:#x}, sp {:#x}, syndrome {:#x})",
        fault.what(u64::from(spec.stack_bytes)),
        fault.address,
        fault.pc,
        fault.sp,
        fault.syndrome
    )?;
    registers(out, fault.tcb)
}

/// Prints the message of a panic, which a component leaves in its registers.
fn last_words(out: &mut dyn Write, name: &str, tcb: Cap<Tcb>) -> Result {
    write!(out, "root: {name} panicked at ")?;
    for first in (0..REGISTERS).step_by(DATA_WORDS) {
        let count = (REGISTERS - first).min(DATA_WORDS as u64);
        let Ok(words) = tcb.read_registers(first, count) else {
            break;
        };
        for byte in words
            .iter()
            .take(count as usize)
            .flat_map(|word| word.to_le_bytes())
        {
            match byte {
                0 => {}
                b' '..=b'~' => out.write_char(char::from(byte))?,
                _ => out.write_char(if byte == b'\n' { ' ' } else { '?' })?,
            }
        }
    }
    writeln!(out)
}

/// Prints x0–x30, four to a line.
fn registers(out: &mut dyn Write, tcb: Cap<Tcb>) -> Result {
    for first in (0..REGISTERS).step_by(DATA_WORDS) {
        let count = (REGISTERS - first).min(DATA_WORDS as u64);
        let Ok(values) = tcb.read_registers(first, count) else {
            return Ok(());
        };
        for (number, value) in (first..first + count).zip(values) {
            let separator = if number % 4 == 0 { "root:   " } else { "  " };
            write!(out, "{separator}x{number:<2} {value:016x}")?;
            if number % 4 == 3 || number + 1 == REGISTERS {
                writeln!(out)?;
            }
        }
    }
    Ok(())
}
