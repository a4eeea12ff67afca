//! The same calls for the core and the specification.

use std::cell::RefCell;
use std::collections::BTreeMap;

use gritos_abi::boot_info::slot;
use gritos_abi::method::{CNode, ThreadState};
use gritos_abi::{Address, ObjectType, Rights};
use gritos_kernel_core::handle::SlotRef;
use gritos_kernel_core::host::{Ask, Thread, World};
use gritos_kernel_core::store::Store;

use crate::spec::{Cap, Object, Op, SLOTS, Slot, Spec, THREADS, WINDOW, Wait, What};

/// The system that every sequence begins with.
#[derive(Clone)]
struct System {
    world: World,
    threads: Vec<Thread>,
    spec: Spec,
    /// Handles of the objects.
    objects: BTreeMap<Object, u32>,
    /// Where each slot is.
    places: BTreeMap<SlotRef, Slot>,
}

/// Two endpoints and two Replies, held by all threads and by nobody else.
fn build() -> System {
    let mut world = World::new(48);
    let endpoints = world.make(ObjectType::Endpoint, 0, 2);
    let replies = world.make(ObjectType::Reply, 0, 2);
    let threads: Vec<_> = (0..THREADS).map(|_| world.spawn(SLOTS)).collect();
    let all = (Rights::KERNEL | Rights::SERVER).bits();
    let kernel = Rights::KERNEL.bits();
    let mut caps = BTreeMap::new();
    let mut objects = BTreeMap::new();
    let handle = |world: &World, cap| world.root_cap(cap).object.get();
    for (t, thread) in threads.iter().enumerate() {
        let mut held = |index, object, rights| {
            let cap = Cap {
                object,
                rights,
                badge: 0,
                parent: None,
            };
            caps.insert((t, index), cap);
        };
        held(1, Object::CNode(t), kernel);
        objects.insert(Object::CNode(t), handle(&world, thread.cnode));
        for i in 0..2 {
            // Only the first thread can hand capabilities on through both.
            let mut rights = Rights::from_bits_retain(all);
            if i == 1 && t != 0 {
                rights -= Rights::GRANT;
            }
            held(2 + i, Object::Endpoint(i as usize), rights.bits());
            world.give(endpoints + i, thread.cnode, 2 + i, rights, 0);
            held(4 + i, Object::Reply(i as usize), kernel);
            world.give(replies + i, thread.cnode, 4 + i, Rights::AS_HELD, 0);
        }
    }
    for i in 0..2 {
        objects.insert(Object::Endpoint(i as usize), handle(&world, endpoints + i));
        objects.insert(Object::Reply(i as usize), handle(&world, replies + i));
    }
    for cap in [endpoints, endpoints + 1, replies, replies + 1] {
        world.delete(slot::CNODE.into(), cap);
    }
    let mut places = BTreeMap::new();
    for (t, thread) in threads.iter().enumerate() {
        for index in 0..SLOTS {
            if let Ok(place) = world.kernel.lookup(thread.tcb, Address(index)) {
                places.insert(place, (t, index));
            }
        }
    }
    System {
        world,
        threads,
        spec: Spec::new(caps),
        objects,
        places,
    }
}

thread_local! {
    static START: RefCell<Option<System>> = const { RefCell::new(None) };
}

/// Runs a sequence on both; calls of threads that wait are left out.
pub(crate) fn compare(ops: impl Iterator<Item = Op>) {
    let mut system = START.with_borrow_mut(|start| start.get_or_insert_with(build).clone());
    for op in ops {
        if system.spec.waits[op.thread] == Wait::No {
            system
                .world
                .act(system.threads[op.thread].tcb, &ask(op.what));
            system.spec.step(op);
            system.check(op);
        }
    }
}

fn cnode(method: CNode, to: u32) -> Ask {
    Ask::invoke(1, method as u64).words(&[to.into()])
}

fn ask(what: What) -> Ask {
    let gift = |ask: Ask, gift: Option<u32>| gift.map_or(ask, |g| ask.cap(g, 0, 0));
    let window = |ask: Ask, open| if open { ask.window(WINDOW, 1) } else { ask };
    match what {
        What::Copy { from, to, mask } => cnode(CNode::Copy, to).cap(from, mask, 0),
        What::Mint { from, to, badge } => cnode(CNode::Mint, to).cap(from, 0, badge),
        What::Move { from, to } => cnode(CNode::Move, to).cap(from, 0, 0),
        What::Delete { at } => cnode(CNode::Delete, at),
        What::Revoke { at } => cnode(CNode::Revoke, at),
        What::Call { via, word, gift: g } => gift(Ask::call(via).tag(77).words(&[word]), g),
        What::Send { via, word, gift: g } => gift(Ask::send(via).words(&[word]), g),
        What::Recv {
            via,
            reply,
            window: w,
        } => window(Ask::recv(via, reply.unwrap_or(0)), w),
        What::Poll {
            via,
            reply,
            window: w,
        } => window(Ask::poll(via, reply.unwrap_or(0)), w),
        What::Reply { reply, word } => Ask::reply(reply).words(&[word]),
        What::ReplyRecv { via, reply, word } => Ask::reply_recv(via, reply).words(&[word]),
    }
}

impl System {
    fn check(&self, op: Op) {
        for (t, thread) in self.threads.iter().enumerate() {
            let waits = match self.world.state(thread.tcb) {
                ThreadState::Ready | ThreadState::Running => Wait::No,
                ThreadState::BlockedIpcSend => Wait::Send,
                _ if self.spec.waits[t] == Wait::Answer => Wait::Answer,
                _ => Wait::Receive,
            };
            assert_eq!(waits, self.spec.waits[t], "thread {t} after {op:?}");
            if let (Wait::No, Some(found)) = (waits, self.spec.found[t]) {
                let got = self.world.got(thread.tcb);
                assert_eq!(got.status(), found.status, "thread {t} after {op:?}");
                if let Some(message) = found.message {
                    let arrived = (got.badge(), got.words()[0]);
                    assert_eq!(arrived, message, "thread {t} after {op:?}");
                }
            }
        }
        for (place, slot) in &self.places {
            let found = self.world.kernel.store.slot(*place);
            match self.spec.caps.get(slot) {
                None => assert!(found.is_empty(), "{slot:?} after {op:?}"),
                Some(cap) => {
                    let names = (found.object.get(), found.rights.get(), found.badge.get());
                    let expected = (self.objects[&cap.object], cap.rights, cap.badge);
                    assert_eq!(names, expected, "{slot:?} after {op:?}");
                    assert!(!found.is_empty(), "{slot:?} after {op:?}");
                    let parent = self.parent(*place);
                    assert_eq!(parent, cap.parent, "parent of {slot:?} after {op:?}");
                }
            }
        }
    }

    /// Where the capability in a slot was derived from, if that is a thread's.
    fn parent(&self, place: SlotRef) -> Option<Slot> {
        let mut here = place;
        loop {
            let next = self.world.kernel.store.slot(here).next.get();
            match (next.sibling(), next.parent()) {
                (Some(sibling), _) => here = sibling,
                (None, Some(parent)) => return self.places.get(&parent).copied(),
                (None, None) => return None,
            }
        }
    }
}
