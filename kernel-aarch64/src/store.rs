//! Kernel objects in physical memory, through the linear map.
//!
//! A handle is a physical address shifted right by four; resolving it is one
//! shifted add. That is all, and it is sound for every one of the 2^32 handles:
//!
//! - The window from the base on reaches 64 GiB, all that 32 bits can name.
//! - It maps only RAM in which the kernel owns no Rust object: not its image,
//!   stacks, tables or device registers. The rest of it is not mapped, and an
//!   access there stops the kernel with a report.
//! - Objects are structs of `Cell`s of integers and optional handles: any bytes
//!   are a valid value, shared references to them may overlap in any way, and
//!   one processor is in the kernel at a time.
//!
//! So a wrong handle can make the kernel compute nonsense or stop, but never
//! breaks what Rust relies on.

use core::ptr;

use gritos_abi::ObjectType;
use gritos_kernel_core::handle::{ObjectRef, TableRef, TimerRef};
use gritos_kernel_core::object::{
    CNode, Context, Endpoint, Header, Notification, Reply, Slot, Space, Table, Tcb, TimerNode,
};
use gritos_kernel_core::store::Store;

use crate::arch::linear;

/// The linear map. A value, not a constant: the compiler would materialise a
/// constant base anew for each object and fold field offsets into it.
#[derive(Clone, Copy)]
pub(crate) struct LinearStore {
    base: usize,
}

/// Offset of [`TimerNode`] in the objects that have one.
const TIMER_OFFSET: usize = core::mem::offset_of!(Tcb, timer);
const _: () = assert!(TIMER_OFFSET == core::mem::offset_of!(Context, timer));

impl LinearStore {
    /// The store whose window begins at `base`.
    ///
    /// # Safety
    /// The window must be as the module says, and stay so.
    pub(crate) const unsafe fn new(base: usize) -> Self {
        Self { base }
    }

    /// Where the object with this handle lies.
    #[inline(always)]
    pub(crate) fn address(&self, handle: u32) -> usize {
        // Wrapping, as the instruction does: on a host a window may begin before address 0.
        self.base.wrapping_add((handle as usize) << 4)
    }

    #[inline(always)]
    fn at<T>(&self, handle: u32, offset: usize) -> &T {
        let object = ptr::with_exposed_provenance::<T>(self.address(handle).wrapping_add(offset));
        // SAFETY: inside the window, and aligned enough for its cells, as handles are multiples of
        // 16 bytes and no cell is larger. `new`'s caller vouches that the window maps only memory
        // without Rust objects; see the module for why any content will do.
        unsafe { &*object }
    }
}

macro_rules! resolve {
    ($($name:ident => $Object:ty,)*) => {$(
        #[inline(always)]
        fn $name(&self, raw: u32) -> &$Object {
            self.at(raw, 0)
        }
    )*};
}

impl Store for LinearStore {
    #[inline(always)]
    fn slot_at(&self, raw: u32) -> &Slot {
        let slot = ptr::with_exposed_provenance::<Slot>(linear::address(self.base, raw));
        // SAFETY: as in `at`, of which this is a case.
        unsafe { &*slot }
    }

    resolve! {
        cnode_at => CNode,
        tcb_at => Tcb,
        endpoint_at => Endpoint,
        notification_at => Notification,
        reply_at => Reply,
        context_at => Context,
        space_at => Space,
        table_at => Table,
    }

    #[inline(always)]
    fn header(&self, handle: ObjectRef) -> &Header {
        self.at(handle.raw(), 0)
    }

    #[inline(always)]
    fn timer(&self, handle: TimerRef) -> &TimerNode {
        self.at(handle.raw(), TIMER_OFFSET)
    }

    // Zeroed memory is already an object of any type.
    fn create(&mut self, _handle: ObjectRef, _object: ObjectType, _slots: u32) {}
    fn create_table(&mut self, _handle: TableRef) {}

    fn zero(&mut self, address: u64, bytes: u64) {
        let mut at = (self.base as u64).wrapping_add(address);
        let end = at.wrapping_add(bytes);
        while at < end {
            // SAFETY: a block of the window: memory without Rust objects, see `new`. Callers pass
            // multiples of the block.
            unsafe { linear::zero(at) };
            at += linear::BLOCK;
        }
    }
}
