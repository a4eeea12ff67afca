//! Methods of kernel objects: from a tag to the object's module.

use gritos_abi::method;
use gritos_abi::{Control, Kind, ObjectType, Outcome, Rights, Status};

use crate::handle::{ContextRef, NotificationRef, SlotRef, SpaceRef, TcbRef};
use crate::kernel::{Done, Kernel};
use crate::machine::Machine;
use crate::object::{Slot, Tag};
use crate::store::Store;
use crate::transfer::{caps_in, check_copy, check_move, narrowed};

/// What rights a method needs on the capability invoked.
fn need(slot: &Slot, rights: Rights) -> Result<(), Status> {
    if slot.rights.get() & rights.bits() == rights.bits() {
        Ok(())
    } else {
        Err(Status::MissingRight)
    }
}

impl<S: Store, M: Machine> Kernel<S, M> {
    /// The running thread calls a capability that is no endpoint: invokes the
    /// method named by its tag.
    pub(crate) fn invoke(&mut self, current: TcbRef, cap: SlotRef) -> Done {
        let s = self.slot(cap);
        let tag = self.tcb(current).x::<9>();
        let object = s.object.get();
        const UNKNOWN: Status = Status::UnknownMethod;
        match s.object_type() {
            ObjectType::Null => Err(Status::EmptySlot.into()),
            // Handled by the caller of this function.
            ObjectType::Endpoint => Err(Status::WrongType.into()),
            ObjectType::Reply => Err(UNKNOWN.into()),
            ObjectType::CNode => {
                let method = method::CNode::from_tag(tag).ok_or(UNKNOWN)?;
                let read = method == method::CNode::Inspect;
                need(s, if read { Rights::READ } else { Rights::WRITE })?;
                self.invoke_cnode(current, cap, method)
            }
            ObjectType::Untyped => {
                let method = method::Untyped::from_tag(tag).ok_or(UNKNOWN)?;
                let info = method == method::Untyped::Info;
                need(s, if info { Rights::READ } else { Rights::MANAGE })?;
                self.invoke_untyped(current, cap, method)
            }
            ObjectType::Tcb => {
                use method::Tcb as T;
                let method = T::from_tag(tag).ok_or(UNKNOWN)?;
                need(
                    s,
                    match method {
                        T::ReadRegisters | T::Info => Rights::READ,
                        T::Configure | T::WriteRegisters | T::SetFlags => Rights::MANAGE,
                        T::BindNotification | T::UnbindNotification => Rights::MANAGE,
                        T::SetPriority | T::Resume | T::Suspend | T::Kill => Rights::CONTROL,
                        T::BindContext | T::UnbindContext => Rights::CONTROL,
                    },
                )?;
                let target = TcbRef::from_raw(object).ok_or(Status::InvalidState)?;
                self.invoke_tcb(current, target, method)
            }
            ObjectType::Notification => {
                method::Notification::from_tag(tag).ok_or(UNKNOWN)?;
                self.signal_through(current, cap)
            }
            ObjectType::SchedulingContext => {
                method::SchedulingContext::from_tag(tag).ok_or(UNKNOWN)?;
                need(s, Rights::READ)?;
                let context = ContextRef::from_raw(object).ok_or(Status::InvalidState)?;
                self.context_info(current, context)
            }
            ObjectType::AddressSpace => {
                let method = method::AddressSpace::from_tag(tag).ok_or(UNKNOWN)?;
                let info = method == method::AddressSpace::Info;
                need(s, if info { Rights::READ } else { Rights::MANAGE })?;
                let space = SpaceRef::from_raw(object).ok_or(Status::InvalidState)?;
                self.invoke_space(current, space, method)
            }
            ObjectType::MemoryObject => {
                let method = method::MemoryObject::from_tag(tag).ok_or(UNKNOWN)?;
                self.invoke_memory(current, cap, method)
            }
            ObjectType::IrqHandler => {
                let method = method::IrqHandler::from_tag(tag).ok_or(UNKNOWN)?;
                need(s, Rights::CONTROL)?;
                self.invoke_irq(current, object, method)
            }
            ObjectType::SchedControl => {
                method::SchedControl::from_tag(tag).ok_or(UNKNOWN)?;
                need(s, Rights::CONTROL)?;
                self.set_budget(current)
            }
            ObjectType::IrqControl => {
                method::IrqControl::from_tag(tag).ok_or(UNKNOWN)?;
                need(s, Rights::CONTROL)?;
                self.make_handler(current, cap)
            }
            ObjectType::Platform => {
                let method = method::Platform::from_tag(tag).ok_or(UNKNOWN)?;
                let read = matches!(method, method::Platform::ReadLog | method::Platform::Clock);
                need(s, if read { Rights::READ } else { Rights::CONTROL })?;
                self.invoke_platform(current, method)
            }
            ObjectType::AsidControl => {
                method::AsidControl::from_tag(tag).ok_or(UNKNOWN)?;
                need(s, Rights::CONTROL)?;
                self.assign_asid(current)
            }
        }
    }

    /// Methods of a CNode.
    fn invoke_cnode(&mut self, current: TcbRef, cap: SlotRef, method: method::CNode) -> Done {
        use method::CNode as C;
        let index = self.tcb(current).x::<0>();
        if matches!(method, C::Copy | C::Mint | C::Move) {
            self.drain()?;
        }
        let target = self.cnode_slot(self.slot(cap), index)?;
        match method {
            C::Copy | C::Mint | C::Move => {
                let t = self.tcb(current);
                if Control(t.x::<10>()).cap_count() == 0 {
                    return Err(Status::InvalidArgument.into());
                }
                let caps = caps_in(t);
                let moves = method == C::Move;
                let address = caps.source(0);
                let from = if moves {
                    self.lookup_mut(current, address)?
                } else {
                    self.lookup(current, address)?
                };
                let s = self.slot(from);
                if s.is_empty() {
                    return Err(Status::EmptySlot.into());
                }
                if !self.slot(target).is_empty() {
                    return Err(Status::SlotOccupied.into());
                }
                let (mask, badge) = (caps.rights_mask(0), caps.badge(0));
                if moves {
                    check_move(mask, badge)?;
                    self.move_cap(from, target);
                } else {
                    if method == C::Copy && badge != 0 {
                        return Err(Status::InvalidArgument.into());
                    }
                    let rights = narrowed(s.rights.get(), mask)?;
                    let badge = check_copy(s, badge)?;
                    self.derive(from, target, rights, badge);
                }
            }
            C::Delete | C::Revoke => {
                if method == C::Delete {
                    self.delete(target)?
                } else {
                    self.revoke(target)?
                }
                if !self.header(current.into()).is(Tag::Tcb) {
                    // The caller took itself away.
                    return Ok(());
                }
            }
            C::Inspect => {
                self.inspect(current, target);
                return Ok(());
            }
        }
        self.succeed(current, 0);
        Ok(())
    }

    fn inspect(&mut self, current: TcbRef, target: SlotRef) {
        let (s, t) = (self.slot(target), self.tcb(current));
        let bit = |set: bool, n: u32| u64::from(set) << n;
        let memory = s.is(ObjectType::MemoryObject) || s.is(ObjectType::Untyped);
        let size = match s.object_type() {
            ObjectType::MemoryObject => u64::from(s.badge.get()) * 4096,
            ObjectType::Untyped => u64::from(s.badge.get()) * crate::untyped::GRAIN,
            ObjectType::CNode => crate::handle::CNodeRef::from_raw(s.object.get())
                .map_or(0, |cnode| u64::from(self.cnode(cnode).len.get())),
            _ => 0,
        };
        let badge = if memory { 0 } else { s.badge.get() };
        t.set_x::<0>(
            u64::from(s.word.get() & 0xff)
                | bit(s.has(Slot::MAPPED), 8)
                | bit(s.first.get().sibling().is_some(), 9)
                | bit(s.has(Slot::DEVICE), 10),
        );
        t.set_x::<1>(u64::from(s.rights.get()) | u64::from(badge) << 32);
        t.set_x::<2>(size);
        self.succeed(current, 3);
    }

    /// Signals through a notification capability: its badge, or MR0 if it has
    /// none.
    pub(crate) fn signal_through(&mut self, current: TcbRef, cap: SlotRef) -> Done {
        let s = self.slot(cap);
        need(s, Rights::SEND)?;
        let bits = match s.badge.get() {
            0 => self.tcb(current).x::<0>(),
            badge => u64::from(badge),
        };
        let n = NotificationRef::from_raw(s.object.get()).ok_or(Status::InvalidState)?;
        self.succeed(current, 0);
        self.signal(n, bits);
        Ok(())
    }

    /// `IrqControl::Get`.
    fn make_handler(&mut self, current: TcbRef, cap: SlotRef) -> Done {
        self.drain()?;
        let t = self.tcb(current);
        let (irq, index, edge) = (t.x::<0>(), t.x::<1>(), t.x::<2>());
        if edge > 1 {
            return Err(Status::InvalidArgument.into());
        }
        let cnode = self.argument(current, 0, ObjectType::CNode, Rights::WRITE)?;
        let target = self.cnode_slot(self.slot(cnode), index)?;
        if !self.slot(target).is_empty() {
            return Err(Status::SlotOccupied.into());
        }
        if !self.irqs.is_free(irq) || !self.machine.configure_irq(irq as u32, edge == 1) {
            return Err(Status::IrqUnavailable.into());
        }
        let s = self.slot(target);
        s.object.set(irq as u32);
        s.word.set(ObjectType::IrqHandler as u32);
        s.rights
            .set((Rights::READ | Rights::GRANT | Rights::CONTROL).bits());
        self.insert_child(cap, target);
        self.add_ref(target);
        self.succeed(current, 0);
        Ok(())
    }

    fn invoke_platform(&mut self, current: TcbRef, method: method::Platform) -> Done {
        use method::Platform as P;
        let argument = self.tcb(current).x::<0>();
        let words = match method {
            P::Reset => {
                self.machine.reset();
                return Err(Status::Unsupported.into());
            }
            P::PowerOff => {
                self.machine.power_off(argument);
                return Err(Status::Unsupported.into());
            }
            P::Entropy => {
                let seed = self.machine.entropy().ok_or(Status::Unsupported)?;
                for (word, value) in self.tcb(current).frame.x.iter().zip(seed) {
                    word.set(value);
                }
                4
            }
            P::TakeConsole => {
                if argument > 1 {
                    return Err(Status::InvalidArgument.into());
                }
                self.machine.console(argument == 1);
                0
            }
            P::ReadLog => {
                let mut text = [0; 7];
                let bytes = self.machine.read_log(&mut text);
                let t = self.tcb(current);
                t.set_x::<0>(bytes);
                for (word, value) in t.frame.x.iter().skip(1).zip(text) {
                    word.set(value);
                }
                8
            }
            P::Clock => {
                let (now, hz) = (self.machine.now(), self.machine.counter_hz());
                let t = self.tcb(current);
                t.set_x::<0>(now);
                t.set_x::<1>(hz);
                2
            }
        };
        self.succeed(current, words);
        Ok(())
    }

    /// The result registers of a method that succeeded.
    pub(crate) fn succeed(&self, current: TcbRef, words: u32) {
        self.arrive(current, Outcome::message(Kind::Reply, words, 0));
    }

    /// Writes an outcome and clears every other result register but the words.
    pub(crate) fn arrive(&self, thread: TcbRef, outcome: Outcome) {
        let t = self.tcb(thread);
        t.set_x::<8>(0);
        t.set_x::<9>(0);
        t.set_x::<10>(outcome.0);
        t.clear_caps();
    }
}
