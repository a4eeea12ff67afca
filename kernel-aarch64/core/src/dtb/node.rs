//! A node and what its properties mean.

use super::{
    error::{Error, Problem},
    reader::{Reader, name_at},
};
use crate::memory_map::Region;

/// The properties that are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Property {
    AddressCells,
    Compatible,
    CpuReleaseAddr,
    DeviceType,
    InterruptCells,
    Interrupts,
    Method,
    Ranges,
    Reg,
    RngSeed,
    SizeCells,
    Status,
    StdoutPath,
}

impl Property {
    /// Name in the tree.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AddressCells => "#address-cells",
            Self::Compatible => "compatible",
            Self::CpuReleaseAddr => "cpu-release-addr",
            Self::DeviceType => "device_type",
            Self::InterruptCells => "#interrupt-cells",
            Self::Interrupts => "interrupts",
            Self::Method => "method",
            Self::Ranges => "ranges",
            Self::Reg => "reg",
            Self::RngSeed => "rng-seed",
            Self::SizeCells => "#size-cells",
            Self::Status => "status",
            Self::StdoutPath => "stdout-path",
        }
    }
}

/// A node whose properties have all been checked by the reader.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    /// Offset of the name.
    name: u32,
    properties: Reader<'a>,
}

/// Bytes of an interrupt: three cells, kind, number, flags.
const INTERRUPT_BYTES: usize = 12;

impl<'a> Node<'a> {
    /// The node whose name is at `name` and whose properties start at `properties`.
    pub(super) const fn new(name: u32, properties: Reader<'a>) -> Self {
        Self { name, properties }
    }

    /// Name with unit address.
    pub(super) fn name(&self) -> &'a [u8] {
        self.properties.tree.node_name(self.name)
    }

    /// Whether this is the name without unit address.
    #[inline(never)]
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name().split(|&byte| byte == b'@').next() == Some(name.as_bytes())
    }

    /// The problem in `property` of this node.
    pub(super) fn problem(&self, problem: Problem, property: Property) -> Error {
        problem.of(self.name, property)
    }

    pub(super) fn property(&self, property: Property) -> Option<&'a [u8]> {
        self.properties.property(property.name())
    }

    /// Returns the value of a property that must be there.
    #[inline(never)]
    fn required(&self, property: Property) -> Result<&'a [u8], Error> {
        let value = self.property(property);
        value.ok_or_else(|| self.problem(Problem::NoProperty, property))
    }

    /// Whether `property` is the string `value`.
    #[inline(never)]
    pub(super) fn is(&self, property: Property, value: &str) -> bool {
        self.property(property)
            .is_some_and(|found| name_at(found, 0) == value.as_bytes())
    }

    /// Returns what goes with the first name in `compatible` that `table` has.
    pub(super) fn compatible<T: Copy>(&self, table: &[(&str, T)]) -> Option<T> {
        let list = self.property(Property::Compatible)?;
        list.split(|&byte| byte == 0).find_map(|entry| {
            let found = table.iter().find(|(name, _)| name.as_bytes() == entry)?;
            Some(found.1)
        })
    }

    /// Whether the device may be used.
    pub(super) fn is_enabled(&self) -> bool {
        let status = self.property(Property::Status);
        status.is_none_or(|status| matches!(name_at(status, 0), b"okay" | b"ok"))
    }

    /// Returns range `index` of `reg`, as the processor sees it. Not empty: somebody will use it.
    #[inline(never)]
    pub(super) fn registers(&self, buses: &[Self], index: usize) -> Result<Region, Error> {
        let problem = |problem| self.problem(problem, Property::Reg);
        let region = self.regions(buses)?.nth(index);
        let region = region.ok_or_else(|| problem(Problem::BadLength))??;
        if region.is_empty() {
            return Err(problem(Problem::OutOfRange));
        }
        Ok(region)
    }

    /// Returns the ranges of `reg`, as the processor sees them: the last of `buses` says how they
    /// are written, the one before it where that bus is mapped.
    pub(super) fn regions(
        &self,
        buses: &[Self],
    ) -> Result<impl Iterator<Item = Result<Region, Error>>, Error> {
        let (bus, above) = match *buses {
            [root] => (root, None),
            [root, bus] => (bus, Some(root)),
            _ => return Err(self.problem(Problem::OutOfRange, Property::Reg)),
        };
        let node = *self;
        let mut value = self.required(Property::Reg)?;
        let address_cells = bus.cells(Property::AddressCells)?;
        let size_cells = bus.cells(Property::SizeCells)?;
        Ok(core::iter::from_fn(move || {
            if value.is_empty() {
                return None;
            }
            let entry = take(&mut value, address_cells).zip(take(&mut value, size_cells));
            let Some((start, size)) = entry else {
                value = &[];
                return Some(Err(node.problem(Problem::BadLength, Property::Reg)));
            };
            let region = match (Region::new(start, size), &above) {
                (Some(region), Some(above)) => match bus.translate(above, region) {
                    Ok(region) => region,
                    Err(error) => return Some(Err(error)),
                },
                (region, _) => region,
            };
            Some(region.ok_or_else(|| node.problem(Problem::OutOfRange, Property::Reg)))
        }))
    }

    /// Returns what `region` of this bus is on the bus `above`; `None` if it is not visible there.
    #[inline(never)]
    fn translate(&self, above: &Self, region: Region) -> Result<Option<Region>, Error> {
        let Some(mut ranges) = self.property(Property::Ranges) else {
            return Ok(None);
        };
        if ranges.is_empty() {
            return Ok(Some(region));
        }
        let child_cells = self.cells(Property::AddressCells)?;
        let parent_cells = above.cells(Property::AddressCells)?;
        let size_cells = self.cells(Property::SizeCells)?;
        while !ranges.is_empty() {
            let child = take(&mut ranges, child_cells);
            let parent = take(&mut ranges, parent_cells);
            let size = take(&mut ranges, size_cells);
            let (Some(child), Some(parent), Some(size)) = (child, parent, size) else {
                return Err(self.problem(Problem::BadLength, Property::Ranges));
            };
            let window = Region::new(child, size);
            if window.is_some_and(|window| window.contains(&region)) {
                let start = parent.checked_add(region.start.saturating_sub(child));
                return Ok(start.and_then(|start| Region::new(start, region.size())));
            }
        }
        Ok(None)
    }

    /// Returns the number of cells that children use: 1 or 2.
    #[inline(never)]
    fn cells(&self, property: Property) -> Result<usize, Error> {
        match self.property(property) {
            Some([0, 0, 0, 1]) => Ok(1),
            Some([0, 0, 0, 2]) => Ok(2),
            Some(_) => Err(self.problem(Problem::BadCells, property)),
            // Specification, "#address-cells and #size-cells": the defaults are 2 and 1.
            None => Ok(if property == Property::AddressCells {
                2
            } else {
                1
            }),
        }
    }

    /// Checks that interrupts of this controller are written as the kernel reads them.
    pub(super) fn expect_interrupt_cells(&self) -> Result<(), Error> {
        match self.property(Property::InterruptCells) {
            Some([0, 0, 0, 3]) => Ok(()),
            _ => Err(self.problem(Problem::BadCells, Property::InterruptCells)),
        }
    }

    /// Returns the GIC identifier of the `index`th interrupt.
    #[inline(never)]
    pub(super) fn interrupt(&self, index: usize) -> Result<u32, Error> {
        let value = self.required(Property::Interrupts)?;
        let mut entry = value
            .chunks_exact(INTERRUPT_BYTES)
            .nth(index)
            .unwrap_or_default();
        // "arm,gic": kind 0 is shared, from identifier 32; 1 is private, from 16.
        let id = match (take(&mut entry, 1), take(&mut entry, 1)) {
            (Some(0), Some(number @ 0..988)) => Some(number + 32),
            (Some(1), Some(number @ 0..16)) => Some(number + 16),
            (None, _) => return Err(self.problem(Problem::BadLength, Property::Interrupts)),
            _ => None,
        };
        let id = id.and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| self.problem(Problem::BadValue, Property::Interrupts))
    }
}

/// Takes a number of `cells` words off the front of `value`.
#[inline(never)]
fn take(value: &mut &[u8], cells: usize) -> Option<u64> {
    let (bytes, rest) = value.split_at_checked(cells.checked_mul(4)?)?;
    *value = rest;
    number(bytes)
}

/// Returns the number in a value of one or two cells.
pub(super) fn number(value: &[u8]) -> Option<u64> {
    match value.len() {
        4 => Some(u32::from_be_bytes(value.try_into().ok()?).into()),
        8 => Some(u64::from_be_bytes(value.try_into().ok()?)),
        _ => None,
    }
}
