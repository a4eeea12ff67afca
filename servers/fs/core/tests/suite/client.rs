//! The client library over the protocols: what programs see.

use std::cell::RefCell;

use embedded_io::{Read, Seek, SeekFrom, Write};
use gritos_fs_api::{File as FileProtocol, FileType, Mode, OpenFlags};
use gritos_fs_client::posix::{
    O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, Posix, SEEK_CUR,
    SEEK_END, SEEK_SET,
};
use gritos_fs_client::{Errno, File, OpenFile, ReadDir};
use gritos_fs_core::memfs::MemoryVolume;
use gritos_fs_core::service::Limits;
use gritos_idl_runtime::{Cap, Rights};

use crate::support::{Random, now, tree};
use crate::wire::{Wire, client, world};

const MODE: Mode = Mode::from_bits_retain(0o644);

#[test]
fn descriptors_positions_and_errors_are_those_of_posix() {
    let world = world(Limits::default());
    let mut posix = Posix::new(client(&world, 1).0);
    assert_eq!(posix.open("/m/a", O_RDONLY, 0), Err(Errno::NOENT));
    let fd = posix
        .open("/m/a", O_RDWR | O_CREAT | O_EXCL, 0o640)
        .expect("new");
    assert_eq!(fd, 0);
    assert_eq!(
        posix.open("/m/a", O_RDWR | O_CREAT | O_EXCL, 0o640),
        Err(Errno::EXIST)
    );
    assert_eq!(posix.write(fd, b"hello, world"), Ok(12));
    assert_eq!(posix.lseek(fd, 0, SEEK_CUR), Ok(12));
    assert_eq!(posix.lseek(fd, -5, SEEK_END), Ok(7));
    let mut bytes = [0; 16];
    assert_eq!(posix.read(fd, &mut bytes), Ok(5));
    assert_eq!(&bytes[..5], b"world");
    assert_eq!(posix.read(fd, &mut bytes), Ok(0));
    assert_eq!(posix.pread(fd, &mut bytes, 3), Ok(9));
    assert_eq!(posix.pwrite(fd, b"J", 0), Ok(1));
    assert_eq!(
        posix.lseek(fd, 0, SEEK_CUR),
        Ok(12),
        "pread and pwrite leave it"
    );
    assert_eq!(posix.lseek(fd, -1, SEEK_SET), Err(Errno::INVAL));
    assert_eq!(posix.lseek(fd, i64::MAX, SEEK_CUR), Err(Errno::INVAL));
    assert_eq!(posix.lseek(fd, 0, 9), Err(Errno::INVAL));
    assert_eq!(posix.pread(fd, &mut bytes, -1), Err(Errno::INVAL));
    assert_eq!(posix.ftruncate(fd, -1), Err(Errno::INVAL));
    posix.ftruncate(fd, 5).expect("shorter");
    let stat = posix.fstat(fd).expect("fstat");
    assert_eq!((stat.size, stat.mode.bits(), stat.links), (5, 0o640, 1));
    posix.fsync(fd).expect("fsync");
    let second = posix.open("/m/a", O_WRONLY | O_APPEND, 0).expect("append");
    assert_eq!(posix.write(second, b"!"), Ok(1));
    assert_eq!(posix.lseek(second, 0, SEEK_CUR), Ok(6));
    assert_eq!(posix.read(second, &mut bytes), Err(Errno::BADF));
    posix.close(fd).expect("close");
    assert_eq!(posix.close(fd), Err(Errno::BADF));
    assert_eq!(posix.read(fd, &mut bytes), Err(Errno::BADF));
    assert_eq!(
        posix.open("/m/a", O_RDONLY, 0),
        Ok(0),
        "the lowest that is free"
    );
    assert_eq!(posix.write(0, b"x"), Err(Errno::BADF));
    assert_eq!(posix.read(0, &mut bytes), Ok(6));
    assert_eq!(&bytes[..6], b"Jello!");
    assert_eq!(posix.open("/m/a", 3, 0), Err(Errno::INVAL));
    assert_eq!(
        posix.open("/m/a", O_RDONLY | O_DIRECTORY, 0),
        Err(Errno::NOTDIR)
    );
    assert_eq!(posix.open("/m/a", O_RDONLY | O_TRUNC, 0), Err(Errno::INVAL));
    assert_eq!(
        posix.open(&"x".repeat(5000), O_RDONLY, 0),
        Err(Errno::NAMETOOLONG)
    );
}

#[test]
fn folders_are_made_listed_and_removed() {
    let world = world(Limits::default());
    let mut posix = Posix::new(client(&world, 1).0);
    posix.mkdir("/m/d", 0o750).expect("mkdir");
    assert_eq!(posix.mkdir("/m/d", 0o750), Err(Errno::EXIST));
    for i in 0..150 {
        let fd = posix
            .open(&format!("/m/d/f{i:03}"), O_WRONLY | O_CREAT, 0o600)
            .expect("new");
        posix.close(fd).expect("close");
    }
    posix.mkdir("/m/d/sub", 0o700).expect("mkdir");
    let mut dir = posix.opendir("/m/d").expect("opendir");
    for _ in 0..2 {
        let mut names = Vec::new();
        while let Some(entry) = posix.readdir(&mut dir).expect("readdir") {
            let is_folder = entry.file_type == FileType::Directory;
            assert_eq!(is_folder, entry.name.as_str() == "sub");
            names.push(entry.name.as_str().to_string());
        }
        names.sort();
        assert_eq!(names.len(), 151);
        assert_eq!((names[0].as_str(), names[150].as_str()), ("f000", "sub"));
        posix.rewinddir(&mut dir);
    }
    posix.closedir(dir).expect("closedir");
    assert_eq!(posix.opendir("/m/d/f000").map(drop), Err(Errno::NOTDIR));
    assert_eq!(posix.rmdir("/m/d"), Err(Errno::NOTEMPTY));
    posix.rename("/m/d/f000", "/m/moved").expect("rename");
    assert_eq!(posix.unlink("/m/d/f000"), Err(Errno::NOENT));
    posix.unlink("/m/moved").expect("unlink");
    assert_eq!(posix.rename("/m/d", "/other/d"), Err(Errno::XDEV));
    let found = posix.statvfs("/m/d").expect("statvfs");
    assert_eq!(found.kind.as_str(), "memory");
    assert!(found.free_bytes < found.total_bytes);
    let mounts = posix.client().mounts().expect("mounts");
    let paths: Vec<&str> = mounts.iter().map(|mount| mount.path.as_str()).collect();
    assert_eq!(paths, ["/", "/m", "/other"]);
    posix.sync().expect("sync");
}

#[test]
fn files_of_rust_read_write_and_seek() {
    let world = world(Limits::default());
    let shared = RefCell::new(client(&world, 1).0);
    let slots = world.slot_count();
    let mut file = File::create(&shared, "/m/big").expect("create");
    let bytes = Random::new(3).bytes(300_000);
    file.write_all(&bytes).expect("write");
    assert_eq!(file.seek(SeekFrom::End(-10)), Ok(299_990));
    let mut last = [0; 10];
    file.read_exact(&mut last).expect("read");
    assert_eq!(last, bytes[299_990..]);
    assert_eq!(file.seek(SeekFrom::Start(0)), Ok(0));
    assert!(file.read_to_end(300_000).expect("read") == bytes);
    assert_eq!(file.seek(SeekFrom::Current(-400_000)), Err(Errno::INVAL));
    assert_eq!(file.seek(SeekFrom::Start(1)), Ok(1));
    assert_eq!(file.read_to_end(100), Err(Errno::FBIG));
    file.set_len(100).expect("cut");
    assert_eq!(file.metadata().expect("fstat").size, 100);
    file.sync_all().expect("sync");
    drop(file);
    assert_eq!(File::open(&shared, "/m/none").map(drop), Err(Errno::NOENT));
    let names: Result<Vec<_>, _> = ReadDir::open(&shared, "/m").expect("open").collect();
    assert_eq!(names.expect("list").len(), 1);
    assert_eq!(world.slot_count(), slots, "no capability is left behind");
}

#[test]
fn random_writes_through_the_protocol_agree_with_a_copy() {
    let world = world(Limits::default());
    let mut client = client(&world, 1).0;
    let flags = OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE;
    let file = client.open("/m/f", flags, MODE).expect("open");
    let mut copy = Vec::new();
    let mut random = Random::new(11);
    for step in 0..300 {
        let offset = random.below(400_000) as usize;
        let length = random.below(200_000) as usize;
        if random.below(2) == 0 {
            let bytes = random.bytes(length);
            assert_eq!(client.write(file, offset as u64, &bytes), Ok(length));
            if length > 0 {
                copy.resize(copy.len().max(offset + length), 0);
                copy[offset..offset + length].copy_from_slice(&bytes);
            }
        } else {
            let mut bytes = vec![0; length];
            let count = client.read(file, offset as u64, &mut bytes).expect("read");
            let from = copy.get(offset..).unwrap_or(&[]);
            assert!(
                bytes[..count] == from[..from.len().min(length)],
                "step {step}"
            );
        }
    }
}

#[test]
fn a_capability_allows_what_its_file_was_opened_for() {
    let world = world(Limits::default());
    let mut client = client(&world, 1).0;
    let both = OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE;
    let file = client.open("/m/f", both, MODE).expect("open");
    client.write(file, 0, b"data").expect("write");
    // Narrowed by whoever holds it, as the kernel does it.
    let keep = Rights::SEND | FileProtocol::READ_DATA;
    let narrowed = world.narrowed(file.cap().address(), keep).expect("held");
    let reader = OpenFile::of(Cap::new(narrowed));
    let mut bytes = [0; 4];
    assert_eq!(client.read(reader, 0, &mut bytes), Ok(4));
    assert_eq!(client.write(reader, 0, b"x"), Err(Errno::BADF));
    assert_eq!(client.truncate(reader, 0), Err(Errno::BADF));
    assert_eq!(client.fstat(reader).map(drop), Err(Errno::BADF));
    assert_eq!(client.read_dir(reader, 0).map(drop), Err(Errno::BADF));
}

#[test]
fn a_folder_confines_whoever_holds_it() {
    let world = world(Limits::default());
    let mut client = client(&world, 1).0;
    client
        .mkdir("/m/jail", Mode::from_bits_retain(0o755))
        .expect("mkdir");
    let make = OpenFlags::WRITE | OpenFlags::CREATE;
    for path in ["/m/secret", "/m/jail/mine"] {
        let file = client.open(path, make, MODE).expect("open");
        client.write(file, 0, b"x").expect("write");
        client.close(file).expect("close");
    }
    let folder = OpenFlags::READ | OpenFlags::DIRECTORY;
    let jail = client.open("/m/jail", folder, MODE).expect("open");
    let read = OpenFlags::READ;
    for path in [
        "../secret",
        "/m/secret",
        "../../m/secret",
        "mine/../../secret",
    ] {
        assert!(client.open_at(jail, path, read, MODE).is_err(), "{path}");
    }
    client
        .open_at(jail, "../mine", read, MODE)
        .expect("its own");
    // It was opened for reading: nothing is changed through it.
    assert_eq!(
        client.open_at(jail, "mine", OpenFlags::WRITE, MODE),
        Err(Errno::ACCES)
    );
    assert_eq!(
        client.open_at(jail, "new", read | OpenFlags::CREATE, MODE),
        Err(Errno::ACCES)
    );
    let writable = folder | OpenFlags::WRITE;
    let jail = client.open("/m/jail", writable, MODE).expect("open");
    client.open_at(jail, "new", make, MODE).expect("made");
    assert_eq!(client.stat("/m/jail/new").expect("stat").size, 0);
    assert_eq!(
        client.open("/m/jail", OpenFlags::WRITE, MODE),
        Err(Errno::ISDIR)
    );
}

#[test]
fn a_restart_that_lost_something_is_told_once() {
    let world = world(Limits::default());
    let mut client = client(&world, 1).0;
    let new = OpenFlags::WRITE | OpenFlags::CREATE;
    let folder = OpenFlags::READ | OpenFlags::DIRECTORY;
    let restart = |generation| {
        let empty = MemoryVolume::new(1 << 20, now);
        world.restart(tree(Box::new(empty)), generation);
    };
    // Nothing was changed: nothing is lost.
    restart(2);
    client.sync().expect("sync");
    let file = client.open("/m/f", new, MODE).expect("open");
    client.sync().expect("sync");
    restart(3);
    client.sync().expect("it was synced");
    assert_eq!(client.write(file, 0, b"x"), Err(Errno::STALE));
    // What nobody synced.
    client.mkdir("/m/d", MODE).expect("mkdir");
    restart(4);
    assert_eq!(client.sync(), Err(Errno::STALE));
    client.sync().expect("it was told");
    // The restart is noticed by another call, which works.
    client.mkdir("/m/d", MODE).expect("mkdir");
    restart(5);
    client.mkdir("/m/e", MODE).expect("mkdir");
    assert_eq!(client.sync(), Err(Errno::STALE));
    // A folder that was open before its names changed knows.
    let open = client.open("/m", folder, MODE).expect("open");
    client.rename("/m/e", "/m/g", true).expect("rename");
    restart(6);
    assert_eq!(client.fsync(open), Err(Errno::STALE));
}

#[test]
fn remounting_needs_its_right() {
    let world = world(Limits::default());
    let mut client = client(&world, 1).0;
    assert_eq!(client.remount("/m", true), Err(Errno::BADF));
    let right = gritos_fs_api::FileSystem::REMOUNT;
    let memory = gritos_fs_core::host::HostMemory::new(gritos_fs_client::MEMORY_BYTES);
    let object = world.memory(memory, crate::wire::MEMORY_RIGHTS);
    let session = Cap::new(world.session(2, right));
    let mut admin = gritos_fs_client::Client::new(Wire(world.clone()), session, object, memory)
        .expect("connect");
    admin.remount("/m", true).expect("remount");
    assert_eq!(client.mkdir("/m/d", MODE), Err(Errno::ROFS));
    admin.remount("/m", false).expect("remount");
    client.mkdir("/m/d", MODE).expect("mkdir");
}
