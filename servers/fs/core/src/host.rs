//! A kernel's stand-in for tests on a host: clients and the file server in one
//! program, with slots, badges, rights, and memory that a client can change or take
//! away at any time.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use gritos_abi::Arrival;
use gritos_base_api::{BaseError, BufferAccess};
use gritos_idl_runtime::object::MemoryObject;
use gritos_idl_runtime::{
    Address, Answer, Cap, Dispatch, Hooks, Incoming, Kind, ObjectType, Outcome, Outgoing, Rights,
    ServerPort, Status, Ticket, Transport,
};
use gritos_service::{BufferMemory, Buffers, MapMemory};
use gritos_sys::shared::BufferError;

use crate::service::{Alarm, FileService, Limits};
use crate::vfs::Vfs;

/// Buffers that the server under test can map.
pub const BUFFERS: usize = 64;

/// Memory of a client.
#[derive(Clone, Copy, Debug)]
pub struct HostMemory {
    bytes: &'static RefCell<Vec<u8>>,
    /// Accesses that are left, if it is to go.
    left: &'static Cell<Option<u32>>,
    /// Whether its owner writes to it behind each access.
    restless: &'static Cell<bool>,
}

impl HostMemory {
    /// So many bytes, zero. They are never freed: this is for tests.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self {
            bytes: Box::leak(Box::new(RefCell::new(vec![0; bytes]))),
            left: Box::leak(Box::new(Cell::new(None))),
            restless: Box::leak(Box::new(Cell::new(false))),
        }
    }

    /// Takes it away from everybody.
    pub fn revoke(&self) {
        self.revoke_after(0);
    }

    /// The same after so many more accesses, whoever makes them: in the midst of a call
    /// as likely as not.
    pub fn revoke_after(&self, accesses: u32) {
        self.left.set(Some(accesses));
    }

    /// From now on other bytes are there after each access that reads.
    pub fn never_rest(&self) {
        self.restless.set(true);
    }

    /// As it was at first, but for its bytes.
    pub fn renew(&self) {
        self.left.set(None);
        self.restless.set(false);
    }

    fn access(&self) -> Result<(), BufferError> {
        let left = self.left.get();
        if left == Some(0) {
            return Err(BufferError::Gone);
        }
        self.left.set(left.map(|left| left - 1));
        Ok(())
    }
}

impl BufferMemory for HostMemory {
    fn len(&self) -> u64 {
        self.bytes.borrow().len() as u64
    }

    fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), BufferError> {
        self.access()?;
        let mut bytes = self.bytes.borrow_mut();
        let from = bytes
            .get(offset as usize..)
            .and_then(|rest| rest.get(..to.len()));
        to.copy_from_slice(from.ok_or(BufferError::OutOfRange)?);
        if self.restless.get() {
            bytes
                .iter_mut()
                .for_each(|byte| *byte = byte.wrapping_add(1));
        }
        Ok(())
    }

    fn write(&self, offset: u64, from: &[u8]) -> Result<(), BufferError> {
        self.access()?;
        let mut bytes = self.bytes.borrow_mut();
        let to = bytes
            .get_mut(offset as usize..)
            .and_then(|rest| rest.get_mut(..from.len()));
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

/// What a slot holds.
#[derive(Clone, Copy, Debug)]
enum Held {
    /// A capability to the server's endpoint.
    Endpoint { badge: u32, rights: Rights },
    /// A memory object.
    Memory { memory: HostMemory, rights: Rights },
}

type Slots = Rc<RefCell<BTreeMap<u32, Held>>>;

/// Maps what slots hold.
#[derive(Debug)]
pub struct HostMapper {
    slots: Slots,
    mapped: Vec<usize>,
}

impl MapMemory for HostMapper {
    type Memory = HostMemory;

    fn map(
        &mut self,
        place: usize,
        memory: Cap<MemoryObject>,
        _access: BufferAccess,
    ) -> Result<HostMemory, BaseError> {
        match self.slots.borrow().get(&memory.address().0) {
            Some(Held::Memory { memory, .. }) => {
                self.mapped.push(place);
                Ok(*memory)
            }
            _ => Err(BaseError::Access),
        }
    }

    fn unmap(&mut self, place: usize) {
        self.mapped.retain(|other| *other != place);
    }
}

/// The server under test.
pub type Server = FileService<HostMapper, BUFFERS>;

/// The world: the server, and the slots of everybody.
#[derive(Clone)]
pub struct World {
    server: Rc<RefCell<Server>>,
    slots: Slots,
    next: Rc<Cell<u32>>,
}

/// The server's own capability.
const ENDPOINT: Address = Address::root(1);

impl World {
    /// A server for a tree.
    #[must_use]
    pub fn new(vfs: Vfs, limits: Limits) -> Self {
        let slots = Slots::default();
        let server = Self::server(&slots, vfs, limits, 1);
        let world = Self {
            server: Rc::new(RefCell::new(server)),
            slots,
            next: Rc::new(Cell::new(16)),
        };
        let all = Rights::from_bits_retain(u32::MAX);
        let own = Held::Endpoint {
            badge: 0,
            rights: all,
        };
        world.slots.borrow_mut().insert(ENDPOINT.0, own);
        world
    }

    fn server(slots: &Slots, vfs: Vfs, limits: Limits, generation: u64) -> Server {
        let mapper = HostMapper {
            slots: Rc::clone(slots),
            mapped: Vec::new(),
        };
        FileService::new(vfs, Buffers::new(mapper, 8), limits, ENDPOINT, generation)
    }

    /// Another life of the server, with another tree: open files and registered buffers
    /// are gone, sessions stay.
    pub fn restart(&self, vfs: Vfs, generation: u64) {
        let next = Self::server(&self.slots, vfs, Limits::default(), generation);
        *self.server.borrow_mut() = next;
        self.slots.borrow_mut().retain(|_, held| match held {
            Held::Endpoint { badge, .. } => *badge == 0 || *badge >> 31 == 1,
            Held::Memory { .. } => true,
        });
    }

    fn put(&self, held: Held) -> Address {
        let address = Address(self.next.get());
        self.next.set(address.0 + 1);
        self.slots.borrow_mut().insert(address.0, held);
        address
    }

    /// A session for client number `client`, with server rights.
    #[must_use]
    pub fn session(&self, client: u32, rights: Rights) -> Address {
        self.put(Held::Endpoint {
            badge: 1 << 31 | client,
            rights: rights | Rights::SEND | Rights::GRANT,
        })
    }

    /// A capability with any badge, as nobody would get it.
    #[must_use]
    pub fn forged(&self, badge: u32, rights: Rights) -> Address {
        self.put(Held::Endpoint { badge, rights })
    }

    /// A capability to memory.
    #[must_use]
    pub fn memory(&self, memory: HostMemory, rights: Rights) -> Cap<MemoryObject> {
        Cap::with_rights(self.put(Held::Memory { memory, rights }), rights)
    }

    /// The same capability with fewer rights.
    #[must_use]
    pub fn narrowed(&self, address: Address, keep: Rights) -> Option<Address> {
        let held = *self.slots.borrow().get(&address.0)?;
        Some(self.put(match held {
            Held::Endpoint { badge, rights } => Held::Endpoint {
                badge,
                rights: rights & keep,
            },
            Held::Memory { memory, rights } => Held::Memory {
                memory,
                rights: rights & keep,
            },
        }))
    }

    /// What is done with the server itself.
    pub fn with_server<R>(&self, f: impl FnOnce(&mut Server) -> R) -> R {
        f(&mut self.server.borrow_mut())
    }

    /// Slots in use.
    #[must_use]
    pub fn slot_count(&self) -> usize {
        self.slots.borrow().len()
    }

    /// Empties a slot.
    pub fn release(&self, address: Address) {
        self.slots.borrow_mut().remove(&address.0);
    }

    /// The message as the other side gets it, with capabilities in slots of its own.
    fn arrive<const CAPS: usize>(
        &self,
        kind: Kind,
        sender: u64,
        message: &Outgoing<CAPS>,
    ) -> Result<Incoming, Status> {
        let window = Address(self.next.get());
        let mut incoming = Incoming {
            words: message.words,
            sender,
            tag: message.tag,
            outcome: Outcome::message(kind, message.word_count, message.cap_count),
            window,
            ..Incoming::failed(Status::Ok)
        };
        let sent = message.caps.iter().take(message.cap_count as usize);
        for (slot, cap) in sent.enumerate() {
            let held = self.slots.borrow().get(&cap.source.0).copied();
            let (object, badge, has) = match held.ok_or(Status::EmptySlot)? {
                Held::Endpoint { badge, rights } => (None, badge, rights),
                Held::Memory { rights, .. } => (Some(ObjectType::MemoryObject), 0, rights),
            };
            let rights = if cap.rights.is_empty() {
                has
            } else {
                cap.rights
            };
            if !has.contains(rights) {
                return Err(Status::RightsNotHeld);
            }
            let badge = if cap.badge == 0 { badge } else { cap.badge };
            let arrival = match (object, kind) {
                (None, Kind::Call) => Arrival::Unwrapped,
                _ => {
                    let moved = match held {
                        Some(Held::Memory { memory, .. }) => Held::Memory { memory, rights },
                        _ => Held::Endpoint { badge, rights },
                    };
                    let address = self.put(moved);
                    Arrival::InSlot {
                        object: object.unwrap_or(ObjectType::Endpoint),
                        position: (address.0 - window.0) as u8,
                    }
                }
            };
            if let Some(register) = incoming.caps.get_mut(slot) {
                *register = u64::from(badge) | u64::from(rights.bits()) << 32;
            }
            incoming.arrivals |= u64::from(arrival.encode()) << (16 * slot);
        }
        Ok(incoming)
    }

    /// Ends a turn of the server's, as after a message or a wait that ended without one.
    pub fn turn<Q: ServerPort + Alarm>(&self, port: &mut Q) {
        self.server.borrow_mut().turn(port);
    }

    /// The server's notification was signalled.
    pub fn notified<Q: ServerPort + Alarm>(&self, port: &mut Q) {
        self.server.borrow_mut().notified(port, 1);
    }

    /// Delivers a message as it is, well-formed or not.
    pub fn deliver(&self, incoming: &Incoming) -> Incoming {
        let ticket = Ticket {
            reply: Address::root(2),
            generation: 0,
        };
        let mut server = self.server.borrow_mut();
        let answer = gritos_fs_api::FileService::dispatch(&mut *server, incoming, || Some(ticket));
        let arrived = match answer {
            Answer::Words(reply) => self.arrive(Kind::Reply, 0, &reply),
            Answer::Caps(reply) => self.arrive(Kind::Reply, 0, &reply),
            Answer::Refused(error) => self.arrive(Kind::Reply, 0, &Outgoing::refusal(error)),
            // Nobody else is there to wait for.
            Answer::Kept => match server.commit_now() {
                Ok(()) => self.arrive(Kind::Reply, 0, &Outgoing::new(0, [0; 8], 0)),
                Err(error) => {
                    let tag = u64::from(error.number());
                    self.arrive(Kind::Reply, 0, &Outgoing::new(tag, [0; 8], 0))
                }
            },
            Answer::Nothing => Err(Status::ServerDied),
        };
        arrived.unwrap_or_else(Incoming::failed)
    }
}

impl Transport for World {
    fn call<const CAPS: usize, const WINDOW: usize>(
        &mut self,
        target: Address,
        message: Outgoing<CAPS>,
        _timeout_ns: Option<u64>,
    ) -> Incoming {
        let held = self.slots.borrow().get(&target.0).copied();
        let Some(Held::Endpoint { badge, rights }) = held else {
            return Incoming::failed(Status::EmptySlot);
        };
        let sender = u64::from(badge) | u64::from(rights.bits()) << 32;
        match self.arrive(Kind::Call, sender, &message) {
            Ok(incoming) => self.deliver(&incoming),
            Err(status) => Incoming::failed(status),
        }
    }

    fn send<const CAPS: usize>(&mut self, _: Address, _: Outgoing<CAPS>) -> Outcome {
        Outcome::error(Status::WouldBlock)
    }

    fn discard(&mut self, _: &Incoming) {}
}
