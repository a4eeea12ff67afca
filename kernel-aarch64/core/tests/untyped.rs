//! Limits of Untyped that mutants of the core showed to be tested nowhere.

use gritos_abi::boot_info::slot;
use gritos_abi::method::{self, MemoryType};
use gritos_abi::{ObjectType, Rights, Status};
use gritos_kernel_core::host::{Ask, World};

const UNTYPED: u32 = slot::UNTYPED_FIRST as u32;

#[test]
fn info_tells_the_physical_address_only_with_dma() {
    let mut w = World::new(64);
    let part = w.make(ObjectType::Untyped, 4096, 1);
    let (root, info) = (w.root, method::Untyped::Info as u64);
    let address = w.succeed(root, &Ask::invoke(UNTYPED, info)).words()[3];
    assert_ne!(address, 0, "the root's Untyped has DMA");
    w.root_cap(part)
        .rights
        .set((Rights::KERNEL - Rights::DMA).bits());
    let got = w.succeed(root, &Ask::invoke(part, info));
    assert_eq!(got.words()[..4], [4096, 4096, 0, 0]);
}

#[test]
fn uncached_memory_is_at_most_what_leaves_the_cache_in_one_go() {
    let mut w = World::new(64);
    let retype = |size: u64, to: u32| {
        let uncached = MemoryType::Uncached as u64;
        let object = ObjectType::MemoryObject as u64;
        Ask::invoke(UNTYPED, method::Untyped::Retype as u64)
            .words(&[object, size, 1, to.into(), 0, uncached])
            .cap(slot::CNODE.into(), 0, 0)
    };
    let (root, to) = (w.root, w.free_slots(1));
    let too_much = (64 << 10) + 4096;
    assert_eq!(
        w.refuse(root, &retype(too_much, to)),
        Status::InvalidArgument
    );
    w.succeed(root, &retype(64 << 10, to));
}
