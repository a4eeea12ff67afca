//! What a machine is, for people who read a log.
//!
//! The kernel reads the same facts from the same tree, acts on them and prints them where its own text goes; this is for
//! who is told nothing by it. Nothing is decided by what is found here.

use core::ops::Range;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node, Property};

use crate::bus::Path;
use crate::{Error, whole};

/// A machine, as its tree describes it.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a>(Fdt<'a>);

impl<'a> Machine<'a> {
    /// Reads a tree. `blob` may be longer than it.
    ///
    /// # Errors
    /// [`Error::Tree`].
    pub fn read(blob: &'a [u8]) -> Result<Self, Error> {
        let blob = whole(blob).unwrap_or(blob);
        Fdt::new(blob).map(Self).map_err(Error::Tree)
    }

    /// What the tree calls the machine, if that can be printed.
    #[must_use]
    pub fn model(&self) -> Option<&'a str> {
        self.0.root().model().ok()?.filter(|name| is_plain(name))
    }

    /// Physical addresses of RAM, in the order of the tree. What cannot be an address is left away.
    pub fn ram(&self) -> impl Iterator<Item = Range<u64>> + use<'a> {
        let is_memory = |node: &FdtNode<'a>| {
            let kind = node.property("device_type");
            kind.is_some_and(|kind| kind.value() == b"memory\0")
        };
        let nodes = self.0.root().children().filter(is_memory);
        let banks = nodes.filter_map(|node| node.reg().ok()?).flatten();
        banks.filter_map(|bank| {
            let one_or_two = |cells: usize| (1..=2).contains(&cells);
            if ![&bank.address, &bank.size]
                .into_iter()
                .all(|cells| one_or_two(cells.as_ref().len()))
            {
                return None;
            }
            let start: u64 = bank.address().ok()?;
            let bytes: u64 = bank.size().ok()?;
            (bytes > 0).then_some(start..start.checked_add(bytes)?)
        })
    }

    /// How many processors the tree names.
    #[must_use]
    pub fn processors(&self) -> usize {
        let root = self.0.root();
        let Some(folder) = root.children().find(|node| node.name() == "cpus") else {
            return 0;
        };
        let is_processor = |node: &FdtNode<'a>| {
            let kind = node.property("device_type");
            kind.is_some_and(|kind| kind.value() == b"cpu\0")
        };
        folder.children().filter(is_processor).count()
    }

    /// What the first GIC of the tree is.
    #[must_use]
    pub fn gic(&self) -> Option<&'a str> {
        let mut path = Path::new(&self.0.root());
        while let Some(node) = path.next() {
            let gic = node
                .compatible()
                .into_iter()
                .flatten()
                .find(|name| name.starts_with("arm,") && name.contains("gic"));
            if node.property("interrupt-controller").is_some() && gic.is_some() {
                return gic.filter(|name| is_plain(name));
            }
            path.enter(node);
        }
        None
    }
}

/// A tree may hold anything; a terminal does what it is told.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}
