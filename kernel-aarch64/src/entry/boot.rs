//! The part of booting that runs in Rust: reads the device tree, takes stock of memory, maps it,
//! starts the devices that the kernel drives, and checks the boot image.
//!
//! Whatever is wrong with what the boot loader passed is said on the console, and the machine stops.

use core::slice;

use gritos_abi::boot_image::{BootImage, FLAG_SEMIHOSTING, HEADER_BYTES, Header, ImageError};
use gritos_board::Board;
use gritos_kernel_core::{
    dtb::{self, Place, PlatformInfo},
    memory_map::{Full, Region, RegionSet, tables_needed},
};

use super::start;
use crate::{
    arch::{
        crc::crc32c,
        fault,
        layout::{KERNEL_BASE, PAGE},
        mmu::{BootTables, LINEAR_LIMIT, Show, Unshowable},
    },
    drivers::{
        console::{self, Console},
        gic::{Gic, GicV2, GicV3, V2Cpu, V2Distributor, V3Distributor},
        power::{PmRegisters, Power},
        timer,
    },
};

/// Number of free regions that boot can cope with: more than banks and holes make.
pub(crate) const FREE_REGIONS: usize = 32;

/// All that booting found out, for the first code that is not about booting.
pub(crate) struct BootFacts<'a> {
    pub(crate) board: &'static Board,
    /// Exception level the boot loader entered the kernel at.
    pub(crate) entry_el: u64,
    pub(crate) platform: &'a PlatformInfo,
    /// The kernel image in memory, tables and stacks included.
    pub(crate) kernel: Region,
    /// The boot image in memory, whole pages; empty if there is none.
    pub(crate) payload: Region,
    /// Pages of the device tree.
    pub(crate) device_tree: Region,
    /// All other RAM: whole pages, in the linear map, nobody's yet.
    pub(crate) free: &'a RegionSet<FREE_REGIONS>,
    /// The boot image, every checksum checked; readable until `boot_tables` is closed.
    pub(crate) image: Option<BootImage<'a>>,
    pub(crate) gic: Gic,
    pub(crate) power: Power,
    /// To be closed when the boot image has been read.
    pub(crate) boot_tables: BootTables,
}

/// Called by `reset.s` once, with the stack set and the MMU on.
#[unsafe(no_mangle)]
extern "C" fn boot(device_tree: u64, load: u64, entry_el: u64) -> ! {
    let board = Board::of_load_address(load);
    // SAFETY: `reset.s` calls this once, right after it built the tables for this load address.
    let mut tables = unsafe { BootTables::new(load) };

    let blob = show_device_tree(&mut tables, board, device_tree);
    // Large results are looked at where they are: the stack has no room for copies.
    let platform = &PlatformInfo::from_device_tree(blob);
    let platform = platform
        .as_ref()
        .unwrap_or_else(|&error| refuse(error, blob));
    let uart = show_device(&mut tables, platform, platform.uart.registers);
    // SAFETY: the device tree says that a PL011 is there, and the window keeps it mapped. It is set
    // up: either it is the one that `reset.s` set up, or the boot loader's console.
    unsafe { console::set_base(uart.addr()) };

    let kernel = kernel_extent(load);
    let (payload, image) = show_boot_image(&mut tables, platform, kernel);
    let device_tree = Region::between(device_tree, device_tree + blob.len() as u64);
    if device_tree.overlaps(&kernel) || device_tree.overlaps(&payload) {
        stop("\nthe boot loader placed the device tree over the kernel or the boot image");
    }
    let taken = [kernel, payload, device_tree.pages_around()];
    let stock = &take_stock(platform, &taken);
    let (free, pool) = stock.as_ref().unwrap_or_else(|Full| {
        stop("device tree: too many memory regions, or no RAM left behind the kernel")
    });
    // SAFETY: `free` is RAM apart from the image, all Rust objects and the pool, and the pool is
    // apart from all of them.
    let mapped = unsafe { tables.map_linear(free.as_slice(), *pool) };
    mapped.unwrap_or_else(|Unshowable| stop_window());

    let gic = show_gic(&mut tables, platform);
    gic.init();
    timer::init();
    let power = show_power(&mut tables, platform);
    start::start(BootFacts {
        board,
        entry_el,
        platform,
        kernel,
        payload,
        device_tree: device_tree.pages_around(),
        free,
        image,
        gic,
        power,
        boot_tables: tables,
    })
}

/// Returns the kernel image's place in memory, up to where a boot image would begin.
fn kernel_extent(load: u64) -> Region {
    let end = (&raw const __kernel_end).addr() - KERNEL_BASE;
    Region::between(load, load + end as u64)
}

/// Returns the device tree at physical address `address`.
#[inline(never)]
fn show_device_tree(tables: &mut BootTables, board: &Board, address: u64) -> &'static [u8] {
    // Before anything is read: is it RAM at all? The boot protocol wants it aligned to 8 bytes.
    let in_ram = (board.ram_start..board.ram_end).contains(&address);
    if address == 0 || !in_ram || !address.is_multiple_of(8) {
        Console
            .text("\nno device tree: the boot loader passed address ")
            .hex(address, 1);
        stop(", expected a multiple of 8 in RAM");
    }
    let mut show = |size: usize| {
        let region = Region::between(address, address + size as u64);
        let shown = tables.show(region, Show::Constant);
        let shown = shown.unwrap_or_else(|Unshowable| stop_window());
        // SAFETY: mapped just now, for reading, until boot ends; nobody writes there: it is
        // outside the image, and no other RAM is in use yet. What it holds is checked.
        unsafe { slice::from_raw_parts(shown, size) }
    };
    let size = dtb::total_size(show(dtb::HEADER_SIZE)).unwrap_or_else(|error| {
        Console.text("\nat ").hex(address, 1);
        refuse(error, &[])
    });
    show(size)
}

/// Maps the registers of a device for good.
#[inline(never)]
fn show_device(tables: &mut BootTables, platform: &PlatformInfo, registers: Region) -> *mut u8 {
    if platform
        .ram
        .as_slice()
        .iter()
        .any(|bank| bank.overlaps(&registers))
    {
        Console
            .text("\ndevice tree: registers at ")
            .hex(registers.start, 1);
        stop(" lie in RAM");
    }
    tables
        .show(registers, Show::Device)
        .unwrap_or_else(|Unshowable| stop_window())
}

#[inline(never)]
fn show_gic(tables: &mut BootTables, platform: &PlatformInfo) -> Gic {
    match platform.gic {
        dtb::Gic::V2 { distributor, cpu } => {
            let distributor = show_device(tables, platform, distributor).cast::<V2Distributor>();
            let cpu = show_device(tables, platform, cpu).cast::<V2Cpu>();
            // SAFETY: mapped for good, page-aligned, and of register types, which tolerate any
            // value and sharing. The device tree says that a distributor is there.
            let distributor = unsafe { &*distributor };
            // SAFETY: likewise, a processor interface.
            let cpu = unsafe { &*cpu };
            Gic::V2(GicV2::new(distributor, cpu))
        }
        dtb::Gic::V3 {
            distributor,
            redistributors,
        } => {
            let distributor = show_device(tables, platform, distributor).cast::<V3Distributor>();
            let len = redistributors.size() as usize;
            let redistributors = show_device(tables, platform, redistributors);
            // SAFETY: as for version 2.
            let distributor = unsafe { &*distributor };
            // SAFETY: mapped for good over the length that the device tree says.
            let gic = unsafe { GicV3::new(distributor, redistributors, len) };
            Gic::V3(gic.unwrap_or_else(|| stop("\nno redistributor for the boot processor")))
        }
    }
}

fn show_power(tables: &mut BootTables, platform: &PlatformInfo) -> Power {
    match (platform.psci, platform.bcm_pm) {
        (Some(conduit), _) => Power::Psci(conduit),
        (None, Some(registers)) => {
            let pm = show_device(tables, platform, registers).cast::<PmRegisters>();
            // SAFETY: mapped for good, and of register type; the device tree says what it is.
            Power::Watchdog(unsafe { &*pm })
        }
        (None, None) => Power::None,
    }
}

/// Finds and checks the boot image behind the kernel. Returns the pages it takes, and the image.
#[inline(never)]
fn show_boot_image(
    tables: &mut BootTables,
    platform: &PlatformInfo,
    kernel: Region,
) -> (Region, Option<BootImage<'static>>) {
    let mut show = |start: u64, size: u64| {
        let region = Region::new(start, size).unwrap_or(Region::between(start, u64::MAX));
        let both = Region::between(kernel.start, region.end);
        let mut banks = platform.ram.as_slice().iter();
        if !banks.any(|bank| bank.contains(&both)) {
            Console
                .text("\nkernel and boot image end at ")
                .hex(both.end, 1);
            stop(", outside the RAM that the device tree names");
        }
        let shown = tables.show(region, Show::Constant);
        let shown = shown.unwrap_or_else(|Unshowable| stop_window());
        // SAFETY: mapped just now, for reading, until boot ends; RAM behind the image that nobody
        // uses yet. What it holds is checked.
        unsafe { slice::from_raw_parts(shown.cast_const(), size as usize) }
    };
    let start = kernel.end;
    let size = match Header::parse(show(start, HEADER_BYTES as u64)) {
        Ok(header) => header.total_bytes,
        Err(ImageError::Magic) => return (Region { start, end: start }, None),
        Err(error) => refuse_image(error, None),
    };
    let image = BootImage::parse(show(start, size), crc32c);
    let image = image.unwrap_or_else(|error| refuse_image(error, None));
    if image.header().flags & FLAG_SEMIHOSTING != 0 {
        fault::exit_when_stopped();
    }
    let code = (&raw const __rodata_end).addr() - KERNEL_BASE;
    // SAFETY: text and read-only data of this image, mapped for good; nobody writes there.
    let code = unsafe { slice::from_raw_parts(&raw const __image_start, code) };
    for index in 0..image.header().entry_count {
        if let Err(error) = image.verify(index, code, crc32c) {
            refuse_image(
                error,
                image
                    .entry(index)
                    .as_ref()
                    .map(|entry| entry.name.as_slice()),
            );
        }
    }
    (Region::between(start, start + size), Some(image))
}

/// Returns the RAM that is free, and pages for the tables that map it.
#[inline(never)]
fn take_stock(
    platform: &PlatformInfo,
    taken: &[Region],
) -> Result<(RegionSet<FREE_REGIONS>, Region), Full> {
    let mut free: RegionSet<FREE_REGIONS> = platform
        .ram
        .free_pages(platform.reserved.as_slice(), LINEAR_LIMIT)?;
    for &region in taken {
        free.remove(region)?;
    }
    // The pool comes from right behind the image. Cutting it off moves one edge, and so may add a
    // table at both levels.
    let size = ((tables_needed(free.as_slice()) + 2) * PAGE) as u64;
    let behind = taken
        .iter()
        .map(|region| region.end)
        .filter(|&end| end >= taken[0].end)
        .min();
    let mut place = free.as_slice().iter().filter(|region| region.size() > size);
    let behind = behind.unwrap_or_default();
    let place = place.find(|region| region.start >= behind).ok_or(Full)?;
    let pool = Region::between(place.start, place.start + size);
    free.remove(pool)?;
    Ok((free, pool))
}

/// Stops because of what the device tree says.
#[cold]
fn refuse(error: dtb::Error, blob: &[u8]) -> ! {
    let out = Console.text("\ndevice tree: ").text(error.problem.text());
    match error.place(blob) {
        Place::Offset(offset) => {
            out.text(", at offset ").hex(offset as u64, 1);
        }
        Place::Property(node, property) => {
            out.text(": node ").ascii(node);
            out.text(", property ").text(property);
        }
        Place::Nowhere => {}
    }
    stop("")
}

/// Stops because of what follows the kernel in memory.
#[cold]
fn refuse_image(error: ImageError, entry: Option<&[u8]>) -> ! {
    let (what, number) = match error {
        ImageError::Truncated => ("shorter than it says", None),
        ImageError::Magic => ("no magic number", None),
        ImageError::Version(found) => ("unknown format version", Some(found)),
        ImageError::EntryCount(found) => ("too many entries:", Some(found)),
        ImageError::HeaderCrc => ("checksum of the table does not match", None),
        ImageError::EntryRange(index) => ("range outside the image, entry", Some(index)),
        ImageError::EntryFormat(index) => ("unknown kind or segments, entry", Some(index)),
        ImageError::EntryCrc(index) => ("checksum does not match, entry", Some(index)),
    };
    let out = Console.text("\nboot image: ").text(what);
    if let Some(number) = number {
        out.text(" ").number(number.into());
    }
    if let Some(name) = entry {
        out.text(" ").ascii(name);
    }
    stop("")
}

#[cold]
fn stop_window() -> ! {
    stop("\ndevices and boot image do not fit the kernel's window")
}

/// Ends a boot that cannot succeed.
#[cold]
pub(super) fn stop(why: &str) -> ! {
    Console.text(why).text("\ngRiTOS cannot boot.\n");
    fault::stop()
}

unsafe extern "C" {
    safe static __image_start: u8;
    safe static __rodata_end: u8;
    safe static __kernel_end: u8;
}
