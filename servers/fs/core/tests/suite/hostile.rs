//! Clients that lie, die, or take their memory away: they get errors, the others do
//! not notice.

use gritos_base_api::{BufferAccess, SessionClient, Supervision, SupervisionClient};
use gritos_fs_api::{FileClient, FileSystemClient, FsError, Mode, OpenFlags};
use gritos_fs_client::{Client, Errno, MEMORY_BYTES};
use gritos_fs_core::host::{HostMemory, World};
use gritos_fs_core::service::Limits;
use gritos_idl_runtime::{Address, Buffer, Cap, Error, Incoming, Rights, WireError};
use gritos_service::BufferMemory;

use crate::support::{Paths, Random, each};
use crate::wire::{MEMORY_RIGHTS, TestClient, Wire, client, world};

const MODE: Mode = Mode::from_bits_retain(0o644);
const NEW: OpenFlags = OpenFlags::READ
    .union(OpenFlags::WRITE)
    .union(OpenFlags::CREATE);

/// A session by hand: its stubs and a registered buffer of one page.
fn by_hand(world: &World, number: u32) -> (FileSystemClient<Wire>, Address, HostMemory) {
    let session = world.session(number, Rights::empty());
    let memory = HostMemory::new(4096);
    let object = world.memory(memory, MEMORY_RIGHTS);
    let access = BufferAccess::READ | BufferAccess::WRITE;
    let mut base = SessionClient::new(Cap::new(session), Wire(world.clone()));
    let buffer = base
        .register(object, access)
        .expect("register")
        .buffer
        .address();
    (
        FileSystemClient::new(Cap::new(session), Wire(world.clone())),
        buffer,
        memory,
    )
}

#[test]
fn a_path_ends_where_it_says_it_does() {
    let world = world(Limits::default());
    let (mut files, buffer, memory) = by_hand(&world, 1);
    memory.write(0, b"/m/file\0").expect("write");
    let path = |offset, length| Buffer::registered(buffer, offset, length);
    files.open(path(0, 7), NEW, MODE).expect("a good one");
    let no_nul = files.open(path(0, 4), NEW, MODE);
    assert_eq!(
        no_nul.map(drop),
        Err(Error::Server(FsError::Invalid)),
        "no NUL behind it"
    );
    let inner = files.open(path(0, 8), NEW, MODE);
    assert_eq!(
        inner.map(drop),
        Err(Error::Server(FsError::Invalid)),
        "NUL inside, none behind"
    );
    memory.write(4088, b"/m/abcde").expect("write");
    for (offset, length) in [
        (4088, 8),
        (4095, 1),
        (4096, 0),
        (4097, 0),
        (0, 4096),
        (1 << 40, 5),
    ] {
        let result = files.open(path(offset, length), NEW, MODE);
        let expected = if length > 4095 {
            FsError::NameTooLong
        } else {
            FsError::Invalid
        };
        assert_eq!(
            result.map(drop),
            Err(Error::Server(expected)),
            "{length} at {offset}"
        );
    }
    for (offset, length) in [(u64::MAX, 1), (1, u64::MAX), (u64::MAX, u64::MAX)] {
        let result = files.open(path(offset, length), NEW, MODE);
        assert_eq!(result.map(drop), Err(Error::Refused(WireError::BadLength)));
    }
    // Adding the NUL overflows.
    let result = files.open(path(0, u64::MAX), NEW, MODE);
    assert_eq!(result.map(drop), Err(Error::Server(FsError::NameTooLong)));
}

#[test]
fn data_lies_in_the_memory_or_nowhere() {
    let world = world(Limits::default());
    let (mut files, buffer, memory) = by_hand(&world, 1);
    memory.write(0, b"/m/file\0").expect("write");
    let cap = files
        .open(Buffer::registered(buffer, 0, 7), NEW, MODE)
        .expect("open");
    let mut file = FileClient::new(cap, Wire(world.clone()));
    for (offset, length) in [(0, 4097), (4096, 1), (4097, 0), (1 << 63, 1)] {
        let data = Buffer::registered(buffer, offset, length);
        assert_eq!(file.write(0, data), Err(Error::Server(FsError::Invalid)));
        assert_eq!(file.read(0, data), Err(Error::Server(FsError::Invalid)));
    }
    let whole = Buffer::registered(buffer, 0, 4096);
    assert_eq!(
        file.write(u64::MAX - 4000, whole),
        Err(Error::Server(FsError::FileTooLarge))
    );
    assert_eq!(file.write(0, whole), Ok(4096));
    assert_eq!(file.read(u64::MAX, whole), Ok(0));
    let short = Buffer::registered(buffer, 0, 8);
    assert_eq!(
        file.fstat(short),
        Err(Error::Server(FsError::Invalid)),
        "no room for the answer"
    );
    let empty = Buffer::registered(buffer, 0, 0);
    assert_eq!(file.read(0, empty), Ok(0));
}

#[test]
fn capabilities_of_other_kinds_are_refused() {
    let world = world(Limits::default());
    let (mut files, buffer, memory) = by_hand(&world, 1);
    memory.write(0, b"/m/file\0").expect("write");
    let cap = files
        .open(Buffer::registered(buffer, 0, 7), NEW, MODE)
        .expect("open");
    let mut file = FileClient::new(cap, Wire(world.clone()));
    // An open file, or a session, where a buffer belongs.
    for wrong in [cap.address(), world.session(1, Rights::empty())] {
        let result = file.read(0, Buffer::registered(wrong, 0, 8));
        assert!(
            matches!(
                result,
                Err(Error::Refused(WireError::BadCap | WireError::BadCapRights))
            ),
            "{result:?}"
        );
    }
    // Numbers that were never given out.
    let all = Rights::from_bits_retain(u32::MAX);
    for badge in [1 << 30, 1 << 30 | 1023, 1 << 30 | 5 << 10, 7, (1 << 30) - 1] {
        let result = file.read(0, Buffer::registered(world.forged(badge, all), 0, 8));
        assert_eq!(result, Err(Error::Server(FsError::BadBuffer)), "{badge:#x}");
        let mut other = FileClient::new(Cap::new(world.forged(badge, all)), Wire(world.clone()));
        assert_eq!(
            other.truncate(0),
            Err(Error::Server(FsError::BadDescriptor)),
            "{badge:#x}"
        );
    }
    // Memory that may only be read, for an answer.
    let readable = world.memory(memory, Rights::READ | Rights::MAP);
    let answer = Buffer::memory(readable, 0, 64);
    assert!(matches!(
        file.fstat(answer),
        Err(Error::Call(_) | Error::Refused(WireError::BadCapRights))
    ));
    // Raw memory works too, mapped for the call.
    let object = world.memory(memory, MEMORY_RIGHTS);
    assert_eq!(file.write(0, Buffer::memory(object, 0, 100)), Ok(100));
    // A session where a file belongs, and the reverse.
    let mut wrong = FileClient::new(Cap::new(world.session(1, all)), Wire(world.clone()));
    assert_eq!(wrong.close(), Err(Error::Refused(WireError::WrongBadge)));
    let mut wrong = FileSystemClient::new(Cap::new(cap.address()), Wire(world.clone()));
    assert_eq!(wrong.sync(), Err(Error::Refused(WireError::WrongBadge)));
}

#[test]
fn a_closed_file_stays_closed() {
    let world = world(Limits::default());
    let (mut files, buffer, memory) = by_hand(&world, 1);
    memory.write(0, b"/m/file\0").expect("write");
    let path = Buffer::registered(buffer, 0, 7);
    let old = files.open(path, NEW, MODE).expect("open");
    let mut first = FileClient::new(old, Wire(world.clone()));
    first.close().expect("close");
    assert_eq!(first.close(), Err(Error::Server(FsError::BadDescriptor)));
    let new = files
        .open(path, NEW, MODE)
        .expect("open, in the same place");
    assert_eq!(
        first.truncate(0),
        Err(Error::Server(FsError::BadDescriptor))
    );
    FileClient::new(new, Wire(world.clone()))
        .close()
        .expect("close");
}

#[test]
fn limits_stop_one_client_and_nobody_else() {
    let world = world(Limits {
        files: 10,
        files_of_client: 4,
    });
    let (mut greedy, _) = client(&world, 1);
    let (mut other, _) = client(&world, 2);
    let open: Vec<_> = (0..4)
        .map(|i| greedy.open(&format!("/m/{i}"), NEW, MODE).expect("open"))
        .collect();
    assert_eq!(greedy.open("/m/5", NEW, MODE), Err(Errno::MFILE));
    other.open("/m/mine", NEW, MODE).expect("open");
    greedy.close(open[0]).expect("close");
    greedy.open("/m/0", NEW, MODE).expect("one less, one more");
    let mut clients: Vec<_> = (3..6).map(|number| client(&world, number).0).collect();
    let mut last = Ok(());
    for client in &mut clients {
        for i in 0..2 {
            last = client.open(&format!("/m/x{i}"), NEW, MODE).map(drop);
        }
    }
    assert_eq!(last, Err(Errno::NFILE));
}

#[test]
fn a_dead_client_loses_its_files_and_nothing_else() {
    let world = world(Limits::default());
    let (mut dying, _) = client(&world, 1);
    let (mut living, _) = client(&world, 2);
    let gone = dying.open("/m/gone", NEW, MODE).expect("open");
    let mine = living.open("/m/mine", NEW, MODE).expect("open");
    dying.unlink("/m/gone").expect("unlink while open");
    let free = living.statfs("/m").expect("statfs").free_bytes;
    dying.write(gone, 0, &[1; 100_000]).expect("write");
    let root = world.forged(0, Rights::SEND | Supervision::ADMINISTER);
    let mut supervision = SupervisionClient::new(Cap::new(root), Wire(world.clone()));
    let someone = world.session(2, Rights::empty());
    let mut nobody = SupervisionClient::new(Cap::new(someone), Wire(world.clone()));
    assert_eq!(
        nobody.client_gone(1 << 31 | 1),
        Err(Error::Refused(WireError::MissingRight))
    );
    assert_eq!(
        supervision.client_gone(1 << 31 | 1),
        Ok(2),
        "a file and a buffer"
    );
    assert_eq!(supervision.client_gone(1 << 31 | 1), Ok(0));
    assert_eq!(dying.truncate(gone, 0), Err(Errno::BADF));
    assert!(
        living.statfs("/m").expect("statfs").free_bytes > free,
        "its contents are gone"
    );
    assert_eq!(living.write(mine, 0, b"here"), Ok(4));
    // It is a client like any other when it comes again.
    dying.open("/m/again", NEW, MODE).expect("registers anew");
}

#[test]
fn memory_that_goes_away_harms_its_owner_alone() {
    let world = world(Limits::default());
    let (mut steady, _) = client(&world, 1);
    let file = steady.open("/m/steady", NEW, MODE).expect("open");
    let mut copy = vec![0; 20_000];
    steady.write(file, 0, &copy).expect("write");
    let mut random = Random::new(5);
    let rounds = std::env::var("GRITOS_REVOKE_ROUNDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(500);
    let mut gone = 0;
    let memory = HostMemory::new(MEMORY_BYTES);
    for round in 0..rounds {
        let number = 100 + round;
        memory.renew();
        let object = world.memory(memory, MEMORY_RIGHTS);
        let session = Cap::new(world.session(number, Rights::empty()));
        let mut fickle = Client::new(Wire(world.clone()), session, object, memory).expect("new");
        memory.revoke_after(random.below(120) as u32);
        if random.below(4) == 0 {
            memory.never_rest();
        }
        let result = use_files(&mut fickle, &mut random, round % 5);
        // A path that changes under its owner's hands leads anywhere.
        let fits = |error: &Errno| {
            [Errno::FAULT, Errno::NOENT, Errno::INVAL, Errno::PROTO].contains(error)
        };
        assert!(result.as_ref().err().is_none_or(fits), "{result:?}");
        gone += u32::from(result == Err(Errno::FAULT));
        let offset = random.below(19_000) as usize;
        let bytes = random.bytes(1000);
        steady.write(file, offset as u64, &bytes).expect("write");
        copy[offset..offset + 1000].copy_from_slice(&bytes);
        let mut now = vec![0; copy.len()];
        steady.read(file, 0, &mut now).expect("read");
        assert!(now == copy, "round {round}");
        let root = world.forged(0, Rights::SEND | Supervision::ADMINISTER);
        let mut supervision = SupervisionClient::new(Cap::new(root), Wire(world.clone()));
        supervision.client_gone(1 << 31 | number).expect("gone");
    }
    assert!(
        gone * 4 > rounds,
        "in {gone} of {rounds} rounds memory went"
    );
}

/// What a client does with files, until something fails.
fn use_files(client: &mut TestClient, random: &mut Random, number: u32) -> Result<(), Errno> {
    let path = format!("/m/fickle{number}");
    for _ in 0..3 {
        let file = client.open(&path, NEW, MODE)?;
        let offset = random.below(200_000);
        let length = random.below(300_000) as usize;
        client.write(file, offset, &random.bytes(length))?;
        client.read(file, 0, &mut vec![0; 300_000])?;
        client.fstat(file)?;
        let folder = client.open("/m", OpenFlags::READ, MODE)?;
        client.read_dir(folder, 0)?;
        client.statfs(&path)?;
        client.rename(&path, "/m/fickle", true)?;
        client.unlink("/m/fickle")?;
        client.close(folder)?;
        client.close(file)?;
    }
    Ok(())
}

#[test]
fn messages_of_any_shape_are_survived() {
    let world = world(Limits::default());
    let (mut steady, _) = client(&world, 1);
    let file = steady.open("/m/steady", NEW, MODE).expect("open");
    steady.write(file, 0, b"untouched").expect("write");
    let (_, buffer, memory) = by_hand(&world, 2);
    memory.write(0, b"/m/a/../b\0").expect("write");
    let _ = buffer;
    let ordinals: Vec<u32> = (1..=23).chain(0x1001..=0x1004).collect();
    let mut random = Random::new(9);
    for _ in 0..20_000 {
        let length = random.below(140) as usize;
        let mut bytes = random.bytes(length);
        // Small numbers reach further than random ones.
        for byte in bytes.iter_mut().skip(2) {
            if random.below(3) > 0 {
                *byte &= 1;
            }
        }
        let mut incoming = Incoming::from_bytes(&bytes, &ordinals);
        // Not the steady client's own file: that it may change.
        if incoming.badge() == 1 << 12 {
            incoming.sender ^= 1 << 31;
        }
        world.deliver(&incoming);
    }
    let mut bytes = [0; 9];
    assert_eq!(steady.read(file, 0, &mut bytes), Ok(9));
    assert_eq!(&bytes, b"untouched");
    steady.open("/m/new", NEW, MODE).expect("it still serves");
}

#[test]
fn a_write_whose_bytes_are_taken_away_leaves_none_of_others() {
    each(|vfs, abilities| {
        let name = abilities.name;
        // Blocks that are free again, and hold what was somebody else's.
        vfs.put("/m/old", &[0xee; 80_000]).expect("write");
        vfs.sync().expect("sync");
        vfs.rm("/m/old").expect("unlink");
        vfs.sync().expect("sync");
        let file = vfs.at("/m/new", NEW).expect("open");
        let mut piece = [0; 4096];
        for (offset, length, good) in [
            (0, 12_000, 4096),
            (100, 9000, 0),
            (5000, 9000, 5000),
            (30_000, 5000, 4300),
            (29_000, 9000, 3000),
        ] {
            // The first byte that is missing is in a piece that is half there.
            let source = |at: u64, to: &mut [u8]| {
                to.fill(0x11);
                at + to.len() as u64 <= good
            };
            let result = vfs.write_with(file, offset, length, &source, &mut piece);
            match result {
                Ok(taken) => assert!(taken <= good, "{name}: {taken} at {offset}"),
                Err(error) => assert_eq!(error, FsError::BadBuffer, "{name} at {offset}"),
            }
        }
        let size = vfs.attributes(file).expect("attributes").1.size as usize;
        vfs.truncate(file, 70_000).expect("truncate");
        let mut all = vec![0xaa; 70_000];
        assert_eq!(vfs.read(file, 0, &mut all), Ok(70_000));
        assert!(all.iter().all(|byte| matches!(byte, 0 | 0x11)), "{name}");
        assert!(
            all[size..].iter().all(|byte| *byte == 0),
            "{name}: behind the end"
        );
        vfs.close(file);
    });
}
