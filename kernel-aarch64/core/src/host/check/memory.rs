//! Memory: objects do not overlap, and a table entry exists if and only if a
//! capability records the mapping.

use std::vec::Vec;

use gritos_abi::ObjectType;

use super::{Broken, Object, View, ensure};
use crate::handle::{SpaceRef, TcbRef};
use crate::object::{Embed, Slot, Space, Tcb};
use crate::untyped::extent;

pub(super) fn check(view: &View<'_>) -> Result<(), Broken> {
    overlaps(view)?;
    for (handle, object) in &view.objects {
        if let Object::Space(space) = object {
            mappings(view, SpaceRef::from(*handle), space)?;
            threads(view, SpaceRef::from(*handle), space)?;
        }
    }
    for (place, slot) in &view.caps {
        let mapped = slot.has(Slot::MAPPED);
        ensure!(
            !mapped || slot.is(ObjectType::MemoryObject),
            "{place:x?} is mapped and no memory"
        );
        ensure!(
            !mapped || matches!(view.object(slot.space.get()), Some(Object::Space(_))),
            "{place:x?} is mapped nowhere"
        );
    }
    Ok(())
}

/// Live objects lie apart from each other, and in used parts of Untypeds.
fn overlaps(view: &View<'_>) -> Result<(), Broken> {
    let mut ranges: Vec<(u64, u64)> = Vec::with_capacity(view.objects.len());
    for (handle, object) in &view.objects {
        let root_table = if matches!(object, Object::Space(_)) {
            4096
        } else {
            0
        };
        let start = u64::from(handle.raw()) << 4;
        ranges.push((start, start + object.bytes() + root_table));
    }
    let named = ranges.clone();
    for (_, slot) in &view.caps {
        let (base, size, _) = extent(slot);
        let range = match slot.object_type() {
            ObjectType::MemoryObject => (base, base + u64::from(slot.badge.get()) * 4096),
            ObjectType::Untyped if slot.embed() == Embed::Donation => (base, base + size),
            _ => continue,
        };
        if !ranges.contains(&range) {
            ranges.push(range);
        }
    }
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        if let [a, b] = pair {
            ensure!(a.1 <= b.0, "{a:x?} and {b:x?} overlap");
        }
    }
    for (place, slot) in &view.caps {
        if !slot.is(ObjectType::Untyped) || slot.embed() == Embed::Donation {
            continue;
        }
        let (base, size, used) = extent(slot);
        ensure!(used <= size, "{place:x?} uses more than there is");
        let used = if slot.first.get().sibling().is_some() {
            used
        } else {
            0
        };
        for ((start, _), (handle, object)) in named.iter().zip(&view.objects) {
            let dying = object.header().is_some_and(|h| h.refs.get() == 0);
            let free = *start >= base + used && *start < base + size;
            ensure!(
                dying || !free,
                "{handle:x?} lies in free memory of {place:x?}"
            );
        }
    }
    Ok(())
}

/// A leaf of a translation table, as the Arm ARM says to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leaf {
    page: u64,
    pages: u64,
    frame: u64,
    write: bool,
    execute: bool,
    memory: u64,
}

/// Reads the tables from the root at `table`; `level` 1, 2 or 3.
fn walk(
    view: &View<'_>,
    table: u64,
    level: u32,
    first: u64,
    leaves: &mut Vec<Leaf>,
) -> Result<(), Broken> {
    let Some(Object::Table(table)) = view.kernel.store.get((table >> 4) as u32) else {
        return Err(std::format!("no table at {table:x}"));
    };
    let span = 1_u64 << (9 * (3 - level));
    for (index, entry) in crate::host::entries(table) {
        let page = first + index * span;
        match (entry & 3, level) {
            (0, _) => {}
            (3, 1 | 2) => walk(view, entry & 0xffff_ffff_f000, level + 1, page, leaves)?,
            (1, 2) | (3, 3) => {
                // AP[1], the access flag, nG and PXN.
                let always = 1 << 6 | 1 << 10 | 1 << 11 | 1 << 53;
                ensure!(entry & always == always, "leaf {entry:x} lacks a bit");
                leaves.push(Leaf {
                    page,
                    pages: span,
                    frame: (entry & 0xffff_ffff_f000) >> 12,
                    write: entry & 1 << 7 == 0,
                    execute: entry & 1 << 54 == 0,
                    memory: entry >> 2 & 7,
                });
            }
            _ => return Err(std::format!("entry {entry:x} at level {level}")),
        }
    }
    Ok(())
}

fn mappings(view: &View<'_>, handle: SpaceRef, space: &Space) -> Result<(), Broken> {
    let mapped: Vec<_> = view
        .caps
        .iter()
        .filter(|(_, s)| s.has(Slot::MAPPED) && s.space.get() == handle.raw())
        .collect();
    let mut listed = 0;
    let mut previous = None;
    let mut next = space.mappings.get();
    while let Some(place) = next {
        let Some((_, slot)) = mapped.iter().find(|(p, _)| *p == place) else {
            return Err(std::format!("{place:x?} is listed and not mapped"));
        };
        ensure!(
            slot.map_prev.get() == previous,
            "{place:x?}: wrong previous"
        );
        listed += 1;
        ensure!(listed <= mapped.len(), "a cycle of mappings");
        previous = next;
        next = slot.map_next.get();
    }
    ensure!(
        listed == mapped.len(),
        "{listed} of {} mappings are listed",
        mapped.len()
    );
    if space.header.has(Space::DEAD) {
        return Ok(());
    }
    let asid = space.asid.get();
    let shared = view.objects.iter().any(|(other, object)| {
        matches!(object, Object::Space(s) if asid != 0
            && s.asid.get() == asid
            && other.raw() != handle.raw())
    });
    ensure!(!shared, "ASID {asid} is used twice");
    let mut leaves = Vec::new();
    if let Some(root) = handle.root() {
        walk(view, root.address(), 1, 0, &mut leaves)?;
    }
    let mut entered = 0;
    for (_, slot) in &mapped {
        entered += u64::from(slot.entered.get());
    }
    let mut found = 0;
    for leaf in leaves {
        found += leaf.pages;
        ensure!(!(leaf.write && leaf.execute), "{leaf:x?}: W and X");
        let owner = mapped.iter().find(|(_, s)| {
            let start = u64::from(s.page.get());
            leaf.page >= start && leaf.page + leaf.pages <= start + u64::from(s.entered.get())
        });
        let Some((place, s)) = owner else {
            return Err(std::format!("{leaf:x?} is in no capability"));
        };
        let at = leaf.page - u64::from(s.page.get());
        let frame = u64::from(s.object.get() >> 8) + u64::from(s.offset.get()) + at;
        let rights = s.map_rights();
        let memory = match s.memory_type() {
            0 => 1,
            1 => 2,
            _ => 3,
        };
        let settled = s.protected.get() == 0;
        ensure!(
            leaf.frame == frame
                && leaf.memory == memory
                && (!settled || leaf.write == (rights & 2 != 0))
                && (!settled || leaf.execute == (rights & 4 != 0))
                && rights & !s.rights.get() == 0
                && u64::from(s.offset.get()) + at + leaf.pages <= u64::from(s.badge.get()),
            "{leaf:x?} is not what {place:x?} records: {s:x?}"
        );
    }
    ensure!(
        found == entered,
        "{found} pages are mapped, {entered} recorded"
    );
    Ok(())
}

/// Threads of an address space and the value for the processor.
fn threads(view: &View<'_>, handle: SpaceRef, space: &Space) -> Result<(), Broken> {
    let lives_here = |(thread, t): &&(TcbRef, &Tcb)| {
        thread
            .slot(1)
            .and_then(|slot| view.cap(slot))
            .is_some_and(|cap| cap.object.get() == handle.raw())
            && t.ttbr0.get() != 0
    };
    let mut listed = 0;
    let mut previous = None;
    let mut next = space.threads.get();
    while let Some(thread) = next {
        let Some(t) = view.thread(thread) else {
            return Err(std::format!("dead thread {thread:x?} in {handle:x?}"));
        };
        let root = handle.root().map_or(0, crate::handle::TableRef::address);
        ensure!(
            t.space_prev.get() == previous
                && lives_here(&&(thread, t))
                && t.ttbr0.get() == root | u64::from(space.asid.get()) << 48,
            "{thread:x?} is badly bound to {handle:x?}"
        );
        listed += 1;
        ensure!(listed <= view.threads.len(), "a cycle of threads");
        previous = next;
        next = t.space_next.get();
    }
    let count = view.threads.iter().filter(lives_here).count();
    ensure!(listed == count, "{listed} of {count} threads are listed");
    Ok(())
}
