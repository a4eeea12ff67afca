//! The derivation tree, and that authority only shrinks along it.

use gritos_abi::{ObjectType, Rights};

use super::{Broken, View, ensure};
use crate::handle::SlotRef;
use crate::object::{Embed, Link, Slot};
use crate::transfer::has_header;
use crate::untyped::extent;

pub(super) fn check(view: &View<'_>) -> Result<(), Broken> {
    for (place, slot) in &view.caps {
        links(view, *place, slot)?;
        embedding(view, *place, slot)?;
    }
    let mut reached = 0;
    for (place, slot) in &view.caps {
        if slot.prev.get() == Link::NONE {
            reached += count_list(view, *place, None)?;
        }
    }
    ensure!(
        reached == view.caps.len(),
        "{reached} of {} capabilities can be reached from roots",
        view.caps.len()
    );
    Ok(())
}

/// Each link is answered by the link back.
fn links(view: &View<'_>, place: SlotRef, slot: &Slot) -> Result<(), Broken> {
    let at = |link: Link| link.sibling().and_then(|s| view.cap(s));
    let (first, last) = (slot.first.get(), slot.last.get());
    if first == Link::NONE || last == Link::NONE {
        ensure!(first == last, "{place:x?} has half a list of children");
    } else {
        ensure!(
            at(first).is_some_and(|c| c.prev.get() == Link::up(place)),
            "first child of {place:x?} does not lead up"
        );
        ensure!(
            at(last).is_some_and(|c| c.next.get() == Link::up(place)),
            "last child of {place:x?} does not lead up"
        );
    }
    for (link, back, end) in [
        (slot.next.get(), 0, "next"),
        (slot.prev.get(), 1, "previous"),
    ] {
        if let Some(parent) = link.parent() {
            let parent = view.cap(parent);
            let leads = parent.is_some_and(|p| {
                let child = if back == 0 {
                    p.last.get()
                } else {
                    p.first.get()
                };
                child == Link::to(place)
            });
            ensure!(leads, "{place:x?}: the parent denies its {end} end");
        } else if link != Link::NONE {
            let answered = at(link).is_some_and(|s| {
                let other = if back == 0 {
                    s.prev.get()
                } else {
                    s.next.get()
                };
                other == Link::to(place)
            });
            ensure!(answered, "{place:x?}: {end} does not lead back");
        }
    }
    Ok(())
}

/// Walks a list of siblings and what is below; how many there are.
fn count_list(
    view: &View<'_>,
    first: SlotRef,
    parent: Option<(SlotRef, &Slot)>,
) -> Result<usize, Broken> {
    let mut count = 0;
    let mut next = Some(first);
    while let Some(place) = next {
        let Some(slot) = view.cap(place) else {
            return Err(std::format!("{place:x?} is in the tree and empty"));
        };
        if let Some((up, parent)) = parent {
            ensure!(
                is_derived(slot, parent),
                "{place:x?} exceeds its parent {up:x?}: {slot:x?} from {parent:x?}"
            );
        }
        count += 1;
        ensure!(count <= view.caps.len(), "a cycle at {place:x?}");
        if let Some(child) = slot.first.get().sibling() {
            count += count_list(view, child, Some((place, slot)))?;
        }
        next = slot.next.get().sibling();
    }
    Ok(count)
}

/// Whether a capability may be a child of another.
fn is_derived(child: &Slot, parent: &Slot) -> bool {
    let narrower = child.rights.get() & !parent.rights.get() == 0;
    match (parent.object_type(), child.object_type()) {
        (ObjectType::IrqControl, ObjectType::IrqHandler) => true,
        (ObjectType::Untyped, object) => {
            let (base, size, used) = extent(parent);
            let at = u64::from(child.object.get()) << 4;
            let bytes = match object {
                ObjectType::Untyped => extent(child).1,
                ObjectType::MemoryObject => u64::from(child.badge.get()) * 4096,
                _ => 64,
            };
            let server = Rights::SERVER.bits();
            let dma = Rights::DMA.bits();
            at >= base
                && at + bytes <= base + size
                && at + bytes <= base + used
                && child.has(Slot::DEVICE) == parent.has(Slot::DEVICE)
                && (child.rights.get() & server == 0 || object == ObjectType::Endpoint)
                && (child.rights.get() & dma == 0 || parent.rights.get() & dma != 0)
        }
        (p, c) => {
            let kind = Slot::DEVICE | 3 << Slot::MEMORY_TYPE_SHIFT;
            p == c
                && narrower
                && child.object.get() == parent.object.get()
                && (parent.badge.get() == 0 || child.badge.get() == parent.badge.get())
                && child.word.get() & kind == parent.word.get() & kind
        }
    }
}

/// A slot inside an object says so, and no other does.
fn embedding(view: &View<'_>, place: SlotRef, slot: &Slot) -> Result<(), Broken> {
    let inside = view
        .objects
        .iter()
        .rfind(|(handle, _)| handle.raw() <= place.raw());
    let embed = slot.embed();
    let object = slot.object_type();
    let right = match inside {
        Some((_, super::Object::CNode(..))) => embed == Embed::No,
        Some((thread, super::Object::Tcb(_))) => {
            let place = place.raw() - thread.raw();
            let (index, kind, of) = match embed {
                Embed::CSpace => (0, ObjectType::CNode, 28),
                Embed::VSpace => (1, ObjectType::AddressSpace, 32),
                Embed::Fault => (2, ObjectType::Endpoint, 36),
                _ => (3, ObjectType::Null, 0),
            };
            index < 3 && kind == object && place == of
        }
        Some((_, super::Object::Space(_))) => {
            embed == Embed::Donation && object == ObjectType::Untyped
        }
        _ => false,
    };
    ensure!(right, "{place:x?} lies about where it is: {embed:?}");
    Ok(())
}

/// Objects know how many capabilities name them; those that nobody names are
/// being dismantled.
pub(super) fn check_references(view: &View<'_>) -> Result<(), Broken> {
    let kernel = view.kernel;
    let mut refs = std::vec![0_u32; view.objects.len()];
    for (place, slot) in &view.caps {
        if !has_header(slot.object_type()) {
            continue;
        }
        let number = slot.object.get();
        let found = view.objects.binary_search_by_key(&number, |(h, _)| h.raw());
        let Some((index, count)) = found.ok().and_then(|i| refs.get_mut(i).map(|r| (i, r))) else {
            return Err(std::format!("{place:x?} names no object: {slot:x?}"));
        };
        *count += 1;
        let object = view.objects.get(index).map(|(_, o)| *o);
        let fits = object.is_some_and(|o| type_of(o) == slot.object_type());
        ensure!(fits, "{place:x?} names an object of another type");
    }
    let mut dying = std::vec::Vec::new();
    let mut next = kernel.dying;
    while let Some(object) = next {
        ensure!(!dying.contains(&object), "{object:x?} dies twice");
        dying.push(object);
        next = kernel.header(object).dying.get();
    }
    for ((handle, object), count) in view.objects.iter().zip(refs) {
        let kept = object.header().map_or(0, |h| h.refs.get());
        ensure!(kept == count, "{handle:x?} counts {kept} of {count}");
        ensure!(
            (count == 0) == dying.contains(handle),
            "{handle:x?} with {count} capabilities: is it dying?"
        );
    }
    for irq in 0..crate::irq::LINES {
        let kept = kernel.irqs.refs(irq);
        if kept == 0 && kernel.irqs.bound(irq).is_none() {
            continue;
        }
        let count = view
            .caps
            .iter()
            .filter(|(_, s)| s.is(ObjectType::IrqHandler) && s.object.get() == irq)
            .count();
        ensure!(
            kept as usize == count,
            "line {irq} counts {kept} of {count}"
        );
    }
    Ok(())
}

fn type_of(object: &super::Object) -> ObjectType {
    use super::Object as O;
    match object {
        O::CNode(..) => ObjectType::CNode,
        O::Tcb(_) => ObjectType::Tcb,
        O::Endpoint(_) => ObjectType::Endpoint,
        O::Notification(_) => ObjectType::Notification,
        O::Reply(_) => ObjectType::Reply,
        O::Context(_) => ObjectType::SchedulingContext,
        O::Space(_) => ObjectType::AddressSpace,
        O::Table(_) => ObjectType::Null,
    }
}
