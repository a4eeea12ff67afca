//! What the firmware's device tree says of memory that devices reach by themselves, and of the machine as a whole.
//!
//! A device on a bus does not see memory as a processor does: it may see a part of it, at other addresses. The tree
//! says which, in the property `dma-ranges` of each bus between the device and the root (*Devicetree Specification*
//! 0.4, section "dma-ranges"): absent, nothing is visible; empty, everything at its own address; else what its entries
//! name. [`window`] finds a device by the physical address of its registers and follows the buses up.
//!
//! The blob comes from firmware and is not trusted: whatever its bytes are, the answer is a window or an [`Error`], and
//! no window is larger than what the tree says. Parsing it is `dtoolkit`'s business. Deliberately not here: what the
//! kernel acts on in the same tree ([`Machine`] is for people), and devices that are found by anything but their address.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod bus;
mod machine;
#[cfg(test)]
mod tests;

use core::fmt;
use core::ops::Range;

use dtoolkit::error::FdtParseError;
use dtoolkit::fdt::Fdt;

use bus::Path;
pub use machine::Machine;

/// Memory as a device sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The device's address of the first byte.
    pub device: u64,
    /// Physical address of it.
    pub physical: u64,
    /// Bytes. Neither address passes the end of 64 bits.
    pub bytes: u64,
}

impl Window {
    /// All memory at its own address.
    pub const ALL: Self = Self {
        device: 0,
        physical: 0,
        bytes: u64::MAX,
    };
}

/// Why a tree does not tell.
#[derive(Clone, Debug)]
pub enum Error {
    /// It is damaged.
    Tree(FdtParseError),
    /// The property `dma-ranges` of the device's bus, or of one further up, is not written as it should be.
    Ranges,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree(error) => write!(f, "the device tree is damaged: {error}"),
            Self::Ranges => f.write_str(
                "`dma-ranges` of its bus in the device tree is no list of ranges within 64 bits, in one or two cells each",
            ),
        }
    }
}

impl core::error::Error for Error {}

/// The largest window of the device whose first registers begin in the physical addresses `registers`. `None` if the
/// tree has no such device, or if it sees no memory. Of two devices in that range the first in the tree is meant. `blob`
/// may be longer than the tree.
///
/// # Errors
/// See [`Error`].
pub fn window(blob: &[u8], registers: &Range<u64>) -> Result<Option<Window>, Error> {
    let blob = whole(blob).unwrap_or(blob);
    let tree = Fdt::new(blob).map_err(Error::Tree)?;
    let mut path = Path::new(&tree.root());
    while let Some(node) = path.next() {
        let address = bus::address(&node).and_then(|address| path.physical(address));
        if address.is_some_and(|address| registers.contains(&address)) {
            return path.window();
        }
        path.enter(node);
    }
    Ok(None)
}

/// The tree's own bytes: `dtoolkit` wants no others behind them.
fn whole(blob: &[u8]) -> Option<&[u8]> {
    let bytes = u32::from_be_bytes(*blob.get(4..)?.first_chunk()?);
    blob.get(..usize::try_from(bytes).ok()?)
}
