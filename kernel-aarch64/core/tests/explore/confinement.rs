//! No thread gains authority that it could not derive.

use gritos_abi::{ObjectType, Rights};
use gritos_kernel_core::handle::TcbRef;
use gritos_kernel_core::host::{HostKernel, Object};
use gritos_kernel_core::object::{Slot, State};

/// A capability and the handle of its slot.
type Held<'a> = (u32, &'a Slot);

/// Slots of the CNode with this handle.
fn cnode(kernel: &HostKernel, handle: u32) -> impl Iterator<Item = Held<'_>> {
    let object = kernel.store.get(handle);
    object
        .into_iter()
        .flat_map(Object::slots)
        .map(move |(offset, slot)| (handle + offset, slot))
        .filter(|(_, slot)| !slot.is_empty())
}

/// What a thread can name: its root CNode and one level below.
fn cspace(kernel: &HostKernel, thread: &Object) -> Vec<Cap> {
    let mut held = Vec::new();
    let Some((_, root)) = thread
        .slots()
        .next()
        .filter(|(_, s)| s.is(ObjectType::CNode))
    else {
        return held;
    };
    for (place, slot) in cnode(kernel, root.object.get()) {
        held.push(brief(place, slot));
        if slot.is(ObjectType::CNode) {
            held.extend(cnode(kernel, slot.object.get()).map(|(p, s)| brief(p, s)));
        }
    }
    held
}

/// Place, type, object, rights and badge of a capability.
type Cap = (u32, u32, u32, u32, u32);

fn brief(place: u32, slot: &Slot) -> Cap {
    (
        place,
        slot.object_type() as u32,
        slot.object.get(),
        slot.rights.get(),
        slot.badge.get(),
    )
}

/// Compares what capabilities there are before and after a step of `actor`.
pub(crate) fn check(
    before: &HostKernel,
    after: &HostKernel,
    actor: Option<TcbRef>,
) -> Result<(), String> {
    let mut authors: Option<Vec<Vec<_>>> = None;
    for (handle, object) in after.store.objects() {
        for (offset, slot) in object.slots() {
            if slot.is_empty() {
                continue;
            }
            let place = handle + offset;
            let new = brief(place, slot);
            let old = before.store.get(handle).and_then(|o| {
                o.slots()
                    .find(|(o, _)| *o == offset)
                    .map(|(_, s)| brief(place, s))
            });
            if old == Some(new) {
                continue;
            }
            let authors = authors.get_or_insert_with(|| authors_of(before, after, actor));
            let derived = authors.iter().any(|held| could_derive(before, held, &new));
            if !derived {
                return Err(format!(
                    "{place:x} holds {new:x?}, which nobody could derive"
                ));
            }
        }
    }
    Ok(())
}

/// What those hold who acted: the running thread, and senders whose message it took.
fn authors_of(before: &HostKernel, after: &HostKernel, actor: Option<TcbRef>) -> Vec<Vec<Cap>> {
    let state = |kernel: &HostKernel, handle| match kernel.store.get(handle) {
        Some(Object::Tcb(t)) => Some(t.state()),
        _ => None,
    };
    before
        .store
        .objects()
        .filter(|(handle, _)| {
            actor.is_some_and(|a| a.raw() == *handle)
                || (state(before, *handle) == Some(State::Send)
                    && state(after, *handle) != Some(State::Send))
        })
        .map(|(_, object)| cspace(before, object))
        .collect()
}

fn could_derive(kernel: &HostKernel, held: &[Cap], new: &Cap) -> bool {
    let (place, object, names, rights, badge) = *new;
    // A slot that the author cannot name was filled by a message.
    let own = held
        .iter()
        .any(|(_, o, n, ..)| *o == ObjectType::CNode as u32 && in_cnode(kernel, *n, place));
    held.iter().any(|(_, o, n, r, b)| {
        let untyped = *o == ObjectType::Untyped as u32
            && names >= *n
            && u64::from(names - n) < u64::from(*b) * 4
            && object != ObjectType::Untyped as u32;
        let part = *o == ObjectType::Untyped as u32
            && object == *o
            && names >= *n
            && names + badge * 4 <= n + b * 4;
        let same = *o == object && *n == names && rights & !r == 0 && (*b == 0 || *b == badge);
        let handed = own || r & Rights::GRANT.bits() != 0;
        untyped || part || (same && handed)
    })
}

/// Whether a slot lies in the CNode.
fn in_cnode(kernel: &HostKernel, cnode: u32, place: u32) -> bool {
    let object = kernel.store.get(cnode);
    object
        .into_iter()
        .flat_map(Object::slots)
        .any(|(offset, _)| cnode + offset == place)
}
