//! System calls chosen by bytes: mostly well formed, so that they get far, and
//! often with one thing about them wrong.

use gritos_abi::boot_info::slot;
use gritos_abi::message::Control;
use gritos_abi::method;
use gritos_abi::{Address, ObjectType, Rights, Syscall};

use super::bytes::Bytes;
use crate::handle::TcbRef;
use crate::host::world::RAM;
use crate::host::{Ask, HostKernel};
use crate::object::Slot;
use crate::sched::Ready;

/// Types with methods, and how many each has.
pub(super) const METHODS: [(ObjectType, usize); 13] = [
    (ObjectType::CNode, method::CNode::ALL.len()),
    (ObjectType::Untyped, method::Untyped::ALL.len()),
    (ObjectType::Tcb, method::Tcb::ALL.len()),
    (ObjectType::Notification, method::Notification::ALL.len()),
    (
        ObjectType::SchedulingContext,
        method::SchedulingContext::ALL.len(),
    ),
    (ObjectType::SchedControl, method::SchedControl::ALL.len()),
    (ObjectType::AddressSpace, method::AddressSpace::ALL.len()),
    (ObjectType::MemoryObject, method::MemoryObject::ALL.len()),
    (ObjectType::IrqControl, method::IrqControl::ALL.len()),
    (ObjectType::IrqHandler, method::IrqHandler::ALL.len()),
    (ObjectType::Platform, method::Platform::ALL.len()),
    (ObjectType::AsidControl, method::AsidControl::ALL.len()),
    // Has no methods: every tag is wrong.
    (ObjectType::Reply, 0),
];

/// Types that Retype makes, and sizes that it takes for them.
const MADE: [(ObjectType, &[u64]); 9] = [
    (ObjectType::Endpoint, &[0]),
    (ObjectType::Notification, &[0]),
    (ObjectType::Reply, &[0]),
    (ObjectType::MemoryObject, &[4096, 8192]),
    (ObjectType::Tcb, &[0]),
    (ObjectType::SchedulingContext, &[0]),
    (ObjectType::CNode, &[1, 4, 40]),
    (ObjectType::AddressSpace, &[0]),
    (ObjectType::Untyped, &[64, 4096, 0x8000, 1 << 30]),
];

/// Chooses for one thread.
pub(super) struct Chooser<'a, 'b> {
    pub(super) bytes: &'a mut Bytes<'b>,
    pub(super) kernel: &'a HostKernel,
    pub(super) actor: TcbRef,
    /// Whether the actor seldom waits, so that something happens to those who do.
    pub(super) busy: bool,
}

impl Chooser<'_, '_> {
    /// A system call.
    pub(super) fn ask(&mut self) -> Ask {
        let mut ask = match self.bytes.below(16) {
            0..=6 => self.invocation(),
            7..=14 => self.message(),
            _ => self.anything(),
        };
        if self.bytes.one_in(12) {
            let index = self.bytes.below(ask.x.len());
            let value = self.bytes.number();
            if let Some(register) = ask.x.get_mut(index) {
                // Small changes, too: another bit, another half.
                *register = match self.bytes.below(4) {
                    0 => *register ^ 1 << (value & 63),
                    1 => *register & u64::from(u32::MAX) | value << 32,
                    _ => value,
                };
            }
        }
        ask
    }

    fn anything(&mut self) -> Ask {
        let mut ask = Ask::yield_now();
        ask.number = self.bytes.below(10) as u16;
        for register in &mut ask.x {
            *register = self.bytes.number();
        }
        ask
    }

    /// A slot in which there is something of this type, or now and then any.
    fn slot(&mut self, object: ObjectType) -> u32 {
        if self.bytes.one_in(24) {
            return self.address();
        }
        self.nth(|found| found.is(object))
    }

    /// Any slot with something in it.
    fn some(&mut self) -> u32 {
        self.nth(|found| !found.is_empty())
    }

    /// An empty slot.
    fn empty(&mut self) -> u32 {
        self.nth(Slot::is_empty)
    }

    /// An address, mostly of a slot.
    fn address(&mut self) -> u32 {
        match self.bytes.below(4) {
            0 => self.bytes.number() as u32,
            1 => {
                Address::nested(
                    self.slot(ObjectType::CNode) as u16,
                    self.bytes.byte().into(),
                )
                .0
            }
            _ => self.bytes.below(72) as u32,
        }
    }

    /// One of the slots of the actor's root CNode that will do.
    fn nth(&mut self, will_do: impl Fn(&Slot) -> bool) -> u32 {
        let slot = |index| self.kernel.lookup(self.actor, Address(index)).ok();
        let found = || {
            (1..256)
                .map_while(|index| Some((index, slot(index)?)))
                .filter(|(_, place)| will_do(self.kernel.slot(*place)))
                .map(|(index, _)| index)
        };
        let count = found().count();
        let chosen = self.bytes.below(count.clamp(1, 256));
        found().nth(chosen).unwrap_or_default()
    }

    fn mask(&mut self) -> u32 {
        match self.bytes.below(8) {
            0 => Rights::KERNEL.bits(),
            1 => (Rights::SEND | Rights::GRANT).bits(),
            2 => (Rights::READ | Rights::MAP | Rights::GRANT).bits(),
            3 => self.bytes.number() as u32,
            _ => 0,
        }
    }

    /// A badge: mostly none.
    fn badge(&mut self) -> u32 {
        self.bytes.of(&[0, 0, 0, 0, 1, 2, 1 << 31])
    }

    /// When to give up: soon, or in the past.
    fn deadline(&mut self) -> u64 {
        let now = self.kernel.machine.now;
        now.saturating_add(self.bytes.of(&[1, 10, 100, 1000, 10_000]))
            .saturating_sub(5)
    }

    /// A message to somebody.
    fn message(&mut self) -> Ask {
        let endpoint = self.slot(ObjectType::Endpoint);
        let reply = self.slot(ObjectType::Reply);
        let source = match self.bytes.below(4) {
            0 => self.slot(ObjectType::Notification),
            _ => endpoint,
        };
        let reply_or_none = if self.bytes.one_in(4) { 0 } else { reply };
        let waits = !self.busy || self.bytes.one_in(4);
        let mut ask = match self.bytes.below(16) {
            0..=4 if waits => Ask::call(endpoint),
            0..=4 | 11 => Ask::send(source),
            5..=7 if waits => Ask::recv(source, reply_or_none),
            5..=7 | 12 => Ask::poll(source, reply_or_none),
            8..=10 if waits => Ask::reply_recv(source, reply),
            8..=10 | 13 => Ask::reply(reply),
            _ => return Ask::yield_now(),
        };
        let words = self.bytes.below(9);
        let tag = self.bytes.below(6) as u64;
        let values = [1, 2, 3, 4, 5, 6, 7, 8];
        ask = ask.tag(tag).words(values.get(..words).unwrap_or(&[]));
        if self.bytes.one_in(3) {
            for _ in 0..self.bytes.below(5) {
                let from = self.some();
                ask = match self.bytes.below(4) {
                    0 => ask.moved(from),
                    _ => ask.cap(from, self.mask(), self.badge()),
                };
            }
        }
        if self.bytes.one_in(2) {
            let empty = self.empty();
            ask = ask.window(empty, self.bytes.below(6) as u32);
        }
        // Else soon everybody waits for everybody.
        let alone = self.kernel.cpu.best == Ready::NONE;
        let limited = if alone {
            !self.bytes.one_in(64)
        } else {
            self.bytes.one_in(3)
        };
        if limited {
            ask = ask.deadline(self.deadline());
        }
        ask
    }

    /// A method of an object.
    fn invocation(&mut self) -> Ask {
        let (object, methods) = match self.bytes.below(24) {
            // What the rest needs most often.
            0..=2 => METHODS[0],
            3 | 4 => METHODS[1],
            5..=9 => METHODS[2],
            10 => (ObjectType::MemoryObject, method::MemoryObject::ALL.len()),
            n => METHODS.get(n - 11).copied().unwrap_or(METHODS[1]),
        };
        // One more than there are.
        let tag = self.bytes.below(methods + 1) as u64;
        let target = self.slot(object);
        let ask = Ask::invoke(target, tag);
        let cnode = u32::from(slot::CNODE);
        match object {
            ObjectType::CNode => self.of_cnode(tag),
            ObjectType::Untyped => {
                let (made, sizes) = MADE
                    .get(self.bytes.below(MADE.len()))
                    .copied()
                    .unwrap_or(MADE[0]);
                let size = self.bytes.of(sizes);
                let count = 1 + self.bytes.below(3) as u64;
                let empty = self.empty();
                let at = self
                    .bytes
                    .of(&[0, 0, 0, 0, 0, 0, RAM.0 + (8 << 20), 0xfe00_0000]);
                let kind = self.bytes.of(&[0, 0, 0, 0, 0, 0, 1, 2]);
                ask.words(&[made as u64, size, count, empty.into(), at, kind])
                    .cap(cnode, 0, 0)
            }
            ObjectType::Tcb => self.of_thread(ask, tag),
            ObjectType::Notification => ask.words(&[self.bytes.number()]),
            ObjectType::SchedControl => {
                let context = self.slot(ObjectType::SchedulingContext);
                let budget = self.bytes.of(&[1_000_000, 500, 20_000]);
                let period = budget * self.bytes.of(&[1, 1, 2, 10]);
                ask.words(&[budget, period]).cap(context, 0, 0)
            }
            ObjectType::AddressSpace => ask.cap(self.slot(ObjectType::Untyped), 0, 0),
            ObjectType::MemoryObject => {
                let page = 0x10_0000 + 0x1000 * self.bytes.below(3) as u64;
                let address = self
                    .bytes
                    .of(&[page, page, page, 0x20_0000, 0x4000_0000, 0x10_0800]);
                let offset = self.bytes.of(&[0, 0, 0, 4096]);
                let length = self.bytes.of(&[0, 0, 4096]);
                let access = self.bytes.of(&[1, 3, 5, 1, 3, 5, 2, 7]);
                use method::MemoryObject as M;
                let (target, words) = match M::from_tag(tag) {
                    Some(M::Unmap | M::Protect) => {
                        (self.nth(|found| found.has(Slot::MAPPED)), [access, 0, 0, 0])
                    }
                    _ => (target, [address, offset, length, access]),
                };
                Ask::invoke(target, tag).words(&words).cap(
                    self.slot(ObjectType::AddressSpace),
                    0,
                    0,
                )
            }
            ObjectType::IrqControl => {
                let empty = self.empty();
                let line = self.bytes.of(&[32, 33, 34, 35, 319, 320]);
                ask.words(&[line, empty.into(), self.bytes.below(3) as u64])
                    .cap(cnode, 0, 0)
            }
            ObjectType::IrqHandler => {
                let automatic = self.bytes.below(3) as u64;
                ask.words(&[automatic])
                    .cap(self.slot(ObjectType::Notification), 0, 0)
            }
            ObjectType::AsidControl => ask.cap(self.slot(ObjectType::AddressSpace), 0, 0),
            _ => ask.words(&[self.bytes.below(3) as u64]),
        }
    }

    fn of_cnode(&mut self, tag: u64) -> Ask {
        use method::CNode as C;
        // Mostly the actor's own, whose contents are known here.
        let foreign = self.bytes.one_in(4);
        let cnode = match foreign {
            true => self.slot(ObjectType::CNode),
            false => slot::CNODE.into(),
        };
        let ask = Ask::invoke(cnode, tag);
        let empty = u64::from(self.empty());
        let from = self.some();
        match C::from_tag(tag) {
            Some(C::Copy | C::Move) => ask.words(&[empty]).cap(from, 0, 0),
            Some(C::Mint) => ask.words(&[empty]).cap(from, self.mask(), self.badge()),
            _ if foreign => ask.words(&[self.bytes.below(24) as u64]),
            _ => ask.words(&[from.into()]),
        }
    }

    fn of_thread(&mut self, ask: Ask, tag: u64) -> Ask {
        use method::Tcb as T;
        match T::from_tag(tag) {
            Some(T::Configure) => {
                let mut caps = [
                    self.slot(ObjectType::CNode),
                    self.slot(ObjectType::AddressSpace),
                    self.slot(ObjectType::Endpoint),
                ];
                for cap in &mut caps {
                    *cap = if self.bytes.one_in(3) { 0 } else { *cap };
                }
                let badge = self.badge();
                ask.cap(caps[0], 0, 0)
                    .cap(caps[1], 0, 0)
                    .cap(caps[2], 0, badge)
            }
            Some(T::SetPriority) => {
                let priority = self.bytes.of(&[100, 100, 101, 99, 255, 256]);
                ask.words(&[priority, 99])
                    .cap(self.slot(ObjectType::Tcb), 0, 0)
            }
            Some(T::ReadRegisters) => {
                ask.words(&[self.bytes.below(36) as u64, self.bytes.below(9) as u64])
            }
            Some(T::WriteRegisters) => {
                let (first, count) = (self.bytes.below(36) as u64, self.bytes.below(9) as u64);
                ask.words(&[first | count << 8, 1, 2, 3, 4, 5, 6, 7])
            }
            Some(T::BindContext) => ask.cap(self.slot(ObjectType::SchedulingContext), 0, 0),
            Some(T::BindNotification) => ask.cap(self.slot(ObjectType::Notification), 0, 0),
            _ => ask.words(&[self.bytes.below(3) as u64]),
        }
    }
}

/// Whether a refused call of this kind leaves everything as it was. Receiving
/// may send away senders before it finds nobody, and what ends the machine
/// returns only if that failed.
pub(super) fn refused_changes_nothing(ask: &Ask, target: ObjectType) -> bool {
    match Syscall::from_number(ask.number) {
        Some(Syscall::Call) => target != ObjectType::Platform,
        Some(Syscall::Recv | Syscall::Poll | Syscall::ReplyRecv) => !Control(ask.x[10]).is_valid(),
        _ => true,
    }
}
