//! System calls: from the number to the operation, and its end.

use gritos_abi::message::Control;
use gritos_abi::{Address, ObjectType, Outcome, Status, Syscall};

use crate::handle::TcbRef;
use crate::kernel::{Done, Kernel, Stop};
use crate::machine::Machine;
use crate::object::{Tag, flag};
use crate::store::Store;

impl<S: Store, M: Machine> Kernel<S, M> {
    /// The running thread made system call `number`; its message registers are
    /// in its frame, and the result is left there. Afterwards the caller runs
    /// [`reschedule`](Self::reschedule).
    pub fn system_call(&mut self, number: u16) {
        let Some(current) = self.cpu.current else {
            return;
        };
        let done = match Syscall::from_number(number) {
            Some(call) => self.perform(current, call),
            None => Err(Status::InvalidSyscall.into()),
        };
        self.end_call(current, done);
    }

    /// Tells the caller how its system call ended.
    pub(crate) fn end_call(&mut self, current: TcbRef, done: Done) {
        match done {
            Ok(()) => {}
            Err(Stop::Error(status)) => self.arrive(current, Outcome::error(status)),
            Err(Stop::SlotError(status, slot)) => {
                self.arrive(current, Outcome::slot_error(status, slot));
            }
            Err(Stop::Preempted) => {
                // Pending work may have ended the caller.
                if self.header(current.into()).is(Tag::Tcb) {
                    let pc = &self.tcb(current).frame.pc;
                    pc.set(pc.get().wrapping_sub(4));
                }
            }
        }
    }

    fn perform(&mut self, current: TcbRef, call: Syscall) -> Done {
        let t = self.tcb(current);
        let carries = !matches!(call, Syscall::Yield | Syscall::DebugPutchar);
        if carries && !Control(t.x::<10>()).is_valid() {
            return Err(Status::InvalidArgument.into());
        }
        t.frame.window.set(t.x::<10>());
        match call {
            Syscall::Call => {
                let cap = self.lookup(current, Address(t.x::<8>() as u32))?;
                let s = self.slot(cap);
                if s.is(ObjectType::Endpoint) {
                    self.call_endpoint(current, cap)
                } else {
                    self.invoke(current, cap)
                }
            }
            Syscall::SendAsync => {
                let cap = self.lookup(current, Address(t.x::<8>() as u32))?;
                let s = self.slot(cap);
                match s.object_type() {
                    ObjectType::Null => Err(Status::EmptySlot.into()),
                    ObjectType::Notification => self.signal_through(current, cap),
                    ObjectType::Endpoint => self.send_async(current, cap),
                    _ => Err(Status::WrongType.into()),
                }
            }
            Syscall::Recv | Syscall::Poll => {
                let wait = call == Syscall::Recv;
                let source = self.check_recv(current, wait, None)?;
                self.recv(current, source, wait)
            }
            Syscall::Reply => {
                let reply = self.named_reply(current)?;
                self.answer(current, reply, false)?;
                self.succeed(current, 0);
                Ok(())
            }
            Syscall::ReplyRecv => {
                let replied = t.has(flag::REPLIED);
                t.header.clear(flag::REPLIED);
                let reply = self.named_reply(current)?;
                let answered = (!replied).then_some(reply);
                let source = self.check_recv(current, true, answered)?;
                if !replied {
                    self.answer(current, reply, true)?;
                }
                let done = self.recv(current, source, true);
                if done == Err(Stop::Preempted) {
                    self.tcb(current).header.set(flag::REPLIED);
                }
                done
            }
            Syscall::Yield => {
                self.arrive(current, Outcome(0));
                self.yield_now();
                Ok(())
            }
            Syscall::DebugPutchar => {
                if !self.machine.debug_putchar(t.x::<0>() as u8) {
                    return Err(Status::InvalidSyscall.into());
                }
                self.arrive(current, Outcome(0));
                Ok(())
            }
        }
    }
}
