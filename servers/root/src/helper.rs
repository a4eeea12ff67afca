//! Threads of the root task that do what takes long or what may have to wait.
//!
//! The root task itself runs before everybody else, and does so for a moment at a
//! time. Each helper asks it what to do, by a call that is answered when there is
//! something; while it works it is as urgent as what it works for.

use gritos_service::idl::Outgoing;
use gritos_sys::abi::cap::BADGE_CLIENT;
use gritos_sys::abi::{Address, Rights};
use gritos_sys::cap::{CNode, Endpoint, SchedulingContext, Tcb, Untyped};
use gritos_sys::ipc::{self, Message, Wait};
use gritos_sys::process::{Creator, STACK_TOP};
use gritos_sys::slots::{Slot, Slots};
use gritos_sys::thread::{Stack, ThreadBuilder};
use gritos_sys::{Cap, Error, Mask, time};

/// Addresses for the stack of one helper and its guard page.
const STACK_SPACING: u64 = 64 << 10;
/// Budget and period, in nanoseconds.
const BUDGET: (u64, u64) = (5_000_000, 5_000_000);
/// Pause after a failure that should not happen, in nanoseconds.
const PAUSE: u64 = 10_000_000;
/// Highest priority of a helper: before everybody but the root task.
pub(crate) const PRIORITY: u8 = 1;

/// What a helper is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Where it begins; its argument is the address of what it calls or serves.
    pub(crate) entry: extern "C" fn(u64) -> !,
    pub(crate) argument: Address,
    /// Which of the places for stacks it has.
    pub(crate) place: u64,
    pub(crate) stack_bytes: u64,
    pub(crate) priority: u8,
    /// Where its faults go.
    pub(crate) faults: Cap<Endpoint>,
}

/// A helper's thread, and the time it has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) tcb: Cap<Tcb>,
    pub(crate) context: Cap<SchedulingContext>,
}

/// Slots that a helper takes.
pub(crate) const SLOTS: u16 = 3;

/// Makes a helper out of `own` in the run of empty slots from `first` on, and lets
/// it run.
pub(crate) fn make(
    creator: &Creator,
    cnode: Cap<CNode>,
    own: Cap<Untyped>,
    first: Slot,
    plan: &Plan,
) -> Result<Made, Error> {
    let at = |position| crate::grants::nth(first, position);
    let top = STACK_TOP - plan.place * STACK_SPACING;
    let stack = Stack::map(own, at(0), creator.space, top, plan.stack_bytes)?;
    let context = own.create::<SchedulingContext>(at(1))?;
    creator.budgets.configure(context, BUDGET.0, BUDGET.1)?;
    let tcb = own.create::<Tcb>(at(2))?;
    let entry = plan.entry as usize as u64;
    ThreadBuilder::new(cnode, creator.space)
        .priority(plan.priority, PRIORITY, creator.tcb)
        .context(context)
        .fault_endpoint(plan.faults)
        .build(tcb, entry, stack.top, plan.argument.0.into())?;
    tcb.resume()?;
    Ok(Made { tcb, context })
}

/// The helpers that call the root task, by their badges: no component has those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Helper {
    /// Tells servers of clients that are gone.
    Messenger = BADGE_CLIENT | 0xffff,
    /// Makes and dismantles components.
    Worker = BADGE_CLIENT | 0xfffe,
    /// Shows what was printed.
    Printer = BADGE_CLIENT | 0xfffd,
}

impl Helper {
    /// The helper with this badge.
    pub(crate) const fn of(badge: u32) -> Option<Self> {
        Some(match badge {
            badge if badge == Self::Messenger as u32 => Self::Messenger,
            badge if badge == Self::Worker as u32 => Self::Worker,
            badge if badge == Self::Printer as u32 => Self::Printer,
            _ => return None,
        })
    }

    const fn place(self) -> u64 {
        (Self::Messenger as u32 - self as u32) as u64
    }

    /// Makes this helper; it calls and faults at `endpoint`.
    pub(crate) fn start(
        self,
        creator: &Creator,
        (cnode, own, endpoint): (Cap<CNode>, Cap<Untyped>, Cap<Endpoint>),
        slots: &mut Slots,
        entry: extern "C" fn(u64) -> !,
        priority: u8,
    ) -> Result<Made, Error> {
        let asks = slots
            .take()?
            .mint(endpoint, Mask::only(Rights::SEND), self as u32)?;
        let plan = Plan {
            entry,
            argument: asks.address(),
            place: self.place(),
            stack_bytes: 24 << 10,
            priority,
            faults: asks,
        };
        let first = slots.take_run(SLOTS)?;
        make(creator, cnode, own, first, &plan)
    }
}

/// First of the places for stacks that no [`Helper`] has.
pub(crate) const FREE_PLACE: u64 = 3;

/// Calls the root task with a tag and words until it answers, and returns the
/// tag and the words of the answer.
pub(crate) fn ask(root: Cap<Endpoint>, tag: u64, words: [u64; 8]) -> (u64, [u64; 8]) {
    loop {
        if let Ok(answer) = root.call(&Message::with(tag, words), &Wait::FOREVER) {
            return (answer.tag(), answer.words());
        }
        let _ = ipc::sleep_until(time::after(PAUSE));
    }
}

/// What the root task answers a helper.
pub(crate) fn answer(tag: u64, words: [u64; 8]) -> Outgoing<0> {
    Outgoing::new(tag, words, 8)
}
