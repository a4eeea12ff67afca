//! What a component's arguments say of a controller's surroundings.
//!
//! ```text
//! pci 0x10000000                      its registers are to appear there
//! window 0xc0000000 0x0 0x40000000    it sees physical address 0 at 0xc0000000, for so many bytes
//! ```
//!
//! A window is a line of a device tree's `dma-ranges`: address of the device, physical address, size.

/// Memory as a device sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The device's address of the first byte.
    pub device: u64,
    /// Physical address of it.
    pub physical: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Window {
    /// The device's address, of 32 bits, of `bytes` bytes at a physical address; `None` if they are not all in the
    /// window.
    #[must_use]
    pub fn address(&self, physical: u64, bytes: u64) -> Option<u32> {
        let offset = physical.checked_sub(self.physical)?;
        let end = offset.checked_add(bytes)?;
        let first = self.device.checked_add(offset)?;
        // The last byte has an address of 32 bits as well.
        u32::try_from(first.checked_add(bytes.max(1) - 1)?).ok()?;
        (end <= self.bytes).then_some(u32::try_from(first).ok()?)
    }
}

/// All that arguments can say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Physical address of the registers of a controller behind PCI Express.
    pub pci: Option<u32>,
    /// What the controller sees; without it it moves no blocks by itself.
    pub window: Option<Window>,
}

impl Settings {
    /// Reads a component's arguments.
    ///
    /// # Errors
    /// The line that says nothing that is known.
    pub fn parse(text: &str) -> Result<Self, &str> {
        let mut settings = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.split_ascii_whitespace();
            let kind = words.next();
            let mut number = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
            match kind {
                Some("pci") => {
                    let address = number().and_then(|number| u32::try_from(number).ok());
                    settings.pci = Some(address.ok_or(line)?);
                }
                Some("window") => {
                    let (Some(device), Some(physical), Some(bytes)) =
                        (number(), number(), number())
                    else {
                        return Err(line);
                    };
                    settings.window = Some(Window {
                        device,
                        physical,
                        bytes,
                    });
                }
                _ => return Err(line),
            }
            if words.next().is_some() {
                return Err(line);
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::{Settings, Window};

    #[test]
    fn a_window_translates_what_lies_in_it() {
        // Linux, bcm2711.dtsi: emmc2bus of silicon B0.
        let window = Window {
            device: 0xc000_0000,
            physical: 0,
            bytes: 1 << 30,
        };
        assert_eq!(window.address(0x1000, 512), Some(0xc000_1000));
        assert_eq!(window.address(0x3fff_fe00, 512), Some(0xffff_fe00));
        for (physical, bytes) in [
            (0x3fff_fe00, 513),
            (1 << 30, 1),
            (u64::MAX, 2),
            (0, u64::MAX),
        ] {
            assert_eq!(window.address(physical, bytes), None, "{physical:#x}");
        }
        let high = Window {
            device: 0xf000_0000,
            physical: 0x4000_0000,
            bytes: 1 << 30,
        };
        assert_eq!(high.address(0x3fff_ffff, 1), None, "below");
        assert_eq!(high.address(0x5000_0000, 1), None, "33 bits");
    }

    #[test]
    fn arguments_say_what_they_should_or_are_shown() {
        let all = "pci 0x10000000\n\n window 0xc0000000 0x0 0x40000000\n";
        let settings = Settings::parse(all).unwrap();
        assert_eq!(settings.pci, Some(0x1000_0000));
        assert_eq!(settings.window.unwrap().bytes, 1 << 30);
        assert_eq!(Settings::parse(""), Ok(Settings::default()));
        for bad in [
            "pci",
            "pci 5",
            "pci 0x100000000",
            "window 0x0 0x0",
            "pci 0x0 0x0",
            "pcie 0x0",
        ] {
            assert_eq!(Settings::parse(bad), Err(bad));
        }
    }
}
