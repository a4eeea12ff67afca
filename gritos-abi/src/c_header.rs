//! The C view of the ABI: `include/gritos.h` is exactly what [`write`] emits.
//!
//! Names and numbers come from this crate's own types, field positions from
//! its own encoders, so that the header cannot say anything else than they do.
//! Structures and wrappers are C text in the folder `c_header`; the tests check
//! their layout and the field macros against the encoders with a C compiler.

use core::fmt::{self, Debug, Write};

use bitflags::Flags;

use crate::boot_info::slot;
use crate::cap::{Address, BADGE_CLIENT, ObjectType, Rights};
use crate::fault::{FaultKind, FaultReply};
use crate::message::{Arrival, CAP_SLOTS, Control, DATA_WORDS, Kind, Outcome};
use crate::method::{self, MemoryType, Register, ThreadState};
use crate::status::Status;
use crate::syscall::Syscall;

/// Writes the header.
///
/// # Errors
/// What `out` reports.
pub fn write(out: &mut impl Write) -> fmt::Result {
    out.write_str(HEAD)?;
    constants(out)?;
    fields(out)?;
    out.write_str(TYPES)?;
    out.write_str(INLINE)?;
    for number in 0..Syscall::COUNT {
        if let Some(call) = Syscall::from_number(number) {
            writeln!(
                out,
                "GRITOS_SYSCALL_({call:?}_, GRITOS_SYSCALL_{})",
                Upper(&call)
            )?;
        }
    }
    out.write_str(WRAPPERS)
}

/// `CamelCase` as `UPPER_SNAKE_CASE`; runs of capitals stay together.
struct Upper<T>(T);

impl<T: Debug> fmt::Display for Upper<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Snake<'a, 'b> {
            out: &'a mut fmt::Formatter<'b>,
            after_lower: bool,
        }
        impl Write for Snake<'_, '_> {
            fn write_str(&mut self, s: &str) -> fmt::Result {
                for c in s.chars() {
                    if self.after_lower && c.is_ascii_uppercase() {
                        self.out.write_char('_')?;
                    }
                    self.after_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
                    self.out.write_char(c.to_ascii_uppercase())?;
                }
                Ok(())
            }
        }
        let mut snake = Snake {
            out: f,
            after_lower: false,
        };
        write!(snake, "{:?}", self.0)
    }
}

/// One `#define` for each value of a list.
fn list<T: Copy + Debug>(
    out: &mut impl Write,
    title: &str,
    prefix: impl fmt::Display,
    values: impl IntoIterator<Item = T>,
    number: impl Fn(T) -> u64,
) -> fmt::Result {
    writeln!(out, "\n/* {title} */")?;
    for value in values {
        writeln!(out, "#define {prefix}{} {}", Upper(value), number(value))?;
    }
    Ok(())
}

fn constants(out: &mut impl Write) -> fmt::Result {
    let calls = (0..Syscall::COUNT).filter_map(Syscall::from_number);
    list(
        out,
        "System calls: the immediate of `svc`",
        "GRITOS_SYSCALL_",
        calls,
        |c| c as u64,
    )?;
    list(
        out,
        "Status of a system call",
        "GRITOS_STATUS_",
        Status::ALL,
        |s| s as u64,
    )?;
    list(
        out,
        "Object types",
        "GRITOS_OBJECT_",
        ObjectType::ALL,
        |t| t as u64,
    )?;

    writeln!(out, "\n/* Rights of a capability */")?;
    for flag in Rights::FLAGS.iter().filter(|flag| flag.is_named()) {
        writeln!(
            out,
            "#define RIGHT_{} UINT32_C({:#x})",
            flag.name(),
            flag.value().bits()
        )?;
    }
    writeln!(
        out,
        "/* As a mask: the rights that are held */\n#define RIGHTS_AS_HELD UINT32_C({})",
        Rights::AS_HELD.bits()
    )?;
    writeln!(
        out,
        "/* Badges with this bit number clients */\n#define GRITOS_BADGE_CLIENT UINT32_C({BADGE_CLIENT:#x})"
    )?;

    macro_rules! methods {
        ($($object:ident)*) => {
            $(list(
                out,
                concat!("Methods of ", stringify!($object)),
                format_args!("GRITOS_{}_METHOD_", Upper(format_args!(stringify!($object)))),
                method::$object::ALL.iter().copied(),
                |m| m as u64,
            )?;)*
        };
    }
    methods!(CNode Untyped Tcb Notification SchedulingContext SchedControl AddressSpace
        MemoryObject IrqControl IrqHandler Platform AsidControl);

    list(
        out,
        "Memory types",
        "GRITOS_MEMORY_",
        (0..).map_while(MemoryType::from_number),
        |t| t as u64,
    )?;
    use Register as R;
    list(
        out,
        "Register numbers beyond x0 to x30",
        "GRITOS_REGISTER_",
        [R::Sp, R::Pc, R::Pstate, R::ThreadPointer],
        |r| r as u64,
    )?;
    use ThreadState as S;
    list(
        out,
        "States of a thread",
        "TS_",
        [
            S::Inactive,
            S::Ready,
            S::Running,
            S::BlockedIpcSend,
            S::BlockedIpcRecv,
            S::BlockedNotification,
            S::BlockedSleep,
            S::Terminated,
        ],
        |s| s as u64,
    )?;
    list(
        out,
        "What arrived",
        "GRITOS_KIND_",
        (0..).map_while(Kind::from_number),
        |k| k as u64,
    )?;
    use FaultKind as F;
    list(
        out,
        "Tag of a fault message",
        "GRITOS_FAULT_",
        [
            F::DataAbort,
            F::InstructionAbort,
            F::Undefined,
            F::Alignment,
            F::Breakpoint,
            F::FpAccess,
            F::SError,
            F::Timeout,
            F::Other,
        ],
        |k| k as u64,
    )?;
    use FaultReply as A;
    list(
        out,
        "Tag of the reply to a fault",
        "GRITOS_FAULT_REPLY_",
        [A::Retry, A::Skip, A::Jump, A::Suspend, A::Kill],
        |r| r as u64,
    )?;

    writeln!(out, "\n/* Slots that the root task finds filled */")?;
    for (name, number) in [
        ("CNODE", slot::CNODE),
        ("TCB", slot::TCB),
        ("ADDRESS_SPACE", slot::ADDRESS_SPACE),
        ("SCHED_CONTEXT", slot::SCHED_CONTEXT),
        ("SCHED_CONTROL", slot::SCHED_CONTROL),
        ("IRQ_CONTROL", slot::IRQ_CONTROL),
        ("PLATFORM", slot::PLATFORM),
        ("ASID_CONTROL", slot::ASID_CONTROL),
        ("BOOT_IMAGE", slot::BOOT_IMAGE),
        ("DEVICE_TREE", slot::DEVICE_TREE),
        ("SEGMENT_FIRST", slot::SEGMENT_FIRST),
        ("BOOT_INFO", slot::BOOT_INFO),
        ("UNTYPED_FIRST", slot::UNTYPED_FIRST),
    ] {
        writeln!(out, "#define GRITOS_SLOT_{name} {number}")?;
    }
    Ok(())
}

/// Macros for the fields of control and outcome; each position is where the
/// encoder puts a 1.
fn fields(out: &mut impl Write) -> fmt::Result {
    let at = |bits: u64| bits.trailing_zeros();
    let none = Control::default();
    writeln!(
        out,
        "\n/* Fields of `control` on the way into the kernel */
#define GRITOS_CONTROL(words, caps, moved) \\
    ((uint64_t)(words) << {} | (uint64_t)(caps) << {} | (uint64_t)(moved) << {})
#define GRITOS_CONTROL_WINDOW(first, slots) \\
    ((uint64_t)(slots) << {} | (uint64_t)(uint32_t)(first) << {})
#define GRITOS_CONTROL_DEADLINE (UINT64_C(1) << {})",
        at(Control::words(1).0),
        at(none.with_caps(1, 0).0),
        at(none.with_caps(0, 1).0),
        at(none.with_window(Address::NULL, 1).0),
        at(none.with_window(Address(1), 0).0),
        at(Control::DEADLINE),
    )?;
    writeln!(
        out,
        "\n/* Fields of `control` on the way out of the kernel */
#define GRITOS_OUTCOME_STATUS(control) ((uint32_t)(control) & 0xff)
#define GRITOS_OUTCOME_WORDS(control) ((uint32_t)((control) >> {}) & 15)
#define GRITOS_OUTCOME_CAPS(control) ((uint32_t)((control) >> {}) & 7)
#define GRITOS_OUTCOME_FAULT_SLOT(control) ((uint32_t)((control) >> {}) & 7)
#define GRITOS_OUTCOME_KIND(control) ((uint32_t)((control) >> {}) & 7)",
        at(Outcome::message(Kind::Call, 1, 0).0),
        at(Outcome::message(Kind::Call, 0, 1).0),
        at(Outcome::slot_error(Status::Ok, 1).0),
        at(Outcome::message(Kind::OneWay, 0, 0).0),
    )?;
    let in_slot = Arrival::InSlot {
        object: ObjectType::Null,
        position: 0,
    };
    let second = Arrival::InSlot {
        object: ObjectType::Null,
        position: 1,
    };
    let how = at(in_slot.encode().into());
    writeln!(
        out,
        "\n/* Fields of `cap_info` of a slot that arrived */
#define GRITOS_CAP_TYPE(info) ((uint32_t)(info) & 0xff)
#define GRITOS_CAP_IN_SLOT(info) (((uint32_t)(info) >> {how} & 3) == {})
#define GRITOS_CAP_UNWRAPPED(info) (((uint32_t)(info) >> {how} & 3) == {})
#define GRITOS_CAP_WINDOW_POSITION(info) ((uint32_t)(info) >> {} & 7)",
        in_slot.encode() >> how & 3,
        Arrival::Unwrapped.encode() >> how & 3,
        at((in_slot.encode() ^ second.encode()).into()),
    )?;
    writeln!(
        out,
        "\n/* Size of a message */\n#define GRITOS_DATA_WORDS {DATA_WORDS}\n#define GRITOS_CAP_SLOTS {CAP_SLOTS}"
    )
}

const HEAD: &str = include_str!("c_header/head.h");
const TYPES: &str = include_str!("c_header/types.h");
const INLINE: &str = include_str!("c_header/registers.h");
const WRAPPERS: &str = include_str!("c_header/calls.h");
