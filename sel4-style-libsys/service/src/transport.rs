//! The way of a client's call into the kernel.

use gritos_idl_runtime::{Address, CapSlot, Incoming, Kind, Outcome, Outgoing, Place, Transport};
use gritos_sys::abi::{CapsIn, Control, Syscall};
use gritos_sys::raw::{RawCalls, Request, Returned, kernel};
use gritos_sys::slots::own;
use gritos_sys::{Error, time};

/// Carries calls to the kernel.
///
/// It has no state: slots for capabilities that an answer brings come from the
/// component's own ([`gritos_sys::slots::own`]) and belong to the caller once
/// they are filled; see [`release`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kernel;

impl Transport for Kernel {
    #[inline(always)]
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        target: Address,
        message: Outgoing<CAPS>,
        timeout_ns: Option<u64>,
    ) -> Incoming {
        if WINDOW > 0 {
            return call_with_window(target, &message, WINDOW as u32, timeout_ns);
        }
        let returned = issue(
            Syscall::Call,
            target,
            Address::NULL,
            &message,
            (Address::NULL, 0),
            timeout_ns.map(time::after),
        );
        incoming(&returned, Address::NULL)
    }

    #[inline(always)]
    fn send<const CAPS: usize>(&mut self, target: Address, message: Outgoing<CAPS>) -> Outcome {
        let returned = issue(
            Syscall::SendAsync,
            target,
            Address::NULL,
            &message,
            (Address::NULL, 0),
            None,
        );
        returned.outcome
    }

    fn discard(&mut self, incoming: &Incoming) {
        if incoming.outcome.is_ok() && incoming.outcome.kind() == Ok(Kind::Reply) {
            for address in filled(incoming) {
                // A slot that cannot be emptied stays taken: nothing else can be done here.
                let _ = release(address);
            }
        }
    }
}

/// Deletes a capability that this component holds, and takes its slot back.
///
/// # Errors
/// See [`Slot::delete`](gritos_sys::slots::Slot::delete); the slot then stays
/// taken.
pub fn release(address: Address) -> Result<(), Error> {
    own::delete(own::at(address))
}

fn call_with_window<const CAPS: usize>(
    target: Address,
    message: &Outgoing<CAPS>,
    count: u32,
    timeout_ns: Option<u64>,
) -> Incoming {
    let first = match own::take_run(count) {
        Ok(slot) => slot.address(),
        Err(error) => {
            let status = error
                .status()
                .unwrap_or(gritos_sys::abi::Status::OutOfRange);
            return Incoming::failed(status);
        }
    };
    let returned = issue(
        Syscall::Call,
        target,
        Address::NULL,
        message,
        (first, count),
        timeout_ns.map(time::after),
    );
    let incoming = incoming(&returned, first);
    let used: u32 = filled(&incoming).fold(0, |used, address| used | 1 << (address.0 - first.0));
    for position in (0..count).filter(|position| used & 1 << position == 0) {
        own::give_back(own::at(Address(first.0 + position)));
    }
    incoming
}

/// The slots that a message filled.
pub(crate) fn filled(incoming: &Incoming) -> impl Iterator<Item = Address> {
    let count = match incoming.outcome.is_ok() {
        true => incoming.outcome.cap_count() as usize,
        false => 0,
    };
    (0..count).filter_map(|slot| match incoming.arrived(slot) {
        Ok((Place::Slot { address, .. }, ..)) => Some(address),
        _ => None,
    })
}

/// One system call that sends `message`.
#[inline(always)]
pub(crate) fn issue<const CAPS: usize>(
    call: Syscall,
    target: Address,
    reply: Address,
    message: &Outgoing<CAPS>,
    window: (Address, u32),
    deadline: Option<u64>,
) -> Returned {
    let mut control = Control::words(message.word_count).with_window(window.0, window.1);
    if CAPS == 0 && deadline.is_none() {
        let request = Request {
            words: message.words,
            target: u64::from(target.0) | u64::from(reply.0) << 32,
            tag: message.tag,
            control,
        };
        return kernel().short(call, request);
    }
    let mut caps = CapsIn::default();
    let mut moved = 0;
    for (i, slot) in message
        .caps
        .iter()
        .enumerate()
        .take(message.cap_count as usize)
    {
        caps = with_slot(caps, i, slot);
        moved |= u32::from(slot.moved) << i;
    }
    control = control.with_caps(message.cap_count, moved);
    if deadline.is_some() {
        control = control.with_deadline();
    }
    let request = Request::new(target, message.tag, message.words, control).with_reply(reply);
    kernel().full(call, request, caps, deadline.unwrap_or(0))
}

#[inline(always)]
const fn with_slot(caps: CapsIn, i: usize, slot: &CapSlot) -> CapsIn {
    if i < caps.slots.len() {
        caps.with(i, slot.source, slot.rights.bits(), slot.badge)
    } else {
        caps
    }
}

/// What the kernel returned, as stubs read it.
#[inline(always)]
pub(crate) const fn incoming(returned: &Returned, window: Address) -> Incoming {
    Incoming {
        words: returned.words,
        sender: returned.sender,
        tag: returned.tag,
        outcome: returned.outcome,
        caps: returned.caps,
        arrivals: returned.arrivals,
        window,
    }
}
