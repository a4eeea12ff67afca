//! The device tree, reduced to what the kernel needs: a [`PlatformInfo`].
//!
//! The blob comes from firmware or a boot loader and is not trusted. One pass reads it: [`reader`]
//! checks every token as it goes by, [`node`] decodes properties of nodes whose properties have all
//! been checked, and the rules for what the kernel looks for are here. No step indexes, recurses or
//! panics, whatever the bytes are; what is wrong is said with node, property and offset ([`Error`]).
//!
//! Devices are looked for at the root and on buses at the root, which is where every board that is
//! supported has them. Format: *Devicetree Specification* 0.4, chapter 5 "Flattened Devicetree (DTB)
//! Format"; bindings: Linux `Documentation/devicetree/bindings`.

mod error;
mod node;
mod reader;
#[cfg(test)]
mod tests;

pub use error::{Error, Problem};
pub use reader::{HEADER_SIZE, MAX_SIZE, total_size};

use crate::memory_map::{Region, RegionSet};
use node::Node;
use reader::{Reader, Token};

/// Where RAM and devices are, as far as the kernel cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformInfo {
    /// All RAM.
    pub ram: RegionSet<8>,
    /// Parts of RAM that somebody else uses, spin tables included; not the device tree itself.
    pub reserved: RegionSet<16>,
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
    pub fn from_device_tree(blob: &[u8]) -> Result<Self, Error<'_>> {
        let mut reader = Reader::new(blob)?;
        let mut found = Found::default();
        for region in reader.reserved_memory() {
            let region = region?;
            found.reserve(region, "memory reservation block", "")?;
        }

        // The node that is open at each depth, as deep as anything is looked for.
        let mut path = [Node::default(); DEPTH];
        let mut depth: usize = 0;
        // Whether the innermost open node may still have properties.
        let mut in_properties = false;
        loop {
            let offset = reader.offset();
            let token = reader.token()?;
            // Every property of the innermost node has been checked once something else follows.
            if in_properties
                && !matches!(token, Token::Property)
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
                Token::End => {
                    depth = depth.checked_sub(1).ok_or(Problem::Unbalanced.at(offset))?;
                    in_properties = false;
                    if depth == 0 {
                        break;
                    }
                }
                Token::Done => return Err(Problem::Unbalanced.at(offset)),
            }
        }
        let offset = reader.offset();
        match reader.token()? {
            Token::Done => found.finish(),
            _ => Err(Problem::Unbalanced.at(offset)),
        }
    }
}

/// Nodes deeper than this are refused: no real tree has half as many levels.
const MAX_DEPTH: usize = 32;
/// Nodes deeper than this are checked but not looked at: root, bus, device.
const DEPTH: usize = 3;
/// PL011s that are remembered until it is known which one is the console.
const UARTS: usize = 4;

/// What has been found so far.
#[derive(Default)]
struct Found<'a> {
    ram: RegionSet<8>,
    reserved: RegionSet<16>,
    gic: Option<Gic>,
    uarts: [Option<(&'a str, Uart)>; UARTS],
    stdout: Option<&'a [u8]>,
    timer_irq: Option<u32>,
    psci: Option<Conduit>,
    bcm_pm: Option<Region>,
    processors: u32,
    seed: &'a [u8],
}

impl<'a> Found<'a> {
    /// Looks at the last node of `path`, which leads to it from the root.
    #[inline(never)]
    fn visit(&mut self, path: &[Node<'a>]) -> Result<(), Error<'a>> {
        match *path {
            [root, node] => {
                if node.is("device_type", "memory") {
                    for region in node.regions("reg", &[root])? {
                        let region = region?;
                        self.ram
                            .insert(region)
                            .map_err(|_| Problem::TooMany.of(&node, "reg"))?;
                    }
                }
                if node.base_name() == "chosen" {
                    self.stdout = node.property("stdout-path");
                    self.seed = node.property("rng-seed").unwrap_or_default();
                }
                self.device(node, &[root])
            }
            [root, bus, node] => match bus.base_name() {
                "reserved-memory" if node.property("reg").is_some() => {
                    for region in node.regions("reg", &[root, bus])? {
                        self.reserve(region?, node.name, "reg")?;
                    }
                    Ok(())
                }
                "cpus" => self.processor(node),
                _ => self.device(node, &[root, bus]),
            },
            _ => Ok(()),
        }
    }

    #[inline(never)]
    fn reserve(
        &mut self,
        region: Region,
        node: &'a str,
        property: &'static str,
    ) -> Result<(), Error<'a>> {
        let result = self.reserved.insert(region);
        result.map_err(|_| Error {
            node,
            property,
            ..Problem::TooMany.at(0)
        })
    }

    #[inline(never)]
    fn processor(&mut self, node: Node<'a>) -> Result<(), Error<'a>> {
        if !node.is("device_type", "cpu") {
            return Ok(());
        }
        self.processors = self.processors.saturating_add(1);
        // A processor nobody released runs in the page around the word that would release it.
        if let Some(word) = node.property("cpu-release-addr") {
            let address = node::number(word);
            let address = address.ok_or(Problem::BadLength.of(&node, "cpu-release-addr"))?;
            let word = Region::new(address, 8);
            let word = word.ok_or(Problem::OutOfRange.of(&node, "cpu-release-addr"))?;
            self.reserve(word.pages_around(), node.name, "cpu-release-addr")?;
        }
        Ok(())
    }

    /// Takes note of `node` if it is a device the kernel drives. `buses` lead to it from the root.
    fn device(&mut self, node: Node<'a>, buses: &[Node<'a>]) -> Result<(), Error<'a>> {
        if !node.is_enabled() {
            return Ok(());
        }
        let compatible = |name| node.is_compatible(name);
        if compatible("arm,gic-400") || compatible("arm,cortex-a15-gic") {
            let [distributor, cpu] = node.register_banks(buses)?;
            self.gic.get_or_insert(Gic::V2 { distributor, cpu });
            node.expect_interrupt_cells()?;
        } else if compatible("arm,gic-v3") {
            let [distributor, redistributors] = node.register_banks(buses)?;
            self.gic.get_or_insert(Gic::V3 {
                distributor,
                redistributors,
            });
            node.expect_interrupt_cells()?;
        } else if compatible("arm,pl011") {
            let [registers] = node.register_banks(buses)?;
            let uart = Uart {
                registers,
                irq: node.interrupt(0)?,
            };
            if let Some(free) = self.uarts.iter_mut().find(|slot| slot.is_none()) {
                *free = Some((node.name, uart));
            }
        } else if compatible("arm,armv8-timer") {
            // Secure, non-secure physical, virtual, hypervisor.
            self.timer_irq = Some(node.interrupt(2)?);
        } else if compatible("arm,psci-1.0") || compatible("arm,psci-0.2") {
            self.psci = Some(match node.property("method") {
                Some(b"hvc\0") => Conduit::Hvc,
                Some(b"smc\0") => Conduit::Smc,
                _ => return Err(Problem::BadValue.of(&node, "method")),
            });
        } else if compatible("brcm,bcm2711-pm") || compatible("brcm,bcm2835-pm-wdt") {
            let [registers] = node.register_banks(buses)?;
            self.bcm_pm = Some(registers);
        }
        Ok(())
    }

    #[inline(never)]
    fn finish(self) -> Result<PlatformInfo, Error<'a>> {
        let missing = |what| Error {
            node: what,
            ..Problem::Missing.at(0)
        };
        if self.ram.as_slice().is_empty() {
            return Err(missing("memory"));
        }
        // The console is the PL011 that stdout-path ends in. An alias, or a UART of another kind,
        // says nothing: then it is the first one that is enabled.
        let path = self.stdout.map_or(&[][..], node::first_string);
        let path = path.split(|&byte| byte == b':').next().unwrap_or_default();
        let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let mut uarts = self.uarts.iter().flatten();
        let named = uarts.clone().find(|(name, _)| name.as_bytes() == last);
        let (_, uart) = *named.or_else(|| uarts.next()).ok_or(missing("arm,pl011"))?;
        Ok(PlatformInfo {
            ram: self.ram,
            reserved: self.reserved,
            gic: self.gic.ok_or(missing("arm,gic-400 or arm,gic-v3"))?,
            uart,
            timer_irq: self.timer_irq.ok_or(missing("arm,armv8-timer"))?,
            psci: self.psci,
            bcm_pm: self.bcm_pm,
            processors: self.processors,
            seed: Seed::of(self.seed),
        })
    }
}
