//! A minimal Pi 4 device tree for QEMU's `raspi4b`, which brings none.
//!
//! It has the shape of the firmware's own tree where the kernel looks: the same paths, the same
//! `compatible` strings, the same cells and bus `ranges`. QEMU adds the memory node and fills in
//! `/chosen`. On a real board the firmware's tree is used and this one never is.

extern crate std;

use std::{string::ToString, vec::Vec};
use vm_fdt::{Error, FdtWriter};

use super::{
    EMMC2, EMMC2_IRQ, GIC_CPU, GIC_DISTRIBUTOR, GPIO, MAILBOX, PM, UART0, UART0_IRQ,
    spin_table_word,
};

/// Legacy peripherals, where the VideoCore's masters see them and where the ARM does.
const LEGACY: Bus = Bus {
    child: 0x7e00_0000,
    parent: 0xfe00_0000,
    size: 0x0180_0000,
};
/// ARM-local peripherals: the GIC.
const ARM_LOCAL: Bus = Bus {
    child: 0x4000_0000,
    parent: 0xff80_0000,
    size: 0x0080_0000,
};

/// Where masters of both buses see the first GiB of memory: as on silicon B0.
const MEMORY_SEEN_AT: u32 = 0xc000_0000;
/// Bytes of it.
const MEMORY_SEEN: u32 = 1 << 30;

const GIC_PHANDLE: u32 = 1;
/// Interrupt specifier: shared or private, number within that kind, flags.
const SPI: u32 = 0;
const PPI: u32 = 1;
const LEVEL_HIGH: u32 = 4;
/// Private interrupts name the processors they go to in bits 15:8: all four.
const ALL_LEVEL_LOW: u32 = 0xf08;

/// A window of the `soc` bus.
struct Bus {
    child: u32,
    parent: u32,
    size: u32,
}

impl Bus {
    /// Bus address of what the ARM sees at `arm`.
    fn address(&self, arm: u64) -> u32 {
        let arm = u32::try_from(arm).expect("peripherals lie below 4 GiB in low peripheral mode");
        arm - self.parent + self.child
    }
}

/// Returns the flattened tree, to be written to a file and passed with `-dtb`.
///
/// # Panics
///
/// If the tree below is malformed; the tests would show that.
#[must_use]
pub fn qemu_device_tree() -> Vec<u8> {
    build().expect("the tree is a constant and well-formed")
}

fn build() -> Result<Vec<u8>, Error> {
    let mut fdt = FdtWriter::new()?;
    let root = fdt.begin_node("")?;
    fdt.property_string("model", "Raspberry Pi 4 Model B (QEMU)")?;
    strings(
        &mut fdt,
        "compatible",
        &["raspberrypi,4-model-b", "brcm,bcm2711"],
    )?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 1)?;
    fdt.property_u32("interrupt-parent", GIC_PHANDLE)?;

    let chosen = fdt.begin_node("chosen")?;
    fdt.property_string("stdout-path", "serial0:115200n8")?;
    fdt.end_node(chosen)?;
    let aliases = fdt.begin_node("aliases")?;
    fdt.property_string("serial0", "/soc/serial@7e201000")?;
    fdt.end_node(aliases)?;

    cpus(&mut fdt)?;
    let timer = fdt.begin_node("timer")?;
    fdt.property_string("compatible", "arm,armv8-timer")?;
    let ppi = |n| [PPI, n, ALL_LEVEL_LOW];
    fdt.property_array_u32("interrupts", &[ppi(13), ppi(14), ppi(11), ppi(10)].concat())?;
    fdt.end_node(timer)?;
    soc(&mut fdt)?;
    emmc2_bus(&mut fdt)?;

    fdt.end_node(root)?;
    fdt.finish()
}

fn cpus(fdt: &mut FdtWriter) -> Result<(), Error> {
    let cpus = fdt.begin_node("cpus")?;
    fdt.property_u32("#address-cells", 1)?;
    fdt.property_u32("#size-cells", 0)?;
    for n in 0..4_u32 {
        let cpu = fdt.begin_node(&std::format!("cpu@{n}"))?;
        fdt.property_string("device_type", "cpu")?;
        fdt.property_string("compatible", "arm,cortex-a72")?;
        fdt.property_u32("reg", n)?;
        fdt.property_string("enable-method", "spin-table")?;
        fdt.property_u64("cpu-release-addr", spin_table_word(n.into()))?;
        fdt.end_node(cpu)?;
    }
    fdt.end_node(cpus)
}

fn soc(fdt: &mut FdtWriter) -> Result<(), Error> {
    let soc = fdt.begin_node("soc")?;
    fdt.property_string("compatible", "simple-bus")?;
    fdt.property_u32("#address-cells", 1)?;
    fdt.property_u32("#size-cells", 1)?;
    // child address (1 cell), parent address (2 cells), size (1 cell)
    let range = |bus: &Bus| [bus.child, 0, bus.parent, bus.size];
    fdt.property_array_u32("ranges", &[range(&LEGACY), range(&ARM_LOCAL)].concat())?;

    fdt.property_array_u32("dma-ranges", &[MEMORY_SEEN_AT, 0, 0, MEMORY_SEEN])?;

    let (dist, cpu) = (
        ARM_LOCAL.address(GIC_DISTRIBUTOR),
        ARM_LOCAL.address(GIC_CPU),
    );
    let gic = fdt.begin_node(&std::format!("interrupt-controller@{dist:x}"))?;
    fdt.property_string("compatible", "arm,gic-400")?;
    fdt.property_null("interrupt-controller")?;
    fdt.property_u32("#interrupt-cells", 3)?;
    fdt.property_array_u32("reg", &[dist, 0x1000, cpu, 0x2000])?;
    fdt.property_phandle(GIC_PHANDLE)?;
    fdt.end_node(gic)?;

    let uart = begin_device(fdt, "serial", LEGACY.address(UART0), 0x200)?;
    strings(fdt, "compatible", &["arm,pl011", "arm,primecell"])?;
    fdt.property_array_u32("interrupts", &[SPI, UART0_IRQ - 32, LEVEL_HIGH])?;
    fdt.end_node(uart)?;

    let gpio = begin_device(fdt, "gpio", LEGACY.address(GPIO), 0xb4)?;
    fdt.property_string("compatible", "brcm,bcm2711-gpio")?;
    fdt.end_node(gpio)?;

    let pm = begin_device(fdt, "watchdog", LEGACY.address(PM), 0x114)?;
    strings(
        fdt,
        "compatible",
        &["brcm,bcm2711-pm", "brcm,bcm2835-pm-wdt"],
    )?;
    fdt.end_node(pm)?;

    let mailbox = begin_device(fdt, "mailbox", LEGACY.address(MAILBOX), 0x40)?;
    fdt.property_string("compatible", "brcm,bcm2835-mbox")?;
    fdt.end_node(mailbox)?;
    fdt.end_node(soc)
}

/// The card's controller has a bus of its own, of two cells to an address.
fn emmc2_bus(fdt: &mut FdtWriter) -> Result<(), Error> {
    let bus = fdt.begin_node("emmc2bus")?;
    fdt.property_string("compatible", "simple-bus")?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 1)?;
    fdt.property_array_u32("ranges", &[0, LEGACY.child, 0, LEGACY.parent, LEGACY.size])?;
    fdt.property_array_u32("dma-ranges", &[0, MEMORY_SEEN_AT, 0, 0, MEMORY_SEEN])?;
    let address = LEGACY.address(EMMC2);
    let card = fdt.begin_node(&std::format!("mmc@{address:x}"))?;
    fdt.property_string("compatible", "brcm,bcm2711-emmc2")?;
    fdt.property_array_u32("reg", &[0, address, 0x100])?;
    fdt.property_array_u32("interrupts", &[SPI, EMMC2_IRQ - 32, LEVEL_HIGH])?;
    fdt.end_node(card)?;
    fdt.end_node(bus)
}

fn begin_device(
    fdt: &mut FdtWriter,
    name: &str,
    address: u32,
    size: u32,
) -> Result<vm_fdt::FdtWriterNode, Error> {
    let node = fdt.begin_node(&std::format!("{name}@{address:x}"))?;
    fdt.property_array_u32("reg", &[address, size])?;
    Ok(node)
}

fn strings(fdt: &mut FdtWriter, name: &str, values: &[&str]) -> Result<(), Error> {
    fdt.property_string_list(name, values.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::qemu_device_tree;

    #[test]
    fn the_tree_is_reproducible_and_carries_the_magic() {
        let tree = qemu_device_tree();
        assert_eq!(tree, qemu_device_tree());
        assert_eq!(tree[..4], 0xd00d_feed_u32.to_be_bytes());
        assert_eq!(
            tree[4..8],
            u32::try_from(tree.len())
                .expect("a small tree")
                .to_be_bytes()
        );
    }
}
