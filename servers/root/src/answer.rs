//! What the root task answers to those who use the service `system`.

use gritos_idl_runtime::object::Notification;
use gritos_idl_runtime::{Caller, Cap, Later, Response, Text};
use gritos_sys::Error;
use gritos_sys::abi::{Address, ObjectType};
use gritos_sys::cap::Untyped;
use gritos_sys::environment::slot;
use gritos_sys::process::Process;
use gritos_system_api::{
    Component, ComponentState, Held, Machine, SystemError, SystemHeldReply, SystemKernelLogReply,
    SystemKillTicket, SystemRestartTicket, SystemServer, ThreadState,
};

use crate::grants::planned;
use crate::leaving::{Next, WaitPlace, Waiting};
use crate::root::Root;

/// Slots that one call looks at.
const LOOK: u32 = 16;
/// The root task's own number.
const ROOT: u32 = 0;

impl Root {
    /// The index of component `number`.
    fn indexed(&self, number: u32) -> Result<u16, SystemError> {
        number
            .checked_sub(1)
            .and_then(|index| u16::try_from(index).ok())
            .filter(|&index| index < self.count())
            .ok_or(SystemError::NotFound)
    }

    fn root_task(&self) -> Component {
        let info = self.shared.creator.tcb.info().ok();
        let contexts = self.contexts.iter();
        let used = contexts.map(|context| context.info().map_or(0, |info| info.used));
        Component {
            memory_bytes: 0,
            used_bytes: 0,
            used_ns: used.sum(),
            restarts: 0,
            state: ComponentState::Running,
            thread: ThreadState::Running,
            priority: info.map_or(0, |info| info.priority),
            name: text("root"),
        }
    }
}

impl SystemServer for Root {
    fn machine(&mut self, _caller: Caller) -> Result<Machine, SystemError> {
        let regions = self.info.untyped.iter().filter(|region| region.device == 0);
        Ok(Machine {
            memory_bytes: regions.map(|region| region.size).sum(),
            free_bytes: self.pool.free(),
            counter_hz: self.info.counter_hz,
            free_slots: self.slots.free().into(),
            components: u32::from(self.count()) + 1,
            board: self.info.board as u32,
        })
    }

    fn component(&mut self, _caller: Caller, number: u32) -> Result<Component, SystemError> {
        if number == ROOT {
            return Ok(self.root_task());
        }
        let index = self.indexed(number)?;
        let spec = self
            .shared
            .system
            .component(index)
            .ok_or(SystemError::NotFound)?;
        let component = *self.component_mut(index).map_err(refused)?;
        let thread = component
            .process
            .and_then(|process| process.tcb.info().ok());
        let context = component
            .process
            .and_then(|process| process.context.info().ok());
        let state = thread.and_then(|info| info.state);
        Ok(Component {
            memory_bytes: spec.memory_bytes,
            used_bytes: component.process.map_or(0, |process| {
                spec.memory_bytes.saturating_sub(free_of(&process))
            }),
            used_ns: context.map_or(0, |info| info.used),
            restarts: component.history.restarts,
            state: component.state,
            thread: state.map_or(ThreadState::Inactive, |state| {
                ThreadState::from_number(state as u8).unwrap_or(ThreadState::Inactive)
            }),
            priority: spec.priority,
            name: text(spec.name),
        })
    }

    fn find(&mut self, _caller: Caller, name: Text<31>) -> Result<u32, SystemError> {
        if name.as_str() == "root" {
            return Ok(ROOT);
        }
        let index = self.shared.system.find(name.as_str());
        index
            .map(|index| u32::from(index) + 1)
            .ok_or(SystemError::NotFound)
    }

    fn held(
        &mut self,
        _caller: Caller,
        number: u32,
        first: u32,
    ) -> Result<SystemHeldReply, SystemError> {
        let index = self.indexed(number)?;
        let spec = self
            .shared
            .system
            .component(index)
            .ok_or(SystemError::NotFound)?;
        let Some(process) = self.component_mut(index).map_err(refused)?.process else {
            return Err(SystemError::State);
        };
        let slots = spec.cnode_slots.min(u32::from(u16::MAX));
        let end = slots.min(first.saturating_add(LOOK));
        let mut reply = SystemHeldReply {
            held: nothing(),
            slot: end.saturating_sub(1),
            more: end < slots,
        };
        for position in first..end {
            let held = process.cnode.inspect(position as u16).map_err(refused)?;
            let object = held.object.unwrap_or(ObjectType::Null);
            if object != ObjectType::Null {
                reply.held = Held {
                    size: held.size,
                    rights: held.rights.bits(),
                    badge: held.badge,
                    object: object as u8,
                    device: held.device,
                    name: text(self.name_of_slot(index, position)),
                };
                (reply.slot, reply.more) = (position, position + 1 < slots);
                break;
            }
        }
        Ok(reply)
    }

    fn kill(
        &mut self,
        _caller: Caller,
        later: Later<'_, SystemKillTicket>,
        number: u32,
    ) -> Response<(), SystemError> {
        let killable = |state: ComponentState| {
            matches!(state, ComponentState::Running | ComponentState::Restarting)
        };
        match self.claim(number, killable) {
            Ok((index, place)) => {
                *place = Some((index, Waiting::Kill(later.keep())));
                self.leave(index, Next::Stopped);
                Response::Later
            }
            Err(error) => Response::Now(Err(error)),
        }
    }

    fn restart(
        &mut self,
        _caller: Caller,
        later: Later<'_, SystemRestartTicket>,
        number: u32,
    ) -> Response<(), SystemError> {
        match self.claim(number, |_| true) {
            Ok((index, place)) => {
                *place = Some((index, Waiting::Restart(later.keep())));
                self.leave(index, Next::Started);
                Response::Later
            }
            Err(error) => Response::Now(Err(error)),
        }
    }

    fn power_off(&mut self, _caller: Caller, code: u32) -> Result<(), SystemError> {
        self.console
            .platform()
            .power_off(u64::from(code))
            .map_err(refused)
    }

    fn reboot(&mut self, _caller: Caller) -> Result<(), SystemError> {
        self.console.platform().reset().map_err(refused)
    }

    fn kernel_log(&mut self, _caller: Caller) -> Result<SystemKernelLogReply, SystemError> {
        let (failure, text) = self.console.piece();
        Ok(SystemKernelLogReply { failure, text })
    }

    fn watch_log(
        &mut self,
        _caller: Caller,
        notification: Cap<Notification>,
    ) -> Result<(), SystemError> {
        let kept = self.slots.take().map_err(refused)?;
        let arrived = gritos_sys::Cap::<gritos_sys::cap::Any>::at(notification.address());
        if let Err(error) = kept.cnode().move_from(kept.index(), arrived) {
            self.slots.give_back(kept);
            return Err(refused(error));
        }
        if let Some(before) = self.console.watch(kept) {
            self.slots.delete(before).map_err(refused)?;
        }
        Ok(())
    }
}

impl Root {
    /// The component `number`, if it is no longer to be what it is, and a place for
    /// who wants that.
    fn claim(
        &mut self,
        number: u32,
        in_state: impl FnOnce(ComponentState) -> bool,
    ) -> Result<(u16, &mut WaitPlace), SystemError> {
        if number == ROOT {
            return Err(SystemError::Invalid);
        }
        let index = self.indexed(number)?;
        if !in_state(self.component_mut(index).map_err(refused)?.state) {
            return Err(SystemError::State);
        }
        Ok((index, self.wait_place()?))
    }

    /// What the component calls the capability in its slot `position`.
    fn name_of_slot(&self, index: u16, position: u32) -> &str {
        let fixed = [
            (slot::CNODE, "own cnode"),
            (slot::TCB, "own thread"),
            (slot::ADDRESS_SPACE, "own space"),
            (slot::MEMORY, "memory"),
            (slot::ENVIRONMENT, "environment"),
        ];
        if let Some((_, name)) = fixed.iter().find(|(s, _)| u32::from(*s) == position) {
            return name;
        }
        position
            .checked_sub(u32::from(slot::GRANT_FIRST))
            .and_then(|grant| planned(&self.shared.system, index).nth(grant as usize))
            .map_or("", |grant| grant.name)
    }
}

/// Bytes that a process has left. One that gave its memory away has none.
fn free_of(process: &Process) -> u64 {
    let cnode = process.cnode.address().index();
    let memory = gritos_sys::Cap::<Untyped>::at(Address::nested(cnode, slot::MEMORY));
    memory.info().map_or(0, |info| info.free)
}

/// No capability.
fn nothing() -> Held {
    Held {
        size: 0,
        rights: 0,
        badge: 0,
        object: 0,
        device: false,
        name: Text::default(),
    }
}

fn text(name: &str) -> Text<31> {
    Text::new(name).unwrap_or_default()
}

pub(crate) fn refused(error: Error) -> SystemError {
    refusal(error.status().ok())
}

/// What a failure for this reason is called here.
pub(crate) fn refusal(status: Option<gritos_sys::abi::Status>) -> SystemError {
    use gritos_sys::abi::Status;
    match status {
        Some(Status::NoMemory | Status::NoTableMemory | Status::NoAsid) => SystemError::NoMemory,
        _ => SystemError::Io,
    }
}
