//! Trees of every board's shape, and a great many damaged ones.
//!
//! The shape is that of Linux `bcm2711.dtsi` and of what the firmware makes of it: `emmc2bus/dma-ranges` of silicon B0 as
//! it stands there, of C0 as the firmware writes it (memory up to the peripherals at its own address). Which boards have
//! which silicon is known for some revisions only and decides nothing here: each is tried with both.

use std::{string::ToString, vec, vec::Vec};

use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
use proptest::sample;
use vm_fdt::FdtWriter;

use crate::{Error, Machine, Window, window};

const GIB: u64 = 1 << 30;
const EMMC2: std::ops::Range<u64> = 0xfe34_0000..0xfe34_1000;
const MAILBOX: std::ops::Range<u64> = 0xfe00_b000..0xfe00_c000;

const B0: &[u32] = &[0, 0xc000_0000, 0, 0, 0x4000_0000];
const C0: &[u32] = &[0, 0, 0, 0, 0xfc00_0000];

/// A tree of a Pi: model, GiB of memory, and what the bus of EMMC2 says.
#[derive(Clone)]
struct Pi {
    model: &'static str,
    gib: u32,
    emmc2: Option<Vec<u32>>,
    cells: (u32, u32),
}

impl Pi {
    fn new(model: &'static str, gib: u32, emmc2: &[u32]) -> Self {
        Self {
            model,
            gib,
            emmc2: Some(emmc2.to_vec()),
            cells: (2, 1),
        }
    }

    fn blob(&self) -> Vec<u8> {
        self.write().expect("a tree that can be written")
    }

    fn write(&self) -> Result<Vec<u8>, vm_fdt::Error> {
        let mut fdt = FdtWriter::new()?;
        let root = fdt.begin_node("")?;
        fdt.property_string("compatible", self.model)?;
        fdt.property_string("model", &std::format!("Pi of {} GiB", self.gib))?;
        fdt.property_u32("#address-cells", 2)?;
        fdt.property_u32("#size-cells", 1)?;
        let memory = fdt.begin_node("memory@0")?;
        fdt.property_string("device_type", "memory")?;
        let banks: &[u32] = match self.gib {
            1 => &[0, 0, 0x3b40_0000],
            2 => &[0, 0, 0x3b40_0000, 0, 0x4000_0000, 0x4000_0000],
            4 => &[0, 0, 0x3b40_0000, 0, 0x4000_0000, 0xbc00_0000],
            _ => &[
                0,
                0,
                0x3b40_0000,
                0,
                0x4000_0000,
                0xbc00_0000,
                1,
                0,
                0x8000_0000,
            ],
        };
        fdt.property_array_u32("reg", banks)?;
        fdt.end_node(memory)?;

        let cpus = fdt.begin_node("cpus")?;
        fdt.property_u32("#address-cells", 1)?;
        fdt.property_u32("#size-cells", 0)?;
        for number in 0..4 {
            let cpu = fdt.begin_node(&std::format!("cpu@{number}"))?;
            fdt.property_string("device_type", "cpu")?;
            fdt.property_u32("reg", number)?;
            fdt.end_node(cpu)?;
        }
        fdt.end_node(cpus)?;

        let soc = fdt.begin_node("soc")?;
        fdt.property_u32("#address-cells", 1)?;
        fdt.property_u32("#size-cells", 1)?;
        let ranges = [
            [0x7e00_0000, 0, 0xfe00_0000, 0x0180_0000],
            [0x7c00_0000, 0, 0xfc00_0000, 0x0200_0000],
            [0x4000_0000, 0, 0xff80_0000, 0x0080_0000],
        ];
        fdt.property_array_u32("ranges", &ranges.concat())?;
        let seen = [
            [0xc000_0000, 0, 0, 0x4000_0000],
            [0x7c00_0000, 0, 0xfc00_0000, 0x0380_0000],
        ];
        fdt.property_array_u32("dma-ranges", &seen.concat())?;
        for (name, compatible, address) in [
            ("local_intc@40000000", "brcm,bcm2836-l1-intc", 0x4000_0000),
            ("interrupt-controller@40041000", "arm,gic-400", 0x4004_1000),
        ] {
            let device = fdt.begin_node(name)?;
            fdt.property_string("compatible", compatible)?;
            fdt.property_null("interrupt-controller")?;
            fdt.property_array_u32("reg", &[address, 0x1000])?;
            fdt.end_node(device)?;
        }
        for (name, address) in [
            ("mmc@7e300000", 0x7e30_0000),
            ("mailbox@7e00b880", 0x7e00_b880),
        ] {
            let device = fdt.begin_node(name)?;
            fdt.property_array_u32("reg", &[address, 0x40])?;
            fdt.end_node(device)?;
        }
        fdt.end_node(soc)?;

        let bus = fdt.begin_node("emmc2bus")?;
        fdt.property_string("compatible", "simple-bus")?;
        fdt.property_u32("#address-cells", self.cells.0)?;
        fdt.property_u32("#size-cells", self.cells.1)?;
        fdt.property_array_u32("ranges", &[0, 0x7e00_0000, 0, 0xfe00_0000, 0x0180_0000])?;
        if let Some(seen) = &self.emmc2 {
            fdt.property_array_u32("dma-ranges", seen)?;
        }
        let device = fdt.begin_node("mmc@7e340000")?;
        fdt.property_string("compatible", "brcm,bcm2711-emmc2")?;
        fdt.property_array_u32("reg", &[0, 0x7e34_0000, 0x100])?;
        fdt.end_node(device)?;
        fdt.end_node(bus)?;
        fdt.end_node(root)?;
        fdt.finish()
    }
}

fn boards() -> Vec<Pi> {
    let models = [
        ("raspberrypi,4-model-b", [1, 2, 4, 8].as_slice()),
        ("raspberrypi,400", &[4]),
        ("raspberrypi,4-compute-module", &[1, 2, 4, 8]),
    ];
    let boards = models.iter().flat_map(|&(model, sizes)| {
        sizes
            .iter()
            .flat_map(move |&gib| [B0, C0].map(|seen| Pi::new(model, gib, seen)))
    });
    boards.collect()
}

#[test]
fn every_board_has_the_window_that_its_tree_says() {
    assert_eq!(boards().len(), 18);
    for pi in boards() {
        let old = pi.emmc2.as_deref() == Some(B0);
        let (device, bytes) = if old {
            (0xc000_0000, GIB)
        } else {
            (0, 0xfc00_0000)
        };
        let wanted = Window {
            device,
            physical: 0,
            bytes,
        };
        let blob = pi.blob();
        assert_eq!(
            window(&blob, &EMMC2).unwrap(),
            Some(wanted),
            "{} {}",
            pi.model,
            pi.gib
        );
        // The legacy bus is the same on all, and the larger of its two entries is memory.
        let legacy = Window {
            device: 0xc000_0000,
            physical: 0,
            bytes: GIB,
        };
        assert_eq!(window(&blob, &MAILBOX).unwrap(), Some(legacy));
        assert_eq!(
            window(&blob, &(0xfe30_0000..0xfe30_1000)).unwrap(),
            Some(legacy)
        );
        // No device there, and none at the address that the bus itself uses.
        for nothing in [0xfe35_0000..0xfe35_1000, 0x7e34_0000..0x7e34_1000, 0..0] {
            assert_eq!(window(&blob, &nothing).unwrap(), None);
        }
    }
}

#[test]
fn every_board_is_described_as_its_tree_does() {
    for pi in boards() {
        let blob = pi.blob();
        let machine = Machine::read(&blob).unwrap();
        assert_eq!(
            machine.model(),
            Some(&*std::format!("Pi of {} GiB", pi.gib))
        );
        let end = match pi.gib {
            1 => 0x3b40_0000,
            2 => 0x8000_0000,
            4 => 0xfc00_0000,
            _ => 2 * (4 * GIB - 0x8000_0000) + 0x8000_0000,
        };
        let ram: Vec<_> = machine.ram().collect();
        assert_eq!(ram[0], 0..0x3b40_0000);
        assert_eq!(ram.last().unwrap().end, end, "{ram:x?}");
        assert_eq!(machine.processors(), 4);
        assert_eq!(machine.gic(), Some("arm,gic-400"));
    }
    assert!(Machine::read(&[]).is_err());
}

#[test]
fn what_would_command_a_terminal_is_not_shown() {
    let write = || {
        let mut fdt = FdtWriter::new()?;
        let root = fdt.begin_node("")?;
        fdt.property_string("model", "\u{1b}[2Jgone")?;
        fdt.end_node(root)?;
        fdt.finish()
    };
    let blob = write().expect("a tree that can be written");
    let machine = Machine::read(&blob).unwrap();
    assert_eq!((machine.model(), machine.gic()), (None, None));
    assert_eq!((machine.ram().count(), machine.processors()), (0, 0));
}

#[test]
fn a_bus_without_the_property_sees_nothing_and_an_empty_one_sees_all() {
    let mut pi = Pi::new("raspberrypi,4-model-b", 2, B0);
    pi.emmc2 = None;
    assert_eq!(window(&pi.blob(), &EMMC2).unwrap(), None);
    pi.emmc2 = Some(vec![]);
    assert_eq!(window(&pi.blob(), &EMMC2).unwrap(), Some(Window::ALL));
}

#[test]
fn what_is_wrong_with_a_bus_is_said() {
    for (seen, cells) in [
        (B0[..4].to_vec(), (2, 1)),
        ([B0, &[0]].concat(), (2, 1)),
        // Three cells: no address of a device on this bus can be read either, so it is not found.
        (vec![0; 6], (3, 1)),
    ] {
        let mut pi = Pi::new("raspberrypi,4-model-b", 2, &seen);
        pi.cells = cells;
        match window(&pi.blob(), &EMMC2) {
            Err(Error::Ranges) => assert_eq!(cells, (2, 1)),
            Ok(None) => assert_eq!(cells, (3, 1)),
            other => panic!("{other:?}"),
        }
    }
    // Entries that reach past all addresses, and one that names nothing.
    for seen in [
        [0xffff_ffff, 0xffff_f000, 0, 0, 0x2000],
        [0, 0, 0xffff_ffff, 0xffff_f000, 0x2000],
    ] {
        let pi = Pi::new("raspberrypi,4-model-b", 2, &seen);
        assert!(matches!(window(&pi.blob(), &EMMC2), Err(Error::Ranges)));
    }
    let pi = Pi::new("raspberrypi,4-model-b", 2, &[0; 5]);
    assert_eq!(window(&pi.blob(), &EMMC2).unwrap(), None);
    let blob = Pi::new("raspberrypi,4-model-b", 2, B0).blob();
    let error = window(&blob[..blob.len() - 1], &EMMC2)
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("the device tree is damaged: "), "{error}");
    assert!(window(&[], &EMMC2).is_err());
}

/// A device below two buses, as behind PCI Express: both have a say.
#[test]
fn buses_behind_buses_see_what_both_let_through() {
    let nested = |inner: &[u32], outer: &[u32]| -> Vec<u8> {
        let write = || {
            let mut fdt = FdtWriter::new()?;
            let root = fdt.begin_node("")?;
            let mut open = vec![root];
            for (name, seen) in [("outer", outer), ("inner", inner)] {
                fdt.property_u32("#address-cells", 1)?;
                fdt.property_u32("#size-cells", 1)?;
                open.push(fdt.begin_node(name)?);
                fdt.property_null("ranges")?;
                fdt.property_array_u32("dma-ranges", seen)?;
            }
            fdt.property_u32("#address-cells", 1)?;
            fdt.property_u32("#size-cells", 1)?;
            open.push(fdt.begin_node("device@1000")?);
            fdt.property_array_u32("reg", &[0x1000, 4])?;
            while let Some(node) = open.pop() {
                fdt.end_node(node)?;
            }
            fdt.finish()
        };
        write().expect("a tree that can be written")
    };
    let blob = nested(
        &[0x8000_0000, 0x1000_0000, 0x2000_0000],
        &[
            0x1800_0000,
            0x4800_0000,
            0x1000_0000,
            0x2c00_0000,
            0,
            0x1000_0000,
        ],
    );
    let wanted = Window {
        device: 0x8800_0000,
        physical: 0x4800_0000,
        bytes: 0x1000_0000,
    };
    assert_eq!(window(&blob, &(0x1000..0x2000)).unwrap(), Some(wanted));
    let apart = nested(&[0, 0, 0x1000], &[0x1000, 0, 0x1000]);
    assert_eq!(window(&apart, &(0x1000..0x2000)).unwrap(), None);
}

std::thread_local! {
    static BLOBS: Vec<Vec<u8>> = boards().iter().map(Pi::blob).collect();
}

proptest! {
    // As many as the environment says, if that is more.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(10_000)))]

    /// Damage ends in a window within the addresses or a refusal, never in a panic.
    #[test]
    fn damaged_trees_are_read_or_refused(
        board in sample::select((0..18).collect::<Vec<usize>>()),
        damage in proptest::collection::vec((any::<sample::Index>(), any::<u8>()), 1..6),
        end in any::<Option<sample::Index>>(),
    ) {
        let mut blob = BLOBS.with(|blobs| blobs[board].clone());
        for (at, byte) in damage {
            let at = at.index(blob.len());
            blob[at] = byte;
        }
        if let Some(end) = end {
            blob.truncate(end.index(blob.len()));
        }
        if let Ok(machine) = Machine::read(&blob) {
            prop_assert!(machine.ram().all(|bank| bank.start < bank.end));
            for text in [machine.model(), machine.gic()].into_iter().flatten() {
                prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            }
            prop_assert!(machine.processors() <= blob.len());
        }
        for registers in [&EMMC2, &MAILBOX] {
            if let Ok(Some(window)) = window(&blob, registers) {
                prop_assert!(window.bytes > 0);
                prop_assert!(window.device.checked_add(window.bytes).is_some());
                prop_assert!(window.physical.checked_add(window.bytes).is_some());
            }
        }
    }
}
