//! Every way to fail.

use core::hint::black_box;

use gritos_sys::svc::probe;
use gritos_trial_api::Failure;

/// Where nothing is mapped.
const NOWHERE: u64 = 0x12_3456_7000;

const NAMES: [(&str, Failure); 11] = [
    ("wild-pointer", Failure::WildPointer),
    ("stack-overflow", Failure::StackOverflow),
    ("illegal-instruction", Failure::IllegalInstruction),
    ("panic", Failure::Panic),
    ("exit", Failure::Exit),
    ("wild-jump", Failure::WildJump),
    ("write-text", Failure::WriteText),
    ("misaligned", Failure::Misaligned),
    ("floating-point", Failure::FloatingPoint),
    ("breakpoint", Failure::Breakpoint),
    ("privileged", Failure::Privileged),
];

pub(crate) fn run(argument: &str) {
    match NAMES.iter().find(|(name, _)| *name == argument) {
        Some((_, failure)) => fail(*failure),
        None => log::error!("there is no failure `{argument}`"),
    }
}

/// Fails. That it returns is a failure of another kind, unless it was to exit.
pub(crate) fn fail(failure: Failure) {
    match failure {
        Failure::WildPointer => drop(black_box(probe::load(NOWHERE + 8))),
        Failure::StackOverflow => drop(black_box(dig(0))),
        Failure::IllegalInstruction => probe::undefined(),
        Failure::Panic => panic!("{} are too many", black_box(3)),
        Failure::Exit => gritos_sys::rt::exit(),
        Failure::WildJump => probe::jump(NOWHERE),
        Failure::WriteText => drop(black_box(probe::store(
            fail as fn(Failure) as usize as u64,
            0,
        ))),
        Failure::Misaligned => drop(black_box(probe::load_exclusive(NAMES.as_ptr() as u64 + 1))),
        Failure::FloatingPoint => probe::use_fp(),
        Failure::Breakpoint => probe::brk::<7>(),
        Failure::Privileged => drop(black_box(probe::read_privileged())),
    }
}

/// Uses stack without end.
#[inline(never)]
fn dig(depth: u64) -> u64 {
    let here = black_box([depth; 64]);
    let below = if depth == u64::MAX {
        0
    } else {
        dig(black_box(depth + 1))
    };
    below + here.iter().sum::<u64>()
}
