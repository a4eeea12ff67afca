//! A controller behind PCI Express, as QEMU's `sdhci-pci` is.
//!
//! Only what it takes to find it and to let it answer: *PCI Local Bus Specification 3.0*, 6.1 "Configuration Space
//! Organization" and 6.2.5 "Base Addresses"; class code: *PCI Code and ID Assignment Specification*, "SD Host
//! controller". The registers of function `f` of device `d` on bus 0 lie at `d << 15 | f << 12` of the enhanced
//! configuration space (*PCI Express Base Specification*, "PCI Express Enhanced Configuration Access Mechanism").
//!
//! Deliberately not here: bridges, other functions than the first, message-signalled interrupts, capabilities.

/// Access to the configuration space of bus 0.
pub trait Configuration {
    /// Reads the word at an offset.
    fn read(&mut self, offset: usize) -> u32;
    /// Writes the word at an offset.
    fn write(&mut self, offset: usize, value: u32);
}

/// Bytes of configuration space of a bus.
pub const BUS_BYTES: usize = 1 << 20;
const DEVICES: usize = 32;
const DEVICE_SHIFT: u32 = 15;

const IDENTIFICATION: usize = 0x00;
const COMMAND: usize = 0x04;
const CLASS: usize = 0x08;
const BASE_ADDRESS: usize = 0x10;
/// Nobody is there.
const NOBODY: u32 = 0xffff_ffff;
/// Base class "generic system peripherals", subclass "SD host controller"; the lowest byte is the interface.
const SD_HOST: u32 = 0x0805;
/// `COMMAND`: answers to memory addresses; accesses memory by itself. The upper half is status, in which ones clear.
const MEMORY: u32 = 1 << 1;
const MASTER: u32 = 1 << 2;
/// `BASE_ADDRESS`: bits that are no address; 0 says memory anywhere in 32 bits.
const FLAGS: u32 = 0xf;
/// Most bytes of registers.
const PAGE: u32 = 4096;

/// Finds the first SD host controller of bus 0, lets its registers appear at physical address `base`, the start of a page,
/// and lets it access memory. Which device it is.
///
/// # Errors
/// Why there is none that can be used.
pub fn enable(space: &mut impl Configuration, base: u32) -> Result<usize, &'static str> {
    let mut found = None;
    for device in 0..DEVICES {
        let at = device << DEVICE_SHIFT;
        if space.read(at + IDENTIFICATION) != NOBODY && space.read(at + CLASS) >> 16 == SD_HOST {
            found = Some((device, at));
            break;
        }
    }
    let (device, at) = found.ok_or("no device on bus 0 is an SD host controller")?;
    let command = space.read(at + COMMAND) & 0xffff & !(MEMORY | MASTER);
    space.write(at + COMMAND, command);
    // Address bits that stay zero say how many bytes there are.
    space.write(at + BASE_ADDRESS, u32::MAX);
    let mask = space.read(at + BASE_ADDRESS);
    if mask == 0 || mask & FLAGS != 0 || (mask & !FLAGS).wrapping_neg() > PAGE {
        return Err("its registers are not a page of memory");
    }
    space.write(at + BASE_ADDRESS, base);
    space.write(at + COMMAND, command | MEMORY | MASTER);
    Ok(device)
}

#[cfg(test)]
mod tests {
    use super::{Configuration, enable};
    use std::collections::BTreeMap;
    use std::vec::Vec;

    /// Two devices: a bridge, and at number 2 what is looked for.
    struct Bus {
        class: u32,
        size: u32,
        written: BTreeMap<usize, u32>,
        writes: Vec<(usize, u32)>,
    }

    const THERE: usize = 2 << 15;

    impl Configuration for Bus {
        fn read(&mut self, offset: usize) -> u32 {
            let base = self.written.get(&(THERE + 0x10)).copied().unwrap_or(0);
            match offset {
                0x00 => 0x0008_1b36,
                0x08 => 0x0600_0000,
                _ if offset == THERE => 0x0007_1b36,
                _ if offset == THERE + 4 => 0x0010_0000,
                _ if offset == THERE + 8 => self.class << 16 | 0x0100,
                _ if offset == THERE + 0x10 => base & !(self.size - 1),
                _ => u32::MAX,
            }
        }

        fn write(&mut self, offset: usize, value: u32) {
            self.written.insert(offset, value);
            self.writes.push((offset, value));
        }
    }

    fn bus(class: u32, size: u32) -> Bus {
        Bus {
            class,
            size,
            written: BTreeMap::new(),
            writes: Vec::new(),
        }
    }

    #[test]
    fn the_controller_is_found_and_answers_only_once_it_has_its_address() {
        let mut bus = bus(0x0805, 256);
        assert_eq!(enable(&mut bus, 0x1000_0000), Ok(2));
        let at = |offset| THERE + offset;
        assert_eq!(
            bus.writes,
            [
                (at(4), 0),
                (at(0x10), u32::MAX),
                (at(0x10), 0x1000_0000),
                (at(4), 6)
            ]
        );
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        assert!(
            enable(&mut bus(0x0108, 256), 0x1000_0000).is_err(),
            "a disk"
        );
        let mut large = bus(0x0805, 8192);
        assert!(enable(&mut large, 0x1000_0000).is_err());
        assert_eq!(large.written[&(THERE + 4)], 0, "it stays switched off");
    }
}
