//! Objects in host memory, at the addresses they would have on the target.

use std::boxed::Box;
use std::cell::Cell;
use std::vec::Vec;

use gritos_abi::ObjectType;
use gritos_abi::method::{SLOT_BYTES, object_layout};

use crate::handle::{ObjectRef, SpaceRef, TableRef, TimerRef, UNIT};
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
    Context(Box<Context>),
    /// An address space.
    Space(Box<Space>),
    /// A translation table.
    Table(Box<Table>),
}

impl Object {
    /// The header; a translation table has none.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
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

    /// Bytes of memory that the object takes. The root table of an address
    /// space is an object of its own here.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let layout = |object, size| object_layout(object, size).map_or(0, |(bytes, _)| bytes);
        match self {
            Self::CNode(_, slots) => SLOT_BYTES * (slots.len() as u64 + 1),
            Self::Tcb(_) => layout(ObjectType::Tcb, 0),
            Self::Endpoint(_) | Self::Notification(_) | Self::Reply(_) => 64,
            Self::Context(_) => layout(ObjectType::SchedulingContext, 0),
            Self::Space(_) | Self::Table(_) => 4096,
        }
    }

    /// The capability slots inside the object, with their distance from its
    /// start in units of a handle.
    pub fn slots(&self) -> impl Iterator<Item = (u32, &Slot)> {
        let (first, slots): (u32, &[Slot]) = match self {
            Self::CNode(_, slots) => (4, slots),
            Self::Tcb(tcb) => (28, &tcb.slots),
            Self::Space(space) => (4, &space.donations),
            _ => (0, &[]),
        };
        (first..).step_by(4).zip(slots)
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

/// The entries of a translation table that are not zero, and some that are, with their indices. Most of a table is empty:
/// eight are looked at together.
pub(crate) fn entries(table: &Table) -> impl Iterator<Item = (u64, u64)> {
    let some = |(_, eight): &(u64, &[Cell<u64>])| eight.iter().fold(0, |or, e| or | e.get()) != 0;
    let eights = (0..).step_by(8).zip(table.0.chunks(8)).filter(some);
    eights.flat_map(|(first, eight)| (first..).zip(eight.iter().map(Cell::get)))
}

/// Objects at addresses, as on the target; retype removes what lay there.
///
/// A handle that names no object of its type panics: the core must never make
/// one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostStore {
    /// In the order of their handles.
    objects: Vec<(u32, Object)>,
    /// Objects and slots looked up so far.
    pub lookups: Lookups,
}

/// A count that is no part of the state: any two are equal.
#[derive(Clone, Debug, Default)]
pub struct Lookups(Cell<u64>);

impl Lookups {
    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.get()
    }

    fn add(&self) {
        self.0.set(self.0.get() + 1);
    }
}

impl PartialEq for Lookups {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Lookups {}

impl HostStore {
    /// Everything in memory, by handle, also what nobody can reach any more.
    pub fn objects(&self) -> impl Iterator<Item = (u32, &Object)> {
        self.objects
            .iter()
            .map(|(handle, object)| (*handle, object))
    }

    /// The object at a handle, if there is one.
    #[must_use]
    pub fn get(&self, handle: u32) -> Option<&Object> {
        let place = self.objects.binary_search_by_key(&handle, |(h, _)| *h);
        self.objects.get(place.ok()?).map(|(_, object)| object)
    }

    fn at(&self, handle: u32) -> &Object {
        self.lookups.add();
        match self.get(handle) {
            Some(object) => object,
            None => panic!("no object at handle {handle:#x}"),
        }
    }

    fn insert(&mut self, handle: u32, object: Object) {
        let start = u64::from(handle) * UNIT;
        let end = start + object.bytes();
        let overlap = self.objects.iter().find(|(h, o)| {
            let base = u64::from(*h) * UNIT;
            base < end && base + o.bytes() > start
        });
        assert!(
            overlap.is_none(),
            "object at {start:#x} overlaps {overlap:?}"
        );
        let place = self.objects.partition_point(|(h, _)| *h < handle);
        self.objects.insert(place, (handle, object));
    }
}

macro_rules! resolve {
    ($($name:ident => $Object:ident,)*) => {$(
        fn $name(&self, raw: u32) -> &$Object {
            match self.at(raw) {
                Object::$Object(object) => object,
                other => panic!("handle {raw:#x} names {other:?}"),
            }
        }
    )*};
}

impl Store for HostStore {
    resolve! {
        tcb_at => Tcb,
        endpoint_at => Endpoint,
        notification_at => Notification,
        reply_at => Reply,
        context_at => Context,
        space_at => Space,
        table_at => Table,
    }

    fn header(&self, handle: ObjectRef) -> &Header {
        match self.at(handle.raw()).header() {
            Some(header) => header,
            None => panic!("handle {:#x} names a table", handle.raw()),
        }
    }

    fn cnode_at(&self, raw: u32) -> &CNode {
        match self.at(raw) {
            Object::CNode(object, _) => object,
            other => panic!("handle {raw:#x} names {other:?}"),
        }
    }

    fn slot_at(&self, raw: u32) -> &Slot {
        self.lookups.add();
        let behind = self.objects.partition_point(|(base, _)| *base <= raw);
        let found = behind
            .checked_sub(1)
            .and_then(|i| self.objects.get(i))
            .and_then(|(base, object)| object.slot(u64::from(raw - base) * UNIT));
        match found {
            Some(slot) => slot,
            None => panic!("no slot at handle {raw:#x}"),
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
            ObjectType::SchedulingContext => Object::Context(Box::default()),
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
        self.objects.retain(|(handle, object)| {
            let base = u64::from(*handle) * UNIT;
            base >= end || base + object.bytes() <= start
        });
    }
}
