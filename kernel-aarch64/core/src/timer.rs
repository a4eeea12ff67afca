//! Everything that waits for time: the newest node, and a balanced tree of all
//! others.
//!
//! An AVL tree whose nodes lie in the TCBs and scheduling contexts that wait.
//! Insertion and removal take O(log n) steps in the worst case, without
//! recursion; the earliest node is known at once. Nodes that are due at the
//! same tick keep their order of insertion.
//!
//! A deadline is most often taken back soon, by the answer that it guards. So
//! the node that was inserted last stays outside the tree until another comes,
//! and a call with a deadline that does not fire leaves the tree alone.

use crate::handle::TimerRef;
use crate::store::Store;

/// The tree, and the newest node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimerTree {
    root: Option<TimerRef>,
    /// The earliest node of the tree.
    first: Option<TimerRef>,
    newest: Option<TimerRef>,
}

impl TimerTree {
    /// An empty tree.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            root: None,
            first: None,
            newest: None,
        }
    }

    /// The earliest node.
    #[must_use]
    pub fn first<S: Store>(&self, store: &S) -> Option<TimerRef> {
        match (self.newest, self.first) {
            (Some(new), Some(old)) if store.timer(new).at.get() >= store.timer(old).at.get() => {
                self.first
            }
            (None, first) => first,
            (newest, _) => newest,
        }
    }

    /// When the first node of the tree is due: all nodes but the newest.
    #[inline(always)]
    #[must_use]
    pub fn first_in_tree<S: Store>(&self, store: &S) -> u64 {
        self.first
            .map_or(u64::MAX, |first| store.timer(first).at.get())
    }

    /// The newest node, if it still waits. It lies outside the tree.
    #[inline(always)]
    #[must_use]
    pub const fn newest(&self) -> Option<TimerRef> {
        self.newest
    }

    /// The root, for checkers.
    #[must_use]
    pub const fn root(&self) -> Option<TimerRef> {
        self.root
    }

    /// Adds a node that does not wait, due `at`.
    pub fn insert<S: Store>(&mut self, store: &S, node: TimerRef, at: u64) {
        if let Some(older) = self.newest {
            self.enter(store, older);
        }
        self.insert_newest(store, node, at);
    }

    /// As [`insert`](Self::insert), where there is no [`newest`](Self::newest).
    #[inline(always)]
    pub fn insert_newest<S: Store>(&mut self, store: &S, node: TimerRef, at: u64) {
        let n = store.timer(node);
        n.at.set(at);
        n.height.set(1);
        self.newest = Some(node);
    }

    /// Removes the newest node, which is `node`.
    #[inline(always)]
    pub fn remove_newest<S: Store>(&mut self, store: &S, node: TimerRef) {
        store.timer(node).height.set(0);
        self.newest = None;
    }

    /// Puts a node that is no longer the newest into the tree.
    fn enter<S: Store>(&mut self, store: &S, node: TimerRef) {
        let n = store.timer(node);
        let at = n.at.get();
        let mut parent = None;
        let mut leftmost = true;
        let mut earlier = false;
        let mut here = self.root;
        while let Some(h) = here {
            let t = store.timer(h);
            parent = Some(h);
            earlier = at < t.at.get();
            leftmost &= earlier;
            here = if earlier { t.left.get() } else { t.right.get() };
        }
        n.parent.set(parent);
        if leftmost {
            self.first = Some(node);
        }
        match parent {
            None => self.root = Some(node),
            Some(p) => {
                let p = store.timer(p);
                if earlier {
                    p.left.set(Some(node))
                } else {
                    p.right.set(Some(node))
                }
            }
        }
        self.rebalance(store, parent);
    }

    /// Removes a node that waits.
    pub fn remove<S: Store>(&mut self, store: &S, node: TimerRef) {
        if self.newest == Some(node) {
            return self.remove_newest(store, node);
        }
        let n = store.timer(node);
        if self.first == Some(node) {
            // The earliest node has no left child.
            self.first = match n.right.get() {
                Some(right) => Some(leftmost(store, right)),
                None => n.parent.get(),
            };
        }
        let start = match (n.left.get(), n.right.get()) {
            (Some(left), Some(right)) => {
                // The next later node takes this one's place.
                let heir = leftmost(store, right);
                let h = store.timer(heir);
                let start = if heir == right {
                    heir
                } else {
                    let parent = h.parent.get();
                    let orphan = h.right.get();
                    if let Some(p) = parent {
                        store.timer(p).left.set(orphan);
                    }
                    if let Some(o) = orphan {
                        store.timer(o).parent.set(parent);
                    }
                    h.right.set(Some(right));
                    store.timer(right).parent.set(Some(heir));
                    parent.unwrap_or(heir)
                };
                h.left.set(Some(left));
                store.timer(left).parent.set(Some(heir));
                self.replace(store, node, Some(heir));
                Some(start)
            }
            (child, None) | (None, child) => {
                let parent = n.parent.get();
                self.replace(store, node, child);
                parent
            }
        };
        n.height.set(0);
        n.left.set(None);
        n.right.set(None);
        n.parent.set(None);
        self.rebalance(store, start);
    }

    /// Puts `new` where `old` hangs from its parent.
    fn replace<S: Store>(&mut self, store: &S, old: TimerRef, new: Option<TimerRef>) {
        let parent = store.timer(old).parent.get();
        match parent {
            None => self.root = new,
            Some(p) => {
                let p = store.timer(p);
                if p.left.get() == Some(old) {
                    p.left.set(new)
                } else {
                    p.right.set(new)
                }
            }
        }
        if let Some(new) = new {
            store.timer(new).parent.set(parent);
        }
    }

    /// Restores heights and balance from `from` up to the root.
    fn rebalance<S: Store>(&mut self, store: &S, from: Option<TimerRef>) {
        let mut here = from;
        while let Some(h) = here {
            let n = store.timer(h);
            let (left, right) = (n.left.get(), n.right.get());
            let (lh, rh) = (height(store, left), height(store, right));
            let top = match (left, right) {
                (Some(l), _) if lh > rh + 1 => {
                    let l_node = store.timer(l);
                    if height(store, l_node.left.get()) < height(store, l_node.right.get()) {
                        self.rotate_left(store, l);
                    }
                    self.rotate_right(store, h)
                }
                (_, Some(r)) if rh > lh + 1 => {
                    let r_node = store.timer(r);
                    if height(store, r_node.right.get()) < height(store, r_node.left.get()) {
                        self.rotate_right(store, r);
                    }
                    self.rotate_left(store, h)
                }
                _ => {
                    n.height.set(1 + lh.max(rh));
                    h
                }
            };
            here = store.timer(top).parent.get();
        }
    }

    /// Lifts the right child of `h` over it; returns the new top.
    fn rotate_left<S: Store>(&mut self, store: &S, h: TimerRef) -> TimerRef {
        let Some(r) = store.timer(h).right.get() else {
            return h;
        };
        self.replace(store, h, Some(r));
        let (n, top) = (store.timer(h), store.timer(r));
        let inner = top.left.get();
        n.right.set(inner);
        if let Some(inner) = inner {
            store.timer(inner).parent.set(Some(h));
        }
        top.left.set(Some(h));
        n.parent.set(Some(r));
        set_height(store, h);
        set_height(store, r);
        r
    }

    /// Lifts the left child of `h` over it; returns the new top.
    fn rotate_right<S: Store>(&mut self, store: &S, h: TimerRef) -> TimerRef {
        let Some(l) = store.timer(h).left.get() else {
            return h;
        };
        self.replace(store, h, Some(l));
        let (n, top) = (store.timer(h), store.timer(l));
        let inner = top.right.get();
        n.left.set(inner);
        if let Some(inner) = inner {
            store.timer(inner).parent.set(Some(h));
        }
        top.right.set(Some(h));
        n.parent.set(Some(l));
        set_height(store, h);
        set_height(store, l);
        l
    }
}

fn leftmost<S: Store>(store: &S, from: TimerRef) -> TimerRef {
    let mut here = from;
    while let Some(left) = store.timer(here).left.get() {
        here = left;
    }
    here
}

fn height<S: Store>(store: &S, node: Option<TimerRef>) -> u32 {
    node.map_or(0, |n| store.timer(n).height.get())
}

fn set_height<S: Store>(store: &S, node: TimerRef) {
    let n = store.timer(node);
    n.height
        .set(1 + height(store, n.left.get()).max(height(store, n.right.get())));
}

#[cfg(test)]
mod tests;
