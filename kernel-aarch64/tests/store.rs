//! The kernel's store, over a piece of the host's memory in place of the machine's.
//!
//! A kernel whose objects lie where the store says follows one of the host's, whose objects are
//! ordinary values, through random system calls, interrupts and faults: registers must be the same
//! after each, and every object now and then. Under Miri this is what says that references which the
//! store makes break none of Rust's rules: `cargo xtask soak miri`.
//!
//! Only the store's two instructions are replaced, in `linear`.

use std::alloc::{Layout, alloc_zeroed, dealloc};

use gritos_kernel_core::handle::TcbRef;
use gritos_kernel_core::host::fuzz::{
    Event, Random, Tally, furnished_kernel, system_calls_followed,
};
use gritos_kernel_core::host::{HostKernel, HostMachine, HostStore, Object};
use gritos_kernel_core::kernel::Kernel;
use gritos_kernel_core::object::{Slot, Table};
use gritos_kernel_core::store::Store;

#[path = "../src/store.rs"]
mod store;

/// In place of the module of that name, on whose instructions the store relies.
mod arch {
    pub(crate) mod linear {
        use core::ptr;

        pub(crate) const BLOCK: u64 = 64;

        pub(crate) fn address(base: usize, handle: u32) -> usize {
            base.wrapping_add((handle as usize) << 4)
        }

        /// # Safety
        /// They must be bytes of memory in which Rust has no object.
        pub(crate) unsafe fn zero(at: u64) {
            let block = ptr::with_exposed_provenance_mut::<u8>(at as usize);
            // SAFETY: by the caller's word.
            unsafe { block.write_bytes(0, BLOCK as usize) };
        }
    }
}

use store::LinearStore;

/// The addresses that objects of the host's kernel have: from the root's own to the end of its RAM.
const FIRST: usize = 0x3fff_0000;
const END: usize = 0x4100_0000;

/// Memory whose addresses are known to nobody else, in place of the machine's.
struct Memory {
    start: *mut u8,
}

const LAYOUT: Layout = match Layout::from_size_align(END - FIRST, 4096) {
    Ok(layout) => layout,
    Err(_) => panic!("not a size"),
};

impl Memory {
    fn new() -> Self {
        // SAFETY: of a size that is not zero.
        let start = unsafe { alloc_zeroed(LAYOUT) };
        assert!(!start.is_null(), "no memory");
        Self { start }
    }

    /// A store whose handles reach this memory.
    fn store(&self) -> LinearStore {
        let base = self.start.expose_provenance().wrapping_sub(FIRST);
        // SAFETY: the handles of this kernel's objects reach only `self`, in which Rust has no
        // object; the memory outlives the store, see `Follower`.
        unsafe { LinearStore::new(base) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: from `alloc_zeroed` with the same layout, once.
        unsafe { dealloc(self.start, LAYOUT) };
    }
}

/// A kernel in linear memory that does what another does.
struct Follower {
    kernel: Kernel<LinearStore, HostMachine>,
    /// Whether system calls take the fast path where it applies.
    fast: bool,
    /// Those that did.
    short: u32,
    /// Behind what lies in it: dropped last.
    _memory: Memory,
}

impl Follower {
    /// One whose objects are as those of `model`.
    fn of(model: &HostKernel, fast: bool) -> Self {
        let memory = Memory::new();
        let store = memory.store();
        for (handle, object) in model.store.objects() {
            let start = memory.start.wrapping_add((handle as usize) * 16 - FIRST);
            place(start, object);
        }
        let HostKernel {
            cpu,
            machine,
            dying,
            revoking,
            irqs,
            asids,
            ..
        } = model.clone();
        let kernel = Kernel {
            store,
            cpu,
            machine,
            dying,
            revoking,
            irqs,
            asids,
        };
        Self {
            kernel,
            fast,
            short: 0,
            _memory: memory,
        }
    }

    fn follow(&mut self, event: &Event, model: &HostKernel) {
        match event {
            Event::Call(ask) if self.fast => {
                self.kernel.prepare(ask);
                if self.kernel.run_fast(ask.number) {
                    self.short += 1;
                } else {
                    self.kernel.run_general(ask.number);
                }
            }
            _ => event.happen(&mut self.kernel),
        }
        assert_eq!(self.kernel.cpu.current, model.cpu.current, "{event:x?}");
        if let Some(current) = model.cpu.current {
            let here = registers(&self.kernel.store, current);
            assert_eq!(here, registers(&model.store, current), "{event:x?}");
        }
    }

    /// Every object that the model has is the same here.
    fn compare(&self, model: &HostStore) {
        let store = &self.kernel.store;
        for (handle, object) in model.objects() {
            match object {
                Object::CNode(cnode, slots) => {
                    assert_eq!(cnode, store.cnode_at(handle));
                    for (at, slot) in (handle + 4..).step_by(4).zip(slots) {
                        assert_eq!(slot, store.slot_at(at), "slot {at:x}");
                    }
                }
                Object::Tcb(tcb) => assert_eq!(&**tcb, store.tcb_at(handle)),
                Object::Endpoint(endpoint) => assert_eq!(endpoint, store.endpoint_at(handle)),
                Object::Notification(object) => assert_eq!(object, store.notification_at(handle)),
                Object::Reply(reply) => assert_eq!(reply, store.reply_at(handle)),
                Object::Context(context) => assert_eq!(&**context, store.context_at(handle)),
                Object::Space(space) => assert_eq!(&**space, store.space_at(handle)),
                Object::Table(table) => assert_eq!(&**table, store.table_at(handle)),
            }
        }
    }
}

/// x0-x17 of a thread.
fn registers(store: &impl Store, thread: TcbRef) -> [u64; 18] {
    let frame = &store.tcb(thread).frame;
    std::array::from_fn(|i| frame.x.get(i).map_or(0, |x| x.get()))
}

/// Writes a copy of an object at an address.
fn place(start: *mut u8, object: &Object) {
    fn put<T: Clone>(at: *mut u8, object: &T) {
        // SAFETY: within the memory, aligned as objects are, and nobody refers to it yet.
        unsafe { at.cast::<T>().write(object.clone()) };
    }
    match object {
        Object::CNode(cnode, slots) => {
            put(start, cnode);
            let first = size_of::<Slot>();
            for (i, slot) in slots.iter().enumerate() {
                put(start.wrapping_add(first + i * size_of::<Slot>()), slot);
            }
        }
        Object::Tcb(object) => put(start, &**object),
        Object::Endpoint(object) => put(start, object),
        Object::Notification(object) => put(start, object),
        Object::Reply(object) => put(start, object),
        Object::Context(object) => put(start, &**object),
        Object::Space(object) => put(start, &**object),
        Object::Table(object) => put(start, &**object as &Table),
    }
}

/// Follows `runs` runs, in which there must be so many calls.
fn follow(fast: bool, runs: u64, calls: u64) {
    let bytes_of_a_run = if cfg!(miri) { 300 } else { 3000 };
    let mut tally = Tally::default();
    let mut short = 0;
    for number in 0..runs {
        let mut random = Random::new(number);
        let bytes: Vec<u8> = (0..bytes_of_a_run / 8)
            .flat_map(|_| random.next().to_le_bytes())
            .collect();
        let mut follower = Follower::of(&furnished_kernel(), fast);
        let mut events = 0;
        system_calls_followed(&bytes, &mut tally, &mut |event, model| {
            follower.follow(event, model);
            events += 1;
            // What the fast path leaves in fields that have no meaning may differ.
            if !fast && events % 16 == 0 {
                follower.compare(&model.store);
            }
        });
        short += follower.short;
    }
    println!("{} calls, {short} by the fast path", tally.calls);
    assert!(tally.calls >= calls, "only {} calls", tally.calls);
    assert_eq!(short > 0, fast);
}

#[test]
fn objects_in_memory_are_what_they_are_as_values() {
    if cfg!(miri) {
        follow(false, 2, 20);
    } else {
        follow(false, 40, 3000);
    }
}

#[test]
fn the_fast_path_does_the_same_in_memory() {
    if cfg!(miri) {
        follow(true, 2, 20);
    } else {
        follow(true, 40, 3000);
    }
}
