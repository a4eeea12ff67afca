//! A node and what its properties mean.

use super::{
    error::{Error, Problem},
    reader::Reader,
};
use crate::memory_map::Region;

/// A node whose properties have all been checked by the reader.
#[derive(Clone, Copy, Default)]
pub(super) struct Node<'a> {
    /// Name with unit address.
    pub(super) name: &'a str,
    properties: Reader<'a>,
}

/// Interrupts are written as kind, number, flags.
const INTERRUPT_CELLS: usize = 3;

impl<'a> Node<'a> {
    /// The node called `name` whose properties start at `properties`.
    pub(super) const fn new(name: &'a str, properties: Reader<'a>) -> Self {
        Self { name, properties }
    }

    /// Name without unit address.
    pub(super) fn base_name(&self) -> &'a str {
        self.name
            .split_once('@')
            .map_or(self.name, |(base, _)| base)
    }

    pub(super) fn property(&self, name: &str) -> Option<&'a [u8]> {
        self.properties.property(name)
    }

    /// Whether `property` is the string `value`.
    #[inline(never)]
    pub(super) fn is(&self, property: &str, value: &str) -> bool {
        self.property(property)
            .is_some_and(|found| first_string(found) == value.as_bytes())
    }

    /// Whether `compatible` lists `name`.
    #[inline(never)]
    pub(super) fn is_compatible(&self, name: &str) -> bool {
        let list = self.property("compatible").unwrap_or_default();
        list.split(|&byte| byte == 0)
            .any(|entry| entry == name.as_bytes())
    }

    /// Whether the device may be used.
    pub(super) fn is_enabled(&self) -> bool {
        self.property("status").is_none() || self.is("status", "okay") || self.is("status", "ok")
    }

    /// Returns the first `N` ranges of `reg`, as the processor sees them.
    #[inline(never)]
    pub(super) fn register_banks<const N: usize>(
        &self,
        buses: &[Self],
    ) -> Result<[Region; N], Error<'a>> {
        let mut banks = [Region::EMPTY; N];
        let mut regions = self.regions("reg", buses)?;
        for bank in &mut banks {
            *bank = regions.next().ok_or(Problem::BadLength.of(self, "reg"))??;
        }
        Ok(banks)
    }

    /// Returns the ranges in `property`, as the processor sees them: the last of `buses` says how
    /// they are written, the ones before it how that bus is mapped.
    pub(super) fn regions(
        &self,
        property: &'static str,
        buses: &[Self],
    ) -> Result<impl Iterator<Item = Result<Region, Error<'a>>>, Error<'a>> {
        let (bus, above) = match buses {
            [root] => (*root, None),
            [root, bus] => (*bus, Some(*root)),
            _ => return Err(Problem::OutOfRange.of(self, property)),
        };
        let node = *self;
        let mut value = self
            .property(property)
            .ok_or(Problem::Missing.of(self, property))?;
        let (address_cells, size_cells) = (bus.cells("#address-cells")?, bus.cells("#size-cells")?);
        Ok(core::iter::from_fn(move || {
            if value.is_empty() {
                return None;
            }
            let bad_length = Problem::BadLength.of(&node, property);
            let mut entry = || -> Result<Region, Error<'a>> {
                let start = take(&mut value, address_cells).ok_or(bad_length)?;
                let size = take(&mut value, size_cells).ok_or(bad_length)?;
                let region = Region::new(start, size);
                let region = region.ok_or(Problem::OutOfRange.of(&node, property))?;
                match above {
                    None => Ok(region),
                    Some(above) => bus
                        .translate(&above, region)?
                        .ok_or_else(|| Problem::OutOfRange.of(&node, property)),
                }
            };
            let entry = entry();
            if entry.is_err() {
                value = &[];
            }
            Some(entry)
        }))
    }

    /// Returns what `region` of this bus is on the bus `above`; `None` if it is not visible there.
    #[inline(never)]
    fn translate(&self, above: &Self, region: Region) -> Result<Option<Region>, Error<'a>> {
        let Some(mut ranges) = self.property("ranges") else {
            return Ok(None);
        };
        if ranges.is_empty() {
            return Ok(Some(region));
        }
        let bad_length = Problem::BadLength.of(self, "ranges");
        let child_cells = self.cells("#address-cells")?;
        let parent_cells = above.cells("#address-cells")?;
        let size_cells = self.cells("#size-cells")?;
        while !ranges.is_empty() {
            let child = take(&mut ranges, child_cells).ok_or(bad_length)?;
            let parent = take(&mut ranges, parent_cells).ok_or(bad_length)?;
            let size = take(&mut ranges, size_cells).ok_or(bad_length)?;
            let window = Region::new(child, size).ok_or(Problem::OutOfRange.of(self, "ranges"))?;
            if window.contains(&region) {
                let start = parent.checked_add(region.start.saturating_sub(child));
                return Ok(start.and_then(|start| Region::new(start, region.size())));
            }
        }
        Ok(None)
    }

    /// Returns the number of cells that children use: 1 or 2.
    #[inline(never)]
    fn cells(&self, property: &'static str) -> Result<usize, Error<'a>> {
        // "#address-cells and #size-cells": the defaults are 2 and 1.
        let default = if property == "#address-cells" { 2 } else { 1 };
        let Some(value) = self.property(property) else {
            return Ok(default);
        };
        match value {
            [0, 0, 0, 1] => Ok(1),
            [0, 0, 0, 2] => Ok(2),
            _ => Err(Problem::BadCells.of(self, property)),
        }
    }

    /// Checks that interrupts of this controller are written as the kernel reads them.
    pub(super) fn expect_interrupt_cells(&self) -> Result<(), Error<'a>> {
        match self.property("#interrupt-cells") {
            Some([0, 0, 0, 3]) => Ok(()),
            _ => Err(Problem::BadCells.of(self, "#interrupt-cells")),
        }
    }

    /// Returns the GIC identifier of the `index`th interrupt.
    #[inline(never)]
    pub(super) fn interrupt(&self, index: usize) -> Result<u32, Error<'a>> {
        let value = self.property("interrupts");
        let value = value.ok_or(Problem::Missing.of(self, "interrupts"))?;
        let mut entry = value.chunks_exact(INTERRUPT_CELLS * 4).nth(index);
        let entry = entry
            .as_mut()
            .ok_or(Problem::BadLength.of(self, "interrupts"))?;
        // "arm,gic": kind 0 is shared, from identifier 32; 1 is private, from 16.
        let id = match (take(entry, 1), take(entry, 1)) {
            (Some(0), Some(number @ 0..988)) => Some(number + 32),
            (Some(1), Some(number @ 0..16)) => Some(number + 16),
            _ => None,
        };
        let id = id.and_then(|id| u32::try_from(id).ok());
        id.ok_or(Problem::BadValue.of(self, "interrupts"))
    }
}

/// Takes a number of `cells` words off the front of `value`.
#[inline(never)]
fn take(value: &mut &[u8], cells: usize) -> Option<u64> {
    let (number_bytes, rest) = value.split_at_checked(cells.checked_mul(4)?)?;
    *value = rest;
    number(number_bytes)
}

/// Returns the number in a value of one or two cells.
#[inline(never)]
pub(super) fn number(value: &[u8]) -> Option<u64> {
    match value.len() {
        4 => Some(u32::from_be_bytes(value.try_into().ok()?).into()),
        8 => Some(u64::from_be_bytes(value.try_into().ok()?)),
        _ => None,
    }
}

/// Returns the first string of a value, without its NUL.
#[inline(never)]
pub(super) fn first_string(value: &[u8]) -> &[u8] {
    value.split(|&byte| byte == 0).next().unwrap_or_default()
}
