//! Programs of the machine.

use gritos_idl_runtime::{Address, Cap, Rights};
use gritos_net_api::Sockets;
use gritos_net_client::{Local, Net};
use gritos_net_core::host::{Held, HostMemory, Machine, Wire};
use gritos_net_core::{Limits, Rule, Rules, ServiceLimits};
use gritos_service::BufferMemory;

/// A program's side in the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    pub(crate) machine: &'static Machine,
    pub(crate) memory: HostMemory,
}

impl Local for Side {
    type Transport = Wire;

    fn transport(&self) -> Wire {
        self.machine.caller()
    }
    fn bytes(&self) -> usize {
        self.memory.len() as usize
    }
    fn read(&self, offset: usize, to: &mut [u8]) -> bool {
        self.memory.read(offset as u64, to).is_ok()
    }
    fn write(&self, offset: usize, from: &[u8]) -> bool {
        self.memory.write(offset as u64, from).is_ok()
    }
    fn release(&self, capability: Address) {
        self.machine.release(capability);
    }
}

pub(crate) const MEMORY_RIGHTS: Rights = Rights::READ.union(Rights::WRITE).union(Rights::MAP);

pub(crate) fn open_machine() -> &'static Machine {
    let mut rules = Rules::new();
    rules.allow_all(Rule::ANY);
    machine(rules, Limits::default(), ServiceLimits::default())
}

pub(crate) fn machine(rules: Rules, limits: Limits, waiting: ServiceLimits) -> &'static Machine {
    Box::leak(Box::new(Machine::new(rules, limits, waiting, 24)))
}

/// Program number `number`, with so many bytes of shared memory.
pub(crate) fn program(machine: &'static Machine, number: u32, bytes: usize) -> Net<Side> {
    let memory = HostMemory::new(bytes);
    let object = machine.hold(Held::Memory(memory, MEMORY_RIGHTS));
    let session: Cap<Sockets> = Cap::new(machine.session(number));
    let side = Side { machine, memory };
    Net::attach(session, Cap::with_rights(object, MEMORY_RIGHTS), side).unwrap()
}
