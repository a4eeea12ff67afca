//! Copying, filling and comparing memory, which libsys does in assembly: every
//! size up to a few steps of the loops, at every kind of alignment, with the
//! bytes around looked at.

use core::cmp::Ordering;
use core::hint::black_box;

use gritos_sys::invoke::Permissions;
use gritos_sys::shared::{SHARED_BASE, SharedBuf};

use super::tests;
use crate::check::{Failure, Verdict};
use crate::env::Env;

tests![
    memory_is_moved_whole_and_nothing_else,
    memory_is_filled_up_to_its_end,
    memory_compares_as_its_first_difference,
    shared_memory_is_copied_whole_and_nothing_else,
];

/// Bytes that are watched.
const SIZE: usize = 512;
/// The first place that is copied from or to; what lies before must stay.
const MARGIN: usize = 32;
/// Sizes: beyond two steps of the longest loop and its remainder.
const LENGTHS: core::ops::RangeInclusive<usize> = 0..=290;

type Area = [u8; SIZE];

/// A byte that is not its neighbours'.
const fn mark(at: usize) -> u8 {
    (at.wrapping_mul(167) >> 3 ^ at) as u8
}

/// Byte by byte, or this would be a call of what is tested.
fn marked(area: &mut Area) {
    for (at, byte) in area.iter_mut().enumerate() {
        *byte = mark(black_box(at));
    }
}

/// Passes if each byte is what `expected` says of its place.
#[track_caller]
fn expect(area: &[u8], what: [usize; 3], expected: impl Fn(usize) -> u8) -> Verdict {
    for (at, byte) in area.iter().enumerate() {
        if *byte != expected(at) {
            return Err(Failure::new(format_args!(
                "byte {at} is {byte:#x}, expected {:#x}, for {what:?}",
                expected(at)
            )));
        }
    }
    Ok(())
}

fn memory_is_moved_whole_and_nothing_else(_: &mut Env) -> Verdict {
    let mut area = [0; SIZE];
    // Apart, touching, overlapping by much and by little, both ways, unaligned.
    let places = [
        (0, 0),
        (3, 0),
        (0, 5),
        (9, 1),
        (1, 64),
        (70, 6),
        (0, 127),
        (129, 8),
        (180, 3),
    ];
    for length in LENGTHS {
        for (from, to) in places {
            let (from, to) = (MARGIN + from, MARGIN + to);
            if from.max(to) + length > SIZE {
                continue;
            }
            marked(&mut area);
            area.copy_within(black_box(from..from + length), to);
            expect(&area, [from, to, length], |at| {
                if (to..to + length).contains(&at) {
                    mark(at - to + from)
                } else {
                    mark(at)
                }
            })?;
        }
    }
    Ok(())
}

fn memory_is_filled_up_to_its_end(_: &mut Env) -> Verdict {
    let mut area = [0; SIZE];
    for length in LENGTHS {
        for start in [MARGIN, MARGIN + 1, MARGIN + 7] {
            marked(&mut area);
            if let Some(part) = area.get_mut(start..black_box(start + length)) {
                part.fill(black_box(0xa5));
            }
            expect(&area, [start, length, 0], |at| {
                if (start..start + length).contains(&at) {
                    0xa5
                } else {
                    mark(at)
                }
            })?;
        }
    }
    Ok(())
}

fn memory_compares_as_its_first_difference(_: &mut Env) -> Verdict {
    let (mut one, mut other) = ([0; SIZE], [0; SIZE]);
    marked(&mut one);
    marked(&mut other);
    for length in 0..=40 {
        for differs in 0..=length {
            // Two differences: the first decides. At `length` there is none.
            for (place, step) in [(differs, 1), (differs + 3, 255)] {
                if let Some(byte) = other.get_mut(MARGIN + place) {
                    *byte = mark(place + MARGIN).wrapping_add(step);
                }
            }
            let part = |area: &Area| {
                let mut part = [0; 40];
                for (to, from) in part.iter_mut().zip(area.iter().skip(MARGIN)) {
                    *to = black_box(*from);
                }
                part
            };
            let (a, b) = (part(&one), part(&other));
            let found = black_box(&a)
                .get(..length)
                .cmp(&black_box(&b).get(..length));
            let expected = a
                .iter()
                .zip(&b)
                .take(length)
                .find(|(a, b)| a != b)
                .map_or(Ordering::Equal, |(a, b)| a.cmp(b));
            if found != expected {
                return Err(Failure::new(format_args!(
                    "{length} bytes that differ at {differs}: {found:?}"
                )));
            }
            marked(&mut other);
        }
    }
    Ok(())
}

fn shared_memory_is_copied_whole_and_nothing_else(env: &mut Env) -> Verdict {
    let memory = env.memory(4096)?;
    memory.map_all(Env::SPACE, SHARED_BASE, Permissions::ReadWrite)?;
    let shared = SharedBuf::of(memory)?;
    let failed = |error| Failure::new(format_args!("shared memory: {error:?}"));
    let (mut source, mut seen) = ([0; SIZE], [0; SIZE]);
    marked(&mut source);
    for length in LENGTHS {
        for (from, to) in [(0, 0), (1, 0), (0, 1), (3, 5)] {
            let part = source.get(from..from + length).unwrap_or(&[]);
            shared.write(0, &[0x11; SIZE]).map_err(failed)?;
            shared.write(MARGIN + to, part).map_err(failed)?;
            shared.read(0, &mut seen).map_err(failed)?;
            let start = MARGIN + to;
            expect(&seen, [from, to, length], |at| {
                if (start..start + length).contains(&at) {
                    mark(at - start + from)
                } else {
                    0x11
                }
            })?;
            // And back, to another place.
            seen = [0x22; SIZE];
            if let Some(place) = seen.get_mut(MARGIN + from..MARGIN + from + length) {
                shared.read(start, place).map_err(failed)?;
            }
            expect(&seen, [from, to, length], |at| {
                if (MARGIN + from..MARGIN + from + length).contains(&at) {
                    mark(at - MARGIN)
                } else {
                    0x22
                }
            })?;
        }
    }
    Ok(())
}
