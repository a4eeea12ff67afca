//! The C view of the ABI: `include/gritos.h` is exactly what [`write`] emits.
//!
//! Names and numbers come from this crate's own types, field positions from
//! its own encoders, so that the header cannot say anything else than they do.
//! Structures and wrappers are C text below; the tests check their layout and
//! field macros against the encoders with a C compiler.

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

const HEAD: &str = "\
/* gRiTOS: the contract between kernel and user space, for C.
 *
 * Generated from the crate gritos-abi by `cargo xtask codegen`; do not edit.
 * docs/reference/abi.md is the normative text. */
#ifndef GRITOS_H
#define GRITOS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern \"C\" {
#endif
";

const TYPES: &str = "
/* Address of a slot: CNode << 16 | index; CNode 0 is the thread's root CNode. */
typedef uint32_t gRiTOS_Address_t;
typedef uint32_t gRiTOS_Status_t;

/* A capability in a message.
 *
 * Sent: source address, mask of the rights to hand on (RIGHTS_AS_HELD: all
 * held), badge to set (0: none); cap_info is not read.
 * Received: rights and badge as they arrived, cap_info as GRITOS_CAP_* read
 * it; the address is that of the window slot if the capability lies in one,
 * else 0. */
typedef struct gRiTOS_CapSlot {
    uint16_t cap_cnode_ptr;
    uint16_t cap_cnode_index;
    uint32_t cap_rights_mask;
    uint32_t cap_badge;
    uint32_t cap_info;
} gRiTOS_CapSlot_t;

/* A message. `control` is made with GRITOS_CONTROL* on the way in and read with
 * GRITOS_OUTCOME_* on the way out. */
typedef struct gRiTOS_MsgInfo {
    uint64_t tag;
    uint64_t data_words[GRITOS_DATA_WORDS];
    gRiTOS_CapSlot_t cap_slots[GRITOS_CAP_SLOTS];
    uint64_t control;
} gRiTOS_MsgInfo_t;

/* Who sent a message: badge and rights of the capability used. */
typedef struct gRiTOS_Sender {
    uint32_t badge;
    uint32_t rights;
} gRiTOS_Sender_t;
";

const INLINE: &str = "
#if defined(__aarch64__)
#define GRITOS_FUNCTION static inline

/* x0 to x17 of a system call. */
typedef struct gRiTOS_Registers_ {
    uint64_t x[18];
} gRiTOS_Registers_;

/* The kernel reads and writes x0 to x17 and keeps all else, save the vector
 * registers. Addresses of 18 operands exceed what compilers take, so the
 * registers travel through memory; `regs` itself cannot be in one of them,
 * because they are clobbered. */
#define GRITOS_SYSCALL_(name, number)                                      \\
    static inline void gRiTOS_svc_##name(gRiTOS_Registers_ *regs) {        \\
        __asm__ volatile(                                                  \\
            \"ldp x0, x1, [%0]\\n\\tldp x2, x3, [%0, #16]\\n\\t\"                  \\
            \"ldp x4, x5, [%0, #32]\\n\\tldp x6, x7, [%0, #48]\\n\\t\"             \\
            \"ldp x8, x9, [%0, #64]\\n\\tldp x10, x11, [%0, #80]\\n\\t\"           \\
            \"ldp x12, x13, [%0, #96]\\n\\tldp x14, x15, [%0, #112]\\n\\t\"        \\
            \"ldp x16, x17, [%0, #128]\\n\\t\"                                 \\
            \"svc %1\\n\\t\"                                                   \\
            \"stp x0, x1, [%0]\\n\\tstp x2, x3, [%0, #16]\\n\\t\"                  \\
            \"stp x4, x5, [%0, #32]\\n\\tstp x6, x7, [%0, #48]\\n\\t\"             \\
            \"stp x8, x9, [%0, #64]\\n\\tstp x10, x11, [%0, #80]\\n\\t\"           \\
            \"stp x12, x13, [%0, #96]\\n\\tstp x14, x15, [%0, #112]\\n\\t\"        \\
            \"stp x16, x17, [%0, #128]\"                                     \\
            :                                                              \\
            : \"r\"(regs), \"i\"(number)                                       \\
            : \"x0\", \"x1\", \"x2\", \"x3\", \"x4\", \"x5\", \"x6\", \"x7\", \"x8\", \"x9\",  \\
              \"x10\", \"x11\", \"x12\", \"x13\", \"x14\", \"x15\", \"x16\", \"x17\",      \\
              \"v0\", \"v1\", \"v2\", \"v3\", \"v4\", \"v5\", \"v6\", \"v7\", \"v8\", \"v9\",  \\
              \"v10\", \"v11\", \"v12\", \"v13\", \"v14\", \"v15\", \"v16\", \"v17\",      \\
              \"v18\", \"v19\", \"v20\", \"v21\", \"v22\", \"v23\", \"v24\", \"v25\",      \\
              \"v26\", \"v27\", \"v28\", \"v29\", \"v30\", \"v31\", \"memory\", \"cc\");   \\
    }
";

const WRAPPERS: &str = "
/* Puts a message, or NULL for an empty one, into the registers. */
static inline void gRiTOS_pack_(gRiTOS_Registers_ *regs, gRiTOS_Address_t object,
                                gRiTOS_Address_t reply, const gRiTOS_MsgInfo_t *message,
                                uint64_t window, uint64_t deadline) {
    int i;
    for (i = 0; i < 18; i++)
        regs->x[i] = 0;
    regs->x[8] = (uint64_t)object | (uint64_t)reply << 32;
    regs->x[10] = window;
    regs->x[17] = deadline;
    if (message == NULL)
        return;
    for (i = 0; i < GRITOS_DATA_WORDS; i++)
        regs->x[i] = message->data_words[i];
    regs->x[9] = message->tag;
    regs->x[10] |= message->control;
    for (i = 0; i < GRITOS_CAP_SLOTS; i++) {
        const gRiTOS_CapSlot_t *slot = &message->cap_slots[i];
        regs->x[11 + i] = (uint64_t)slot->cap_cnode_ptr << 16 | slot->cap_cnode_index |
                          (uint64_t)slot->cap_rights_mask << 32;
        regs->x[15 + i / 2] |= (uint64_t)slot->cap_badge << (32 * (i % 2));
    }
}

/* Takes a message and its sender, each unless NULL, from the registers; `window`
 * is the control word that named the receive window. */
static inline gRiTOS_Status_t gRiTOS_unpack_(const gRiTOS_Registers_ *regs, uint64_t window,
                                             gRiTOS_MsgInfo_t *message,
                                             gRiTOS_Sender_t *sender) {
    int i;
    if (sender != NULL) {
        sender->badge = (uint32_t)regs->x[8];
        sender->rights = (uint32_t)(regs->x[8] >> 32);
    }
    if (message != NULL) {
        message->tag = regs->x[9];
        message->control = regs->x[10];
        for (i = 0; i < GRITOS_DATA_WORDS; i++)
            message->data_words[i] = regs->x[i];
        for (i = 0; i < GRITOS_CAP_SLOTS; i++) {
            gRiTOS_CapSlot_t *slot = &message->cap_slots[i];
            uint32_t info = (uint32_t)(regs->x[15] >> (16 * i)) & 0xffff;
            uint32_t address = 0;
            if (GRITOS_CAP_IN_SLOT(info))
                address = (uint32_t)(window >> 32) + GRITOS_CAP_WINDOW_POSITION(info);
            slot->cap_cnode_ptr = (uint16_t)(address >> 16);
            slot->cap_cnode_index = (uint16_t)address;
            slot->cap_badge = (uint32_t)regs->x[11 + i];
            slot->cap_rights_mask = (uint32_t)(regs->x[11 + i] >> 32);
            slot->cap_info = info;
        }
    }
    return GRITOS_OUTCOME_STATUS(regs->x[10]);
}

#define GRITOS_BODY_(...) { __VA_ARGS__ }
#else
/* On other machines the wrappers are declared only. */
#define GRITOS_FUNCTION extern
#define GRITOS_BODY_(...) ;
#endif

/* Sends `message_info_send` and waits for the reply. A window for the reply's
 * capabilities is part of its control. A deadline counts in ticks of CNTVCT. */
GRITOS_FUNCTION gRiTOS_Status_t gRiTOS_Call(gRiTOS_Address_t endpoint,
                                            const gRiTOS_MsgInfo_t *message_info_send,
                                            gRiTOS_MsgInfo_t *message_info_recv)
GRITOS_BODY_(
    gRiTOS_Registers_ regs;
    uint64_t control = message_info_send->control;
    gRiTOS_pack_(&regs, endpoint, 0, message_info_send, 0, 0);
    gRiTOS_svc_Call_(&regs);
    return gRiTOS_unpack_(&regs, control, message_info_recv, NULL);
)

GRITOS_FUNCTION gRiTOS_Status_t gRiTOS_CallUntil(gRiTOS_Address_t endpoint,
                                                 const gRiTOS_MsgInfo_t *message_info_send,
                                                 gRiTOS_MsgInfo_t *message_info_recv,
                                                 uint64_t deadline)
GRITOS_BODY_(
    gRiTOS_Registers_ regs;
    uint64_t control = message_info_send->control;
    gRiTOS_pack_(&regs, endpoint, 0, message_info_send, GRITOS_CONTROL_DEADLINE, deadline);
    gRiTOS_svc_Call_(&regs);
    return gRiTOS_unpack_(&regs, control, message_info_recv, NULL);
)

/* Invokes a method of a kernel object: a Call whose tag is the method. */
GRITOS_FUNCTION gRiTOS_Status_t gRiTOS_KernelObject_Invoke(gRiTOS_Address_t object,
                                                           uint64_t method,
                                                           const gRiTOS_MsgInfo_t *arguments,
                                                           gRiTOS_MsgInfo_t *results)
GRITOS_BODY_(
    gRiTOS_Registers_ regs;
    uint64_t control = arguments == NULL ? 0 : arguments->control;
    gRiTOS_pack_(&regs, object, 0, arguments, 0, 0);
    regs.x[9] = method;
    gRiTOS_svc_Call_(&regs);
    return gRiTOS_unpack_(&regs, control, results, NULL);
)

/* Delivers to a waiting receiver now or fails with WOULD_BLOCK; on a
 * notification, signals. */
GRITOS_FUNCTION gRiTOS_Status_t gRiTOS_SendAsync(gRiTOS_Address_t object,
                                                 const gRiTOS_MsgInfo_t *message_info_send)
GRITOS_BODY_(
    gRiTOS_Registers_ regs;
    gRiTOS_pack_(&regs, object, 0, message_info_send, 0, 0);
    gRiTOS_svc_SendAsync_(&regs);
    return gRiTOS_unpack_(&regs, 0, NULL, NULL);
)

/* Waits for a message or for the bits of a notification. `window` is 0 or
 * GRITOS_CONTROL_WINDOW(first, slots); `reply` is 0 or an unarmed Reply. */
GRITOS_FUNCTION gRiTOS_Status_t gRiTOS_Recv(gRiTOS_Address_t object, gRiTOS_Address_t reply,
                                            uint64_t window,
                                            gRiTOS_MsgInfo_t *message_info_recv,
                                            gRiTOS_Sender_t *sender)
GRITOS_BODY_(
    gRiTOS_Registers_ regs;
    gRiTOS_pack_(&regs, object, reply, NULL, window, 0);
    gRiTOS_svc_Recv_(&regs);
    return gRiTOS_unpack_(&regs, window, message_info_recv, sender);
)
#define gRiTOS_IPC_Recv gRiTOS_Recv

/* The same until a deadline; on address 0 it sleeps until then. */
GRITOS_FUNCTION gRiTOS_Status_t gRiTOS_RecvUntil(gRiTOS_Address_t object,
                                                 gRiTOS_Address_t reply, uint64_t window,
                                                 gRiTOS_MsgInfo_t *message_info_recv,
                                                 gRiTOS_Sender_t *sender, uint64_t deadline)
GRITOS_BODY_(
    gRiTOS_Registers_ regs;
    gRiTOS_pack_(&regs, object, reply, NULL, window | GRITOS_CONTROL_DEADLINE, deadline);
    gRiTOS_svc_Recv_(&regs);
    return gRiTOS_unpack_(&regs, window, message_info_recv, sender);
)

/* As gRiTOS_Recv, but fails with WOULD_BLOCK instead of waiting. */
GRITOS_FUNCTION gRiTOS_Status_t gRiTOS_Poll(gRiTOS_Address_t object, gRiTOS_Address_t reply,
                                            uint64_t window,
                                            gRiTOS_MsgInfo_t *message_info_recv,
                                            gRiTOS_Sender_t *sender)
GRITOS_BODY_(
    gRiTOS_Registers_ regs;
    gRiTOS_pack_(&regs, object, reply, NULL, window, 0);
    gRiTOS_svc_Poll_(&regs);
    return gRiTOS_unpack_(&regs, window, message_info_recv, sender);
)

/* Answers the caller that `reply` stands for. */
GRITOS_FUNCTION gRiTOS_Status_t gRiTOS_Reply(gRiTOS_Address_t reply,
                                             const gRiTOS_MsgInfo_t *message_info_send)
GRITOS_BODY_(
    gRiTOS_Registers_ regs;
    gRiTOS_pack_(&regs, 0, reply, message_info_send, 0, 0);
    gRiTOS_svc_Reply_(&regs);
    return gRiTOS_unpack_(&regs, 0, NULL, NULL);
)

/* Answers, then receives with the same Reply armed again. */
GRITOS_FUNCTION gRiTOS_Status_t gRiTOS_ReplyRecv(gRiTOS_Address_t object,
                                                 gRiTOS_Address_t reply, uint64_t window,
                                                 const gRiTOS_MsgInfo_t *message_info_send,
                                                 gRiTOS_MsgInfo_t *message_info_recv,
                                                 gRiTOS_Sender_t *sender)
GRITOS_BODY_(
    gRiTOS_Registers_ regs;
    gRiTOS_pack_(&regs, object, reply, message_info_send, window, 0);
    gRiTOS_svc_ReplyRecv_(&regs);
    return gRiTOS_unpack_(&regs, window, message_info_recv, sender);
)

/* Goes behind the other ready threads of the same priority. */
GRITOS_FUNCTION void gRiTOS_Yield(void)
GRITOS_BODY_(
    gRiTOS_Registers_ regs;
    gRiTOS_pack_(&regs, 0, 0, NULL, 0, 0);
    gRiTOS_svc_Yield_(&regs);
)

/* Writes a character to the debug UART, if the kernel was built with that. */
GRITOS_FUNCTION gRiTOS_Status_t gRiTOS_DebugPutchar(char character)
GRITOS_BODY_(
    gRiTOS_Registers_ regs;
    gRiTOS_pack_(&regs, 0, 0, NULL, 0, 0);
    regs.x[0] = (unsigned char)character;
    gRiTOS_svc_DebugPutchar_(&regs);
    return gRiTOS_unpack_(&regs, 0, NULL, NULL);
)

#ifdef __cplusplus
}
#endif

#endif /* GRITOS_H */
";
