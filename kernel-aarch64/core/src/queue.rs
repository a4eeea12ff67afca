//! FIFO queues of threads, linked through their TCBs.
//!
//! A thread is in at most one queue. The `prev` of a head and the `next` of a
//! tail are none, and a thread in no queue has neither.

use crate::handle::TcbRef;
use crate::object::Queue;
use crate::store::Store;

/// Puts `thread` behind the others.
pub fn push_back<S: Store>(store: &S, queue: &Queue, thread: TcbRef) {
    let t = store.tcb(thread);
    let tail = queue.tail.get();
    t.prev.set(tail);
    t.next.set(None);
    match tail {
        Some(tail) => store.tcb(tail).next.set(Some(thread)),
        None => queue.head.set(Some(thread)),
    }
    queue.tail.set(Some(thread));
}

/// Puts `thread` before the others.
pub fn push_front<S: Store>(store: &S, queue: &Queue, thread: TcbRef) {
    let t = store.tcb(thread);
    let head = queue.head.get();
    t.prev.set(None);
    t.next.set(head);
    match head {
        Some(head) => store.tcb(head).prev.set(Some(thread)),
        None => queue.tail.set(Some(thread)),
    }
    queue.head.set(Some(thread));
}

/// Takes out the first thread of a queue, which is `first`.
#[inline(always)]
pub fn pop<S: Store>(store: &S, queue: &Queue, first: TcbRef) {
    let t = store.tcb(first);
    let next = t.next.get();
    queue.head.set(next);
    if let Some(next) = next {
        t.next.set(None);
        store.tcb(next).prev.set(None);
    } else {
        queue.tail.set(None);
    }
}

/// Takes `thread` out of the queue it is in.
pub fn remove<S: Store>(store: &S, queue: &Queue, thread: TcbRef) {
    let t = store.tcb(thread);
    let (prev, next) = (t.prev.get(), t.next.get());
    match prev {
        Some(prev) => store.tcb(prev).next.set(next),
        None => queue.head.set(next),
    }
    match next {
        Some(next) => store.tcb(next).prev.set(prev),
        None => queue.tail.set(prev),
    }
    t.prev.set(None);
    t.next.set(None);
}
