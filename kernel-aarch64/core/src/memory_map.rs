//! Physical memory as ranges: what is RAM, what is taken, and how a range is mapped in large pieces.
//!
//! [`RegionSet`] is all there is to a memory map: banks go in with [`RegionSet::insert`], what is
//! reserved comes out with [`RegionSet::remove`], and the set stays sorted and disjoint. Addresses
//! come from a device tree, so arithmetic on them is checked.

mod blocks;
#[cfg(test)]
mod tests;

pub use blocks::{Block, Level, blocks, tables_needed};

/// Size of a page in bytes.
pub const PAGE: u64 = 4096;

/// Physical addresses from `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    /// First address.
    pub start: u64,
    /// One past the last address; not below `start`.
    pub end: u64,
}

impl Region {
    /// A region without addresses.
    pub const EMPTY: Self = Self { start: 0, end: 0 };

    /// Returns the region of `size` bytes from `start`, or `None` if it wraps around.
    #[must_use]
    pub const fn new(start: u64, size: u64) -> Option<Self> {
        match start.checked_add(size) {
            Some(end) => Some(Self { start, end }),
            None => None,
        }
    }

    /// From `start` up to, not including, `end`.
    #[inline(always)]
    #[must_use]
    pub const fn between(start: u64, end: u64) -> Self {
        Self { start, end }
    }

    /// Size in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether the region has no addresses.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// Whether the two have an address in common.
    #[must_use]
    pub const fn overlaps(&self, other: &Self) -> bool {
        !self.is_empty() && !other.is_empty() && self.start < other.end && other.start < self.end
    }

    /// Whether all of `other` lies in this region.
    #[must_use]
    pub const fn contains(&self, other: &Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Returns the whole pages inside, possibly none.
    #[must_use]
    pub const fn pages_within(&self) -> Self {
        let end = self.end & !(PAGE - 1);
        match self.start.checked_next_multiple_of(PAGE) {
            Some(start) if start < end => Self { start, end },
            _ => Self::EMPTY,
        }
    }

    /// Returns the pages that the region touches; the last page of the address space is left out.
    #[must_use]
    pub const fn pages_around(&self) -> Self {
        let end = match self.end.checked_next_multiple_of(PAGE) {
            Some(end) => end,
            None => !(PAGE - 1),
        };
        Self {
            start: self.start & !(PAGE - 1),
            end,
        }
    }
}

/// More separate regions than a [`RegionSet`] has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Sorted regions that neither overlap nor touch, at most `N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionSet<const N: usize> {
    regions: [Region; N],
    count: usize,
}

impl<const N: usize> Default for RegionSet<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> RegionSet<N> {
    /// Returns the empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            regions: [Region::EMPTY; N],
            count: 0,
        }
    }

    /// Returns the regions in ascending order.
    #[must_use]
    pub fn as_slice(&self) -> &[Region] {
        self.regions.get(..self.count).unwrap_or_default()
    }

    /// Number of bytes in all regions.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.as_slice()
            .iter()
            .fold(0, |sum, region| region.size().saturating_add(sum))
    }

    /// Adds the addresses of `region`.
    ///
    /// # Errors
    ///
    /// [`Full`] if that takes more than `N` regions; the set is then as it was.
    #[inline(never)]
    pub fn insert(&mut self, region: Region) -> Result<(), Full> {
        if region.is_empty() {
            return Ok(());
        }
        // Whatever `region` touches melts into it; it goes where the first region beyond it is.
        let mut merged = region;
        let mut placed = false;
        let mut result = Self::new();
        for &old in self.as_slice() {
            if old.end < region.start {
                result.push(old)?;
            } else if old.start <= region.end {
                merged.start = merged.start.min(old.start);
                merged.end = merged.end.max(old.end);
            } else {
                if !placed {
                    result.push(merged)?;
                    placed = true;
                }
                result.push(old)?;
            }
        }
        if !placed {
            result.push(merged)?;
        }
        *self = result;
        Ok(())
    }

    /// Takes the addresses of `region` away.
    ///
    /// # Errors
    ///
    /// [`Full`] if that takes more than `N` regions; the set is then as it was.
    #[inline(never)]
    pub fn remove(&mut self, region: Region) -> Result<(), Full> {
        let mut result = Self::new();
        for &old in self.as_slice() {
            if old.overlaps(&region) {
                result.push(Region::between(old.start, region.start))?;
                result.push(Region::between(region.end, old.end))?;
            } else {
                result.push(old)?;
            }
        }
        *self = result;
        Ok(())
    }

    /// Returns the whole pages of this set outside all of `taken`, below `limit`. A page that
    /// `taken` touches counts as taken.
    ///
    /// # Errors
    ///
    /// [`Full`] if they form more than `M` regions.
    pub fn free_pages<const M: usize>(
        &self,
        taken: &[Region],
        limit: u64,
    ) -> Result<RegionSet<M>, Full> {
        let mut free = RegionSet::new();
        for bank in self.as_slice() {
            let bank = Region::between(bank.start, bank.end.min(limit));
            free.insert(bank.pages_within())?;
        }
        for region in taken.iter().filter(|region| !region.is_empty()) {
            free.remove(region.pages_around())?;
        }
        Ok(free)
    }

    /// Appends a region beyond all others; drops it if it is empty.
    #[inline(never)]
    fn push(&mut self, region: Region) -> Result<(), Full> {
        if region.is_empty() {
            return Ok(());
        }
        *self.regions.get_mut(self.count).ok_or(Full)? = region;
        self.count += 1;
        Ok(())
    }
}
