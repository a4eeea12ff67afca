//! The system table: which components run, and exactly what each of them gets.
//!
//! `cargo xtask` compiles `servers/system.toml` into this table and puts it into
//! the boot image as the entry of kind `System`; the root task reads it and
//! grants what it says, nothing else. [`System::parse`] checks the whole table
//! once, so that reading afterwards cannot fail. Nothing is allocated and no
//! index is trusted.
//!
//! `docs/reference/system-table.md` is the normative text.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "write"))]
extern crate alloc;

mod error;
mod fields;
mod read;
#[cfg(any(test, feature = "write"))]
pub mod write;

pub use error::{Part, SystemError};
pub use read::System;

/// Name of the boot image's entry that holds the table.
pub const ENTRY_NAME: &str = "system";
/// First eight bytes.
pub const MAGIC: [u8; 8] = *b"gRiTOSst";
/// Version of the format.
pub const VERSION: u32 = 2;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 32;
/// Bytes of a component's record.
pub const COMPONENT_BYTES: usize = 88;
/// Bytes of a service's record.
pub const SERVICE_BYTES: usize = 20;
/// Bytes of a device's record.
pub const DEVICE_BYTES: usize = 60;
/// Bytes of the record of a use.
pub const USE_BYTES: usize = 16;

/// Most components.
pub const COMPONENT_LIMIT: usize = 64;
/// Most services.
pub const SERVICE_LIMIT: usize = 64;
/// Most devices.
pub const DEVICE_LIMIT: usize = 64;
/// Most uses of all components together.
pub const USE_LIMIT: usize = 512;
/// Most services that one component uses.
pub const COMPONENT_USE_LIMIT: usize = 32;
/// Most interrupts of a device.
pub const INTERRUPT_LIMIT: usize = 4;
/// Most bytes of a name; the boot image has room for as many.
pub const NAME_BYTES: usize = 31;
/// Most bytes of a protocol's package name.
pub const PROTOCOL_BYTES: usize = 63;
/// Most bytes of a component's arguments.
pub const ARGUMENT_BYTES: usize = 1024;
/// Most bytes of all names and arguments together.
pub const STRING_BYTES: usize = 64 << 10;
/// Bytes of a page: devices and stacks are whole pages.
pub const PAGE_BYTES: u64 = 4096;
/// One past the highest quota and the highest physical address of a device.
pub const ADDRESS_END: u64 = 1 << 48;
/// Most slots of a component's CNode.
pub const CNODE_SLOT_LIMIT: u32 = 1 << 16;
/// Longest budget, period, window and back-off: a day in nanoseconds.
pub const DURATION_LIMIT_NS: u64 = 86_400_000_000_000;

/// Right to call the service. Every use has it.
pub const RIGHT_SEND: u32 = 1 << 7;
/// Right to pass capabilities along with calls to the service.
pub const RIGHT_GRANT: u32 = 1 << 3;
/// Rights whose meaning the service's protocols define.
pub const RIGHTS_OF_SERVER: u32 = 0xffff_0000;

/// Authority: reset, power off and the entropy seed, by a Platform capability.
pub const AUTHORITY_POWER: u32 = 1;
/// Every authority that can be granted.
pub const AUTHORITIES: u32 = AUTHORITY_POWER;

/// Machines that a table can be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Board {
    /// QEMU's `virt`.
    Virt = 0,
    /// Raspberry Pi 4 Model B.
    Rpi4 = 1,
}

impl Board {
    /// Every board, in the order of its number.
    pub const ALL: [Self; 2] = [Self::Virt, Self::Rpi4];

    /// Decodes the number of a board.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|&board| u32::from(board as u8) == number)
    }

    /// Name as `--board` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Virt => "virt",
            Self::Rpi4 => "rpi4",
        }
    }
}

/// When a component that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Policy {
    /// Never.
    #[default]
    Never = 0,
    /// When it faulted or panicked.
    OnFailure = 1,
    /// Also when it returned.
    Always = 2,
}

impl Policy {
    /// Decodes the number of a policy.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Never, Self::OnFailure, Self::Always]
            .into_iter()
            .find(|&policy| policy as u8 == number)
    }
}

/// How a component is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restart {
    /// When at all. With [`Policy::Never`] the other fields are 0, otherwise
    /// they are not, `backoff_ns` excepted.
    pub policy: Policy,
    /// How often within `window_ns`; then it stays ended.
    pub attempts: u32,
    /// Time in which attempts are counted, in nanoseconds.
    pub window_ns: u64,
    /// Nanoseconds between the end and the first new start; it doubles with
    /// each further attempt in the window.
    pub backoff_ns: u64,
}

/// A program that the root task starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Component<'a> {
    /// Its name: lower-case letters, digits and hyphens.
    pub name: &'a str,
    /// Name of its entry in the boot image.
    pub binary: &'a str,
    /// Passed to it as they are.
    pub arguments: &'a str,
    /// Everything it is made of and may make, in bytes, whole pages.
    pub memory_bytes: u64,
    /// Processor time per period, in nanoseconds.
    pub budget_ns: u64,
    /// How long a period lasts, in nanoseconds; at least the budget.
    pub period_ns: u64,
    /// Bytes of its first thread's stack, whole pages.
    pub stack_bytes: u32,
    /// Slots of its CNode.
    pub cnode_slots: u32,
    /// `AUTHORITY_*`.
    pub authorities: u32,
    /// Priority of its first thread; 0 is the highest.
    pub priority: u8,
    /// Highest priority that it may give a thread: at most `priority` as a
    /// number.
    pub ceiling: u8,
    /// What happens when it ends.
    pub restart: Restart,
}

/// Who answers a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// The root task itself.
    Root,
    /// The component with this index.
    Component(u16),
}

/// What components can call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service<'a> {
    /// Its name.
    pub name: &'a str,
    /// Package of its protocols, as in `gritos.fs`.
    pub protocol: &'a str,
    /// Who answers.
    pub provider: Provider,
}

/// A line of an interrupt controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interrupt {
    /// Its number at the controller, below 1020.
    pub number: u32,
    /// Whether an edge triggers it, not a level.
    pub edge: bool,
}

/// One past the highest number of an interrupt (GICv2 and GICv3: 1020 to 1023
/// are special).
pub const INTERRUPT_END: u32 = 1020;

/// How a device is stopped whose driver is gone: what is written to which of its
/// registers, and how to see that it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Offset of a 32-bit register, a multiple of 4 within the device.
    pub offset: u32,
    /// What is written.
    pub value: u32,
    /// Bits of the same register that read as zero when the device has stopped.
    pub busy: u32,
}

/// Registers in physical memory and the interrupts that belong to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device<'a> {
    /// Its name.
    pub name: &'a str,
    /// Physical address of its registers, a multiple of 4 KiB.
    pub base: u64,
    /// Bytes of its registers, whole pages.
    pub size: u64,
    /// The component that has it; `None` if nobody does.
    pub owner: Option<u16>,
    /// Whether it accesses memory: its owner's memory objects come with the
    /// right to learn physical addresses.
    pub dma: bool,
    /// The board that has it; `None` if every board does.
    pub board: Option<Board>,
    /// How it is stopped, if it has to be.
    pub stop: Option<Stop>,
    interrupts: [Interrupt; INTERRUPT_LIMIT],
    interrupt_count: u8,
}

impl<'a> Device<'a> {
    /// A device without interrupts that nobody has.
    #[must_use]
    pub const fn new(name: &'a str, base: u64, size: u64) -> Self {
        Self {
            name,
            base,
            size,
            owner: None,
            dma: false,
            board: None,
            stop: None,
            interrupts: [Interrupt {
                number: 0,
                edge: false,
            }; INTERRUPT_LIMIT],
            interrupt_count: 0,
        }
    }

    /// The same with one more interrupt; `None` if it has
    /// [`INTERRUPT_LIMIT`] already.
    #[must_use]
    pub fn with_interrupt(mut self, interrupt: Interrupt) -> Option<Self> {
        *self.interrupts.get_mut(usize::from(self.interrupt_count))? = interrupt;
        self.interrupt_count += 1;
        Some(self)
    }

    /// Its interrupts.
    #[must_use]
    pub fn interrupts(&self) -> &[Interrupt] {
        self.interrupts
            .get(..usize::from(self.interrupt_count))
            .unwrap_or(&[])
    }
}

/// A service that a component may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use<'a> {
    /// What the component calls it.
    pub alias: &'a str,
    /// Index of the service.
    pub service: u16,
    /// [`RIGHT_SEND`], and [`RIGHT_GRANT`] and [`RIGHTS_OF_SERVER`] as asked.
    pub rights: u32,
    /// Whether the component can do without. Where nobody offers the service
    /// the table does not have the use at all.
    pub optional: bool,
}

/// Whether `name` can name a component, service, device or binary: 1 to
/// [`NAME_BYTES`] lower-case letters, digits and hyphens, first a letter.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let good = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    name.len() <= NAME_BYTES
        && name.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && name.bytes().all(good)
}
