// A plugin of QEMU's translator that counts what the guest's kernel does, from outside the guest.
//
// It tells, at the end of the run, as lines `NAME key=value ...` in the file `out=`:
//   boot     instructions from reset to the first one of user space;
//   masked   the longest stretch of kernel instructions with interrupts masked: from an exception, or a
//            look at pending interrupts, to the next look, wait or return. Boot is left out;
//   path_W   for each way W into the kernel: how often, the most instructions from there to the return or
//            the wait, and the longest stretch with interrupts masked on it. A Call is also told apart by
//            the functions given as `way=NAME:ADDRESS` that it came to, and an `idle` begins with a wait's end;
//   marked   with `marks=on`, for each id between whose marks code ran: how often, and per run writes of
//            system registers, ISB, DSB and distinct lines of 64 bytes, of code and of data, that the
//            kernel touched. The commonest value of each, and the largest.
//
// A mark is `movz xzr, #0x4000|id` at the beginning and `movz xzr, #0x5000|id` at the end, in user
// space; libsys's `svc::probe` has them. One measurement runs at a time, on processor 0.
//
// The part of the interface in use is declared here (version 4, QEMU 9.2), as Debian ships no header
// for it. Documented in QEMU's docs/devel/tcg-plugins.rst.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_scoreboard;
typedef struct {
    struct qemu_plugin_scoreboard *score;
    size_t offset;
} qemu_plugin_u64;
struct qemu_plugin_register;
typedef struct {
    struct qemu_plugin_register *handle;
    const char *name;
    const char *feature;
} qemu_plugin_reg_descriptor;
enum { QEMU_PLUGIN_CB_NO_REGS = 0, QEMU_PLUGIN_CB_R_REGS = 1 };
enum { QEMU_PLUGIN_MEM_RW = 3 };
enum { QEMU_PLUGIN_INLINE_ADD_U64 = 0, QEMU_PLUGIN_INLINE_STORE_U64 = 1 };

// GLib's arrays, in which registers come. QEMU brings the library.
typedef struct {
    char *data;
    unsigned len;
} GArray;
typedef struct {
    uint8_t *data;
    unsigned len;
} GByteArray;
GByteArray *g_byte_array_new(void);
GByteArray *g_byte_array_set_size(GByteArray *, unsigned);
char *g_array_free(GArray *, int);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t,
                                           void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_init_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, unsigned));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int,
                                          void *);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, void (*)(unsigned, void *),
                                            int, void *);
void qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(struct qemu_plugin_insn *, int,
                                                         qemu_plugin_u64, uint64_t);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *,
                                      void (*)(unsigned, qemu_plugin_meminfo_t, uint64_t, void *),
                                      int, int, void *);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t);
uint64_t qemu_plugin_u64_get(qemu_plugin_u64, unsigned);
void qemu_plugin_u64_set(qemu_plugin_u64, unsigned, uint64_t);
GArray *qemu_plugin_get_registers(void);
int qemu_plugin_read_register(struct qemu_plugin_register *, GByteArray *);

EXPORT int qemu_plugin_version = 4;

// What an instruction is, as far as it matters. The encodings are those of the Arm ARM, part C5.
enum class { OTHER, ERET, LOOK, WAIT, WRITE, ISB, DSB };

static enum class class_of(uint32_t op) {
    if (op == 0xd69f03e0) return ERET;
    if (op == 0xd503207f) return WAIT;
    if ((op & 0xffffffe0) == 0xd538c100) return LOOK; // mrs isr_el1
    if ((op & 0xfffff0ff) == 0xd50330df) return ISB;
    if ((op & 0xfffff0ff) == 0xd503309f) return DSB;
    if ((op & 0xfff00000) == 0xd5100000) return WRITE; // msr register
    if ((op & 0xfff8f01f) == 0xd500401f) return WRITE; // msr immediate
    return OTHER;
}

static bool is_kernel(uint64_t address) { return address >> 48 == 0xffff; }

// Counted by the translated code itself: all instructions until boot ends, those of the kernel, and whether
// the last thing that the kernel did was to leave.
static qemu_plugin_u64 total, kernel, left;

static FILE *out;
static bool marks;

// Ways into the kernel. Those from CALL to DEBUG_PUTCHAR are numbers of system calls
// (`docs/reference/abi.md`); beyond WAYS come the functions given.
enum { CALL, DEBUG_PUTCHAR = 7, INVALID, ABORT, FP, EXCEPTION, INTERRUPT, IDLE, WAYS, MOST_WAYS = 32 };
static struct {
    char name[24];
    uint64_t address; // of a function, else 0
    uint64_t runs, longest, masked;
} ways[MOST_WAYS] = {{"call", 0, 0, 0, 0},          {"reply_recv", 0, 0, 0, 0},
                     {"send_async", 0, 0, 0, 0},    {"recv", 0, 0, 0, 0},
                     {"poll", 0, 0, 0, 0},          {"reply", 0, 0, 0, 0},
                     {"yield", 0, 0, 0, 0},         {"debug_putchar", 0, 0, 0, 0},
                     {"invalid", 0, 0, 0, 0},       {"abort", 0, 0, 0, 0},
                     {"fp", 0, 0, 0, 0},            {"exception", 0, 0, 0, 0},
                     {"interrupt", 0, 0, 0, 0},     {"idle", 0, 0, 0, 0}};
static int way_count = WAYS;
static int way = -1; // the one under way
static uint64_t way_begin;

static struct qemu_plugin_register *esr;
static GByteArray *value;

static void on_vcpu(qemu_plugin_id_t id, unsigned vcpu) {
    (void)id;
    if (vcpu != 0) return;
    GArray *all = qemu_plugin_get_registers();
    const qemu_plugin_reg_descriptor *register_ = (const void *)all->data;
    for (unsigned i = 0; i < all->len; i++)
        if (strcmp(register_[i].name, "ESR_EL1") == 0) esr = register_[i].handle;
    g_array_free(all, 1);
}

// Why the processor came here: ESR_EL1 ("Exception Syndrome Register" in the Arm ARM, part D24).
static int way_of_syndrome(void) {
    uint64_t syndrome = 0;
    g_byte_array_set_size(value, 0);
    if (esr == NULL || qemu_plugin_read_register(esr, value) > (int)sizeof syndrome) return EXCEPTION;
    memcpy(&syndrome, value->data, value->len);
    switch (syndrome >> 26 & 0x3f) {
    case 0x15: return (syndrome & 0xffff) <= DEBUG_PUTCHAR ? (int)(syndrome & 0xffff) : INVALID;
    case 0x20:
    case 0x24: return ABORT;
    case 0x07: return FP;
    default: return EXCEPTION;
    }
}

// Boot and masked stretches.
static uint64_t boot, stretches, longest, longest_begin, longest_end, begin_after, masked_begin;

// A block that begins where a vector may be: from EL0 if the kernel has left.
static void on_vector(unsigned vcpu, void *data) {
    uint64_t offset = (uintptr_t)data & 0x7ff;
    if (vcpu != 0 || boot == 0 || qemu_plugin_u64_get(left, 0) == 0) return;
    qemu_plugin_u64_set(left, 0, 0);
    way = offset == 0x400 ? way_of_syndrome() : INTERRUPT;
    way_begin = masked_begin = qemu_plugin_u64_get(kernel, 0);
}

// A function that tells Calls apart: the first given is the least that is known of one.
static void on_way(unsigned vcpu, void *data) {
    int found = (int)(uintptr_t)data;
    if (vcpu == 0 && (way == CALL || (way == WAYS && found > WAYS))) way = found;
}

static void on_boundary(unsigned vcpu, void *data) {
    uint64_t address = (uint64_t)(uintptr_t)data;
    if (vcpu != 0) return;
    uint64_t now = qemu_plugin_u64_get(kernel, 0);
    if (boot == 0) { // the first return: to the root task
        boot = qemu_plugin_u64_get(total, 0);
    } else {
        uint64_t length = now - masked_begin;
        stretches++;
        if (length > longest) {
            longest = length;
            longest_begin = begin_after;
            longest_end = address;
        }
        if (way >= 0 && length > ways[way].masked) ways[way].masked = length;
    }
    begin_after = address;
    masked_begin = now;
}

static void end_way(void) {
    if (way < 0) return;
    uint64_t length = qemu_plugin_u64_get(kernel, 0) - way_begin;
    ways[way].runs++;
    if (length > ways[way].longest) ways[way].longest = length;
    way = -1;
}

static void on_return(unsigned vcpu, void *data) {
    on_boundary(vcpu, data);
    if (vcpu == 0) end_way();
}

// A look at pending interrupts in the course of boot ends nothing.
static void on_look(unsigned vcpu, void *data) {
    if (boot != 0) on_boundary(vcpu, data);
}

static void on_wait(unsigned vcpu, void *data) {
    if (boot == 0 || vcpu != 0) return;
    on_boundary(vcpu, data);
    end_way();
    way = IDLE;
    way_begin = masked_begin;
}

// Measurements between marks.
enum { IDS = 64, VALUES = 256, SLOTS = 4096, BEGIN = 4, END = 5 };
enum figure { WRITES, ISBS, DSBS, CODE_LINES, DATA_LINES, FIGURES };
static const char *const names[FIGURES] = {"writes", "isb", "dsb", "code_lines", "data_lines"};

static struct {
    uint64_t runs;
    uint64_t largest[FIGURES];
    uint32_t seen[FIGURES][VALUES];
} found[IDS];

// Lines that the measurement under way touched: a slot counts if it was written in this run.
struct lines {
    uint64_t line[SLOTS];
    uint64_t run[SLOTS];
};
static struct lines code, data;
static int open_id = -1;
static uint64_t run, now[FIGURES];

static void touch(struct lines *lines, enum figure figure, uint64_t address) {
    uint64_t line = address >> 6;
    if (now[figure] >= SLOTS / 2) return; // beyond what VALUES can tell
    for (uint64_t i = line * 0x9e3779b97f4a7c15 >> 52;; i = (i + 1) % SLOTS) {
        if (lines->run[i] != run) {
            lines->run[i] = run;
            lines->line[i] = line;
            now[figure]++;
            return;
        }
        if (lines->line[i] == line) return;
    }
}

static void on_mark(unsigned vcpu, void *word) {
    unsigned mark = (unsigned)(uintptr_t)word;
    int id = mark & 0xfff;
    if (vcpu != 0 || id >= IDS) return;
    if (mark >> 12 == BEGIN) {
        open_id = id;
        run++;
        memset(now, 0, sizeof now);
    } else if (id == open_id) {
        open_id = -1;
        found[id].runs++;
        for (int f = 0; f < FIGURES; f++) {
            uint64_t value = now[f];
            if (value > found[id].largest[f]) found[id].largest[f] = value;
            found[id].seen[f][value < VALUES ? value : VALUES - 1]++;
        }
    }
}

struct insn {
    uint64_t address;
    enum class class;
};

static void on_kernel(unsigned vcpu, void *word) {
    const struct insn *insn = word;
    if (vcpu != 0 || open_id < 0) return;
    touch(&code, CODE_LINES, insn->address);
    if (insn->class == WRITE) now[WRITES]++;
    if (insn->class == ISB) now[ISBS]++;
    if (insn->class == DSB) now[DSBS]++;
}

static void on_memory(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *word) {
    (void)info;
    (void)word;
    if (vcpu == 0 && open_id >= 0) touch(&data, DATA_LINES, address);
}

// Instructions of the kernel, by their place: its text is far smaller than this covers.
enum { INSNS = 1 << 20 };
static struct insn insns[INSNS];

static void watch(struct qemu_plugin_insn *insn, uint64_t address, enum class class) {
    struct insn *kept = &insns[(address >> 2) % INSNS];
    kept->address = address;
    kept->class = class;
    qemu_plugin_register_vcpu_insn_exec_cb(insn, on_kernel, QEMU_PLUGIN_CB_NO_REGS, kept);
    qemu_plugin_register_vcpu_mem_cb(insn, on_memory, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW,
                                     NULL);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
    (void)id;
    size_t count = qemu_plugin_tb_n_insns(block);
    uint64_t start = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(block, 0));
    // Vectors of EL0 in AArch64 state: synchronous and IRQ.
    if (is_kernel(start) && ((start & 0x7ff) == 0x400 || (start & 0x7ff) == 0x480))
        qemu_plugin_register_vcpu_tb_exec_cb(block, on_vector, QEMU_PLUGIN_CB_R_REGS,
                                             (void *)(uintptr_t)start);
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
        uint64_t address = qemu_plugin_insn_vaddr(insn);
        uint32_t op = 0;
        qemu_plugin_insn_data(insn, &op, sizeof op);
        if (boot == 0)
            qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, QEMU_PLUGIN_INLINE_ADD_U64,
                                                                total, 1);
        if (is_kernel(address)) {
            void *place = (void *)(uintptr_t)address;
            enum class class = class_of(op);
            qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, QEMU_PLUGIN_INLINE_ADD_U64,
                                                                kernel, 1);
            for (int w = WAYS; w < way_count; w++)
                if (ways[w].address == address)
                    qemu_plugin_register_vcpu_insn_exec_cb(insn, on_way, QEMU_PLUGIN_CB_NO_REGS,
                                                           (void *)(uintptr_t)w);
            if (class == ERET) {
                qemu_plugin_register_vcpu_insn_exec_cb(insn, on_return, QEMU_PLUGIN_CB_NO_REGS, place);
                qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
                    insn, QEMU_PLUGIN_INLINE_STORE_U64, left, 1);
            }
            if (class == LOOK)
                qemu_plugin_register_vcpu_insn_exec_cb(insn, on_look, QEMU_PLUGIN_CB_NO_REGS, place);
            if (class == WAIT)
                qemu_plugin_register_vcpu_insn_exec_cb(insn, on_wait, QEMU_PLUGIN_CB_NO_REGS, place);
            if (marks) watch(insn, address, class);
        } else if (marks && (op & 0xffe0001f) == 0xd280001f) { // movz xzr, #mark
            unsigned mark = op >> 5 & 0xffff;
            if (mark >> 12 == BEGIN || mark >> 12 == END)
                qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, QEMU_PLUGIN_CB_NO_REGS,
                                                       (void *)(uintptr_t)mark);
        }
    }
}

static unsigned commonest(const uint32_t *seen) {
    unsigned best = 0;
    for (unsigned value = 1; value < VALUES; value++)
        if (seen[value] > seen[best]) best = value;
    return best;
}

static void on_exit(qemu_plugin_id_t id, void *word) {
    (void)id;
    (void)word;
    fprintf(out, "boot instructions=%llu\n", (unsigned long long)boot);
    fprintf(out, "masked instructions=%llu stretches=%llu after=%llu end=%llu\n",
            (unsigned long long)longest, (unsigned long long)stretches,
            (unsigned long long)longest_begin, (unsigned long long)longest_end);
    for (int w = 0; w < way_count; w++) {
        if (ways[w].runs == 0) continue;
        fprintf(out, "path_%s n=%llu instructions=%llu masked=%llu\n", ways[w].name,
                (unsigned long long)ways[w].runs, (unsigned long long)ways[w].longest,
                (unsigned long long)ways[w].masked);
    }
    for (int i = 0; i < IDS; i++) {
        if (found[i].runs == 0) continue;
        fprintf(out, "marked id=%d n=%llu", i, (unsigned long long)found[i].runs);
        for (int f = 0; f < FIGURES; f++)
            fprintf(out, " %s=%u %s_max=%llu", names[f], commonest(found[i].seen[f]), names[f],
                    (unsigned long long)found[i].largest[f]);
        fprintf(out, "\n");
    }
    fclose(out);
}

static qemu_plugin_u64 counter(void) {
    qemu_plugin_u64 entry = {qemu_plugin_scoreboard_new(sizeof(uint64_t)), 0};
    return entry;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0) out = fopen(argv[i] + 4, "w");
        if (strcmp(argv[i], "marks=on") == 0) marks = true;
        unsigned long long address;
        if (way_count == MOST_WAYS) continue;
        if (sscanf(argv[i], "way=%23[a-z_]:%llx", ways[way_count].name, &address) == 2) {
            ways[way_count++].address = address;
        }
    }
    if (out == NULL) {
        fprintf(stderr, "counter: out=FILE names no file that can be written\n");
        return 1;
    }
    total = counter();
    kernel = counter();
    left = counter();
    value = g_byte_array_new();
    qemu_plugin_register_vcpu_init_cb(id, on_vcpu);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit, NULL);
    return 0;
}
