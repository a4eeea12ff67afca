
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
