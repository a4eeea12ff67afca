//! The kernel's state outside objects, and how operations end.

use core::cell::Cell;

use gritos_abi::Status;

use crate::handle::{
    CNodeRef, ContextRef, EndpointRef, NotificationRef, ObjectRef, ReplyRef, SlotRef, SpaceRef,
    TcbRef,
};
use crate::irq::IrqTable;
use crate::machine::Machine;
use crate::object::{
    CNode, Context, Endpoint, Header, Notification, Queue, Reply, Slot, Space, Tcb,
};
use crate::sched::Ready;
use crate::store::Store;
use crate::timer::TimerTree;
use crate::vspace::AsidTable;

/// Why an operation did not finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Refused; nothing changed.
    Error(Status),
    /// Refused because of this capability slot of the message; nothing changed.
    SlotError(Status, u32),
    /// An interrupt waits. Progress is recorded in objects; the system call
    /// runs again from its `svc`.
    Preempted,
}

impl From<Status> for Stop {
    #[inline(always)]
    fn from(status: Status) -> Self {
        Self::Error(status)
    }
}

/// Result of an operation.
pub type Done<T = ()> = Result<T, Stop>;

/// What belongs to one processor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Cpu {
    /// The running thread; none while idle.
    pub current: Option<TcbRef>,
    /// The context it runs on.
    pub context: Option<ContextRef>,
    /// When the budget of `context` is used up, in counter ticks.
    pub budget_end: u64,
    /// For when the timer interrupt is set. May be earlier than needed, never
    /// later.
    pub timer_set: u64,
    /// Priority of the best thread in the ready queues; 256 if there is none.
    pub best: u32,
    /// Threads that found the context they borrowed gone, and fault for it at the
    /// end of the operation under way; empty between operations.
    pub lost: Queue,
    /// Threads that could run.
    pub ready: Ready,
    /// Deadlines and refills.
    pub timers: TimerTree,
}

/// The kernel. What the fast path needs comes first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Kernel<S, M> {
    /// Objects.
    pub store: S,
    /// This processor's state.
    pub cpu: Cpu,
    /// Effects.
    pub machine: M,
    /// Objects whose last capability is gone and that are not yet dismantled.
    pub dying: Option<ObjectRef>,
    /// Slot whose derivations are being deleted.
    pub revoking: Option<SlotRef>,
    /// Interrupt lines.
    pub irqs: IrqTable,
    /// ASIDs in use.
    pub asids: AsidTable,
}

impl<S: Store, M: Machine> Kernel<S, M> {
    /// A kernel without threads.
    #[must_use]
    pub const fn new(store: S, machine: M) -> Self {
        Self {
            cpu: Cpu {
                current: None,
                context: None,
                lost: Queue {
                    head: Cell::new(None),
                    tail: Cell::new(None),
                },
                best: Ready::NONE,
                budget_end: 0,
                timer_set: u64::MAX,
                ready: Ready::new(),
                timers: TimerTree::new(),
            },
            store,
            machine,
            dying: None,
            revoking: None,
            irqs: IrqTable::new(),
            asids: AsidTable::new(),
        }
    }

    /// Whether `thread` is the running one.
    #[inline(always)]
    pub(crate) fn is_current(&self, thread: TcbRef) -> bool {
        self.cpu.current == Some(thread)
    }
}

macro_rules! accessors {
    ($($name:ident: $Ref:ty => $Object:ty,)*) => {
        impl<S: Store, M: Machine> Kernel<S, M> {$(
            #[inline(always)]
            pub(crate) fn $name(&self, handle: $Ref) -> &$Object {
                self.store.$name(handle)
            }
        )*}
    };
}

accessors! {
    header: ObjectRef => Header,
    slot: SlotRef => Slot,
    cnode: CNodeRef => CNode,
    tcb: TcbRef => Tcb,
    endpoint: EndpointRef => Endpoint,
    notification: NotificationRef => Notification,
    reply: ReplyRef => Reply,
    context: ContextRef => Context,
    space: SpaceRef => Space,
}
