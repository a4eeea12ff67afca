//! Limits of Untyped that mutants of the core showed to be tested nowhere, and what leaves the cache.

use gritos_abi::boot_info::slot;
use gritos_abi::method::{self, MemoryType};
use gritos_abi::{ObjectType, Rights, Status};
use gritos_kernel_core::host::{Ask, Progress, World};

const UNTYPED: u32 = slot::UNTYPED_FIRST as u32;

fn retype(from: u32, object: ObjectType, size: u64, to: u32, memory: MemoryType, mask: u32) -> Ask {
    Ask::invoke(from, method::Untyped::Retype as u64)
        .words(&[object as u64, size, 1, to.into(), 0, memory as u64])
        .cap(slot::CNODE.into(), mask, 0)
}

#[test]
fn info_tells_the_physical_address_only_with_dma() {
    let mut w = World::new(64);
    let (root, part) = (w.root, w.free_slots(1));
    let info = |cap| Ask::invoke(cap, method::Untyped::Info as u64);
    let address = w.succeed(root, &info(UNTYPED)).words()[3];
    assert_ne!(address, 0, "the root's Untyped has DMA");
    let without = (Rights::KERNEL - Rights::DMA).bits();
    let normal = MemoryType::Normal;
    let split = retype(UNTYPED, ObjectType::Untyped, 4096, part, normal, without);
    w.succeed(root, &split);
    let got = w.succeed(root, &info(part));
    assert_eq!(got.words()[..4], [4096, 4096, 0, 0]);
}

/// Runs a `Retype` that is preempted wherever it can be; how often it was.
fn retype_in_steps(w: &mut World, ask: &Ask) -> usize {
    w.focus(w.root);
    w.kernel.machine.preempt_after.set(Some(0));
    let mut progress = w.enter(ask);
    for steps in 0..10_000 {
        w.check();
        if progress == Progress::Returned {
            assert_eq!(w.got(w.root).status(), Status::Ok);
            w.kernel.machine.preempt_after.set(None);
            return steps;
        }
        w.kernel.machine.preempt_after.set(Some(0));
        progress = w.resume_call(ask.number);
    }
    panic!("no end");
}

#[test]
fn uncached_memory_leaves_the_cache_in_steps_that_give_way() {
    const SIZE: u64 = 256 << 10;
    let mut w = World::new(64);
    let to = w.free_slots(1);
    let (memory, uncached) = (ObjectType::MemoryObject, MemoryType::Uncached);
    let steps = retype_in_steps(&mut w, &retype(UNTYPED, memory, SIZE, to, uncached, 0));
    assert!(steps >= (SIZE / 4096) as usize - 1, "{steps}");
    let start = u64::from(w.root_cap(to).object.get()) << 4;
    let mut at = start;
    for (address, bytes) in &w.kernel.machine.flushed {
        assert!(*bytes <= 4096);
        if (start..start + SIZE).contains(address) {
            assert_eq!(*address, at);
            at += bytes;
        }
    }
    assert_eq!(at, start + SIZE);
}

/// Memory that a call for another kind of memory has zeroed before it was given up is still in the cache.
#[test]
fn what_was_zeroed_for_cached_memory_leaves_the_cache_too() {
    const SIZE: u64 = 64 << 10;
    let mut w = World::new(64);
    let (root, to) = (w.root, w.free_slots(1));
    let memory = ObjectType::MemoryObject;
    let cached = retype(UNTYPED, memory, SIZE, to, MemoryType::Normal, 0);
    let uncached = retype(UNTYPED, memory, SIZE, to, MemoryType::Uncached, 0);
    let begun = |w: &mut World, ask: &Ask| {
        w.focus(root);
        w.kernel.machine.preempt_after.set(Some(4));
        assert_eq!(w.enter(ask), Progress::Again);
    };
    begun(&mut w, &uncached);
    begun(&mut w, &cached);
    w.kernel.machine.flushed.clear();
    w.succeed(root, &uncached);
    let start = u64::from(w.root_cap(to).object.get()) << 4;
    let left = |at: u64| {
        let flushed = w.kernel.machine.flushed.iter();
        let mut flushed = flushed.map(|(address, bytes)| *address..address + bytes);
        flushed.any(|range| range.contains(&at))
    };
    assert!((start..start + SIZE).step_by(64).all(left));
}
