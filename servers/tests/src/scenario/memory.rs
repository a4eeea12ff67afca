//! Mapping, unmapping, protecting; what the hardware then lets through.

use gritos_sys::abi::fault::{FaultKind, FaultReply};
use gritos_sys::abi::{Address, ObjectType, Rights};
use gritos_sys::cap::{AddressSpace, Endpoint, MemoryObject, Reply};
use gritos_sys::invoke::{Mapping, Permissions};
use gritos_sys::shared::{SHARED_BASE, SharedBuf, error_exit};
use gritos_sys::svc::probe;
use gritos_sys::{Cap, Message, Wait, rt};

use super::tests;
use crate::check::{Failure, Verdict, check, check_eq, check_refused};
use crate::env::{ABOVE, Env, cell, end, low, set_cell};

tests![
    two_mappings_show_the_same_memory,
    info_tells_the_mapping,
    a_capability_maps_once,
    more_rights_than_held_are_refused,
    writable_and_executable_is_refused,
    impossible_ranges_are_refused,
    a_range_in_use_is_refused_and_nothing_is_left,
    stores_to_read_only_memory_fault,
    unmapped_memory_is_gone,
    deleting_or_revoking_unmaps,
    protecting_takes_effect_at_once,
    large_objects_map_in_large_pages,
    tables_need_donated_memory,
    revoking_donated_memory_destroys_the_space,
    a_lost_shared_buffer_is_an_error_not_a_fault,
    address_spaces_are_apart,
];

const HERE: u64 = SHARED_BASE;
/// Where the program's text lies.
const TEXT: u64 = 0x20_0000;
const THERE: u64 = SHARED_BASE + (1 << 21) + 0x5000;

fn buffer(object: Cap<MemoryObject>) -> Verdict<SharedBuf> {
    Ok(SharedBuf::of(object)?)
}

fn word(buffer: &SharedBuf, offset: usize) -> Verdict<u64> {
    let mut bytes = [0; 8];
    let gone = |error| Failure::new(format_args!("read at {offset:#x}: {error:?}"));
    buffer.read(offset, &mut bytes).map_err(gone)?;
    Ok(u64::from_le_bytes(bytes))
}

fn set_word(buffer: &SharedBuf, offset: usize, value: u64) -> Verdict {
    let gone = |error| Failure::new(format_args!("write at {offset:#x}: {error:?}"));
    buffer.write(offset, &value.to_le_bytes()).map_err(gone)
}

fn range(address: u64, offset: u64, length: u64) -> Mapping {
    Mapping {
        address,
        offset,
        length,
    }
}

fn two_mappings_show_the_same_memory(env: &mut Env) -> Verdict {
    let object = env.memory(3 * 4096)?;
    let copy = env.copy(object, Rights::READ | Rights::MAP)?;
    object.map_all(Env::SPACE, HERE, Permissions::ReadWrite)?;
    // The copy shows the last page only.
    copy.map(Env::SPACE, range(THERE, 8192, 4096), Permissions::Read)?;
    let (all, last) = (buffer(object)?, buffer(copy)?);
    check_eq!((all.len(), last.len()), (12288, 4096));
    set_word(&all, 8192 + 16, 0x1234_5678_9abc_def0)?;
    check_eq!(word(&last, 16)?, 0x1234_5678_9abc_def0);
    check_eq!(word(&last, 24)?, 0);
    Ok(())
}

fn info_tells_the_mapping(env: &mut Env) -> Verdict {
    let object = env.memory(8192)?;
    check_eq!(object.info()?.mapping, None);
    object.map(Env::SPACE, range(HERE, 4096, 4096), Permissions::Read)?;
    let info = object.info()?;
    check_eq!((info.size, info.rights), (8192, Rights::READ));
    check_eq!(info.mapping, Some(range(HERE, 4096, 4096)));
    check!(Env::CNODE.inspect(object.address().index())?.mapped);
    object.unmap()?;
    check_eq!(object.info()?.mapping, None);
    Ok(())
}

fn a_capability_maps_once(env: &mut Env) -> Verdict {
    let object = env.memory(4096)?;
    check_refused!(object.unmap(), NotMapped);
    check_refused!(object.protect(Permissions::Read), NotMapped);
    object.map_all(Env::SPACE, HERE, Permissions::ReadWrite)?;
    check_refused!(
        object.map_all(Env::SPACE, THERE, Permissions::Read),
        AlreadyMapped
    );
    // The same call again is a second mapping as well.
    check_refused!(
        object.map_all(Env::SPACE, HERE, Permissions::ReadWrite),
        AlreadyMapped
    );
    let copy = env.copy(object, Rights::READ | Rights::MAP)?;
    check_eq!(copy.info()?.mapping, None);
    copy.map_all(Env::SPACE, THERE, Permissions::Read)?;
    object.unmap()?;
    check_eq!(word(&buffer(copy)?, 0)?, 0);
    Ok(())
}

fn more_rights_than_held_are_refused(env: &mut Env) -> Verdict {
    let object = env.memory(4096)?;
    let reader = env.copy(object, Rights::READ | Rights::MAP)?;
    for permissions in [Permissions::ReadWrite, Permissions::ReadExecute] {
        check_refused!(reader.map_all(Env::SPACE, HERE, permissions), MissingRight);
    }
    reader.map_all(Env::SPACE, HERE, Permissions::Read)?;
    check_refused!(reader.protect(Permissions::ReadWrite), MissingRight);
    let writer = env.copy(object, Rights::WRITE | Rights::MAP)?;
    check_refused!(
        writer.map_all(Env::SPACE, THERE, Permissions::ReadWrite),
        MissingRight
    );
    let kept = env.copy(object, Rights::READ)?;
    check_refused!(
        kept.map_all(Env::SPACE, THERE, Permissions::Read),
        MissingRight
    );
    let space = env.copy(Env::SPACE, Rights::READ | Rights::MANAGE)?;
    let free = env.copy(object, Rights::READ | Rights::MAP)?;
    check_refused!(free.map_all(space, THERE, Permissions::Read), MissingRight);
    Ok(())
}

fn writable_and_executable_is_refused(env: &mut Env) -> Verdict {
    let object = env.memory(4096)?;
    let all = Rights::READ | Rights::WRITE | Rights::EXECUTE;
    check_refused!(
        object.map_rights(Env::SPACE, range(HERE, 0, 0), all),
        WriteExecute
    );
    for rights in [
        Rights::empty(),
        Rights::WRITE,
        Rights::EXECUTE,
        Rights::READ | Rights::SEND,
    ] {
        check_refused!(
            object.map_rights(Env::SPACE, range(HERE, 0, 0), rights),
            InvalidArgument
        );
    }
    check_eq!(object.info()?.mapping, None);
    Ok(())
}

fn impossible_ranges_are_refused(env: &mut Env) -> Verdict {
    let object = env.memory(8192)?;
    let map = |address, offset, length| {
        object.map(
            Env::SPACE,
            range(address, offset, length),
            Permissions::Read,
        )
    };
    for (address, offset, length) in [(HERE + 1, 0, 0), (HERE, 8, 0), (HERE, 0, 4095)] {
        check_refused!(map(address, offset, length), Unaligned);
    }
    const TOP: u64 = 1 << 39;
    for (address, offset, length) in [
        (0, 0, 0),
        (HERE, 8192, 0),
        (HERE, 4096, 8192),
        (HERE, 0, 12288),
        (HERE, !4095, 4096),
        (HERE, 4096, !4095),
        (TOP, 0, 4096),
        (TOP - 4096, 0, 8192),
        (0xffff_ffff_ffff_f000, 0, 4096),
        (0xffff_ff80_0000_0000, 0, 4096),
    ] {
        check_refused!(map(address, offset, length), OutOfRange);
    }
    check_eq!(object.info()?.mapping, None);
    map(TOP - 4096, 0, 4096)?;
    Ok(())
}

fn a_range_in_use_is_refused_and_nothing_is_left(env: &mut Env) -> Verdict {
    let (small, large) = (env.memory(4096)?, env.memory(32 * 4096)?);
    small.map_all(Env::SPACE, HERE + 20 * 4096, Permissions::ReadWrite)?;
    set_word(&buffer(small)?, 0, 99)?;
    check_refused!(
        large.map_all(Env::SPACE, HERE, Permissions::Read),
        AddressInUse
    );
    check_eq!(large.info()?.mapping, None);
    check_eq!(word(&buffer(small)?, 0)?, 99);
    // The pages before the obstacle are free for others.
    let other = env.memory(20 * 4096)?;
    other.map_all(Env::SPACE, HERE, Permissions::Read)?;
    small.unmap()?;
    other.unmap()?;
    large.map_all(Env::SPACE, HERE, Permissions::Read)?;
    Ok(())
}

extern "C" fn load(address: u64) -> ! {
    set_cell(1, 1 + probe::load(address));
    end()
}

extern "C" fn store(address: u64) -> ! {
    set_cell(1, 1 + u64::from(probe::store(address, 7)));
    end()
}

/// Passes if a thread that loads from (or stores to) `address` faults there.
#[track_caller]
fn faults(env: &mut Env, write: bool, address: u64) -> Verdict {
    let (handler, reply) = env.endpoint_and_reply()?;
    let thread = env.spawn_watched(ABOVE, if write { store } else { load }, address, handler)?;
    let fault = handler.poll(Some(reply), &Wait::FOREVER)?;
    check_eq!(fault.tag(), FaultKind::DataAbort as u64);
    check_eq!(fault.words()[0], address);
    reply.reply(&Message::new(FaultReply::Kill as u64))?;
    env.delete(thread)?;
    Ok(())
}

/// Passes if a thread can load from (or store to) `address`.
#[track_caller]
fn succeeds(env: &mut Env, write: bool, address: u64) -> Verdict {
    set_cell(1, 0);
    let thread = env.spawn(ABOVE, if write { store } else { load }, address)?;
    check!(cell(1) != 0);
    env.delete(thread)?;
    Ok(())
}

fn stores_to_read_only_memory_fault(env: &mut Env) -> Verdict {
    let object = env.memory(4096)?;
    object.map_all(Env::SPACE, HERE, Permissions::Read)?;
    succeeds(env, false, HERE)?;
    faults(env, true, HERE)?;
    // Nor is the program's own text writable.
    succeeds(env, false, TEXT)?;
    faults(env, true, TEXT)
}

fn unmapped_memory_is_gone(env: &mut Env) -> Verdict {
    let object = env.memory(8192)?;
    object.map_all(Env::SPACE, HERE, Permissions::ReadWrite)?;
    succeeds(env, true, HERE + 4096)?;
    object.unmap()?;
    faults(env, false, HERE)?;
    faults(env, true, HERE + 4096)?;
    object.map_all(Env::SPACE, HERE, Permissions::ReadWrite)?;
    check_eq!(word(&buffer(object)?, 4096)?, 7);
    Ok(())
}

fn deleting_or_revoking_unmaps(env: &mut Env) -> Verdict {
    let object = env.memory(4096)?;
    let copy = env.copy(object, Rights::READ | Rights::MAP)?;
    copy.map_all(Env::SPACE, HERE, Permissions::Read)?;
    succeeds(env, false, HERE)?;
    env.delete(copy)?;
    faults(env, false, HERE)?;
    let copy = env.copy(object, Rights::READ | Rights::MAP)?;
    copy.map_all(Env::SPACE, HERE, Permissions::Read)?;
    object.map_all(Env::SPACE, THERE, Permissions::ReadWrite)?;
    env.revoke(object)?;
    faults(env, false, HERE)?;
    succeeds(env, true, THERE)
}

fn protecting_takes_effect_at_once(env: &mut Env) -> Verdict {
    let object = env.memory(64 << 10)?;
    object.map_all(Env::SPACE, HERE, Permissions::ReadWrite)?;
    succeeds(env, true, HERE + 0xf000)?;
    object.protect(Permissions::Read)?;
    faults(env, true, HERE)?;
    faults(env, true, HERE + 0xf000)?;
    succeeds(env, false, HERE + 0xf000)?;
    object.protect(Permissions::ReadWrite)?;
    succeeds(env, true, HERE)?;
    succeeds(env, true, HERE + 0xf000)?;
    let all = Rights::READ | Rights::WRITE | Rights::EXECUTE;
    let protect = gritos_sys::abi::method::MemoryObject::Protect as u64;
    check_refused!(
        object.invoke(protect, [u64::from(all.bits())]),
        WriteExecute
    );
    Ok(())
}

fn large_objects_map_in_large_pages(env: &mut Env) -> Verdict {
    let object = env.memory(2 << 21)?;
    let before = Env::SPACE.info()?.tables;
    object.map_all(Env::SPACE, HERE, Permissions::ReadWrite)?;
    // One table of the middle level at most: no table of pages.
    check!(Env::SPACE.info()?.tables - before <= 1);
    let memory = buffer(object)?;
    for offset in [0, 4096, (1 << 21) - 8, 1 << 21, (2 << 21) - 8] {
        check_eq!(word(&memory, offset)?, 0);
        set_word(&memory, offset, offset as u64 + 1)?;
        check_eq!(word(&memory, offset)?, offset as u64 + 1);
    }
    object.protect(Permissions::Read)?;
    faults(env, true, HERE + (1 << 21))?;
    object.unmap()?;
    faults(env, false, HERE + 4096)?;
    // Off by a page, small pages do it, for the same contents.
    let small = range(HERE + 4096, 4096, 1 << 20);
    object.map(Env::SPACE, small, Permissions::Read)?;
    check_eq!(word(&buffer(object)?, 0)?, 4097);
    Ok(())
}

/// An AddressSpace with so many bytes for tables (0: none).
fn space(env: &mut Env, bytes: u64) -> Verdict<Cap<AddressSpace>> {
    let space = env.make::<AddressSpace>()?;
    Env::ASIDS.assign(space)?;
    if bytes > 0 {
        space.donate(Env::UNTYPED.split(bytes, env.slot()?)?)?;
    }
    Ok(space)
}

fn tables_need_donated_memory(env: &mut Env) -> Verdict {
    let empty = space(env, 0)?;
    let object = env.memory(4096)?;
    check_refused!(
        object.map_all(empty, HERE, Permissions::Read),
        NoTableMemory
    );
    check_eq!(object.info()?.mapping, None);
    // Two tables are needed, the middle one and that of the pages.
    let one = Env::UNTYPED.split(4096, env.slot()?)?;
    empty.donate(one)?;
    check_refused!(one.info(), EmptySlot);
    check_refused!(
        object.map_all(empty, HERE, Permissions::Read),
        NoTableMemory
    );
    check_eq!(object.info()?.mapping, None);
    empty.donate(Env::UNTYPED.split(4096, env.slot()?)?)?;
    object.map_all(empty, HERE, Permissions::Read)?;
    let info = empty.info()?;
    check!(info.asid != 0 && info.asid != Env::SPACE.info()?.asid);
    // Only memory without children can be given away.
    let used = Env::UNTYPED.split(8192, env.slot()?)?;
    used.create::<Endpoint>(env.slot()?)?;
    check_refused!(empty.donate(used), InvalidState);
    Ok(())
}

fn revoking_donated_memory_destroys_the_space(env: &mut Env) -> Verdict {
    let pot = Env::UNTYPED.split(64 << 10, env.slot()?)?;
    let space = space(env, 0)?;
    space.donate(pot.split(32 << 10, env.slot()?)?)?;
    let object = env.memory(4096)?;
    object.map_all(space, HERE, Permissions::Read)?;
    env.revoke(pot)?;
    check_eq!(pot.info()?.free, 64 << 10);
    check_eq!(object.info()?.mapping, None);
    check_refused!(object.map_all(space, HERE, Permissions::Read), Deleted);
    object.map_all(Env::SPACE, HERE, Permissions::Read)?;
    Ok(())
}

/// Reads from the shared buffer of a memory object and notes how that went.
extern "C" fn reader(object: u64) -> ! {
    let mut bytes = [0; 64];
    let noted = match SharedBuf::of(low::<MemoryObject>(object)) {
        Err(_) => 1,
        Ok(buffer) => {
            // From here on the memory is gone.
            set_cell(2, 1);
            gritos_sys::ipc::yield_now();
            crate::env::pause(1_000_000);
            match buffer.read(0, &mut bytes) {
                Ok(()) => 2,
                Err(error) => 3 + error as u64,
            }
        }
    };
    set_cell(1, noted);
    end()
}

fn a_lost_shared_buffer_is_an_error_not_a_fault(env: &mut Env) -> Verdict {
    Env::IMAGE.map_all(Env::SPACE, rt::IMMUTABLE_BASE, Permissions::Read)?;
    let object = env.memory(4096)?;
    object.map_all(Env::SPACE, HERE, Permissions::ReadWrite)?;
    let (handler, reply) = env.endpoint_and_reply()?;
    env.spawn_watched(ABOVE, reader, u64::from(object.address().0), handler)?;
    check_eq!(cell(2), 1);
    object.unmap()?;
    let fault = handler.recv(Some(reply), &Wait::FOREVER)?;
    let [address, pc, sp, ..] = fault.words();
    check_eq!(address, HERE);
    let text = text_of_this_program()?;
    let Some(exit) = error_exit(text, TEXT, pc) else {
        return Err(Failure::new(format_args!("no error exit for pc {pc:#x}")));
    };
    reply.reply(&Message::with(FaultReply::Jump as u64, [exit, sp]))?;
    check_eq!(cell(1), 3 + gritos_sys::shared::BufferError::Gone as u64);
    Ok(())
}

/// The text of this program, as it lies in the boot image.
fn text_of_this_program() -> Verdict<&'static [u8]> {
    use gritos_sys::abi::boot_image::{BootImage, EntryKind, crc32c};
    let bytes = rt::immutable_bytes(Env::IMAGE)?;
    let damaged = |error| Failure::new(format_args!("boot image: {error:?}"));
    let image = BootImage::parse(bytes, crc32c).map_err(damaged)?;
    image
        .entries()
        .find(|entry| entry.kind == EntryKind::Root as u32)
        .and_then(|entry| image.payload(&entry))
        .ok_or_else(|| Failure::new(format_args!("no program in the boot image")))
}

/// Stores to an address in an AddressSpace of its own, if it is writable there.
extern "C" fn foreign_store(address: u64) -> ! {
    probe::store(address, 0xbad);
    end()
}

fn address_spaces_are_apart(env: &mut Env) -> Verdict {
    // The same address in two spaces is different memory.
    let (mine, theirs) = (env.memory(4096)?, env.memory(4096)?);
    let other = space(env, 64 << 10)?;
    mine.map_all(Env::SPACE, HERE, Permissions::ReadWrite)?;
    theirs.map_all(other, HERE, Permissions::ReadWrite)?;
    // The other space has the program's text and a stack, nothing else.
    Env::TEXT.map_all(other, TEXT, Permissions::ReadExecute)?;
    let stack = gritos_sys::thread::Stack::map(
        Env::UNTYPED,
        env.slot()?,
        other,
        gritos_sys::process::STACK_TOP,
        16 << 10,
    )?;
    let cnode = Env::UNTYPED.create_cnode(4, env.slot()?)?;
    let thread = env.make()?;
    let context = env.context(1_000_000_000, 1_000_000_000)?;
    gritos_sys::thread::ThreadBuilder::new(cnode, other)
        .priority(ABOVE, ABOVE, Env::TCB)
        .context(context)
        .build(
            thread,
            foreign_store as crate::env::Entry as usize as u64,
            stack.top,
            HERE + 8,
        )?;
    thread.resume()?;
    env.expect_state(thread, gritos_sys::abi::method::ThreadState::Inactive)?;
    check_eq!(word(&buffer(mine)?, 8)?, 0);
    let copy = env.copy(theirs, Rights::READ | Rights::MAP)?;
    copy.map_all(Env::SPACE, THERE, Permissions::Read)?;
    check_eq!(word(&buffer(copy)?, 8)?, 0xbad);
    let _: Cap<Reply> = env.make()?;
    let unused = Cap::<AddressSpace>::at(Address::NULL);
    check!(mine.map_all(unused, THERE, Permissions::Read).is_err());
    check!(Env::CNODE.inspect(copy.address().index())?.object == Some(ObjectType::MemoryObject));
    Ok(())
}
