//! A machine in memory: a network service, and clients that call it from
//! threads of the host. For tests.
//!
//! It has no wire; clients reach each other through the machine's own loop.
//! Time is made up: it passes while callers wait.

use alloc::vec;
use alloc::vec::Vec;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gritos_base_api::{BaseError, BufferAccess};
use gritos_idl_runtime::object::{MemoryObject, Notification};
use gritos_idl_runtime::{
    Address, Cap, Dispatch, Hooks, Incoming, Kind, ObjectType, Outcome, Outgoing, Rights, Status,
    Ticket, Transport,
};
use gritos_net_api::NetService;
use gritos_service::{BufferMemory, Buffers, MapMemory};
use gritos_sys::shared::BufferError;

use crate::{Clock, Config, FrameDevice, Limits, Rules, Service, ServiceLimits, Signals, Stack};

pub mod frames;
mod port;

use port::{HostPort, Outcomes};

/// Slot of the server's endpoint.
const ENDPOINT: Address = Address::root(1);
/// How often a caller looks for its answer before the test is given up.
const PATIENCE: usize = 200_000;

/// A device without a wire.
#[derive(Clone, Copy, Debug)]
pub struct NoWire;

impl FrameDevice for NoWire {
    fn mac(&self) -> [u8; 6] {
        [2, 0, 0, 0, 0, 9]
    }

    fn mtu(&self) -> usize {
        1500
    }

    fn link_up(&self) -> bool {
        false
    }

    fn receive(&mut self, _frame: &mut [u8]) -> Option<usize> {
        None
    }

    fn can_send(&mut self) -> bool {
        true
    }

    fn send(&mut self, _frame: &[u8]) {}
}

/// Made-up time.
#[derive(Clone, Debug, Default)]
pub struct HostClock(Arc<Mutex<u64>>);

impl Clock for HostClock {
    fn now_ns(&self) -> u64 {
        *lock(&self.0)
    }
}

/// A memory object, which lives as long as the test.
#[derive(Clone, Copy, Debug)]
pub struct HostMemory(&'static Mutex<Option<Vec<u8>>>);

impl HostMemory {
    /// So many zeros.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Box::leak(Box::new(Mutex::new(Some(vec![0; bytes])))))
    }

    /// Takes it away from whoever has it mapped.
    pub fn revoke(&self) {
        *lock(self.0) = None;
    }
}

impl BufferMemory for HostMemory {
    fn len(&self) -> u64 {
        lock(self.0).as_ref().map_or(0, |bytes| bytes.len() as u64)
    }

    fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), BufferError> {
        let bytes = lock(self.0);
        let bytes = bytes.as_ref().ok_or(BufferError::Gone)?;
        let from = bytes.get(offset as usize..);
        let from = from.and_then(|rest| rest.get(..to.len()));
        to.copy_from_slice(from.ok_or(BufferError::OutOfRange)?);
        Ok(())
    }

    fn write(&self, offset: u64, from: &[u8]) -> Result<(), BufferError> {
        let mut bytes = lock(self.0);
        let bytes = bytes.as_mut().ok_or(BufferError::Gone)?;
        let to = bytes.get_mut(offset as usize..);
        let to = to.and_then(|rest| rest.get_mut(..from.len()));
        to.ok_or(BufferError::OutOfRange)?.copy_from_slice(from);
        Ok(())
    }

    fn load(&self, offset: u64) -> Result<u32, BufferError> {
        let mut word = [0; 4];
        self.read(offset, &mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    fn store(&self, offset: u64, value: u32) -> Result<(), BufferError> {
        self.write(offset, &value.to_le_bytes())
    }
}

/// What a slot address stands for, on either side.
#[derive(Clone, Copy, Debug)]
pub enum Held {
    /// A capability to the server's endpoint.
    Server {
        /// Its badge.
        badge: u32,
        /// Its rights.
        rights: Rights,
    },
    /// Memory.
    Memory(HostMemory, Rights),
    /// A notification.
    Notification,
}

/// Slots of everybody in the machine.
type Slots = Arc<Mutex<BTreeMap<u32, Held>>>;

/// Maps memory of the machine's clients.
#[derive(Debug)]
pub struct HostMapper(Slots);

impl MapMemory for HostMapper {
    type Memory = HostMemory;

    fn map(
        &mut self,
        _place: usize,
        memory: Cap<MemoryObject>,
        _access: BufferAccess,
    ) -> Result<HostMemory, BaseError> {
        match lock(&self.0).get(&memory.address().0) {
            Some(Held::Memory(memory, _)) => Ok(*memory),
            _ => Err(BaseError::Invalid),
        }
    }

    fn unmap(&mut self, _place: usize) {}
}

/// Keeps what was signalled, per notification.
#[derive(Clone, Debug, Default)]
pub struct HostSignals(Arc<Mutex<BTreeMap<u32, u64>>>);

impl Signals for HostSignals {
    fn keep(&mut self, notification: Cap<Notification>) -> Option<Cap<Notification>> {
        Some(notification)
    }

    fn signal(&mut self, notification: Cap<Notification>, bits: u64) {
        *lock(&self.0).entry(notification.address().0).or_default() |= bits;
    }

    fn release(&mut self, _notification: Cap<Notification>) {}
}

type Server = Service<NoWire, HostClock, HostMapper, HostSignals, 16>;

struct Inner {
    server: Server,
    port: HostPort,
}

/// The machine.
#[derive(Clone)]
pub struct Machine {
    inner: Arc<Mutex<Inner>>,
    outcomes: Outcomes,
    clock: HostClock,
    slots: Slots,
    signals: HostSignals,
}

impl core::fmt::Debug for Machine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Machine")
    }
}

impl Machine {
    /// A machine whose clients may do what `rules` say; `replies` callers can be
    /// in hand or waiting.
    #[must_use]
    pub fn new(rules: Rules, limits: Limits, waiting: ServiceLimits, replies: usize) -> Self {
        let clock = HostClock::default();
        *lock(&clock.0) = 1_000_000;
        let slots = Slots::default();
        let signals = HostSignals::default();
        let stack = Stack::new(NoWire, Config::default(), limits, rules, &mut [5; 32], 0);
        let buffers = Buffers::new(HostMapper(slots.clone()), 8);
        let server = Service::new(
            stack,
            clock.clone(),
            buffers,
            signals.clone(),
            ENDPOINT,
            1,
            waiting,
        );
        let outcomes = Outcomes::default();
        let port = HostPort::new(replies, outcomes.clone());
        Self {
            inner: Arc::new(Mutex::new(Inner { server, port })),
            outcomes,
            clock,
            slots,
            signals,
        }
    }

    /// Puts something into a slot of its own.
    pub fn hold(&self, held: Held) -> Address {
        let mut slots = lock(&self.slots);
        let address = 0x1000 + slots.len() as u32;
        slots.insert(address, held);
        Address(address)
    }

    /// Removes what is in a slot.
    pub fn release(&self, address: Address) {
        lock(&self.slots).insert(address.0, Held::Notification);
    }

    /// A session of the client with this number.
    pub fn session(&self, number: u32) -> Address {
        self.hold(Held::Server {
            badge: 0x8000_0000 | number,
            rights: Rights::SEND | Rights::GRANT,
        })
    }

    /// What a notification was signalled with since it was asked last.
    pub fn signalled(&self, notification: Address) -> u64 {
        lock(&self.signals.0).remove(&notification.0).unwrap_or(0)
    }

    /// Lets time pass.
    pub fn pass(&self, ns: u64) {
        for _ in 0..ns.div_ceil(1_000_000) {
            self.tick(1_000_000);
        }
    }

    /// The root task says that a client is gone.
    pub fn client_gone(&self, number: u32) -> u64 {
        let request = Outgoing::new(
            0x1004,
            [u64::from(0x8000_0000 | number), 0, 0, 0, 0, 0, 0, 0],
            1,
        );
        let root = self.hold(Held::Server {
            badge: 0,
            rights: Rights::SEND | gritos_base_api::Supervision::ADMINISTER,
        });
        self.caller().call::<0, 0>(root, request, None).words[0]
    }

    /// What carries calls of this machine's clients.
    #[must_use]
    pub fn caller(&self) -> Wire {
        Wire(self.clone())
    }

    fn tick(&self, ns: u64) {
        *lock(&self.clock.0) += ns;
        let inner = &mut *lock(&self.inner);
        inner.server.turn(&mut inner.port);
    }

    /// Delivers a message; the number of the call.
    fn deliver(&self, incoming: &Incoming) -> u64 {
        let inner = &mut *lock(&self.inner);
        let call = inner.port.begin();
        let port = &mut inner.port;
        let answer =
            <NetService as Dispatch<Server>>::dispatch(&mut inner.server, incoming, || {
                gritos_idl_runtime::ServerPort::ticket(port)
            });
        inner.server.turn(&mut inner.port);
        inner.port.finish(answer);
        call
    }

    /// A message as the server gets it.
    fn arrive<const CAPS: usize>(&self, target: Address, message: &Outgoing<CAPS>) -> Incoming {
        let Some(Held::Server { badge, rights }) = self.held(target) else {
            return Incoming::failed(Status::WrongType);
        };
        let mut incoming = Incoming {
            words: message.words,
            sender: u64::from(badge) | u64::from(rights.bits()) << 32,
            tag: message.tag,
            outcome: Outcome::message(Kind::Call, message.word_count, message.cap_count),
            ..Incoming::failed(Status::Ok)
        };
        // Slots are everybody's here: each capability arrives where it was.
        for (at, cap) in message.caps.iter().enumerate() {
            let (object, badge, held) = match self.held(cap.source) {
                Some(Held::Server { badge, rights }) => (None, badge, rights),
                Some(Held::Memory(_, rights)) => (Some(ObjectType::MemoryObject), 0, rights),
                Some(Held::Notification) => (Some(ObjectType::Notification), 0, Rights::SEND),
                None => return Incoming::failed(Status::EmptySlot),
            };
            let rights = if cap.rights.is_empty() {
                held
            } else {
                cap.rights
            };
            if !held.contains(rights) {
                return Incoming::failed(Status::RightsNotHeld);
            }
            port::put_cap(&mut incoming, at, cap.source, object, badge, rights);
        }
        incoming
    }

    /// What is in a slot.
    #[must_use]
    pub fn held(&self, address: Address) -> Option<Held> {
        lock(&self.slots).get(&address.0).copied()
    }

    /// The answer as the client gets it; capabilities go into slots.
    fn receive(&self, reply: &Outgoing<4>) -> Incoming {
        let mut incoming = Incoming {
            words: reply.words,
            tag: reply.tag,
            outcome: Outcome::message(Kind::Reply, reply.word_count, reply.cap_count),
            ..Incoming::failed(Status::Ok)
        };
        for (at, cap) in reply.caps.iter().take(reply.cap_count as usize).enumerate() {
            let slot = self.hold(Held::Server {
                badge: cap.badge,
                rights: cap.rights,
            });
            let object = Some(ObjectType::Endpoint);
            port::put_cap(&mut incoming, at, slot, object, cap.badge, cap.rights);
        }
        incoming
    }
}

/// What carries a client's calls into a [`Machine`].
#[derive(Clone, Debug)]
pub struct Wire(Machine);

impl Transport for Wire {
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        target: Address,
        message: Outgoing<CAPS>,
        timeout_ns: Option<u64>,
    ) -> Incoming {
        let incoming = self.0.arrive(target, &message);
        if !incoming.outcome.is_ok() {
            return incoming;
        }
        let call = self.0.deliver(&incoming);
        let end = timeout_ns.map(|ns| self.0.clock.now_ns().saturating_add(ns));
        for _ in 0..PATIENCE {
            if let Some(reply) = lock(&self.0.outcomes).remove(&call) {
                return self.0.receive(&reply);
            }
            if end.is_some_and(|end| self.0.clock.now_ns() >= end) {
                return Incoming::failed(Status::TimedOut);
            }
            self.0.tick(100_000);
            std::thread::yield_now();
        }
        panic!("a call was never answered");
    }

    fn send<const CAPS: usize>(&mut self, _target: Address, _message: Outgoing<CAPS>) -> Outcome {
        Outcome::error(Status::Unsupported)
    }

    fn discard(&mut self, _incoming: &Incoming) {}
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names a caller of [`HostPort`].
const fn ticket(call: u64) -> Ticket {
    Ticket {
        reply: Address(call as u32),
        generation: 0,
    }
}
