//! What the root task finds when the kernel starts it.

use gritos_abi::boot_image::{Entry, Segment};
use gritos_abi::boot_info;
use gritos_kernel_core::boot::{RootError, RootFacts};
use gritos_kernel_core::handle::{CNodeRef, SpaceRef, TableRef, TcbRef};
use gritos_kernel_core::host::{HostKernel, HostMachine, HostStore, Object, check};
use gritos_kernel_core::kernel::Kernel;
use gritos_kernel_core::memory_map::Region;
use gritos_kernel_core::object::Slot;
use gritos_kernel_core::store::Store;

use crate::common::*;
use crate::tables::leaf;

mod refused;

/// Bytes that the kernel needs for what it makes.
const HOME_BYTES: u64 = 0x5_4000;
/// Too small a region by one page, before the one that is used.
const SMALL: Region = Region::between(0x4000_0000, 0x4000_0000 + HOME_BYTES);
const HOME: u64 = 0x4020_0000;
const OTHER: Region = Region::between(0x5000_0000, 0x5010_0000);
const IMAGE: Region = Region::between(0x4100_0000, 0x4104_0000);
const TREE: Region = Region::between(0x4800_0100, 0x4800_2f01);
const UART: Region = Region::between(0xfe00_0000, 0xfe10_0000);
const SHARE: Region = Region::between(0x3b40_0000, 0x3b40_2000);
/// All rights but DMA.
const OWN: u32 = 0x3bf;
const R: u32 = 1;
const RW: u32 = 3;
const RX: u32 = 5;
const TOP: u64 = 1 << 39;

fn segment(address: u64, offset: u64, bytes: u64, rights: u32) -> Segment {
    Segment {
        address,
        offset,
        file_bytes: bytes,
        memory_bytes: bytes,
        rights,
    }
}

fn entry(segments: &[Segment]) -> Entry {
    let mut entry = Entry {
        name: [0; 32],
        kind: 1,
        crc32c: 0,
        offset: 0,
        bytes: 0,
        sha256: [0; 32],
        entry_point: 0x20_0040,
        stack: TOP,
        segment_count: segments.len() as u32,
        flags: 0,
        segments: [Segment::default(); 4],
    };
    for (to, from) in entry.segments.iter_mut().zip(segments) {
        *to = *from;
    }
    entry
}

/// A kernel that starts a root with these segments and regions.
fn boot(
    segments: &[Segment],
    free: &[Region],
    devices: &[Region],
) -> (HostKernel, Result<(), RootError>) {
    let machine = HostMachine {
        now: 5000,
        ..HostMachine::default()
    };
    let mut kernel: HostKernel = Kernel::new(HostStore::default(), machine);
    for left_behind in [HOME + 0x2_0000, OTHER.start] {
        let table = TableRef::from_raw((left_behind >> 4) as u32).unwrap();
        kernel.store.create_table(table);
    }
    let result = kernel.start_root(&RootFacts {
        board: 2,
        image: IMAGE,
        flags: 5,
        entry: &entry(segments),
        device_tree: TREE,
        free,
        devices,
    });
    (kernel, result)
}

/// Of a usual root. A right beyond the three that a mapping has is not passed on.
fn program() -> [Segment; 3] {
    [
        segment(0x20_0000, 0x1000, 20 << 12, RX | 0x100),
        segment(0x40_0000, 0x1_5000, 4096, R),
        segment(TOP - 4096, 0x1_6000, 4096, RW),
    ]
}

fn home(bytes: u64) -> Region {
    Region::between(HOME, HOME + bytes)
}

fn started() -> (HostKernel, TcbRef) {
    let free = [SMALL, home(HOME_BYTES + 0x3000), OTHER];
    let (kernel, result) = boot(&program(), &free, &[UART, Region::EMPTY, SHARE]);
    assert_eq!(result, Ok(()));
    let root = kernel.cpu.current.unwrap();
    (kernel, root)
}

fn cap(kernel: &HostKernel, index: u32) -> &Slot {
    let cnode = CNodeRef::from_raw(((HOME + 0x1_3000) >> 4) as u32).unwrap();
    kernel.store.slot(cnode.slot(index).unwrap())
}

#[test]
fn the_root_starts_with_exactly_these_capabilities() {
    let (kernel, _) = started();
    let memory = |start: u64, pages: u32, rights| (ObjectType::MemoryObject, start, rights, pages);
    let untyped = |region: Region| {
        let grains = (region.size() / 64) as u32;
        (ObjectType::Untyped, region.start, 0x3ff, grains)
    };
    let own = |object, address| (object, address, OWN, 0);
    let expected = [
        (ObjectType::Null, 0, 0, 0),
        own(ObjectType::CNode, HOME + 0x1_3000),
        own(ObjectType::Tcb, HOME + 0x5_3040),
        own(ObjectType::AddressSpace, HOME),
        own(ObjectType::SchedulingContext, HOME + 0x5_34c0),
        own(ObjectType::SchedControl, 0),
        own(ObjectType::IrqControl, 0),
        own(ObjectType::Platform, 0),
        own(ObjectType::AsidControl, 0),
        memory(IMAGE.start, 0x40, 0x29),
        memory(0x4800_0000, 3, 0x29),
        memory(IMAGE.start + 0x1000, 20, 0x20 | RX),
        memory(IMAGE.start + 0x1_5000, 1, 0x20 | R),
        memory(IMAGE.start + 0x1_6000, 1, 0x20 | RW),
        (ObjectType::Null, 0, 0, 0),
        memory(HOME + 0x2000, 1, 0x20 | R),
        untyped(SMALL),
        untyped(Region::between(
            HOME + HOME_BYTES,
            HOME + HOME_BYTES + 0x3000,
        )),
        untyped(OTHER),
        untyped(UART),
        untyped(SHARE),
        (ObjectType::Null, 0, 0, 0),
    ];
    for (index, expected) in (0..).zip(expected) {
        let slot = cap(&kernel, index);
        let address = u64::from(slot.object.get()) << 4;
        let found = (
            slot.object_type(),
            address,
            slot.rights.get(),
            slot.badge.get(),
        );
        assert_eq!(found, expected, "slot {index}");
        let device = matches!(index, 19 | 20);
        assert_eq!(slot.has(Slot::DEVICE), device, "slot {index}");
        assert_eq!(slot.memory_type(), if device { 2 } else { 0 });
    }
    for index in 21..4096 {
        assert!(cap(&kernel, index).is_empty(), "slot {index}");
    }
}

#[test]
fn the_root_is_told_what_it_got() {
    let (kernel, _) = started();
    let Some(Object::Table(page)) = kernel.store.get(((HOME + 0x2000) >> 4) as u32) else {
        panic!("no page of information");
    };
    let rest = HOME + HOME_BYTES;
    let expected = [
        &[boot_info::MAGIC, 1, 2, 1_000_000_000][..],
        &[IMAGE.size(), 0x2e01, 0x100],
        &[21, 5, 5],
        &[SMALL.start, HOME_BYTES, 0],
        &[rest, 0x3000, 0],
        &[OTHER.start, 0x10_0000, 0],
        &[UART.start, 0x10_0000, 1],
        &[SHARE.start, 0x2000, 1],
    ]
    .concat();
    let found: Vec<_> = page.0.iter().map(std::cell::Cell::get).collect();
    assert_eq!(found[..expected.len()], expected);
    assert!(found[expected.len()..].iter().all(|word| *word == 0));
}

#[test]
fn the_root_runs_where_and_as_its_entry_says() {
    let (mut kernel, root) = started();
    let t = kernel.store.tcb(root);
    assert_eq!(root.address(), HOME + 0x5_3040);
    assert_eq!((t.frame.pc.get(), t.frame.sp.get()), (0x20_0040, TOP));
    assert_eq!(t.frame.x[0].get(), boot_info::VIRTUAL_ADDRESS);
    assert_eq!((t.priority.get(), t.ceiling.get()), (0, 0));
    assert_eq!(t.ttbr0.get(), (HOME + 0x1000) | 1 << 48);
    // The root's segments lie in the image. Once only they are left, every invariant holds.
    let delete = Ask::invoke(1, method::CNode::Delete as u64).words(&[9]);
    words(&mut kernel, &delete);
    // A time slice of 10 ms by a counter of 1 GHz.
    let info = Ask::invoke(4, method::SchedulingContext::Info as u64);
    kernel.machine.now += 1000;
    assert_eq!(
        words(&mut kernel, &info),
        [10_000_000, 10_000_000, 9_999_000, 1000]
    );
    assert_eq!(kernel.machine.timer, 10_005_000);
    // Five tables lead to what is mapped. They lie in the memory set aside for them.
    let info = Ask::invoke(3, method::AddressSpace::Info as u64);
    assert_eq!(words(&mut kernel, &info)[..3], [1, 11 << 12, 5]);
    let space = SpaceRef::from_raw((HOME >> 4) as u32).unwrap();
    for page in 0..6 {
        let table = kernel
            .store
            .get(((HOME + 0x3000 + (page << 12)) >> 4) as u32);
        assert_eq!(table.is_some(), page < 5, "table {page}");
    }
    let at = |page| leaf(&kernel, space, page);
    for page in 0..20 {
        let text = 0x0020_0000_0000_0fc7 + IMAGE.start + 0x1000 + (page << 12);
        assert_eq!(at(0x200 + page), Some(text), "page {page}");
    }
    let read = 0x0060_0000_0000_0fc7;
    assert_eq!(at(0x400), Some(read + IMAGE.start + 0x1_5000));
    assert_eq!(at((TOP >> 12) - 2), Some(read + HOME + 0x2000));
    let write = 0x0060_0000_0000_0f47;
    assert_eq!(at((TOP >> 12) - 1), Some(write + IMAGE.start + 0x1_6000));
    assert_eq!([0x1ff, 0x214, 0x401, (TOP >> 12) - 3].map(at), [None; 4]);
    // What lay in its home is gone, and nothing else is.
    assert_eq!(kernel.store.get(((HOME + 0x2_0000) >> 4) as u32), None);
    assert!(kernel.store.get((OTHER.start >> 4) as u32).is_some());
}

/// The running thread makes a system call that succeeds; its words.
fn words(kernel: &mut HostKernel, ask: &Ask) -> [u64; 4] {
    kernel.prepare(ask);
    kernel.run_general(ask.number);
    check(kernel).unwrap();
    let root = kernel.cpu.current.unwrap();
    let x = &kernel.store.tcb(root).frame.x;
    assert_eq!(x[10].get() & 0xff, Status::Ok as u64, "{ask:?}");
    [0, 1, 2, 3].map(|i: usize| x[i].get())
}
