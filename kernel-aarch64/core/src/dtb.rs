//! The device tree, reduced to what the kernel needs: a [`PlatformInfo`].
//!
//! The blob comes from firmware or a boot loader and is not trusted. One pass reads it: [`reader`]
//! checks every token as it goes by, [`node`] decodes properties of nodes whose properties have all
//! been checked, and the rules for what the kernel looks for are here. No step indexes, recurses or
//! panics, whatever the bytes are; what is wrong is said with node and property, or offset ([`Error`]).
//!
//! Devices are looked for at the root and on buses at the root, which is where every board that is
//! supported has them. Format: *Devicetree Specification* 0.4, chapter 5 "Flattened Devicetree (DTB)
//! Format"; bindings: Linux `Documentation/devicetree/bindings`.

mod error;
mod node;
mod reader;
#[cfg(test)]
mod tests;

pub use error::{Error, Place, Problem};
pub use reader::{HEADER_SIZE, MAX_SIZE, total_size};

use crate::memory_map::{Region, RegionSet};
use node::{Node, Property};
use reader::{Token, Tree, name_at};

/// Where RAM and devices are, as far as the kernel cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformInfo {
    /// All RAM.
    pub ram: RegionSet<32>,
    /// Parts of RAM that somebody else uses, spin tables included; not the device tree itself.
    pub reserved: RegionSet<32>,
    /// The interrupt controller.
    pub gic: Gic,
    /// The UART to print on.
    pub uart: Uart,
    /// Interrupt of the virtual timer.
    pub timer_irq: u32,
    /// How to call the firmware's power functions, if it has any.
    pub psci: Option<Conduit>,
    /// Registers of a Broadcom power management block, which can reset the board.
    pub bcm_pm: Option<Region>,
    /// Number of processors.
    pub processors: u32,
    /// Random bytes from whoever started the kernel.
    pub seed: Seed,
}

/// An interrupt controller and its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gic {
    /// `GICv2`, such as the GIC-400.
    V2 {
        /// Distributor.
        distributor: Region,
        /// Processor interface.
        cpu: Region,
    },
    /// `GICv3`, whose processor interface is system registers.
    V3 {
        /// Distributor.
        distributor: Region,
        /// Redistributors of all processors, one after the other.
        redistributors: Region,
    },
}

/// A PL011.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uart {
    /// Its registers.
    pub registers: Region,
    /// Its interrupt.
    pub irq: u32,
}

/// The instruction that reaches the firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// `hvc #0`.
    Hvc,
    /// `smc #0`.
    Smc,
}

/// `/chosen/rng-seed`, as much of it as fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed {
    bytes: [u8; 64],
    len: usize,
}

impl Seed {
    /// Returns the bytes that were given, possibly none.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn of(value: &[u8]) -> Self {
        let mut seed = Self {
            bytes: [0; 64],
            len: value.len().min(64),
        };
        seed.bytes
            .iter_mut()
            .zip(value)
            .for_each(|(to, from)| *to = *from);
        seed
    }
}

impl PlatformInfo {
    /// Reads the tree in `blob`, which may be longer than the tree.
    ///
    /// # Errors
    ///
    /// The first thing found malformed or missing.
    #[inline(never)]
    pub fn from_device_tree(blob: &[u8]) -> Result<Self, Error> {
        let tree = Tree::new(blob)?;
        let mut found = Found::default();
        for region in tree.reserved_memory() {
            let result = found.reserved.insert(region?);
            result.map_err(|_| Problem::TooMany.at(0))?;
        }

        let mut reader = tree.reader();
        // The node that is open at each depth, as deep as anything is looked for.
        let mut path = [Node::new(0, reader); DEPTH];
        let mut depth: usize = 0;
        // Whether the innermost open node may still have properties.
        let mut in_properties = false;
        loop {
            let offset = reader.offset();
            let token = reader.token()?;
            // Every property of the innermost node has been checked once something else follows.
            if in_properties
                && token != Token::Property
                && let Some(open) = path.get(..depth)
            {
                found.visit(open)?;
            }
            match token {
                Token::Property if in_properties => {}
                Token::Property => return Err(Problem::PropertyAfterChild.at(offset)),
                Token::Begin(name) => {
                    if depth >= MAX_DEPTH {
                        return Err(Problem::TooDeep.at(offset));
                    }
                    if let Some(slot) = path.get_mut(depth) {
                        *slot = Node::new(name, reader);
                    }
                    depth += 1;
                    in_properties = true;
                }
                Token::End if depth > 1 => {
                    depth -= 1;
                    in_properties = false;
                }
                Token::End if depth == 1 && reader.token()? == Token::Done => break,
                Token::End | Token::Done => return Err(Problem::Unbalanced.at(offset)),
            }
        }
        found.finish()
    }
}

/// Nodes deeper than this are refused: no real tree has half as many levels.
const MAX_DEPTH: usize = 32;
/// Nodes deeper than this are checked but not looked at: root, bus, device.
const DEPTH: usize = 3;
/// PL011s that are remembered until it is known which one is the console.
const UARTS: usize = 4;

/// A device that the kernel drives or calls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    GicV2,
    GicV3,
    Pl011,
    Timer,
    Psci,
    BcmPm,
}

/// The devices by the names in `compatible`.
const DEVICES: &[(&str, Kind)] = &[
    ("arm,gic-400", Kind::GicV2),
    ("arm,cortex-a15-gic", Kind::GicV2),
    ("arm,gic-v3", Kind::GicV3),
    ("arm,pl011", Kind::Pl011),
    ("arm,armv8-timer", Kind::Timer),
    ("arm,psci-1.0", Kind::Psci),
    ("arm,psci-0.2", Kind::Psci),
    ("brcm,bcm2711-pm", Kind::BcmPm),
    ("brcm,bcm2835-pm-wdt", Kind::BcmPm),
];

/// What has been found so far.
#[derive(Default)]
struct Found<'a> {
    ram: RegionSet<32>,
    reserved: RegionSet<32>,
    gic: Option<Gic>,
    /// PL011s and the names of their nodes.
    uarts: [Option<(&'a [u8], Uart)>; UARTS],
    stdout: &'a [u8],
    timer_irq: Option<u32>,
    psci: Option<Conduit>,
    bcm_pm: Option<Region>,
    processors: u32,
    seed: &'a [u8],
}

impl<'a> Found<'a> {
    /// Looks at the last node of `path`, which leads to it from the root.
    #[inline(never)]
    fn visit(&mut self, path: &[Node<'a>]) -> Result<(), Error> {
        let Some((node, buses)) = path.split_last() else {
            return Ok(());
        };
        let too_many = |_| node.problem(Problem::TooMany, Property::Reg);
        match buses {
            [] => return Ok(()),
            [_root] => {
                if node.is(Property::DeviceType, "memory") {
                    for region in node.regions(buses)? {
                        self.ram.insert(region?).map_err(too_many)?;
                    }
                }
                if node.is_called("chosen") {
                    self.stdout = node.property(Property::StdoutPath).unwrap_or_default();
                    self.seed = node.property(Property::RngSeed).unwrap_or_default();
                }
            }
            [_, bus, ..] => {
                if bus.is_called("cpus") {
                    return self.processor(node);
                }
                if bus.is_called("reserved-memory") && node.property(Property::Reg).is_some() {
                    for region in node.regions(buses)? {
                        self.reserved.insert(region?).map_err(too_many)?;
                    }
                }
            }
        }
        self.device(node, buses)
    }

    #[inline(never)]
    fn processor(&mut self, node: &Node<'a>) -> Result<(), Error> {
        if !node.is(Property::DeviceType, "cpu") {
            return Ok(());
        }
        self.processors = self.processors.saturating_add(1);
        // A processor nobody released runs in the page around the word that would release it.
        let Some(word) = node.property(Property::CpuReleaseAddr) else {
            return Ok(());
        };
        let problem = |problem| node.problem(problem, Property::CpuReleaseAddr);
        let address = node::number(word).ok_or_else(|| problem(Problem::BadLength))?;
        let word = Region::new(address, 8).ok_or_else(|| problem(Problem::OutOfRange))?;
        self.reserved
            .insert(word.pages_around())
            .map_err(|_| problem(Problem::TooMany))
    }

    /// Takes note of `node` if it is a device the kernel drives. `buses` lead to it from the root.
    #[inline(never)]
    fn device(&mut self, node: &Node<'a>, buses: &[Node<'a>]) -> Result<(), Error> {
        let Some(kind) = node.compatible(DEVICES).filter(|_| node.is_enabled()) else {
            return Ok(());
        };
        match kind {
            Kind::GicV2 | Kind::GicV3 => {
                let distributor = node.registers(buses, 0)?;
                let second = node.registers(buses, 1)?;
                node.expect_interrupt_cells()?;
                self.gic.get_or_insert(if kind == Kind::GicV2 {
                    Gic::V2 {
                        distributor,
                        cpu: second,
                    }
                } else {
                    Gic::V3 {
                        distributor,
                        redistributors: second,
                    }
                });
            }
            Kind::Pl011 => {
                let uart = Uart {
                    registers: node.registers(buses, 0)?,
                    irq: node.interrupt(0)?,
                };
                if let Some(free) = self.uarts.iter_mut().find(|slot| slot.is_none()) {
                    *free = Some((node.name(), uart));
                }
            }
            // Secure, non-secure physical, virtual, hypervisor.
            Kind::Timer => self.timer_irq = Some(node.interrupt(2)?),
            Kind::Psci => {
                self.psci = Some(if node.is(Property::Method, "hvc") {
                    Conduit::Hvc
                } else if node.is(Property::Method, "smc") {
                    Conduit::Smc
                } else {
                    return Err(node.problem(Problem::BadValue, Property::Method));
                });
            }
            Kind::BcmPm => self.bcm_pm = Some(node.registers(buses, 0)?),
        }
        Ok(())
    }

    #[inline(never)]
    fn finish(self) -> Result<PlatformInfo, Error> {
        if self.ram.as_slice().is_empty() {
            return Err(Problem::NoRam.at(0));
        }
        // The console is the PL011 that stdout-path ends in. An alias, or a UART of another kind,
        // says nothing: then it is the first one that is enabled.
        let path = name_at(self.stdout, 0)
            .split(|&byte| byte == b':')
            .next()
            .unwrap_or_default();
        let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let mut uarts = self.uarts.iter().flatten();
        let named = uarts.clone().find(|(name, _)| *name == last);
        let uart = named
            .or_else(|| uarts.next())
            .ok_or_else(|| Problem::NoUart.at(0))?;
        Ok(PlatformInfo {
            ram: self.ram,
            reserved: self.reserved,
            gic: self.gic.ok_or_else(|| Problem::NoGic.at(0))?,
            uart: uart.1,
            timer_irq: self.timer_irq.ok_or_else(|| Problem::NoTimer.at(0))?,
            psci: self.psci,
            bcm_pm: self.bcm_pm,
            processors: self.processors,
            seed: Seed::of(self.seed),
        })
    }
}
