//! The derivation tree: which capability came from which.
//!
//! See [`Link`] for its shape. Insertion, removal and moving take constant
//! time. What is derived from a capability that is removed becomes derived
//! from its parent.

use crate::handle::SlotRef;
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::object::Link;
use crate::store::Store;

impl<S: Store, M: Machine> Kernel<S, M> {
    /// Makes `child`, which is in no tree, the first child of `parent`.
    pub(crate) fn insert_child(&mut self, parent: SlotRef, child: SlotRef) {
        let (p, c) = (self.slot(parent), self.slot(child));
        let old = p.first.get();
        c.prev.set(Link::up(parent));
        match old.sibling() {
            Some(first) => {
                c.next.set(old);
                self.slot(first).prev.set(Link::to(child));
            }
            None => {
                c.next.set(Link::up(parent));
                p.last.set(Link::to(child));
            }
        }
        p.first.set(Link::to(child));
    }

    /// Takes `slot` out of the tree; its children take its place.
    pub(crate) fn unlink(&mut self, slot: SlotRef) {
        let s = self.slot(slot);
        let (prev, next) = (s.prev.get(), s.next.get());
        match (s.first.get().sibling(), s.last.get().sibling()) {
            (Some(first), Some(last)) => {
                self.slot(first).prev.set(prev);
                self.slot(last).next.set(next);
                self.lead_to(prev, next, Link::to(first), Link::to(last));
            }
            _ => self.lead_to(prev, next, next, prev),
        }
    }

    /// Makes `to` take the place of `from`, which keeps its links.
    pub(crate) fn relink(&mut self, from: SlotRef, to: SlotRef) {
        let f = self.slot(from);
        let (prev, next) = (f.prev.get(), f.next.get());
        if let (Some(first), Some(last)) = (f.first.get().sibling(), f.last.get().sibling()) {
            self.slot(first).prev.set(Link::up(to));
            self.slot(last).next.set(Link::up(to));
        }
        self.lead_to(prev, next, Link::to(to), Link::to(to));
    }

    /// Corrects what surrounds a gap: the place before it (`prev`) leads on to
    /// `first`, the place behind it (`next`) leads back to `last`. Where these
    /// lead up, the gap is at an end of the list, and an up link given for
    /// `first` or `last` means that the list is empty there.
    fn lead_to(&mut self, prev: Link, next: Link, first: Link, last: Link) {
        if let Some(left) = prev.sibling() {
            self.slot(left).next.set(first);
        } else if let Some(parent) = prev.parent() {
            self.slot(parent).first.set(only_sibling(first));
        }
        if let Some(right) = next.sibling() {
            self.slot(right).prev.set(last);
        } else if let Some(parent) = next.parent() {
            self.slot(parent).last.set(only_sibling(last));
        }
    }
}

fn only_sibling(link: Link) -> Link {
    if link.sibling().is_some() {
        link
    } else {
        Link::NONE
    }
}
