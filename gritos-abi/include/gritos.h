/* gRiTOS: the contract between kernel and user space, for C.
 *
 * Generated from the crate gritos-abi by `cargo xtask codegen`; do not edit.
 * docs/reference/abi.md is the normative text. */
#ifndef GRITOS_H
#define GRITOS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* System calls: the immediate of `svc` */
#define GRITOS_SYSCALL_CALL 0
#define GRITOS_SYSCALL_REPLY_RECV 1
#define GRITOS_SYSCALL_SEND_ASYNC 2
#define GRITOS_SYSCALL_RECV 3
#define GRITOS_SYSCALL_POLL 4
#define GRITOS_SYSCALL_REPLY 5
#define GRITOS_SYSCALL_YIELD 6
#define GRITOS_SYSCALL_DEBUG_PUTCHAR 7

/* Status of a system call */
#define GRITOS_STATUS_OK 0
#define GRITOS_STATUS_INVALID_SYSCALL 1
#define GRITOS_STATUS_INVALID_ARGUMENT 2
#define GRITOS_STATUS_INVALID_ADDRESS 3
#define GRITOS_STATUS_EMPTY_SLOT 4
#define GRITOS_STATUS_WRONG_TYPE 5
#define GRITOS_STATUS_MISSING_RIGHT 6
#define GRITOS_STATUS_UNKNOWN_METHOD 7
#define GRITOS_STATUS_SLOT_OCCUPIED 8
#define GRITOS_STATUS_RIGHTS_NOT_HELD 9
#define GRITOS_STATUS_BADGE_ALREADY_SET 10
#define GRITOS_STATUS_NOT_BADGEABLE 11
#define GRITOS_STATUS_NOT_COPYABLE 12
#define GRITOS_STATUS_WOULD_BLOCK 13
#define GRITOS_STATUS_TIMED_OUT 14
#define GRITOS_STATUS_DELETED 15
#define GRITOS_STATUS_SERVER_DIED 16
#define GRITOS_STATUS_ABORTED 17
#define GRITOS_STATUS_REPLY_IN_USE 18
#define GRITOS_STATUS_REPLY_SPENT 19
#define GRITOS_STATUS_PASSIVE_RECEIVER 20
#define GRITOS_STATUS_NO_GRANT 21
#define GRITOS_STATUS_ENDPOINT_NO_GRANT 22
#define GRITOS_STATUS_RECEIVER_WINDOW 23
#define GRITOS_STATUS_NO_MEMORY 24
#define GRITOS_STATUS_UNALIGNED 25
#define GRITOS_STATUS_OUT_OF_RANGE 26
#define GRITOS_STATUS_ALREADY_MAPPED 27
#define GRITOS_STATUS_NOT_MAPPED 28
#define GRITOS_STATUS_ADDRESS_IN_USE 29
#define GRITOS_STATUS_NO_TABLE_MEMORY 30
#define GRITOS_STATUS_WRITE_EXECUTE 31
#define GRITOS_STATUS_DEVICE_MEMORY 32
#define GRITOS_STATUS_PRIORITY_CEILING 33
#define GRITOS_STATUS_ALREADY_BOUND 34
#define GRITOS_STATUS_NOT_BOUND 35
#define GRITOS_STATUS_INVALID_STATE 36
#define GRITOS_STATUS_IRQ_UNAVAILABLE 37
#define GRITOS_STATUS_UNSUPPORTED 38
#define GRITOS_STATUS_NO_ASID 39

/* Object types */
#define GRITOS_OBJECT_NULL 0
#define GRITOS_OBJECT_UNTYPED 1
#define GRITOS_OBJECT_CNODE 2
#define GRITOS_OBJECT_TCB 3
#define GRITOS_OBJECT_ENDPOINT 4
#define GRITOS_OBJECT_NOTIFICATION 5
#define GRITOS_OBJECT_REPLY 6
#define GRITOS_OBJECT_SCHEDULING_CONTEXT 7
#define GRITOS_OBJECT_ADDRESS_SPACE 8
#define GRITOS_OBJECT_MEMORY_OBJECT 9
#define GRITOS_OBJECT_IRQ_HANDLER 10
#define GRITOS_OBJECT_SCHED_CONTROL 11
#define GRITOS_OBJECT_IRQ_CONTROL 12
#define GRITOS_OBJECT_PLATFORM 13
#define GRITOS_OBJECT_ASID_CONTROL 14

/* Rights of a capability */
#define RIGHT_READ UINT32_C(0x1)
#define RIGHT_WRITE UINT32_C(0x2)
#define RIGHT_EXECUTE UINT32_C(0x4)
#define RIGHT_GRANT UINT32_C(0x8)
#define RIGHT_MANAGE UINT32_C(0x10)
#define RIGHT_MAP UINT32_C(0x20)
#define RIGHT_DMA UINT32_C(0x40)
#define RIGHT_SEND UINT32_C(0x80)
#define RIGHT_RECV UINT32_C(0x100)
#define RIGHT_CONTROL UINT32_C(0x200)
#define RIGHT_SERVER UINT32_C(0xffff0000)
#define RIGHT_KERNEL UINT32_C(0x3ff)
/* As a mask: the rights that are held */
#define RIGHTS_AS_HELD UINT32_C(0)
/* Badges with this bit number clients */
#define GRITOS_BADGE_CLIENT UINT32_C(0x80000000)

/* Methods of CNode */
#define GRITOS_CNODE_METHOD_COPY 0
#define GRITOS_CNODE_METHOD_MINT 1
#define GRITOS_CNODE_METHOD_MOVE 2
#define GRITOS_CNODE_METHOD_DELETE 3
#define GRITOS_CNODE_METHOD_REVOKE 4
#define GRITOS_CNODE_METHOD_INSPECT 5

/* Methods of Untyped */
#define GRITOS_UNTYPED_METHOD_RETYPE 0
#define GRITOS_UNTYPED_METHOD_INFO 1

/* Methods of Tcb */
#define GRITOS_TCB_METHOD_CONFIGURE 0
#define GRITOS_TCB_METHOD_SET_PRIORITY 1
#define GRITOS_TCB_METHOD_READ_REGISTERS 2
#define GRITOS_TCB_METHOD_WRITE_REGISTERS 3
#define GRITOS_TCB_METHOD_RESUME 4
#define GRITOS_TCB_METHOD_SUSPEND 5
#define GRITOS_TCB_METHOD_BIND_CONTEXT 6
#define GRITOS_TCB_METHOD_UNBIND_CONTEXT 7
#define GRITOS_TCB_METHOD_BIND_NOTIFICATION 8
#define GRITOS_TCB_METHOD_UNBIND_NOTIFICATION 9
#define GRITOS_TCB_METHOD_INFO 10
#define GRITOS_TCB_METHOD_SET_FLAGS 11
#define GRITOS_TCB_METHOD_KILL 12

/* Methods of Notification */
#define GRITOS_NOTIFICATION_METHOD_SIGNAL 0

/* Methods of SchedulingContext */
#define GRITOS_SCHEDULING_CONTEXT_METHOD_INFO 0

/* Methods of SchedControl */
#define GRITOS_SCHED_CONTROL_METHOD_CONFIGURE 0

/* Methods of AddressSpace */
#define GRITOS_ADDRESS_SPACE_METHOD_DONATE 0
#define GRITOS_ADDRESS_SPACE_METHOD_INFO 1

/* Methods of MemoryObject */
#define GRITOS_MEMORY_OBJECT_METHOD_MAP 0
#define GRITOS_MEMORY_OBJECT_METHOD_UNMAP 1
#define GRITOS_MEMORY_OBJECT_METHOD_PROTECT 2
#define GRITOS_MEMORY_OBJECT_METHOD_INFO 3
#define GRITOS_MEMORY_OBJECT_METHOD_PHYSICAL_ADDRESS 4

/* Methods of IrqControl */
#define GRITOS_IRQ_CONTROL_METHOD_GET 0

/* Methods of IrqHandler */
#define GRITOS_IRQ_HANDLER_METHOD_BIND 0
#define GRITOS_IRQ_HANDLER_METHOD_UNBIND 1
#define GRITOS_IRQ_HANDLER_METHOD_ACK 2

/* Methods of Platform */
#define GRITOS_PLATFORM_METHOD_RESET 0
#define GRITOS_PLATFORM_METHOD_POWER_OFF 1
#define GRITOS_PLATFORM_METHOD_ENTROPY 2
#define GRITOS_PLATFORM_METHOD_TAKE_CONSOLE 3
#define GRITOS_PLATFORM_METHOD_READ_LOG 4
#define GRITOS_PLATFORM_METHOD_CLOCK 5

/* Methods of AsidControl */
#define GRITOS_ASID_CONTROL_METHOD_ASSIGN 0

/* Memory types */
#define GRITOS_MEMORY_NORMAL 0
#define GRITOS_MEMORY_UNCACHED 1
#define GRITOS_MEMORY_DEVICE 2

/* Register numbers beyond x0 to x30 */
#define GRITOS_REGISTER_SP 31
#define GRITOS_REGISTER_PC 32
#define GRITOS_REGISTER_PSTATE 33
#define GRITOS_REGISTER_THREAD_POINTER 34

/* States of a thread */
#define TS_INACTIVE 0
#define TS_READY 1
#define TS_RUNNING 2
#define TS_BLOCKED_IPC_SEND 3
#define TS_BLOCKED_IPC_RECV 4
#define TS_BLOCKED_NOTIFICATION 5
#define TS_BLOCKED_SLEEP 6
#define TS_TERMINATED 7

/* What arrived */
#define GRITOS_KIND_CALL 0
#define GRITOS_KIND_ONE_WAY 1
#define GRITOS_KIND_NOTIFICATION 2
#define GRITOS_KIND_FAULT 3
#define GRITOS_KIND_REPLY 4

/* Tag of a fault message */
#define GRITOS_FAULT_DATA_ABORT 0
#define GRITOS_FAULT_INSTRUCTION_ABORT 1
#define GRITOS_FAULT_UNDEFINED 2
#define GRITOS_FAULT_ALIGNMENT 3
#define GRITOS_FAULT_BREAKPOINT 4
#define GRITOS_FAULT_FP_ACCESS 5
#define GRITOS_FAULT_SERROR 6
#define GRITOS_FAULT_TIMEOUT 7
#define GRITOS_FAULT_OTHER 8

/* Tag of the reply to a fault */
#define GRITOS_FAULT_REPLY_RETRY 0
#define GRITOS_FAULT_REPLY_SKIP 1
#define GRITOS_FAULT_REPLY_JUMP 2
#define GRITOS_FAULT_REPLY_SUSPEND 3
#define GRITOS_FAULT_REPLY_KILL 4

/* Slots that the root task finds filled */
#define GRITOS_SLOT_CNODE 1
#define GRITOS_SLOT_TCB 2
#define GRITOS_SLOT_ADDRESS_SPACE 3
#define GRITOS_SLOT_SCHED_CONTEXT 4
#define GRITOS_SLOT_SCHED_CONTROL 5
#define GRITOS_SLOT_IRQ_CONTROL 6
#define GRITOS_SLOT_PLATFORM 7
#define GRITOS_SLOT_ASID_CONTROL 8
#define GRITOS_SLOT_BOOT_IMAGE 9
#define GRITOS_SLOT_DEVICE_TREE 10
#define GRITOS_SLOT_SEGMENT_FIRST 11
#define GRITOS_SLOT_BOOT_INFO 15
#define GRITOS_SLOT_UNTYPED_FIRST 16

/* Fields of `control` on the way into the kernel */
#define GRITOS_CONTROL(words, caps, moved) \
    ((uint64_t)(words) << 0 | (uint64_t)(caps) << 4 | (uint64_t)(moved) << 7)
#define GRITOS_CONTROL_WINDOW(first, slots) \
    ((uint64_t)(slots) << 11 | (uint64_t)(uint32_t)(first) << 32)
#define GRITOS_CONTROL_DEADLINE (UINT64_C(1) << 14)

/* Fields of `control` on the way out of the kernel */
#define GRITOS_OUTCOME_STATUS(control) ((uint32_t)(control) & 0xff)
#define GRITOS_OUTCOME_WORDS(control) ((uint32_t)((control) >> 8) & 15)
#define GRITOS_OUTCOME_CAPS(control) ((uint32_t)((control) >> 12) & 7)
#define GRITOS_OUTCOME_FAULT_SLOT(control) ((uint32_t)((control) >> 15) & 7)
#define GRITOS_OUTCOME_KIND(control) ((uint32_t)((control) >> 18) & 7)

/* Fields of `cap_info` of a slot that arrived */
#define GRITOS_CAP_TYPE(info) ((uint32_t)(info) & 0xff)
#define GRITOS_CAP_IN_SLOT(info) (((uint32_t)(info) >> 8 & 3) == 1)
#define GRITOS_CAP_UNWRAPPED(info) (((uint32_t)(info) >> 8 & 3) == 2)
#define GRITOS_CAP_WINDOW_POSITION(info) ((uint32_t)(info) >> 10 & 7)

/* Size of a message */
#define GRITOS_DATA_WORDS 8
#define GRITOS_CAP_SLOTS 4

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
#define GRITOS_SYSCALL_(name, number)                                      \
    static inline void gRiTOS_svc_##name(gRiTOS_Registers_ *regs) {        \
        __asm__ volatile(                                                  \
            "ldp x0, x1, [%0]\n\tldp x2, x3, [%0, #16]\n\t"                  \
            "ldp x4, x5, [%0, #32]\n\tldp x6, x7, [%0, #48]\n\t"             \
            "ldp x8, x9, [%0, #64]\n\tldp x10, x11, [%0, #80]\n\t"           \
            "ldp x12, x13, [%0, #96]\n\tldp x14, x15, [%0, #112]\n\t"        \
            "ldp x16, x17, [%0, #128]\n\t"                                 \
            "svc %1\n\t"                                                   \
            "stp x0, x1, [%0]\n\tstp x2, x3, [%0, #16]\n\t"                  \
            "stp x4, x5, [%0, #32]\n\tstp x6, x7, [%0, #48]\n\t"             \
            "stp x8, x9, [%0, #64]\n\tstp x10, x11, [%0, #80]\n\t"           \
            "stp x12, x13, [%0, #96]\n\tstp x14, x15, [%0, #112]\n\t"        \
            "stp x16, x17, [%0, #128]"                                     \
            :                                                              \
            : "r"(regs), "i"(number)                                       \
            : "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9",  \
              "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17",      \
              "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9",  \
              "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17",      \
              "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",      \
              "v26", "v27", "v28", "v29", "v30", "v31", "memory", "cc");   \
    }
GRITOS_SYSCALL_(Call_, GRITOS_SYSCALL_CALL)
GRITOS_SYSCALL_(ReplyRecv_, GRITOS_SYSCALL_REPLY_RECV)
GRITOS_SYSCALL_(SendAsync_, GRITOS_SYSCALL_SEND_ASYNC)
GRITOS_SYSCALL_(Recv_, GRITOS_SYSCALL_RECV)
GRITOS_SYSCALL_(Poll_, GRITOS_SYSCALL_POLL)
GRITOS_SYSCALL_(Reply_, GRITOS_SYSCALL_REPLY)
GRITOS_SYSCALL_(Yield_, GRITOS_SYSCALL_YIELD)
GRITOS_SYSCALL_(DebugPutchar_, GRITOS_SYSCALL_DEBUG_PUTCHAR)

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
