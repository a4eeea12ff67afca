//! What a board's revision code says.
//!
//! Source: raspberrypi.com/documentation, "Raspberry Pi revision codes", new-style codes: `NOQuuuWuFMMMCCCCPPPPTTTTTTTTRRRR`.

use core::fmt;

/// A code of the new style (bit 23), which every board with a BCM2711 has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision(u32);

impl Revision {
    /// Reads a code; `None` if it is none of the new style.
    #[must_use]
    pub const fn new(code: u32) -> Option<Self> {
        if code & 1 << 23 != 0 {
            Some(Self(code))
        } else {
            None
        }
    }

    /// The board's name, if it is one that this system is for. Bits 11:4.
    #[must_use]
    pub const fn model(self) -> Option<&'static str> {
        match self.0 >> 4 & 0xff {
            0x11 => Some("Raspberry Pi 4 Model B"),
            0x13 => Some("Raspberry Pi 400"),
            0x14 => Some("Raspberry Pi Compute Module 4"),
            0x15 => Some("Raspberry Pi Compute Module 4S"),
            _ => None,
        }
    }

    /// Memory in MiB, 256 to 32768. Bits 22:20.
    #[must_use]
    pub const fn memory_mib(self) -> u32 {
        256 << (self.0 >> 20 & 7)
    }

    /// The number behind the point of the board's own revision. Bits 3:0.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0 & 0xf
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.model() {
            Some(model) => write!(f, "{model} 1.{}", self.number())?,
            None => write!(f, "Raspberry Pi of type {:#x}", self.0 >> 4 & 0xff)?,
        }
        match self.memory_mib() {
            mib if mib < 1024 => write!(f, ", {mib} MiB"),
            mib => write!(f, ", {} GiB", mib >> 10),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::Revision;
    use std::string::ToString;

    #[test]
    fn codes_of_the_documentation_s_table_are_read() {
        for (code, text) in [
            (0x00a0_3111, "Raspberry Pi 4 Model B 1.1, 1 GiB"),
            (0x00b0_3115, "Raspberry Pi 4 Model B 1.5, 2 GiB"),
            (0x00c0_3112, "Raspberry Pi 4 Model B 1.2, 4 GiB"),
            (0x00d0_3114, "Raspberry Pi 4 Model B 1.4, 8 GiB"),
            (0x00c0_3130, "Raspberry Pi 400 1.0, 4 GiB"),
            (0x00a0_3140, "Raspberry Pi Compute Module 4 1.0, 1 GiB"),
            // The warranty bit says nothing of the board; a Pi 3 is named by its number.
            (0x02b0_3115, "Raspberry Pi 4 Model B 1.5, 2 GiB"),
            (0x00a0_2082, "Raspberry Pi of type 0x8, 1 GiB"),
        ] {
            assert_eq!(
                Revision::new(code).map(|code| code.to_string()),
                Some(text.into())
            );
        }
        assert_eq!(Revision::new(0x0010), None, "old style");
    }
}
