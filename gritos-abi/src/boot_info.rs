//! What the root task finds at start: capabilities in fixed slots of its CNode
//! and one read-only page, whose address is in x0.

/// Slots of the root task's CNode that the kernel fills.
pub mod slot {
    /// The root CNode itself.
    pub const CNODE: u16 = 1;
    /// The root task's thread.
    pub const TCB: u16 = 2;
    /// The root task's AddressSpace.
    pub const ADDRESS_SPACE: u16 = 3;
    /// The root task's SchedulingContext.
    pub const SCHED_CONTEXT: u16 = 4;
    /// SchedControl.
    pub const SCHED_CONTROL: u16 = 5;
    /// IrqControl.
    pub const IRQ_CONTROL: u16 = 6;
    /// Platform.
    pub const PLATFORM: u16 = 7;
    /// AsidControl.
    pub const ASID_CONTROL: u16 = 8;
    /// MemoryObject with the boot image, read-only.
    pub const BOOT_IMAGE: u16 = 9;
    /// MemoryObject with the device tree, read-only.
    pub const DEVICE_TREE: u16 = 10;
    /// First of the memory objects of the root task's own segments, at most four.
    pub const SEGMENT_FIRST: u16 = 11;
    /// MemoryObject with the [`BootInfo`](super::BootInfo) page.
    pub const BOOT_INFO: u16 = 15;
    /// First Untyped capability; the rest follow.
    pub const UNTYPED_FIRST: u16 = 16;
}

/// Slots in the root task's CNode.
pub const ROOT_CNODE_SLOTS: u16 = 4096;
/// Most Untyped capabilities that the boot information describes.
pub const UNTYPED_LIMIT: usize = 96;
/// Value of [`BootInfo::magic`].
pub const MAGIC: u64 = u64::from_le_bytes(*b"gRiTOSin");
/// Address at which the page is mapped.
pub const VIRTUAL_ADDRESS: u64 = 0x7f_ffff_e000;

/// One Untyped region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct UntypedInfo {
    /// Physical address.
    pub base: u64,
    /// Size in bytes.
    pub size: u64,
    /// 1 for device memory, else 0.
    pub device: u64,
}

/// The page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BootInfo {
    /// [`MAGIC`].
    pub magic: u64,
    /// 1.
    pub version: u64,
    /// A [`Board`] number.
    pub board: u64,
    /// Frequency of the counter in Hz.
    pub counter_hz: u64,
    /// Bytes in the boot image, which begins at offset 0 of its MemoryObject.
    pub image_bytes: u64,
    /// Bytes in the device tree.
    pub device_tree_bytes: u64,
    /// Offset of the device tree in its MemoryObject.
    pub device_tree_offset: u64,
    /// First slot of the root CNode that is free; all behind it are.
    pub first_free_slot: u64,
    /// Number of Untyped capabilities, from [`slot::UNTYPED_FIRST`] on.
    pub untyped_count: u64,
    /// Boot flags of the image header.
    pub flags: u64,
    /// The Untyped regions in slot order.
    pub untyped: [UntypedInfo; UNTYPED_LIMIT],
}

/// The board that the kernel runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Board {
    /// QEMU `virt`.
    Virt = 1,
    /// Raspberry Pi 4 Model B, Pi 400 or Compute Module 4.
    RaspberryPi4 = 2,
}

const _: () =
    assert!(size_of::<BootInfo>() <= 4096 && size_of::<BootInfo>() == 80 + 24 * UNTYPED_LIMIT);
