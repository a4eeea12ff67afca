
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
