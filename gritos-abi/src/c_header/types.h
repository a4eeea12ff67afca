
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
