//! The whole invariant of the kernel, as a function of its state.
//!
//! Written from the documents, not from the code: it recomputes from scratch
//! whatever the core keeps up step by step.

use std::string::String;
use std::vec::Vec;

use super::{HostKernel, Object};
use crate::handle::{ObjectRef, SlotRef, TcbRef};
use crate::object::{Slot, Tag, Tcb};

mod derivation;
mod ipc;
mod memory;
mod sched;
mod timers;

/// What is wrong.
pub type Broken = String;

/// Fails with a text unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)*) => {
        if !$condition {
            return Err(std::format!($($text)*));
        }
    };
}
use ensure;

/// Everything alive, gathered once for all checks.
struct View<'a> {
    kernel: &'a HostKernel,
    /// Objects with a header whose tag says that they live.
    objects: Vec<(ObjectRef, &'a Object)>,
    /// Slots that are not empty, in the order of their handles.
    caps: Vec<(SlotRef, &'a Slot)>,
    threads: Vec<(TcbRef, &'a Tcb)>,
}

impl<'a> View<'a> {
    fn of(kernel: &'a HostKernel) -> Result<Self, Broken> {
        let mut view = Self {
            kernel,
            objects: Vec::with_capacity(32),
            caps: Vec::with_capacity(64),
            threads: Vec::with_capacity(8),
        };
        for (number, object) in kernel.store.objects() {
            let Some(handle) = ObjectRef::from_raw(number) else {
                return Err("an object at handle 0".into());
            };
            let alive = object.header().is_some_and(|h| h.word.get() != 0);
            for (offset, slot) in object.slots() {
                if slot.is_empty() {
                    continue;
                }
                ensure!(alive, "a capability in dead object {handle:x?}");
                if let Some(place) = SlotRef::from_raw(number + offset) {
                    view.caps.push((place, slot));
                }
            }
            if !alive {
                continue;
            }
            let Some(tag) = tag_of(object) else { continue };
            ensure!(
                object.header().is_some_and(|h| h.is(tag)),
                "{handle:x?} has a wrong tag"
            );
            view.objects.push((handle, object));
            if let Object::Tcb(tcb) = object {
                view.threads.push((handle.into(), tcb));
            }
        }
        Ok(view)
    }

    fn cap(&self, slot: SlotRef) -> Option<&'a Slot> {
        let place = self.caps.binary_search_by_key(&slot, |(s, _)| *s);
        self.caps.get(place.ok()?).map(|(_, cap)| *cap)
    }

    fn object(&self, handle: u32) -> Option<&'a Object> {
        let place = self.objects.binary_search_by_key(&handle, |(h, _)| h.raw());
        self.objects.get(place.ok()?).map(|(_, object)| *object)
    }

    fn thread(&self, handle: TcbRef) -> Option<&'a Tcb> {
        match self.object(handle.raw()) {
            Some(Object::Tcb(tcb)) => Some(tcb),
            _ => None,
        }
    }
}

fn tag_of(object: &Object) -> Option<Tag> {
    Some(match object {
        Object::CNode(..) => Tag::CNode,
        Object::Tcb(_) => Tag::Tcb,
        Object::Endpoint(_) => Tag::Endpoint,
        Object::Notification(_) => Tag::Notification,
        Object::Reply(_) => Tag::Reply,
        Object::Context(_) => Tag::Context,
        Object::Space(_) => Tag::Space,
        Object::Table(_) => return None,
    })
}

/// Checks every invariant of a kernel between two entries.
///
/// # Errors
/// What does not hold.
pub fn check(kernel: &HostKernel) -> Result<(), Broken> {
    let view = View::of(kernel)?;
    derivation::check(&view)?;
    derivation::check_references(&view)?;
    ipc::check(&view)?;
    sched::check(&view)?;
    timers::check(&view)?;
    memory::check(&view)
}
