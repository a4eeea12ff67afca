//! Every right missing in turn, every method on every wrong type.

use gritos_sys::abi::method as m;
use gritos_sys::abi::{ObjectType, Rights};
use gritos_sys::cap::{
    AddressSpace, Any, Endpoint, IrqHandler, MemoryObject, Notification, Reply, SchedulingContext,
    Tcb,
};
use gritos_sys::{Cap, Mask, Message, Wait};

use super::tests;
use crate::check::{Failure, Verdict, check_refused, refused};
use crate::env::{Env, Snapshot};

tests![
    every_right_is_needed,
    endpoints_and_replies_need_their_rights,
    unknown_methods_are_refused,
    every_wrong_argument_type_is_refused,
    receiving_from_what_cannot_be_received_from,
    reserved_bits_and_counts_are_refused,
];

/// An interrupt that no test device uses.
const UNUSED_IRQ: u32 = 200;

/// One capability to an object of each type.
struct Zoo {
    caps: [Cap<Any>; 14],
}

impl Zoo {
    fn new(env: &mut Env) -> Verdict<Self> {
        let untyped = Env::UNTYPED.split(4096, env.slot()?)?;
        let cnode = Env::UNTYPED.create_cnode(4, env.slot()?)?;
        let irq = Env::IRQS.get(UNUSED_IRQ, false, env.slot()?)?;
        Ok(Self {
            caps: [
                untyped.any(),
                cnode.any(),
                env.make::<Tcb>()?.any(),
                env.make::<Endpoint>()?.any(),
                env.make::<Notification>()?.any(),
                env.make::<Reply>()?.any(),
                env.make::<SchedulingContext>()?.any(),
                env.make::<AddressSpace>()?.any(),
                env.memory(4096)?.any(),
                irq.any(),
                Env::BUDGETS.any(),
                Env::IRQS.any(),
                Env::PLATFORM.any(),
                Env::ASIDS.any(),
            ],
        })
    }

    fn of(&self, object: ObjectType) -> Cap<Any> {
        let [first, ..] = self.caps;
        self.caps
            .get((object as usize).wrapping_sub(1))
            .copied()
            .unwrap_or(first)
    }

    fn all(&self) -> impl Iterator<Item = (ObjectType, Cap<Any>)> + '_ {
        ObjectType::ALL.into_iter().skip(1).zip(self.caps)
    }
}

/// Every method and the right that it needs on the capability invoked. Untyped
/// is missing because its capabilities cannot be narrowed; Platform because the
/// tests hold it with READ alone.
const NEEDS: &[(ObjectType, u64, Rights)] = {
    use ObjectType as T;
    use Rights as R;
    &[
        (T::CNode, m::CNode::Copy as u64, R::WRITE),
        (T::CNode, m::CNode::Mint as u64, R::WRITE),
        (T::CNode, m::CNode::Move as u64, R::WRITE),
        (T::CNode, m::CNode::Delete as u64, R::WRITE),
        (T::CNode, m::CNode::Revoke as u64, R::WRITE),
        (T::CNode, m::CNode::Inspect as u64, R::READ),
        (T::Tcb, m::Tcb::Configure as u64, R::MANAGE),
        (T::Tcb, m::Tcb::SetPriority as u64, R::CONTROL),
        (T::Tcb, m::Tcb::ReadRegisters as u64, R::READ),
        (T::Tcb, m::Tcb::WriteRegisters as u64, R::MANAGE),
        (T::Tcb, m::Tcb::Resume as u64, R::CONTROL),
        (T::Tcb, m::Tcb::Suspend as u64, R::CONTROL),
        (T::Tcb, m::Tcb::BindContext as u64, R::CONTROL),
        (T::Tcb, m::Tcb::UnbindContext as u64, R::CONTROL),
        (T::Tcb, m::Tcb::BindNotification as u64, R::MANAGE),
        (T::Tcb, m::Tcb::UnbindNotification as u64, R::MANAGE),
        (T::Tcb, m::Tcb::Info as u64, R::READ),
        (T::Tcb, m::Tcb::SetFlags as u64, R::MANAGE),
        (T::Tcb, m::Tcb::Kill as u64, R::CONTROL),
        (T::Notification, m::Notification::Signal as u64, R::SEND),
        (
            T::SchedulingContext,
            m::SchedulingContext::Info as u64,
            R::READ,
        ),
        (
            T::SchedControl,
            m::SchedControl::Configure as u64,
            R::CONTROL,
        ),
        (T::AddressSpace, m::AddressSpace::Donate as u64, R::MANAGE),
        (T::AddressSpace, m::AddressSpace::Info as u64, R::READ),
        (T::MemoryObject, m::MemoryObject::Map as u64, R::MAP),
        (T::MemoryObject, m::MemoryObject::Unmap as u64, R::MAP),
        (T::MemoryObject, m::MemoryObject::Protect as u64, R::MAP),
        (
            T::MemoryObject,
            m::MemoryObject::PhysicalAddress as u64,
            R::DMA,
        ),
        (T::IrqControl, m::IrqControl::Get as u64, R::CONTROL),
        (T::IrqHandler, m::IrqHandler::Bind as u64, R::CONTROL),
        (T::IrqHandler, m::IrqHandler::Unbind as u64, R::CONTROL),
        (T::IrqHandler, m::IrqHandler::Ack as u64, R::CONTROL),
        (T::AsidControl, m::AsidControl::Assign as u64, R::CONTROL),
    ]
};

fn every_right_is_needed(env: &mut Env) -> Verdict {
    let zoo = Zoo::new(env)?;
    let slot = env.slot()?;
    for (object, tag, right) in NEEDS {
        let cap = zoo.of(*object);
        let held = Env::CNODE.inspect(cap.address().index())?.rights;
        let Some(mask) = Mask::new(held - *right) else {
            return Err(Failure::new(format_args!(
                "{object:?} holds {right:?} alone"
            )));
        };
        slot.copy(cap, mask)?;
        let before = Snapshot::take()?;
        let call = slot
            .cap::<Any>()
            .call_any(&Message::new(*tag), &Wait::FOREVER);
        let what = format_args!("{object:?} method {tag} without {right:?}");
        refused(call, gritos_sys::abi::Status::MissingRight, &what)?;
        before.still_holds(&what)?;
        slot.delete()?;
    }
    // The Platform capability of a test is narrow already.
    for method in [
        m::Platform::Reset,
        m::Platform::PowerOff,
        m::Platform::Entropy,
    ] {
        let call = Env::PLATFORM
            .any()
            .call_any(&Message::new(method as u64), &Wait::FOREVER);
        check_refused!(call, MissingRight);
    }
    check_refused!(Env::PLATFORM.take_console(true), MissingRight);
    Env::PLATFORM.clock()?;
    Ok(())
}

fn endpoints_and_replies_need_their_rights(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let mute = env.copy(endpoint, Rights::all() - Rights::SEND - reserved())?;
    check_refused!(mute.call(&Message::new(0), &Wait::FOREVER), MissingRight);
    check_refused!(mute.send(&Message::new(0)), MissingRight);
    let deaf = env.copy(endpoint, Rights::all() - Rights::RECV - reserved())?;
    check_refused!(deaf.recv(Some(reply), &Wait::FOREVER), MissingRight);
    check_refused!(deaf.poll(Some(reply), &Wait::FOREVER), MissingRight);
    let no_reply = env.copy(reply, Rights::SEND | Rights::GRANT)?;
    check_refused!(endpoint.poll(Some(no_reply), &Wait::FOREVER), MissingRight);
    check_refused!(no_reply.reply(&Message::new(0)), MissingRight);
    Ok(())
}

/// Rights that exist in a mask and are held by nobody.
fn reserved() -> Rights {
    Rights::from_bits_retain(0xfc00) | Rights::DMA
}

fn unknown_methods_are_refused(env: &mut Env) -> Verdict {
    use ObjectType as T;
    let zoo = Zoo::new(env)?;
    let before = Snapshot::take()?;
    for (object, cap) in zoo.all() {
        let methods = match object {
            T::Null | T::Endpoint => continue,
            T::Reply => 0,
            T::Untyped => m::Untyped::ALL.len(),
            T::CNode => m::CNode::ALL.len(),
            T::Tcb => m::Tcb::ALL.len(),
            T::Notification => m::Notification::ALL.len(),
            T::SchedulingContext => m::SchedulingContext::ALL.len(),
            T::AddressSpace => m::AddressSpace::ALL.len(),
            T::MemoryObject => m::MemoryObject::ALL.len(),
            T::IrqHandler => m::IrqHandler::ALL.len(),
            T::SchedControl => m::SchedControl::ALL.len(),
            T::IrqControl => m::IrqControl::ALL.len(),
            T::Platform => m::Platform::ALL.len(),
            T::AsidControl => m::AsidControl::ALL.len(),
        };
        let beyond = (methods as u64..16).chain([0x100, 1 << 32, u64::MAX]);
        for tag in beyond {
            let call = cap.call_any(&Message::new(tag), &Wait::FOREVER);
            let what = format_args!("{object:?} method {tag}");
            refused(call, gritos_sys::abi::Status::UnknownMethod, &what)?;
        }
        before.still_holds(&format_args!("unknown methods of {object:?}"))?;
    }
    Ok(())
}

/// Methods with a capability argument: the position of the argument and the
/// type that it must have.
const ARGUMENTS: &[(ObjectType, u64, u32, ObjectType)] = {
    use ObjectType as T;
    &[
        (T::Untyped, m::Untyped::Retype as u64, 0, T::CNode),
        (T::Tcb, m::Tcb::Configure as u64, 0, T::CNode),
        (T::Tcb, m::Tcb::Configure as u64, 1, T::AddressSpace),
        (T::Tcb, m::Tcb::Configure as u64, 2, T::Endpoint),
        (T::Tcb, m::Tcb::SetPriority as u64, 0, T::Tcb),
        (T::Tcb, m::Tcb::BindContext as u64, 0, T::SchedulingContext),
        (T::Tcb, m::Tcb::BindNotification as u64, 0, T::Notification),
        (
            T::SchedControl,
            m::SchedControl::Configure as u64,
            0,
            T::SchedulingContext,
        ),
        (
            T::AddressSpace,
            m::AddressSpace::Donate as u64,
            0,
            T::Untyped,
        ),
        (
            T::MemoryObject,
            m::MemoryObject::Map as u64,
            0,
            T::AddressSpace,
        ),
        (T::IrqControl, m::IrqControl::Get as u64, 0, T::CNode),
        (
            T::IrqHandler,
            m::IrqHandler::Bind as u64,
            0,
            T::Notification,
        ),
        (
            T::AsidControl,
            m::AsidControl::Assign as u64,
            0,
            T::AddressSpace,
        ),
    ]
};

fn every_wrong_argument_type_is_refused(env: &mut Env) -> Verdict {
    let zoo = Zoo::new(env)?;
    let null = Cap::<Any>::at(gritos_sys::abi::Address::NULL);
    let empty = env.slot()?.cap::<Any>();
    let before = Snapshot::take()?;
    for (object, tag, position, expected) in ARGUMENTS {
        // Arguments that are right as far as words go.
        let words = match (object, expected) {
            (ObjectType::Untyped, _) => [ObjectType::Endpoint as u64, 0, 1, 900],
            (ObjectType::SchedControl, _) => [1_000_000, 1_000_000, 0, 0],
            (ObjectType::IrqControl, _) => [u64::from(UNUSED_IRQ) + 1, 900, 0, 0],
            (ObjectType::MemoryObject, _) => [1 << 30, 0, 0, u64::from(Rights::READ.bits())],
            _ => [0; 4],
        };
        let with = |argument: Cap<Any>| {
            (0..*position)
                .fold(Message::with(*tag, words), |message, _| {
                    message.copy(null, Mask::AS_HELD)
                })
                .copy(argument, Mask::AS_HELD)
        };
        for (wrong, argument) in zoo.all() {
            if wrong == *expected {
                continue;
            }
            let call = zoo.of(*object).call_any(&with(argument), &Wait::FOREVER);
            let what = format_args!("{object:?} method {tag}: {wrong:?} for {expected:?}");
            refused(call, gritos_sys::abi::Status::WrongType, &what)?;
            before.still_holds(&what)?;
        }
        let call = zoo.of(*object).call_any(&with(empty), &Wait::FOREVER);
        let what = format_args!("{object:?} method {tag}: an empty slot");
        refused(call, gritos_sys::abi::Status::EmptySlot, &what)?;
        before.still_holds(&what)?;
    }
    Ok(())
}

fn receiving_from_what_cannot_be_received_from(env: &mut Env) -> Verdict {
    let zoo = Zoo::new(env)?;
    for (object, cap) in zoo.all() {
        let (receivable, sendable) = match object {
            ObjectType::Endpoint | ObjectType::Notification => (true, true),
            _ => (false, false),
        };
        if !receivable {
            let what = format_args!("receive from {object:?}");
            refused(
                cap.poll_any(None),
                gritos_sys::abi::Status::WrongType,
                &what,
            )?;
        }
        if !sendable {
            let what = format_args!("send to {object:?}");
            let sent = cap.send_any(&Message::new(0));
            refused(sent, gritos_sys::abi::Status::WrongType, &what)?;
        }
        if object != ObjectType::Reply {
            let what = format_args!("{object:?} for a Reply");
            let endpoint = zoo.of(ObjectType::Endpoint).assume::<Endpoint>();
            let polled = endpoint.poll(Some(cap.assume()), &Wait::FOREVER);
            refused(polled, gritos_sys::abi::Status::WrongType, &what)?;
            let replied = cap.assume::<Reply>().reply(&Message::new(0));
            refused(replied, gritos_sys::abi::Status::WrongType, &what)?;
        }
    }
    let _: Cap<MemoryObject> = zoo.of(ObjectType::MemoryObject).assume();
    let _: Cap<IrqHandler> = zoo.of(ObjectType::IrqHandler).assume();
    Ok(())
}

fn reserved_bits_and_counts_are_refused(env: &mut Env) -> Verdict {
    use gritos_sys::abi::{CapsIn, Control, Outcome, Status, Syscall};
    use gritos_sys::raw::{RawCalls, Request, kernel};
    let notification = env.make::<Notification>()?;
    let refusal = Outcome::error(Status::InvalidArgument);
    let controls = [9, 15, 5 << 4, 7 << 4, 1 << 15, 1 << 31];
    for control in controls.map(Control) {
        for call in [
            Syscall::Call,
            Syscall::SendAsync,
            Syscall::Recv,
            Syscall::Poll,
        ] {
            let request = Request::new(notification.address(), 0, [1; 8], control);
            let returned = kernel().full(call, request, CapsIn::default(), 0);
            crate::check::equal(&returned.outcome, &refusal, "a bad control word")?;
        }
    }
    check_refused!(notification.poll(), WouldBlock);
    Ok(())
}
