// A plugin of QEMU's translator that counts what the guest's kernel does, from outside the guest.
//
// It tells, at the end of the run, as lines `NAME key=value ...` in the file `out=`:
//   boot     instructions from reset to the first one of user space;
//   masked   the longest stretch of kernel instructions with interrupts masked: from an exception, or a
//            look at pending interrupts, to the next look, wait or return. Boot is left out;
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
enum { QEMU_PLUGIN_CB_NO_REGS = 0 };
enum { QEMU_PLUGIN_MEM_RW = 3 };
enum { QEMU_PLUGIN_INLINE_ADD_U64 = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t,
                                           void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
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

// Counted by the translated code itself.
static qemu_plugin_u64 total, masked;

static FILE *out;
static bool marks;

// Boot and masked stretches.
static uint64_t boot, stretches, longest, longest_begin, longest_end, begin_after;

static void on_boundary(unsigned vcpu, void *data) {
    uint64_t address = (uint64_t)(uintptr_t)data;
    if (vcpu != 0) return;
    if (boot == 0) { // the first return: to the root task
        boot = qemu_plugin_u64_get(total, 0);
    } else {
        uint64_t length = qemu_plugin_u64_get(masked, 0);
        stretches++;
        if (length > longest) {
            longest = length;
            longest_begin = begin_after;
            longest_end = address;
        }
    }
    begin_after = address;
    qemu_plugin_u64_set(masked, 0, 0);
}

// A look at pending interrupts in the course of boot ends nothing.
static void on_look(unsigned vcpu, void *data) {
    if (boot != 0) on_boundary(vcpu, data);
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
                                                                masked, 1);
            if (class == ERET)
                qemu_plugin_register_vcpu_insn_exec_cb(insn, on_boundary, QEMU_PLUGIN_CB_NO_REGS,
                                                       place);
            if (class == LOOK || class == WAIT)
                qemu_plugin_register_vcpu_insn_exec_cb(insn, on_look, QEMU_PLUGIN_CB_NO_REGS, place);
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
    }
    if (out == NULL) {
        fprintf(stderr, "counter: out=FILE names no file that can be written\n");
        return 1;
    }
    total = counter();
    masked = counter();
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit, NULL);
    return 0;
}
