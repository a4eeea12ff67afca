//! The timer tree: ordered, balanced, and with the right members.

use super::{Broken, Object, View, ensure};
use crate::handle::TimerRef;
use crate::object::{TimerNode, flag};
use crate::store::Store;

pub(super) fn check(view: &View<'_>) -> Result<(), Broken> {
    let cpu = &view.kernel.cpu;
    let mut last = (0, None);
    let mut count = 0;
    if let Some(newest) = cpu.timers.newest() {
        let alive = view.object(newest.raw()).is_some();
        ensure!(alive, "dead {newest:x?} is the newest of the timers");
        let n = view.kernel.store.timer(newest);
        let apart = n.left.get().is_none() && n.right.get().is_none() && n.parent.get().is_none();
        ensure!(
            apart && n.height.get() == 1,
            "{newest:x?} is not outside the timer tree"
        );
        count += 1;
    }
    let height = subtree(view, cpu.timers.root(), None, &mut last, &mut count)?;
    ensure!(height < 64, "the timer tree is {height} high");
    let mut due = u64::MAX;
    let mut members = 0;
    for (handle, object) in &view.objects {
        let (node, member): (&TimerNode, bool) = match object {
            Object::Tcb(t) => (&t.timer, t.has(flag::TIMED)),
            Object::Context(c) => (&c.timer, c.timer.height.get() != 0),
            _ => continue,
        };
        ensure!(
            member == (node.height.get() != 0),
            "{handle:x?} does not know whether it is in the timer tree"
        );
        if member {
            members += 1;
            due = due.min(node.at.get());
        }
    }
    ensure!(
        members == count,
        "{count} of {members} are in the timer tree"
    );
    let first = cpu
        .timers
        .first(&view.kernel.store)
        .map(|f| view.kernel.store.timer(f).at.get());
    ensure!(
        first.unwrap_or(u64::MAX) == due,
        "the earliest is due at {due}, not {first:?}"
    );
    if cpu.context.is_some() {
        due = due.min(cpu.budget_end);
    }
    ensure!(
        cpu.timer_set <= due && view.kernel.machine.timer == cpu.timer_set,
        "the timer is set for {}, due is {due}",
        cpu.timer_set
    );
    Ok(())
}

/// Checks a subtree in order; its height.
fn subtree(
    view: &View<'_>,
    here: Option<TimerRef>,
    parent: Option<TimerRef>,
    last: &mut (u64, Option<TimerRef>),
    count: &mut usize,
) -> Result<u32, Broken> {
    let Some(handle) = here else {
        return Ok(0);
    };
    let alive = view.object(handle.raw()).is_some();
    ensure!(alive, "dead {handle:x?} is in the timer tree");
    *count += 1;
    ensure!(*count <= view.objects.len(), "a cycle in the timer tree");
    let n = view.kernel.store.timer(handle);
    ensure!(n.parent.get() == parent, "{handle:x?} has a wrong parent");
    let left = subtree(view, n.left.get(), here, last, count)?;
    ensure!(n.at.get() >= last.0, "{handle:x?} is before {last:x?}");
    *last = (n.at.get(), here);
    let right = subtree(view, n.right.get(), here, last, count)?;
    ensure!(
        left.abs_diff(right) <= 1 && n.height.get() == 1 + left.max(right),
        "{handle:x?}: heights {left}, {right}, {}",
        n.height.get()
    );
    Ok(n.height.get())
}
