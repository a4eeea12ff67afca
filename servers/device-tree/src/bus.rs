//! Buses, and what becomes of an address on its way up.

use dtoolkit::fdt::FdtNode;
use dtoolkit::standard::Range;
use dtoolkit::{Node, Property};

use crate::{Error, Window};

/// Buses between the root and a device: boards have one, and one more behind PCI Express.
const DEPTH: usize = 4;

/// A walk over all devices that are on no more than [`DEPTH`] buses, and where it is.
pub(crate) struct Path<'a> {
    /// What is left of the root's children.
    root: Children<'a>,
    /// The buses between the root and the devices that come next, outermost first, with what is left of their children.
    buses: [Option<(FdtNode<'a>, Children<'a>)>; DEPTH],
}

type Children<'a> = <FdtNode<'a> as Node>::Children<'a>;

impl<'a> Path<'a> {
    /// Before the first device.
    pub(crate) fn new(root: &FdtNode<'a>) -> Self {
        Self {
            root: root.children(),
            buses: [const { None }; DEPTH],
        }
    }

    /// The next node, and all buses on the way to it.
    pub(crate) fn next(&mut self) -> Option<FdtNode<'a>> {
        while let Some(place) = self.buses.iter_mut().rev().find(|place| place.is_some()) {
            if let Some(node) = place.as_mut().and_then(|(_, children)| children.next()) {
                return Some(node);
            }
            *place = None;
        }
        self.root.next()
    }

    /// Lets the children of the node that came last be the next, if it is a bus and the path is not too long.
    pub(crate) fn enter(&mut self, node: FdtNode<'a>) {
        if node.property("ranges").is_some()
            && let Some(place) = self.buses.iter_mut().find(|place| place.is_none())
        {
            *place = Some((node, node.children()));
        }
    }

    /// The buses, innermost first.
    fn outward(&self) -> impl Iterator<Item = &FdtNode<'a>> {
        self.buses.iter().rev().flatten().map(|(bus, _)| bus)
    }

    /// Where a processor sees what has this address on the innermost bus.
    pub(crate) fn physical(&self, address: u64) -> Option<u64> {
        self.outward().try_fold(address, |address, bus| {
            if is_empty(bus, "ranges") {
                return Some(address);
            }
            let mut ranges = bus.ranges().ok()??.filter_map(|range| entry(&range));
            ranges.find_map(|range| {
                let offset = address.checked_sub(range.device)?;
                (offset < range.bytes).then_some(range.physical.checked_add(offset)?)
            })
        })
    }

    /// What a device on the innermost bus sees: the largest piece.
    pub(crate) fn window(&self) -> Result<Option<Window>, Error> {
        let mut seen = Window::ALL;
        for bus in self.outward() {
            let Some(property) = bus.property("dma-ranges") else {
                return Ok(None);
            };
            if property.value().is_empty() {
                continue;
            }
            let mut best = None;
            for range in bus
                .dma_ranges()
                .map_err(|_| Error::Ranges)?
                .into_iter()
                .flatten()
            {
                let range = entry(&range).ok_or(Error::Ranges)?;
                let piece = through(&seen, &range);
                best = best.max_by_bytes(piece);
            }
            match best {
                Some(piece) => seen = piece,
                None => return Ok(None),
            }
        }
        Ok(Some(seen))
    }
}

/// The larger of two.
trait Larger {
    fn max_by_bytes(self, other: Self) -> Self;
}

impl Larger for Option<Window> {
    fn max_by_bytes(self, other: Self) -> Self {
        match (self, other) {
            (Some(one), Some(other)) if one.bytes >= other.bytes => Some(one),
            (one, None) => one,
            (_, other) => other,
        }
    }
}

/// What is seen of `seen`, whose addresses are those of a bus, through an entry of that bus.
fn through(seen: &Window, entry: &Window) -> Option<Window> {
    let first = seen.physical.max(entry.device);
    let ends = [
        seen.physical.saturating_add(seen.bytes),
        entry.device.saturating_add(entry.bytes),
    ];
    let bytes = ends[0].min(ends[1]).checked_sub(first)?;
    let window = Window {
        device: seen.device.checked_add(first - seen.physical)?,
        physical: entry.physical.checked_add(first - entry.device)?,
        bytes,
    };
    (bytes > 0).then_some(window)
}

/// Where the bus's devices see what is where on the bus above: numbers of one or two cells, no range of which passes the
/// end of all addresses.
fn entry(range: &Range<'_>) -> Option<Window> {
    let one_or_two = |cells: &dtoolkit::Cells<'_>| (1..=2).contains(&cells.as_ref().len());
    let all = [
        &range.child_bus_address,
        &range.parent_bus_address,
        &range.length,
    ];
    if !all.into_iter().all(one_or_two) {
        return None;
    }
    let window = Window {
        device: range.child_bus_address().ok()?,
        physical: range.parent_bus_address().ok()?,
        bytes: range.length().ok()?,
    };
    window.device.checked_add(window.bytes)?;
    window.physical.checked_add(window.bytes)?;
    Some(window)
}

/// The address of a device's first registers on its bus.
pub(crate) fn address(node: &FdtNode<'_>) -> Option<u64> {
    let first = node.reg().ok()??.next()?;
    (1..=2)
        .contains(&first.address.as_ref().len())
        .then_some(first.address().ok()?)
}

fn is_empty(bus: &FdtNode<'_>, property: &str) -> bool {
    bus.property(property)
        .is_some_and(|property| property.value().is_empty())
}
