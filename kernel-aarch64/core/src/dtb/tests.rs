//! Trees of both boards, layouts of every Pi 4, and a great many damaged blobs.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

use std::{format, string::String, vec, vec::Vec};

use proptest::{
    prelude::{ProptestConfig, any, prop_assert},
    proptest, sample,
};
use vm_fdt::FdtWriter;

use super::{Conduit, Gic, Place, PlatformInfo, Problem, total_size};
use crate::memory_map::{Region, RegionSet};

const VIRT_GICV2: &[u8] = include_bytes!("testdata/virt-gicv2.dtb");
const VIRT_GICV3: &[u8] = include_bytes!("testdata/virt-gicv3.dtb");
const VIRT_SECURE: &[u8] = include_bytes!("testdata/virt-gicv2-el2-secure.dtb");

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn region(start: u64, size: u64) -> Region {
    Region::new(start, size).expect("test regions do not wrap")
}

fn read(blob: &[u8]) -> PlatformInfo {
    PlatformInfo::from_device_tree(blob).expect("a good tree")
}

#[test]
fn qemu_virt_with_gicv2() {
    let info = read(VIRT_GICV2);
    assert_eq!(info.ram.as_slice(), [region(GIB, GIB)]);
    assert_eq!(info.reserved.as_slice(), []);
    let (distributor, cpu) = (region(0x800_0000, 0x1_0000), region(0x801_0000, 0x1_0000));
    assert_eq!(info.gic, Gic::V2 { distributor, cpu });
    assert_eq!(
        (info.uart.registers, info.uart.irq),
        (region(0x900_0000, 0x1000), 33)
    );
    assert_eq!((info.timer_irq, info.psci), (27, Some(Conduit::Hvc)));
    assert_eq!((info.processors, info.bcm_pm), (4, None));
}

#[test]
fn qemu_virt_with_gicv3() {
    let (distributor, redistributors) =
        (region(0x800_0000, 0x1_0000), region(0x80a_0000, 0xf6_0000));
    assert_eq!(
        read(VIRT_GICV3).gic,
        Gic::V3 {
            distributor,
            redistributors
        }
    );
}

#[test]
fn qemu_virt_with_a_secure_uart_uses_the_one_that_is_enabled() {
    let info = read(VIRT_SECURE);
    assert_eq!(info.uart.registers.start, 0x900_0000);
    assert_eq!(info.psci, None, "whoever starts at EL3 is the firmware");
}

/// What goes into a tree of a Pi 4.
struct Pi {
    memory: Vec<Region>,
    reserved: Vec<Region>,
    uart_status: &'static str,
    second_uart_status: &'static str,
    stdout: &'static str,
    timer: &'static [u32],
    /// Whether the root says how many cells addresses and sizes have.
    says_cells: bool,
    soc_ranges: Vec<u32>,
    size_cells: u32,
}

impl Pi {
    /// As the firmware describes a board with `gib` of RAM and a VideoCore share of 76 MiB.
    fn with_ram(gib: u64) -> Self {
        let low = region(0, 0x3b40_0000);
        let above = match gib {
            1 => vec![],
            2 => vec![region(GIB, GIB)],
            4 => vec![region(GIB, 0xfc00_0000 - GIB)],
            // One cell of size cannot say 4 GiB.
            _ => vec![
                region(GIB, 0xfc00_0000 - GIB),
                region(4 * GIB, 2 * GIB),
                region(6 * GIB, 2 * GIB),
            ],
        };
        Self {
            memory: [vec![low], above].concat(),
            reserved: vec![region(0, 0x1000)],
            uart_status: "okay",
            second_uart_status: "disabled",
            stdout: "serial1:115200n8",
            timer: &[1, 13, 8, 1, 14, 8, 1, 11, 8, 1, 10, 8],
            says_cells: true,
            soc_ranges: vec![
                0x7e00_0000,
                0,
                0xfe00_0000,
                0x180_0000,
                0x4000_0000,
                0,
                0xff80_0000,
                0x80_0000,
            ],
            size_cells: 1,
        }
    }

    fn blob(&self) -> Vec<u8> {
        self.write().expect("a tree that can be written")
    }

    fn write(&self) -> Result<Vec<u8>, vm_fdt::Error> {
        let reserved = self.reserved.iter().map(|region| {
            vm_fdt::FdtReserveEntry::new(region.start, region.size()).expect("no overflow")
        });
        let mut fdt = FdtWriter::new_with_mem_reserv(&reserved.collect::<Vec<_>>())?;
        let root = fdt.begin_node("")?;
        if self.says_cells {
            fdt.property_u32("#address-cells", 2)?;
            fdt.property_u32("#size-cells", self.size_cells)?;
        }
        let cells = self.memory.iter().flat_map(|bank| {
            let cell = |value: u64| u32::try_from(value & 0xffff_ffff).expect("masked");
            let (start, size) = (bank.start, bank.size());
            let size = [cell(size >> 32), cell(size)];
            let skip = if self.size_cells == 1 { 1 } else { 0 };
            [[cell(start >> 32), cell(start)].as_slice(), &size[skip..]].concat()
        });
        let memory = fdt.begin_node("memory@0")?;
        fdt.property_string("device_type", "memory")?;
        fdt.property_array_u32("reg", &cells.collect::<Vec<_>>())?;
        fdt.end_node(memory)?;
        let chosen = fdt.begin_node("chosen")?;
        fdt.property_string("stdout-path", self.stdout)?;
        fdt.property("rng-seed", &[7; 80])?;
        fdt.end_node(chosen)?;
        let timer = fdt.begin_node("timer")?;
        fdt.property_string("compatible", "arm,armv8-timer")?;
        fdt.property_array_u32("interrupts", self.timer)?;
        fdt.end_node(timer)?;
        let cpus = fdt.begin_node("cpus")?;
        for n in 0..4_u32 {
            let cpu = fdt.begin_node(&format!("cpu@{n}"))?;
            fdt.property_string("device_type", "cpu")?;
            fdt.property_u64("cpu-release-addr", 0xd8 + 8 * u64::from(n))?;
            fdt.end_node(cpu)?;
        }
        fdt.end_node(cpus)?;
        let soc = fdt.begin_node("soc")?;
        fdt.property_u32("#address-cells", 1)?;
        fdt.property_u32("#size-cells", 1)?;
        fdt.property_array_u32("ranges", &self.soc_ranges)?;
        let gic = fdt.begin_node("interrupt-controller@40041000")?;
        fdt.property_string("compatible", "arm,gic-400")?;
        fdt.property_u32("#interrupt-cells", 3)?;
        fdt.property_array_u32("reg", &[0x4004_1000, 0x1000, 0x4004_2000, 0x2000])?;
        fdt.end_node(gic)?;
        for (address, status) in [
            (0x7e20_1000, self.uart_status),
            (0x7e20_1400, self.second_uart_status),
        ] {
            let uart = fdt.begin_node(&format!("serial@{address:x}"))?;
            fdt.property("compatible", b"arm,pl011\0arm,primecell\0")?;
            fdt.property_string("status", status)?;
            fdt.property_array_u32("reg", &[address, 0x200])?;
            fdt.property_array_u32("interrupts", &[0, 121, 4])?;
            fdt.end_node(uart)?;
        }
        let pm = fdt.begin_node("watchdog@7e100000")?;
        fdt.property("compatible", b"brcm,bcm2711-pm\0brcm,bcm2835-pm-wdt\0")?;
        fdt.property_array_u32("reg", &[0x7e10_0000, 0x114, 0x7e00_a000, 0x24])?;
        fdt.end_node(pm)?;
        fdt.end_node(soc)?;
        fdt.end_node(root)?;
        fdt.finish()
    }
}

#[test]
fn every_pi_has_its_banks_and_devices_where_the_processor_sees_them() {
    for gib in [1, 2, 4, 8] {
        let pi = Pi::with_ram(gib);
        let info = read(&pi.blob());
        let mut ram = RegionSet::<32>::new();
        pi.memory
            .iter()
            .for_each(|&bank| ram.insert(bank).expect("four banks"));
        assert_eq!(info.ram, ram, "{gib} GiB");
        assert_eq!(ram.as_slice().len(), [1, 2, 2, 3][gib.ilog2() as usize]);
        assert_eq!(
            info.reserved.as_slice(),
            [region(0, 0x1000)],
            "stub and spin table"
        );
        let (distributor, cpu) = (region(0xff84_1000, 0x1000), region(0xff84_2000, 0x2000));
        assert_eq!(info.gic, Gic::V2 { distributor, cpu });
        assert_eq!(
            (info.uart.registers.start, info.uart.irq),
            (0xfe20_1000, 153)
        );
        assert_eq!(info.bcm_pm, Some(region(0xfe10_0000, 0x114)));
        assert_eq!((info.timer_irq, info.psci, info.processors), (27, None, 4));
        assert_eq!(info.seed.as_slice(), [7; 64]);

        let taken = [info.reserved.as_slice(), &[region(2 * MIB, 5 * MIB)]].concat();
        let free: RegionSet<32> = info.ram.free_pages(&taken, 64 * GIB).expect("few regions");
        let total: u64 = pi.memory.iter().map(Region::size).sum();
        assert_eq!(free.total_bytes(), total - 0x1000 - 5 * MIB);
        assert_eq!(free.as_slice()[0], region(0x1000, 2 * MIB - 0x1000));
    }
}

#[test]
fn sizes_of_four_gibibytes_and_more_take_two_cells() {
    let pi = Pi {
        size_cells: 2,
        memory: vec![region(0, 8 * GIB)],
        ..Pi::with_ram(8)
    };
    assert_eq!(read(&pi.blob()).ram.as_slice(), [region(0, 8 * GIB)]);
}

#[test]
fn the_console_is_the_uart_that_the_path_ends_in() {
    for (stdout, second) in [
        ("/soc/serial@7e201400:115200n8", true),
        ("/soc/serial@7e201400", true),
        ("/soc/serial@7e201000:115200n8", false),
        // Says nothing: the first one.
        ("serial0:115200n8", false),
        ("/soc/serial@7e201401", false),
        ("", false),
    ] {
        let pi = Pi {
            stdout,
            second_uart_status: "okay",
            ..Pi::with_ram(2)
        };
        let uart = read(&pi.blob()).uart.registers.start;
        assert_eq!(uart, if second { 0xfe20_1400 } else { 0xfe20_1000 });
    }
}

#[test]
fn addresses_have_two_cells_and_sizes_one_unless_the_tree_says_otherwise() {
    let silent = Pi {
        says_cells: false,
        ..Pi::with_ram(4)
    };
    assert_eq!(read(&silent.blob()), read(&Pi::with_ram(4).blob()));
}

#[test]
fn a_timer_needs_three_interrupts_that_exist() {
    for (timer, problem) in [
        (&[1, 13, 8, 1, 14, 8, 1, 11][..], Problem::BadLength),
        (&[1, 13, 8, 1, 14, 8, 1, 16, 8], Problem::BadValue),
        (&[1, 13, 8, 1, 14, 8, 0, 988, 8], Problem::BadValue),
        (&[1, 13, 8, 1, 14, 8, 2, 11, 8], Problem::BadValue),
    ] {
        let pi = Pi {
            timer,
            ..Pi::with_ram(2)
        };
        let place = Place::Property(b"timer", "interrupts");
        assert_eq!(refused(&pi.blob()), (problem, place), "{timer:?}");
    }
    for (timer, irq) in [
        (&[1, 13, 8, 1, 14, 8, 1, 15, 8], 31),
        (&[1, 13, 8, 1, 14, 8, 0, 987, 8], 1019),
    ] {
        let pi = Pi {
            timer,
            ..Pi::with_ram(2)
        };
        assert_eq!(read(&pi.blob()).timer_irq, irq);
    }
}

/// The blob with a word put into its structure block.
fn with_word(blob: &[u8], at: usize, value: u32) -> Vec<u8> {
    let mut made = [&blob[..at], &value.to_be_bytes(), &blob[at..]].concat();
    // Total size, offset of the strings behind it, size of the structure.
    for field in [4, 12, 36] {
        let old = u32::from_be_bytes(made[field..field + 4].try_into().expect("four bytes"));
        made[field..field + 4].copy_from_slice(&(old + 4).to_be_bytes());
    }
    made
}

#[test]
fn a_nop_may_stand_before_a_property() {
    let blob = Pi::with_ram(2).blob();
    let name = b"memory@0\0\0\0\0";
    let at = blob.windows(name.len()).position(|w| w == name);
    let at = at.expect("there is a memory node") + name.len();
    assert_eq!(blob[at..at + 4], 3_u32.to_be_bytes(), "a property follows");
    assert_eq!(read(&with_word(&blob, at, 4)), read(&blob));
}

#[test]
fn every_problem_has_words_of_its_own() {
    use Problem as P;
    let problems = [
        P::NoMagic,
        P::BadHeader,
        P::BadVersion,
        P::Truncated,
        P::BadToken,
        P::BadName,
        P::BadNameOffset,
        P::TooDeep,
        P::PropertyAfterChild,
        P::Unbalanced,
        P::NoProperty,
        P::BadLength,
        P::BadCells,
        P::BadValue,
        P::OutOfRange,
        P::TooMany,
        P::NoRam,
        P::NoGic,
        P::NoUart,
        P::NoTimer,
    ];
    let texts: std::collections::BTreeSet<_> = problems.iter().map(|p| p.text()).collect();
    assert_eq!(texts.len(), problems.len());
    assert!(P::NoMagic.text().contains("d00dfeed"));
    assert!(P::NoUart.text().contains("arm,pl011"));
}

#[test]
fn a_device_without_registers_is_refused() {
    let mut blob = Pi::with_ram(1).blob();
    let registers = [0x7e, 0x10, 0, 0, 0, 0, 1, 0x14];
    let at = blob.windows(8).position(|bytes| bytes == registers);
    let at = at.expect("the watchdog has registers");
    blob[at + 4..at + 8].fill(0);
    let place = Place::Property(b"watchdog@7e100000", "reg");
    assert_eq!(refused(&blob), (Problem::OutOfRange, place));
}

/// The blob with every property called `from` renamed to `to` (of the same length).
fn renamed(blob: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = blob
        .windows(from.len())
        .rposition(|bytes| bytes == from.as_bytes());
    let at = at.expect("the name occurs");
    let mut blob = blob.to_vec();
    blob[at..at + to.len()].copy_from_slice(to.as_bytes());
    blob
}

/// Problem and place.
fn refused(blob: &[u8]) -> (Problem, Place<'_>) {
    let error = PlatformInfo::from_device_tree(blob).expect_err("a bad tree");
    (error.problem, error.place(blob))
}

#[test]
fn errors_name_what_is_wrong() {
    let blob = Pi {
        uart_status: "disabled",
        ..Pi::with_ram(2)
    }
    .blob();
    assert_eq!(refused(&blob), (Problem::NoUart, Place::Nowhere));

    let blob = Pi {
        soc_ranges: vec![0x7e00_0000, 0, 0xfe00_0000],
        ..Pi::with_ram(2)
    }
    .blob();
    assert_eq!(
        refused(&blob),
        (Problem::BadLength, Place::Property(b"soc", "ranges"))
    );

    let blob = Pi {
        soc_ranges: vec![0, 0, 0, 0x1000],
        ..Pi::with_ram(2)
    }
    .blob();
    let gic = Place::Property(b"interrupt-controller@40041000", "reg");
    assert_eq!(refused(&blob), (Problem::OutOfRange, gic));

    let blob = Pi {
        memory: vec![],
        ..Pi::with_ram(2)
    }
    .blob();
    assert_eq!(refused(&blob), (Problem::NoRam, Place::Nowhere));

    let blob = Pi {
        memory: vec![region(u64::MAX, 0)],
        ..Pi::with_ram(2)
    }
    .blob();
    assert_eq!(
        refused(&blob),
        (Problem::NoRam, Place::Nowhere),
        "an empty bank is no RAM"
    );

    let banks = (0..33).map(|n| region(n * GIB, MIB)).collect();
    let blob = Pi {
        memory: banks,
        ..Pi::with_ram(2)
    }
    .blob();
    assert_eq!(
        refused(&blob),
        (Problem::TooMany, Place::Property(b"memory@0", "reg"))
    );

    let blob = Pi {
        size_cells: 3,
        ..Pi::with_ram(2)
    }
    .blob();
    assert_eq!(
        refused(&blob),
        (Problem::BadCells, Place::Property(b"", "#size-cells"))
    );

    let blob = renamed(&Pi::with_ram(2).blob(), "interrupts", "interruptz");
    assert_eq!(
        refused(&blob),
        (Problem::NoProperty, Place::Property(b"timer", "interrupts"))
    );

    let blob = renamed(VIRT_GICV2, "arm,armv8-timer", "xrm,armv8-timer");
    assert_eq!(refused(&blob), (Problem::NoTimer, Place::Nowhere));

    let blob = renamed(VIRT_GICV2, "arm,cortex-a15-gic", "xrm,cortex-a15-gic");
    assert_eq!(refused(&blob), (Problem::NoGic, Place::Nowhere));

    let blob = renamed(VIRT_GICV2, "#interrupt-cells", "#interrupt-cellz");
    let cells = Place::Property(b"intc@8000000", "#interrupt-cells");
    assert_eq!(refused(&blob), (Problem::BadCells, cells));

    let blob = renamed(VIRT_GICV2, "hvc", "hvd");
    assert_eq!(
        refused(&blob),
        (Problem::BadValue, Place::Property(b"psci", "method"))
    );
}

/// Problem and offset, of a problem that has one.
fn offset_of((problem, place): (Problem, Place<'_>)) -> (Problem, usize) {
    match place {
        Place::Offset(offset) => (problem, offset),
        _ => (problem, 0),
    }
}

#[test]
fn a_bad_header_is_told_by_field() {
    let put = |offset: usize, value: u32| {
        let mut blob = VIRT_GICV2.to_vec();
        blob[offset..offset + 4].copy_from_slice(&value.to_be_bytes());
        blob
    };
    let refused = |blob: Vec<u8>| offset_of(refused(&blob));
    assert_eq!(refused(vec![]), (Problem::NoMagic, 0));
    assert_eq!(refused(put(0, 0)), (Problem::NoMagic, 0));
    assert_eq!(refused(put(4, 39)), (Problem::BadHeader, 4));
    assert_eq!(refused(put(4, u32::MAX)), (Problem::BadHeader, 4));
    assert_eq!(
        refused(VIRT_GICV2[..4000].to_vec()),
        (Problem::Truncated, 4000)
    );
    assert_eq!(refused(put(8, 2)), (Problem::BadHeader, 8));
    assert_eq!(refused(put(24, 18)), (Problem::BadVersion, 24));
    assert_eq!(refused(put(32, u32::MAX)), (Problem::BadHeader, 32));
    assert_eq!(refused(put(36, u32::MAX)), (Problem::BadHeader, 36));
    assert_eq!(total_size(VIRT_GICV2), Ok(VIRT_GICV2.len()));
}

/// A blob with these tokens and no strings.
fn tree_of(tokens: &[u32]) -> Vec<u8> {
    let size = 56 + 4 * u32::try_from(tokens.len()).expect("a short list");
    let header = [
        0xd00d_feed,
        size,
        56,
        size,
        40,
        17,
        16,
        0,
        0,
        size - 56,
        0,
        0,
        0,
        0,
    ];
    header
        .iter()
        .chain(tokens)
        .flat_map(|word| word.to_be_bytes())
        .collect()
}

#[test]
fn a_bad_structure_is_told_by_offset() {
    let refused = |tokens: &[u32]| offset_of(refused(&tree_of(tokens)));
    assert_eq!(
        refused(&[1, 0, 2, 9]),
        (Problem::NoRam, 0),
        "well-formed, but empty"
    );
    assert_eq!(
        refused(&[4, 1, 0, 4, 2, 4, 9]).0,
        Problem::NoRam,
        "NOPs go anywhere"
    );
    assert_eq!(refused(&[1, 0, 2]), (Problem::Truncated, 68));
    assert_eq!(refused(&[1, 0, 2, 1, 0, 2, 9]), (Problem::Unbalanced, 64));
    assert_eq!(refused(&[2, 9]), (Problem::Unbalanced, 56));
    assert_eq!(refused(&[1, 0, 9]), (Problem::Unbalanced, 64));
    assert_eq!(refused(&[1, 0, 5, 2, 9]), (Problem::BadToken, 64));
    assert_eq!(refused(&[1, 0x6161_6161]), (Problem::Truncated, 60));
    assert_eq!(refused(&[1, 0x0a00_0000, 2, 9]), (Problem::BadName, 60));
    assert_eq!(
        refused(&[1, 0, 3, 0, 0, 2, 9]),
        (Problem::BadNameOffset, 72)
    );
    assert_eq!(refused(&[1, 0].repeat(33)), (Problem::TooDeep, 56 + 32 * 8));
}

#[test]
fn a_property_after_a_child_is_refused() {
    let mut blob = tree_of(&[1, 0, 1, 0x6100_0000, 2, 3, 0, 0, 2, 9, 0x7800_0000]);
    let size = u32::try_from(blob.len()).expect("small");
    blob[12..16].copy_from_slice(&(size - 4).to_be_bytes());
    blob[32..36].copy_from_slice(&4_u32.to_be_bytes());
    blob[36..40].copy_from_slice(&(size - 60).to_be_bytes());
    assert_eq!(
        refused(&blob),
        (Problem::PropertyAfterChild, Place::Offset(76))
    );
}

#[test]
fn a_value_whose_padding_is_missing_is_refused_where_it_begins() {
    let mut blob = tree_of(&[1, 0, 3, 1, 0, 0x6100_0000, 0x7800_0000]);
    let size = u32::try_from(blob.len()).expect("small");
    blob[12..16].copy_from_slice(&(size - 4).to_be_bytes());
    blob[32..36].copy_from_slice(&4_u32.to_be_bytes());
    // Five words, and one byte of the value.
    blob[36..40].copy_from_slice(&21_u32.to_be_bytes());
    assert_eq!(refused(&blob), (Problem::Truncated, Place::Offset(76)));
}

/// Values that break arithmetic and bounds checks.
const NASTY: [u32; 12] = [
    0,
    1,
    2,
    3,
    4,
    9,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff0,
    0xffff_fffc,
    u32::MAX - 1,
    u32::MAX,
];

/// Reads a damaged tree; whatever it says must at least be consistent.
fn survives(blob: &[u8]) -> Result<(), String> {
    match PlatformInfo::from_device_tree(blob) {
        Ok(info) => {
            let free: Result<RegionSet<128>, _> =
                info.ram.free_pages(info.reserved.as_slice(), 64 * GIB);
            let free = free.map_err(|_| String::from("32 banks and 32 holes are too many"))?;
            let ram = |page: &Region| info.ram.as_slice().iter().any(|bank| bank.contains(page));
            let taken = |page: &Region| {
                info.reserved
                    .as_slice()
                    .iter()
                    .any(|hole| hole.overlaps(page))
            };
            match free
                .as_slice()
                .iter()
                .find(|page| !ram(page) || taken(page))
            {
                Some(page) => Err(format!("{page:x?} is not free RAM")),
                None => Ok(()),
            }
        }
        Err(error) => {
            let located = match error.place(blob) {
                Place::Offset(offset) => offset <= blob.len(),
                Place::Property(name, property) => name.len() < blob.len() && !property.is_empty(),
                Place::Nowhere => true,
            };
            if located && !error.problem.text().is_empty() {
                Ok(())
            } else {
                Err(format!("{error:?} is nowhere in the blob"))
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60_000))]

    #[test]
    fn damaged_trees_never_panic(
        which in 0_usize..3,
        words in proptest::collection::vec((any::<sample::Index>(), sample::select(&NASTY[..])), 0..4),
        bytes in proptest::collection::vec((any::<sample::Index>(), any::<u8>()), 0..4),
        cut in proptest::option::weighted(0.1, any::<sample::Index>()),
    ) {
        let pi;
        let mut blob = match which {
            0 => VIRT_GICV2.to_vec(),
            1 => VIRT_SECURE.to_vec(),
            _ => {
                pi = Pi::with_ram(8).blob();
                pi
            }
        };
        for (at, word) in words {
            let at = at.index(blob.len() / 4) * 4;
            blob[at..at + 4].copy_from_slice(&word.to_be_bytes());
        }
        for (at, byte) in bytes {
            let at = at.index(blob.len());
            blob[at] = byte;
        }
        if let Some(cut) = cut {
            blob.truncate(cut.index(blob.len()));
        }
        let result = survives(&blob);
        prop_assert!(result.is_ok(), "{:?}", result);
    }

    #[test]
    fn trees_of_random_tokens_never_panic(tokens in proptest::collection::vec(sample::select(&NASTY[..]), 0..40)) {
        let result = survives(&tree_of(&tokens));
        prop_assert!(result.is_ok(), "{:?}", result);
    }
}
