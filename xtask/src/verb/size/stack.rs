//! How deep the kernel's stacks get, and what its fast path calls: read off the binary.
//!
//! Every function's frame is what its instructions take from the stack pointer; every branch that
//! leaves a function is a call. That bounds the depth from above: frames of alternative ways through
//! a function are added up, and a tail call counts as if its caller's frame were still there. Calls
//! through pointers and frames of variable size cannot be bounded this way and are errors. An
//! indirect jump is taken to stay in its function: it comes from a table.
//!
//! Nor can recursion be bounded. Branches that close a cycle in which stack is taken are counted
//! apart, as what the depth says nothing about.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection, ObjectSymbol, SectionKind};

/// Functions that must get by without calls.
const FAST: [&str; 4] = [
    "fast_call",
    "fast_call_more",
    "fast_reply_recv",
    "fast_reply_more",
];
/// The entry for exceptions of the kernel itself, which has a stack of its own.
const EMERGENCY: &str = "vectors_fault";

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stacks {
    /// Of the stack that everything else uses.
    pub(crate) kernel: Stack,
    /// Of the stack for reports of the kernel's own faults.
    pub(crate) emergency: Stack,
    /// Calls in the functions of the fast path.
    pub(crate) fast_calls: u64,
    /// Largest frame of a function of the fast path. Their stack is part of a TCB.
    pub(crate) fast_frame: u64,
    /// Ways around through functions that call each other and take stack.
    pub(crate) recursions: Vec<String>,
}

/// A stack and its deepest use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stack {
    pub(crate) bytes: u64,
    pub(crate) deepest: u64,
    /// The functions on the deepest way.
    pub(crate) path: Vec<String>,
}

/// A stretch of code from one symbol to the next.
#[derive(Clone, Debug, Default)]
struct Function {
    start: u64,
    end: u64,
    name: String,
    frame: u64,
    /// Indices of functions that it calls or goes on in.
    next: BTreeSet<usize>,
    calls: u64,
}

/// Measures the kernel in the file `kernel`.
pub(crate) fn measure(kernel: &Path) -> Result<Stacks> {
    let bytes = std::fs::read(kernel)?;
    let file = ElfFile64::<Endianness>::parse(bytes.as_slice()).context("the kernel is ELF")?;
    let address = |name: &str| {
        let symbol = file.symbol_by_name(name);
        symbol
            .map(|symbol| symbol.address())
            .with_context(|| format!("the kernel has no symbol {name}"))
    };
    let mut functions = symbols(&file);
    for section in file.sections() {
        if section.kind() == SectionKind::Text {
            read_code(&mut functions, section.address(), section.data()?)?;
        }
    }
    let recursions = cut_recursions(&mut functions);
    let depths = depths(&functions);
    let stack = |bytes, root: usize| Stack {
        bytes,
        deepest: depths[root],
        path: path(&functions, &depths, root),
    };
    let deepest = (0..functions.len()).max_by_key(|&i| depths[i]);
    let fast = || functions.iter().filter(|f| FAST.contains(&f.name.as_str()));
    let emergency = functions.iter().position(|f| f.name == EMERGENCY);
    for name in FAST {
        ensure!(
            functions.iter().any(|f| f.name == name),
            "the kernel has no function {name}"
        );
    }
    Ok(Stacks {
        kernel: stack(
            address("__kernel_stack_top")? - address("__kernel_stack")?,
            deepest.context("the kernel has functions")?,
        ),
        emergency: stack(
            address("__emergency_stack_top")? - address("__emergency_stack")?,
            emergency.with_context(|| format!("the kernel has no function {EMERGENCY}"))?,
        ),
        fast_calls: fast().map(|f| f.calls).sum(),
        fast_frame: fast().map(|f| f.frame).max().unwrap_or_default(),
        recursions,
    })
}

/// The symbols of code, each up to the next, or to the end of its section.
fn symbols(file: &ElfFile64<'_>) -> Vec<Function> {
    let mut functions = Vec::new();
    for section in file.sections().filter(|s| s.kind() == SectionKind::Text) {
        let within = section.address()..section.address() + section.size();
        let mut named: Vec<(u64, &str)> = file
            .symbols()
            .filter(|s| s.section_index() == Some(section.index()) && within.contains(&s.address()))
            .filter_map(|s| Some((s.address(), s.name().ok()?)))
            // Mapping symbols, and labels of the linker script.
            .filter(|(_, name)| {
                !name.is_empty() && !name.starts_with('$') && !name.starts_with("__")
            })
            .collect();
        named.sort_unstable();
        named.dedup_by_key(|(start, _)| *start);
        let ends = named.iter().skip(1).map(|(start, _)| *start);
        let ends = ends.chain([within.end]).collect::<Vec<_>>();
        functions.extend(
            named
                .iter()
                .zip(ends)
                .map(|(&(start, name), end)| Function {
                    start,
                    end,
                    name: format!("{:#}", rustc_demangle::demangle(name)),
                    ..Function::default()
                }),
        );
    }
    functions.sort_by_key(|f| f.start);
    functions
}

fn index_of(functions: &[Function], address: u64) -> Option<usize> {
    let index = functions
        .partition_point(|f| f.start <= address)
        .checked_sub(1)?;
    (address < functions[index].end).then_some(index)
}

/// Reads the instructions of a section into the functions that they belong to.
fn read_code(functions: &mut [Function], base: u64, code: &[u8]) -> Result<()> {
    let words: Vec<u32> = code
        .as_chunks::<4>()
        .0
        .iter()
        .map(|w| u32::from_le_bytes(*w))
        .collect();
    for (address, &word) in (base..).step_by(4).zip(&words) {
        let Some(here) = index_of(functions, address) else {
            continue;
        };
        let instruction = Instruction::decode(word, address);
        let last = address + 4 == functions[here].end;
        let (targets, falls_through) = match instruction {
            Instruction::Call(to) => {
                functions[here].calls += 1;
                // At the end of a compiled function it does not return. Assembly, which takes no
                // stack, may go on behind it.
                (Some(to), functions[here].frame == 0)
            }
            Instruction::Jump(to) => (Some(to), false),
            Instruction::Branch(to) => (Some(to), true),
            Instruction::Push(bytes) => {
                functions[here].frame += bytes;
                (None, true)
            }
            Instruction::Leave => (None, false),
            Instruction::Unbounded(what) => bail!("{} has {what}", functions[here].name),
            Instruction::Other => (None, true),
        };
        let behind = (last && falls_through).then_some(address + 4);
        for target in targets.into_iter().chain(behind) {
            if let Some(to) = index_of(functions, target).filter(|&to| to != here) {
                functions[here].next.insert(to);
            } else if matches!(instruction, Instruction::Call(_)) {
                bail!("{} calls itself, or nothing", functions[here].name);
            }
        }
    }
    Ok(())
}

/// What an instruction means for the stack and for where execution goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instruction {
    /// BL.
    Call(u64),
    /// B.
    Jump(u64),
    /// A conditional branch.
    Branch(u64),
    /// Takes so many bytes of stack.
    Push(u64),
    /// RET, ERET, BR, UDF, BRK.
    Leave,
    /// Something that cannot be followed.
    Unbounded(&'static str),
    Other,
}

impl Instruction {
    /// Arm ARM, "A64 instruction set encoding": branches, "Add/subtract (immediate)", "Load/store
    /// register pair (pre-indexed)", "Load/store register (immediate pre-indexed)".
    fn decode(word: u32, address: u64) -> Self {
        const SP: u32 = 31;
        let field = |low: u32, bits: u32| word >> low & ((1 << bits) - 1);
        let signed = |low: u32, bits: u32| {
            i64::from((word << (32 - low - bits)).cast_signed() >> (32 - bits))
        };
        let to = |words: i64| address.wrapping_add_signed(4 * words);
        let pushed = |bytes: i64| Self::Push(bytes.min(0).unsigned_abs());
        let on_stack = field(5, 5) == SP;
        match word {
            w if w & 0xfc00_0000 == 0x9400_0000 => Self::Call(to(signed(0, 26))),
            w if w & 0xfc00_0000 == 0x1400_0000 => Self::Jump(to(signed(0, 26))),
            w if w & 0xff00_0010 == 0x5400_0000 => Self::Branch(to(signed(5, 19))),
            w if w & 0x7e00_0000 == 0x3400_0000 => Self::Branch(to(signed(5, 19))),
            w if w & 0x7e00_0000 == 0x3600_0000 => Self::Branch(to(signed(5, 14))),
            w if w & 0xffff_fc1f == 0xd63f_0000 => Self::Unbounded("a call through a pointer"),
            w if w & 0xffff_fc1f == 0xd61f_0000 => Self::Leave,
            w if w & 0xffff_fc1f == 0xd65f_0000 || w == 0xd69f_03e0 => Self::Leave,
            w if w & 0xffff_0000 == 0 || w & 0xffe0_001f == 0xd420_0000 => Self::Leave,
            w if w & 0xff80_03ff == 0xd100_03ff => {
                Self::Push(u64::from(field(10, 12)) << (12 * field(22, 1)))
            }
            w if w & 0x3bc0_0000 == 0x2980_0000 && on_stack => {
                let vector = field(26, 1) == 1;
                let shift = 2 + if vector { field(30, 2) } else { field(31, 1) };
                pushed(signed(15, 7) << shift)
            }
            w if w & 0x3fe0_0c00 == 0x3800_0c00 && on_stack => pushed(signed(12, 9)),
            w if w & 0xffe0_001f == 0xcb20_001f || w & 0xff80_001f == 0x9200_001f => {
                Self::Unbounded("a frame of variable size")
            }
            // Padding.
            0 => Self::Leave,
            _ => Self::Other,
        }
    }
}

/// Removes a branch from each cycle in which stack is taken; returns the cycles.
fn cut_recursions(functions: &mut [Function]) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let growing = grow(functions).1;
        // From a function whose depth grows without end a cycle can be reached through such.
        let mut way = Vec::new();
        let mut here = growing.first().copied();
        while let Some(index) = here {
            if let Some(begin) = way.iter().position(|&seen| seen == index) {
                way.drain(..begin);
                break;
            }
            way.push(index);
            here = functions[index].next.intersection(&growing).next().copied();
        }
        let (Some(&first), Some(&last)) = (way.first(), way.last()) else {
            return found;
        };
        if !functions[last].next.remove(&first) {
            return found;
        }
        let names = way.iter().map(|&index| functions[index].name.as_str());
        found.push(names.collect::<Vec<_>>().join(", "));
    }
}

/// Bytes of stack that each function and all that it calls can take.
fn depths(functions: &[Function]) -> Vec<u64> {
    grow(functions).0
}

/// The same, and the functions whose depth grows without end.
fn grow(functions: &[Function]) -> (Vec<u64>, BTreeSet<usize>) {
    let mut depths = vec![0; functions.len()];
    let mut growing = BTreeSet::new();
    // Without recursion no way is longer than there are functions: what still grows after that
    // many rounds does so without end, though not in every round.
    for round in 0..=2 * functions.len() {
        let deeper: Vec<u64> = functions
            .iter()
            .map(|f| f.frame + f.next.iter().map(|&i| depths[i]).max().unwrap_or(0))
            .collect();
        if deeper == depths {
            break;
        }
        if round > functions.len() {
            growing.extend((0..functions.len()).filter(|&i| deeper[i] != depths[i]));
        }
        depths = deeper;
    }
    (depths, growing)
}

/// The functions with frames on the deepest way from `root`.
fn path(functions: &[Function], depths: &[u64], root: usize) -> Vec<String> {
    let mut here = Some(root);
    let mut seen = BTreeSet::new();
    let mut path = Vec::new();
    while let Some(index) = here.filter(|&index| seen.insert(index)) {
        let function = &functions[index];
        path.push(format!("{} {}", function.frame, function.name));
        here = function.next.iter().copied().max_by_key(|&i| depths[i]);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::{Function, Instruction, cut_recursions, depths, path};

    fn decode(word: u32) -> Instruction {
        Instruction::decode(word, 0x1000)
    }

    #[test]
    fn what_takes_stack_is_counted() {
        assert_eq!(decode(0xd101_c3ff), Instruction::Push(0x70)); // sub sp, sp, #0x70
        assert_eq!(decode(0xd140_07ff), Instruction::Push(0x1000)); // sub sp, sp, #1, lsl #12
        assert_eq!(decode(0xa9bf_4ffe), Instruction::Push(16)); // stp x30, x19, [sp, #-16]!
        assert_eq!(decode(0xf81d_0ffe), Instruction::Push(48)); // str x30, [sp, #-48]!
        assert_eq!(decode(0xa8c1_7bfd), Instruction::Other); // ldp x29, x30, [sp], #16
        assert_eq!(decode(0x9101_c3ff), Instruction::Other); // add sp, sp, #0x70
        assert_eq!(decode(0xa9bf_4c1e), Instruction::Other); // stp x30, x19, [x0, #-16]!
    }

    #[test]
    fn where_execution_goes_is_followed() {
        assert_eq!(decode(0x9400_0001), Instruction::Call(0x1004)); // bl .+4
        assert_eq!(decode(0x17ff_ffff), Instruction::Jump(0xffc)); // b .-4
        assert_eq!(decode(0x5400_0040), Instruction::Branch(0x1008)); // b.eq .+8
        assert_eq!(decode(0xb400_0041), Instruction::Branch(0x1008)); // cbz x1, .+8
        assert_eq!(decode(0x3707_ffe0), Instruction::Branch(0xffc)); // tbnz w0, #0, .-4
        assert_eq!(decode(0xd65f_03c0), Instruction::Leave); // ret
        assert_eq!(decode(0xd69f_03e0), Instruction::Leave); // eret
        let unbounded = |word| matches!(decode(word), Instruction::Unbounded(_));
        assert!(unbounded(0xd63f_0100)); // blr x8
        assert!(unbounded(0xcb29_63ff)); // sub sp, sp, x9
        assert!(unbounded(0x927c_ed3f)); // and sp, x9, #-16
    }

    fn function(name: &str, frame: u64, next: &[usize]) -> Function {
        Function {
            name: name.into(),
            frame,
            next: next.iter().copied().collect(),
            ..Function::default()
        }
    }

    #[test]
    fn the_deepest_way_is_the_sum_of_its_frames() {
        let functions = [
            function("a", 16, &[1, 2]),
            function("b", 32, &[3]),
            function("c", 100, &[]),
            function("d", 80, &[]),
        ];
        let depths = depths(&functions);
        assert_eq!(depths, [128, 112, 100, 80]);
        assert_eq!(path(&functions, &depths, 0), ["16 a", "32 b", "80 d"]);
    }

    #[test]
    fn recursion_is_told_unless_it_takes_no_stack() {
        let mut labels = [
            function("a", 0, &[1]),
            function("b", 0, &[0, 2]),
            function("c", 8, &[]),
        ];
        assert_eq!(cut_recursions(&mut labels), Vec::<String>::new());
        assert_eq!(depths(&labels), [8, 8, 8]);
        let mut recursive = [
            function("above", 8, &[1]),
            function("a", 16, &[2]),
            function("b", 0, &[1, 3]),
            function("c", 8, &[]),
        ];
        assert_eq!(cut_recursions(&mut recursive), ["a, b"]);
        assert_eq!(depths(&recursive), [32, 24, 8, 8]);
    }
}
