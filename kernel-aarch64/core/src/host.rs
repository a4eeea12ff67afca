//! The store and the machine for hosts: the kernel core runs in a test, an
//! explorer, or under a server that is tested without a target.

use std::boxed::Box;
use std::collections::BTreeMap;
use std::vec::Vec;

use gritos_abi::ObjectType;
use gritos_abi::method::{SLOT_BYTES, object_layout};

use crate::handle::{
    CNodeRef, ContextRef, EndpointRef, NotificationRef, ObjectRef, ReplyRef, SlotRef, SpaceRef,
    TableRef, TcbRef, TimerRef, UNIT,
};
use crate::machine::Machine;
use crate::object::{
    CNode, Context, Endpoint, Header, Notification, Reply, Slot, Space, Table, Tcb, TimerNode,
};
use crate::store::Store;

/// An object in host memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A CNode and its slots.
    CNode(CNode, Vec<Slot>),
    /// A thread.
    Tcb(Box<Tcb>),
    /// An endpoint.
    Endpoint(Endpoint),
    /// A notification.
    Notification(Notification),
    /// A Reply.
    Reply(Reply),
    /// A scheduling context.
    Context(Context),
    /// An address space.
    Space(Box<Space>),
    /// A translation table.
    Table(Box<Table>),
}

impl Object {
    fn header(&self) -> Option<&Header> {
        Some(match self {
            Self::CNode(o, _) => &o.header,
            Self::Tcb(o) => &o.header,
            Self::Endpoint(o) => &o.header,
            Self::Notification(o) => &o.header,
            Self::Reply(o) => &o.header,
            Self::Context(o) => &o.header,
            Self::Space(o) => &o.header,
            Self::Table(_) => return None,
        })
    }

    fn bytes(&self) -> u64 {
        let layout = |object, size| object_layout(object, size).map_or(0, |(bytes, _)| bytes);
        match self {
            Self::CNode(_, slots) => SLOT_BYTES * (slots.len() as u64 + 1),
            Self::Tcb(_) => layout(ObjectType::Tcb, 0),
            Self::Endpoint(_) | Self::Notification(_) | Self::Reply(_) => 64,
            Self::Context(_) => layout(ObjectType::SchedulingContext, 0),
            // The root table is an object of its own.
            Self::Space(_) | Self::Table(_) => 4096,
        }
    }

    fn slot(&self, offset: u64) -> Option<&Slot> {
        let at = |first: u64| offset.checked_sub(first).map(|o| (o / SLOT_BYTES) as usize);
        match self {
            Self::CNode(_, slots) => slots.get(at(SLOT_BYTES)?),
            Self::Tcb(tcb) => tcb.slots.get(at(448)?),
            Self::Space(space) => space.donations.get(at(64)?),
            _ => None,
        }
    }
}

/// Objects at addresses, as on the target; retype removes what lay there.
///
/// A handle that names no object of its type panics: the core must never make
/// one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostStore {
    objects: BTreeMap<u32, Object>,
}

impl HostStore {
    /// Everything that lives, by handle.
    pub fn objects(&self) -> impl Iterator<Item = (u32, &Object)> {
        self.objects
            .iter()
            .map(|(handle, object)| (*handle, object))
    }

    fn at(&self, handle: u32) -> &Object {
        match self.objects.get(&handle) {
            Some(object) => object,
            None => panic!("no object at handle {handle:#x}"),
        }
    }
}

macro_rules! resolve {
    ($($name:ident: $Ref:ty => $Object:ident,)*) => {$(
        fn $name(&self, handle: $Ref) -> &$Object {
            match self.at(handle.raw()) {
                Object::$Object(object) => object,
                other => panic!("handle {:#x} names {other:?}", handle.raw()),
            }
        }
    )*};
}

impl Store for HostStore {
    resolve! {
        tcb: TcbRef => Tcb,
        endpoint: EndpointRef => Endpoint,
        notification: NotificationRef => Notification,
        reply: ReplyRef => Reply,
        context: ContextRef => Context,
        space: SpaceRef => Space,
        table: TableRef => Table,
    }

    fn header(&self, handle: ObjectRef) -> &Header {
        match self.at(handle.raw()).header() {
            Some(header) => header,
            None => panic!("handle {:#x} names a table", handle.raw()),
        }
    }

    fn cnode(&self, handle: CNodeRef) -> &CNode {
        match self.at(handle.raw()) {
            Object::CNode(object, _) => object,
            other => panic!("handle {:#x} names {other:?}", handle.raw()),
        }
    }

    fn slot(&self, handle: SlotRef) -> &Slot {
        let found = self
            .objects
            .range(..=handle.raw())
            .next_back()
            .and_then(|(base, object)| object.slot(u64::from(handle.raw() - base) * UNIT));
        match found {
            Some(slot) => slot,
            None => panic!("no slot at handle {:#x}", handle.raw()),
        }
    }

    fn timer(&self, handle: TimerRef) -> &TimerNode {
        match self.at(handle.raw()) {
            Object::Tcb(tcb) => &tcb.timer,
            Object::Context(context) => &context.timer,
            other => panic!("handle {:#x} names {other:?}", handle.raw()),
        }
    }

    fn create(&mut self, handle: ObjectRef, object: ObjectType, slots: u32) {
        let made = match object {
            ObjectType::CNode => {
                Object::CNode(CNode::default(), std::vec![Slot::default(); slots as usize])
            }
            ObjectType::Tcb => Object::Tcb(Box::default()),
            ObjectType::Endpoint => Object::Endpoint(Endpoint::default()),
            ObjectType::Notification => Object::Notification(Notification::default()),
            ObjectType::Reply => Object::Reply(Reply::default()),
            ObjectType::SchedulingContext => Object::Context(Context::default()),
            ObjectType::AddressSpace => {
                if let Some(root) = SpaceRef::from(handle).root() {
                    self.create_table(root);
                }
                Object::Space(Box::default())
            }
            _ => return,
        };
        self.insert(handle.raw(), made);
    }

    fn create_table(&mut self, handle: TableRef) {
        self.insert(handle.raw(), Object::Table(Box::default()));
    }

    fn zero(&mut self, address: u64, bytes: u64) {
        let (start, end) = (address, address + bytes);
        self.objects.retain(|handle, object| {
            let base = u64::from(*handle) * UNIT;
            base >= end || base + object.bytes() <= start
        });
    }
}

impl HostStore {
    fn insert(&mut self, handle: u32, object: Object) {
        let (start, end) = (
            u64::from(handle) * UNIT,
            u64::from(handle) * UNIT + object.bytes(),
        );
        let overlap = self.objects.iter().find(|(h, o)| {
            let base = u64::from(**h) * UNIT;
            base < end && base + o.bytes() > start
        });
        assert!(
            overlap.is_none(),
            "object at {start:#x} overlaps {overlap:?}"
        );
        self.objects.insert(handle, object);
    }
}

/// A machine that records what it is asked to do. Time stands still unless the
/// test moves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostMachine {
    /// The counter.
    pub now: u64,
    /// What the timer is set for.
    pub timer: u64,
    /// Points at which the kernel may be preempted before one that finds an
    /// interrupt pending; `None` for never.
    pub preempt_after: std::cell::Cell<Option<u32>>,
    /// Lines that are let through.
    pub unmasked: Vec<u32>,
    /// ASIDs and pages whose translations were removed, since last cleared.
    pub forgotten: Vec<(u32, Option<u64>)>,
    /// Whether the console belongs to user space.
    pub console_taken: bool,
    /// Text written with `DebugPutchar`.
    pub text: Vec<u8>,
    /// Exit code once the machine is off.
    pub off: Option<u64>,
    /// How often it was reset.
    pub resets: u32,
    /// Whether the entropy was taken.
    pub entropy_taken: bool,
}

impl Machine for HostMachine {
    fn now(&self) -> u64 {
        self.now
    }
    fn set_timer(&mut self, at: u64) {
        self.timer = at;
    }
    fn interrupt_pending(&self) -> bool {
        match self.preempt_after.get() {
            None => false,
            Some(0) => {
                self.preempt_after.set(None);
                true
            }
            Some(n) => {
                self.preempt_after.set(Some(n - 1));
                false
            }
        }
    }
    fn unmask(&mut self, irq: u32) {
        if !self.unmasked.contains(&irq) {
            self.unmasked.push(irq);
        }
    }
    fn mask(&mut self, irq: u32) {
        self.unmasked.retain(|line| *line != irq);
    }
    fn configure_irq(&mut self, irq: u32, _edge: bool) -> bool {
        irq < crate::irq::LINES
    }
    fn tables_written(&mut self) {}
    fn forget_page(&mut self, asid: u32, page: u64) {
        self.forgotten.push((asid, Some(page)));
    }
    fn forget_space(&mut self, asid: u32) {
        self.forgotten.push((asid, None));
    }
    fn forgotten(&mut self) {}
    fn flush_cache(&mut self, _address: u64, _bytes: u64) {}
    fn empty_ttbr0(&self) -> u64 {
        0
    }
    fn debug_putchar(&mut self, byte: u8) -> bool {
        self.text.push(byte);
        true
    }
    fn console(&mut self, to_user: bool) {
        self.console_taken = to_user;
    }
    fn read_log(&mut self, _into: &mut [u64; 7]) -> u64 {
        0
    }
    fn power_off(&mut self, code: u64) {
        self.off = Some(code);
    }
    fn reset(&mut self) {
        self.resets += 1;
    }
    fn entropy(&mut self) -> Option<[u64; 4]> {
        (!core::mem::replace(&mut self.entropy_taken, true)).then_some([1, 2, 3, 4])
    }
    fn counter_hz(&self) -> u64 {
        1_000_000_000
    }
}
