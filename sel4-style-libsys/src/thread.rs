//! Threads: what a TCB needs before it runs.

use crate::cap::{
    AddressSpace, CNode, Cap, Endpoint, MemoryObject, SchedulingContext, Tcb, Untyped,
};
use crate::error::Error;
use crate::invoke::Permissions;
use crate::slots::Slot;

/// Smallest page and the unit of mappings.
pub const PAGE_BYTES: u64 = 4096;

/// Everything that makes a TCB a thread.
#[derive(Clone, Copy, Debug)]
pub struct ThreadBuilder {
    cspace: Cap<CNode>,
    space: Cap<AddressSpace>,
    fault: Option<Cap<Endpoint>>,
    priority: Option<(u8, u8, Cap<Tcb>)>,
    context: Option<Cap<SchedulingContext>>,
    flags: u64,
}

impl ThreadBuilder {
    /// A thread with this CSpace and AddressSpace, passive and of the lowest
    /// priority.
    #[must_use]
    pub const fn new(cspace: Cap<CNode>, space: Cap<AddressSpace>) -> Self {
        Self {
            cspace,
            space,
            fault: None,
            priority: None,
            context: None,
            flags: 0,
        }
    }

    /// Faults go to `endpoint`.
    #[must_use]
    pub const fn fault_endpoint(mut self, endpoint: Cap<Endpoint>) -> Self {
        self.fault = Some(endpoint);
        self
    }

    /// Priority and ceiling (0 the highest), on the authority of a TCB whose
    /// ceiling is no lower.
    #[must_use]
    pub const fn priority(mut self, priority: u8, ceiling: u8, authority: Cap<Tcb>) -> Self {
        self.priority = Some((priority, ceiling, authority));
        self
    }

    /// Runs on `context`. Without one the thread is passive: it runs on its
    /// callers' contexts.
    #[must_use]
    pub const fn context(mut self, context: Cap<SchedulingContext>) -> Self {
        self.context = Some(context);
        self
    }

    /// `TCB_FLAG_*`.
    #[must_use]
    pub const fn flags(mut self, flags: u64) -> Self {
        self.flags = flags;
        self
    }

    /// Makes `tcb` this thread, about to begin at `pc` with the stack pointer
    /// `sp` and `argument` in x0. It runs once it is resumed.
    ///
    /// # Errors
    /// Those of the TCB methods; the TCB may then be configured in part.
    pub fn build(&self, tcb: Cap<Tcb>, pc: u64, sp: u64, argument: u64) -> Result<(), Error> {
        tcb.configure(Some(self.cspace), Some(self.space), self.fault)?;
        if let Some((priority, ceiling, authority)) = self.priority {
            tcb.set_priority(priority, ceiling, authority)?;
        }
        if self.flags != 0 {
            tcb.set_flags(self.flags)?;
        }
        tcb.set_entry(pc, sp, argument)?;
        if let Some(context) = self.context {
            tcb.bind_context(context)?;
        }
        Ok(())
    }
}

/// A stack: a memory object mapped below an address, with nothing mapped below
/// the stack itself.
#[derive(Clone, Copy, Debug)]
pub struct Stack {
    /// Its memory.
    pub memory: Cap<MemoryObject>,
    /// One past its highest byte: the initial stack pointer.
    pub top: u64,
}

impl Stack {
    /// Makes a stack of `bytes` that ends at `top` in `space`. The page below
    /// is its guard: the caller leaves it unmapped.
    ///
    /// # Errors
    /// Those of Retype and Map.
    pub fn map(
        untyped: Cap<Untyped>,
        slot: Slot,
        space: Cap<AddressSpace>,
        top: u64,
        bytes: u64,
    ) -> Result<Self, Error> {
        let bytes = bytes.max(1).next_multiple_of(PAGE_BYTES);
        let memory = untyped.create_memory(bytes, slot)?;
        memory.map_all(space, top.saturating_sub(bytes), Permissions::ReadWrite)?;
        Ok(Self { memory, top })
    }
}
