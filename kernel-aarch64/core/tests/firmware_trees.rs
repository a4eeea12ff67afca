//! The device trees that a card carries for the Pi 4, the Pi 400 and the Compute Module 4, with the memory
//! that the firmware writes into them for each size.
//!
//! The trees come from Debian and are not part of this repository. These tests are therefore ignored unless asked for;
//! `cargo xtask test` fetches the trees and asks, and says so where it cannot. Without the trees they fail.

use std::path::PathBuf;

use gritos_kernel_core::dtb::{Gic, PlatformInfo};
use gritos_kernel_core::memory_map::Region;

const GIB: u64 = 1 << 30;
/// Where the VideoCore's share of the first GiB begins.
const VIDEO_CORE: u64 = 0x3b40_0000;

const TREES: [&str; 3] = [
    "bcm2711-rpi-4-b.dtb",
    "bcm2711-rpi-400.dtb",
    "bcm2711-rpi-cm4-io.dtb",
];

fn region(start: u64, end: u64) -> Region {
    Region { start, end }
}

/// The banks of RAM as the firmware tells them.
fn banks(gib: u64) -> Vec<Region> {
    let mut banks = vec![region(0, VIDEO_CORE)];
    if gib > 1 {
        banks.push(region(GIB, (gib * GIB).min(0xfc00_0000)));
    }
    if gib > 4 {
        banks.push(region(4 * GIB, 8 * GIB));
    }
    banks
}

fn word(blob: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(blob[at..at + 4].try_into().expect("four bytes"))
}

fn set(blob: &mut [u8], at: usize, value: u32) {
    blob[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

/// The tree with `cells` as the registers of its memory (Devicetree Specification, "Flattened Devicetree
/// Format": a property is token 3, length, name, and the value in whole words).
fn with_memory(blob: &[u8], cells: &[u32]) -> Vec<u8> {
    let start = word(blob, 8) as usize;
    let node = b"memory@0\0";
    let node = blob[start..].windows(node.len()).position(|w| w == node);
    let mut at = (start + node.expect("there is a memory node") + 9).next_multiple_of(4);
    let strings = word(blob, 12) as usize;
    loop {
        assert_eq!(word(blob, at), 3, "the node has registers");
        let (length, name) = (word(blob, at + 4) as usize, word(blob, at + 8) as usize);
        let end = (at + 12 + length).next_multiple_of(4);
        if blob[strings + name..].starts_with(b"reg\0") {
            let value: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
            let mut made = [&blob[..at + 12], &value, &blob[end..]].concat();
            set(&mut made, at + 4, value.len() as u32);
            let moved = |offset: u32| {
                let behind = offset as usize > at;
                if behind {
                    offset + value.len() as u32 - (end - at - 12) as u32
                } else {
                    offset
                }
            };
            // totalsize, off_dt_struct, off_dt_strings, off_mem_rsvmap; size_dt_struct.
            for field in [4, 8, 12, 16] {
                let value = moved(word(blob, field));
                set(&mut made, field, value);
            }
            let size = word(blob, 36) + value.len() as u32 - (end - at - 12) as u32;
            set(&mut made, 36, size);
            return made;
        }
        at = end;
    }
}

fn cells(banks: &[Region]) -> Vec<u32> {
    banks
        .iter()
        .flat_map(|bank| {
            let size = u32::try_from(bank.size()).expect("a bank is smaller than 4 GiB");
            [(bank.start >> 32) as u32, bank.start as u32, size]
        })
        .collect()
}

/// The trees.
fn trees() -> [(&'static str, Vec<u8>); TREES.len()] {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")),
        PathBuf::from,
    );
    TREES.map(|name| {
        let path = target.join("gritos/firmware").join(name);
        let blob = std::fs::read(&path).unwrap_or_else(|error| {
            panic!(
                "{}: {error}; `cargo xtask image --board rpi4` fetches it",
                path.display()
            )
        });
        (name, blob)
    })
}

#[test]
#[ignore = "needs the firmware's device trees"]
fn every_board_and_size_has_the_right_memory_and_devices() {
    for (name, blob) in trees() {
        for gib in [1, 2, 4, 8] {
            // A bank of 4 GiB has no size in one cell: the firmware splits it.
            let mut told = banks(gib);
            if gib == 8 {
                told.pop();
                told.extend([region(4 * GIB, 6 * GIB), region(6 * GIB, 8 * GIB)]);
            }
            let blob = with_memory(&blob, &cells(&told));
            let info = PlatformInfo::from_device_tree(&blob)
                .unwrap_or_else(|error| panic!("{name}, {gib} GiB: {:?}", error.problem));
            assert_eq!(info.ram.as_slice(), banks(gib), "{name}, {gib} GiB");
            assert_eq!(info.uart.registers.start, 0xfe20_1000, "{name}");
            assert_eq!(
                (info.uart.irq, info.timer_irq, info.processors),
                (153, 27, 4)
            );
            let Gic::V2 { distributor, cpu } = info.gic else {
                panic!("{name} has a GIC-400");
            };
            assert_eq!((distributor.start, cpu.start), (0xff84_1000, 0xff84_2000));
            assert_eq!(info.bcm_pm.map(|pm| pm.start), Some(0xfe10_0000), "{name}");
            assert!(info.psci.is_none(), "the stub has none");
        }
    }
}

#[test]
#[ignore = "needs the firmware's device trees"]
fn damaged_trees_are_read_or_refused() {
    for (_, blob) in trees() {
        let blob = with_memory(&blob, &cells(&banks(4)));
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..3_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let mut damaged = blob.clone();
            let at = (state as usize) % damaged.len();
            damaged[at] ^= 1 << (state >> 40 & 7);
            damaged.truncate(if state >> 50 & 7 == 0 { at } else { blob.len() });
            // Neither panics nor runs on; what it says of the damaged place is its affair.
            let _ = PlatformInfo::from_device_tree(&damaged);
        }
    }
}
