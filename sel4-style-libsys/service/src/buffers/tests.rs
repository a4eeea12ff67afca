//! The table against memory of the host.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

use gritos_base_api::{BaseError, BufferAccess};
use gritos_idl_runtime::object::MemoryObject;
use gritos_idl_runtime::{
    Address, BUFFER_READ, BUFFER_WRITE, BufferRange, BufferSource, Cap, EndpointCap, Rights,
};
use gritos_sys::shared::BufferError;

use super::{BADGE_BUFFER, BufferMemory, Buffers, MapMemory, Use};

/// Memory objects by slot address, each with its bytes.
type Objects = Rc<RefCell<BTreeMap<u32, Vec<u8>>>>;

#[derive(Clone, Copy, Debug)]
struct Bytes(&'static RefCell<Vec<u8>>);

impl BufferMemory for Bytes {
    fn len(&self) -> u64 {
        self.0.borrow().len() as u64
    }

    fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), BufferError> {
        let bytes = self.0.borrow();
        let from = bytes
            .get(offset as usize..)
            .and_then(|rest| rest.get(..to.len()));
        to.copy_from_slice(from.ok_or(BufferError::OutOfRange)?);
        Ok(())
    }

    fn write(&self, offset: u64, from: &[u8]) -> Result<(), BufferError> {
        let mut bytes = self.0.borrow_mut();
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

#[derive(Default)]
struct HostMapper {
    objects: Objects,
    mapped: Vec<usize>,
}

impl MapMemory for HostMapper {
    type Memory = Bytes;

    fn map(
        &mut self,
        place: usize,
        memory: Cap<MemoryObject>,
        _access: BufferAccess,
    ) -> Result<Bytes, BaseError> {
        let objects = self.objects.borrow();
        let bytes = objects.get(&memory.address().0).ok_or(BaseError::Access)?;
        assert!(!self.mapped.contains(&place), "one mapping for each place");
        self.mapped.push(place);
        Ok(Bytes(std::boxed::Box::leak(std::boxed::Box::new(
            RefCell::new(bytes.clone()),
        ))))
    }

    fn unmap(&mut self, place: usize) {
        assert!(self.mapped.contains(&place), "what is unmapped was mapped");
        self.mapped.retain(|other| *other != place);
    }
}

const CLIENT: u32 = 1 << 31 | 1;
const OTHER: u32 = 1 << 31 | 2;
const BOTH: BufferAccess = BufferAccess::READ.union(BufferAccess::WRITE);

fn table() -> Buffers<HostMapper, 4> {
    let mapper = HostMapper::default();
    for address in 1..=9 {
        mapper
            .objects
            .borrow_mut()
            .insert(address, vec![address as u8; 64]);
    }
    Buffers::new(mapper, 3)
}

fn register(
    table: &mut Buffers<HostMapper, 4>,
    client: u32,
    object: u32,
) -> Result<u32, BaseError> {
    let memory = Cap::new(Address(object));
    let (grant, length) = table.register(client, memory, BOTH, Address(100))?;
    let slot = grant.slot(false);
    assert_eq!((length, slot.source), (64, Address(100)));
    assert_eq!(
        slot.rights,
        Rights::SEND | Rights::GRANT | BUFFER_READ | BUFFER_WRITE
    );
    Ok(slot.badge)
}

fn range(badge: u32, offset: u64, length: u64) -> BufferRange {
    BufferRange {
        source: BufferSource::Registered(badge),
        offset,
        length,
    }
}

fn own(badge: u32) -> EndpointCap<gritos_base_api::Buffer> {
    EndpointCap::Own {
        badge,
        rights: Rights::SEND,
    }
}

#[test]
fn a_registered_range_is_read_and_written_within_its_bounds() {
    let mut table = table();
    let badge = register(&mut table, CLIENT, 3).unwrap();
    assert_ne!(badge & BADGE_BUFFER, 0);
    let mut out = [0; 4];
    table
        .with(&range(badge, 8, 8), Use::Both, |buffer| {
            buffer.write(2, &[7, 8]).unwrap();
            buffer.read(1, &mut out).unwrap();
            assert_eq!(buffer.read(5, &mut [0; 4]), Err(BufferError::OutOfRange));
            assert_eq!(
                buffer.read(u64::MAX, &mut [0]),
                Err(BufferError::OutOfRange)
            );
        })
        .unwrap();
    assert_eq!(out, [3, 7, 8, 3]);
    for (offset, length) in [(0, 65), (64, 1), (u64::MAX, 1), (1, u64::MAX)] {
        let refused = table.with(&range(badge, offset, length), Use::Read, |_| ());
        assert_eq!(refused, Err(BaseError::Invalid), "{offset} {length}");
    }
    table
        .with(&range(badge, 64, 0), Use::Read, |buffer| {
            assert!(buffer.is_empty())
        })
        .unwrap();
}

#[test]
fn a_number_is_good_until_it_is_unregistered_and_never_again() {
    let mut table = table();
    let badge = register(&mut table, CLIENT, 1).unwrap();
    assert_eq!(
        table.unregister(OTHER, own(badge)),
        Err(BaseError::NotRegistered)
    );
    table.unregister(CLIENT, own(badge)).unwrap();
    assert_eq!(
        table.unregister(CLIENT, own(badge)),
        Err(BaseError::NotRegistered)
    );
    let again = register(&mut table, OTHER, 2).unwrap();
    assert_ne!(badge, again);
    let stale = table.with(&range(badge, 0, 1), Use::Read, |_| ());
    assert_eq!(stale, Err(BaseError::NotRegistered));
    let foreign = EndpointCap::Foreign(Cap::new(Address(5)));
    assert_eq!(
        table.unregister(OTHER, foreign),
        Err(BaseError::NotRegistered)
    );
}

#[test]
fn limits_hold_for_each_client_and_for_all() {
    let mut table = table();
    let first: Vec<_> = (1..=3)
        .map(|object| register(&mut table, CLIENT, object))
        .collect();
    assert!(first.iter().all(Result::is_ok));
    assert_eq!(register(&mut table, CLIENT, 4), Err(BaseError::Limit));
    register(&mut table, OTHER, 4).unwrap();
    assert_eq!(
        register(&mut table, OTHER, 5),
        Err(BaseError::Limit),
        "the table is full"
    );
    assert_eq!(table.client_gone(CLIENT), 3);
    assert_eq!(table.client_gone(CLIENT), 0);
    register(&mut table, OTHER, 5).unwrap();
    assert_eq!(table.mapper.mapped.len(), 2);
}

#[test]
fn access_is_what_was_registered() {
    let mut table = table();
    let (grant, _) = table
        .register(
            CLIENT,
            Cap::new(Address(1)),
            BufferAccess::READ,
            Address(100),
        )
        .unwrap();
    let slot = grant.slot(false);
    assert!(!slot.rights.contains(BUFFER_WRITE));
    let wrong = table.with(&range(slot.badge, 0, 1), Use::Write, |_| ());
    assert_eq!(wrong, Err(BaseError::Access));
    table
        .with(&range(slot.badge, 0, 1), Use::Read, |_| ())
        .unwrap();
    let nothing = table.register(
        CLIENT,
        Cap::new(Address(1)),
        BufferAccess::empty(),
        Address(1),
    );
    assert_eq!(nothing.unwrap_err(), BaseError::Invalid);
}

#[test]
fn memory_that_comes_with_a_call_is_mapped_for_that_call() {
    let mut table = table();
    let object = |address, length| BufferRange {
        source: BufferSource::Memory(Cap::new(Address(address))),
        offset: 1,
        length,
    };
    let mut byte = [0];
    table
        .with(&object(7, 3), Use::Read, |buffer| {
            buffer.read(0, &mut byte).unwrap()
        })
        .unwrap();
    assert_eq!(byte, [7]);
    assert_eq!(
        table.with(&object(7, 64), Use::Read, |_| ()),
        Err(BaseError::Invalid)
    );
    assert_eq!(
        table.with(&object(99, 1), Use::Read, |_| ()),
        Err(BaseError::Access)
    );
    assert!(table.mapper.mapped.is_empty());
    assert!(table.registered(&object(7, 3), Use::Read).is_err());
}
