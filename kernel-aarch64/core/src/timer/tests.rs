//! The tree against a sorted list.

use std::vec::Vec;

use gritos_abi::ObjectType;
use proptest::prelude::{ProptestConfig, any};
use proptest::{collection, prop_assert_eq, proptest};

use super::{TimerTree, height};
use crate::handle::{ObjectRef, TimerRef};
use crate::host::HostStore;
use crate::store::Store;

const NODES: u32 = 24;

fn node(i: u32) -> Option<TimerRef> {
    TimerRef::from_raw(0x1000 + 8 * i)
}

fn store() -> HostStore {
    let mut store = HostStore::default();
    for i in 0..NODES {
        if let Some(handle) = ObjectRef::from_raw(0x1000 + 8 * i) {
            store.create(handle, ObjectType::SchedulingContext, 0);
        }
    }
    store
}

/// Nodes of a subtree in order; panics where it is not balanced.
fn in_order(
    store: &HostStore,
    here: Option<TimerRef>,
    parent: Option<TimerRef>,
    into: &mut Vec<TimerRef>,
) -> u32 {
    let Some(handle) = here else { return 0 };
    let n = store.timer(handle);
    assert_eq!(n.parent.get(), parent);
    let left = in_order(store, n.left.get(), here, into);
    into.push(handle);
    let right = in_order(store, n.right.get(), here, into);
    assert!(left.abs_diff(right) <= 1, "{left} against {right}");
    assert_eq!(n.height.get(), 1 + left.max(right));
    n.height.get()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Each step inserts the node if it is out, and takes it out if it is in.
    #[test]
    fn any_order_of_insertions_and_removals_keeps_a_balanced_sorted_tree(
        steps in collection::vec((0..NODES, any::<u8>()), 1..160),
    ) {
        let store = store();
        let mut tree = TimerTree::new();
        // In order of time, those of one time in the order of their insertion.
        let mut list: Vec<(u8, TimerRef)> = Vec::new();
        for (i, at) in steps {
            let Some(handle) = node(i) else { continue };
            match list.iter().position(|(_, n)| *n == handle) {
                Some(place) => {
                    list.remove(place);
                    tree.remove(&store, handle);
                    prop_assert_eq!(height(&store, Some(handle)), 0);
                }
                None => {
                    // Few different times, so that many are the same.
                    let at = at % 16;
                    let place = list.partition_point(|(t, _)| *t <= at);
                    list.insert(place, (at, handle));
                    tree.insert(&store, handle, at.into());
                }
            }
            let mut found = Vec::new();
            in_order(&store, tree.root(), None, &mut found);
            let expected: Vec<_> = list.iter().map(|(_, n)| *n).collect();
            prop_assert_eq!(tree.first(&store), expected.first().copied());
            let outside = |n: &TimerRef| tree.newest() != Some(*n);
            let in_tree: Vec<_> = expected.into_iter().filter(outside).collect();
            prop_assert_eq!(found, in_tree);
        }
    }
}
