//! A thread of the root task that tells servers of dead clients.
//!
//! It asks the root task what to do, does it with a deadline, and asks again.

use gritos_base_api::SupervisionClient;
use gritos_service::idl::Outgoing;
use gritos_service::{Kernel, call_cap};
use gritos_sys::abi::cap::BADGE_CLIENT;
use gritos_sys::abi::{Address, Rights};
use gritos_sys::cap::{CNode, Endpoint, SchedulingContext, Tcb, Untyped};
use gritos_sys::ipc::{Message, Wait};
use gritos_sys::process::{Creator, STACK_TOP};
use gritos_sys::slots::Slots;
use gritos_sys::thread::{Stack, ThreadBuilder};
use gritos_sys::{Cap, Error, Mask, ipc, time};

/// Its badge at the root task: no component has it.
pub(crate) const BADGE: u32 = BADGE_CLIENT | 0xffff;
/// Its priority: before everybody but the root task.
const PRIORITY: u8 = 1;
const STACK_BYTES: u64 = 16 << 10;
/// Its budget and period, in nanoseconds.
const BUDGET: (u64, u64) = (5_000_000, 5_000_000);
/// Pause after a failure that should not happen, in nanoseconds.
const PAUSE: u64 = 10_000_000;

/// Makes the thread, out of `own`, and lets it run.
pub(crate) fn start(
    creator: &Creator,
    cnode: Cap<CNode>,
    own: Cap<Untyped>,
    endpoint: Cap<Endpoint>,
    slots: &mut Slots,
) -> Result<(), Error> {
    let asks = slots
        .take()?
        .mint(endpoint, Mask::only(Rights::SEND), BADGE)?;
    let stack = Stack::map(own, slots.take()?, creator.space, STACK_TOP, STACK_BYTES)?;
    let context = own.create::<SchedulingContext>(slots.take()?)?;
    creator.budgets.configure(context, BUDGET.0, BUDGET.1)?;
    let tcb = own.create::<Tcb>(slots.take()?)?;
    ThreadBuilder::new(cnode, creator.space)
        .priority(PRIORITY, PRIORITY, creator.tcb)
        .context(context)
        .build(
            tcb,
            run as extern "C" fn(u64) -> ! as usize as u64,
            stack.top,
            asks.address().0.into(),
        )?;
    tcb.resume()
}

/// What the root task answers it: call `endpoint`, `client` is gone.
pub(crate) fn job(endpoint: Cap<Endpoint>, client: u32) -> Outgoing<0> {
    let words = [endpoint.address().0.into(), client.into(), 0, 0, 0, 0, 0, 0];
    Outgoing::new(0, words, 2)
}

extern "C" fn run(asks: u64) -> ! {
    let root = Cap::<Endpoint>::at(Address(asks as u32));
    loop {
        let Ok(job) = root.call(&Message::new(0), &Wait::FOREVER) else {
            let _ = ipc::sleep_until(time::after(PAUSE));
            continue;
        };
        let [endpoint, client, ..] = job.words();
        let endpoint = Cap::<Endpoint>::at(Address(endpoint as u32));
        let mut server = SupervisionClient::new(call_cap(endpoint), Kernel);
        // A server that has no sessions does not know the method; one that does
        // not answer in time loses nothing but its own memory.
        let _ = server.client_gone(client as u32);
    }
}
