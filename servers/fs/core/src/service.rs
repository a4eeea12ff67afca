//! The protocols of `fs.gidl` over the tree of files.
//!
//! Each open file has a number, the badge of its `fd_cap`; the server rights of the
//! capability are those of the flags it was opened with, and dispatch has checked them
//! before a method runs. Numbers come with a count of lives, so that a capability to a
//! closed file never reaches the next one in its place.
//!
//! Memory of clients is touched only through [`Buffers`]: a path is copied once and then
//! checked; data is copied between them and the file systems.

use alloc::vec;
use alloc::vec::Vec;

use gritos_base_api::{BaseError, BufferAccess, SessionRegisterAnswer, SessionServer};
use gritos_base_api::{Buffer, SupervisionServer};
use gritos_fs_api::{
    File, FileFsyncTicket, FileReaddirReply, FileServer, FileSystemServer, FileSystemStat,
    FileSystemSyncTicket, FsError, MAX_PATH, Mode, OpenFlags, Stat,
};
use gritos_idl_runtime::object::MemoryObject;
use gritos_idl_runtime::{
    Address, BufferRange, Caller, Cap, EndpointCap, Grant, Hooks, Later, Response, ServerPort, Wire,
};
use gritos_service::{Buffers, MapMemory, Use};
use smallvec::SmallVec;

use crate::vfs::{Handle, Place, Vfs};
use crate::volume::Attributes;
use files::Files;

mod answers;
mod files;

pub use files::Limits;

/// A path; few are too long for this.
type Path = SmallVec<[u8; 128]>;

/// Bytes that are copied at a time for file systems that cannot take them from clients.
const CHUNK: usize = 64 * 1024;
/// Callers that wait for one commit; when there are so many, it is made.
const GROUP: usize = 12;
/// How long changes wait for a commit that nobody asks for, in nanoseconds.
const COMMIT_AFTER_NS: u64 = 5_000_000_000;

/// A port that can end its next wait early.
pub trait Alarm {
    /// From now on waits end after so many nanoseconds, 0 meaning that they only take
    /// what is there, or never. An alarm may come early, when an earlier one was due.
    fn alarm(&mut self, after_ns: Option<u64>);

    /// The notification of the server's thread was signalled: that was the alarm.
    fn rang(&mut self) {}
}

/// A caller that waits until something is durable.
#[derive(Debug)]
enum Waiting {
    File(FileFsyncTicket, Handle),
    All(FileSystemSyncTicket),
}

/// The file server: answers `FileService`. `P` maps the memory of clients, of which at
/// most `N` objects are registered at a time.
pub struct FileService<P: MapMemory, const N: usize> {
    vfs: Vfs,
    files: Files,
    buffers: Buffers<P, N>,
    /// The server's own capability, from which those of files are made.
    endpoint: Address,
    generation: u64,
    chunk: Vec<u8>,
    waiting: Vec<Waiting>,
    /// A request came since the last turn.
    busy: bool,
    /// What the port was told last.
    alarm: Option<u64>,
    /// That was reached, or may have been.
    alarm_passed: bool,
}

impl<P: MapMemory, const N: usize> FileService<P, N> {
    /// A server for a tree. `generation` is which life of the server this is.
    pub fn new(
        vfs: Vfs,
        buffers: Buffers<P, N>,
        limits: Limits,
        endpoint: Address,
        generation: u64,
    ) -> Self {
        Self {
            vfs,
            files: Files::new(limits),
            buffers,
            endpoint,
            generation,
            chunk: vec![0; CHUNK],
            waiting: Vec::new(),
            busy: false,
            alarm: None,
            alarm_passed: false,
        }
    }

    /// The tree, to mount more.
    pub const fn vfs(&mut self) -> &mut Vfs {
        &mut self.vfs
    }

    /// Copies the path that a client gave; the byte behind it must be NUL.
    fn path(&mut self, path: &BufferRange) -> Result<Path, FsError> {
        self.busy = true;
        if path.length > u64::from(MAX_PATH) {
            return Err(FsError::NameTooLong);
        }
        let with_nul = BufferRange {
            length: path.length + 1,
            ..*path
        };
        let mut bytes = Path::from_elem(0, path.length as usize + 1);
        self.buffers
            .with(&with_nul, Use::Read, |memory| memory.read(0, &mut bytes))
            .map_err(answers::refused)?
            .map_err(|_| FsError::BadBuffer)?;
        match bytes.pop() {
            Some(0) => Ok(bytes),
            _ => Err(FsError::Invalid),
        }
    }

    /// Writes an answer to the start of a client's buffer.
    fn put(&mut self, to: &BufferRange, bytes: &[u8]) -> Result<(), FsError> {
        self.busy = true;
        if to.length < bytes.len() as u64 {
            return Err(FsError::Invalid);
        }
        self.buffers
            .with(to, Use::Write, |memory| memory.write(0, bytes))
            .map_err(answers::refused)?
            .map_err(|_| FsError::BadBuffer)
    }

    /// As much of where a link leads as a client's buffer takes.
    fn put_target(&mut self, to: &BufferRange, target: &[u8]) -> Result<u32, FsError> {
        let count = to.length.min(target.len() as u64) as usize;
        self.put(to, target.get(..count).unwrap_or(target))?;
        Ok(count as u32)
    }

    fn put_stat(&mut self, to: &BufferRange, found: (Place, Attributes)) -> Result<(), FsError> {
        let (place, attributes) = found;
        let mut bytes = [0; Stat::SIZE];
        answers::stat(place, &attributes).encode(&mut bytes);
        self.put(to, &bytes)
    }

    /// The open file that a capability stands for.
    fn file(&mut self, caller: Caller) -> Result<Handle, FsError> {
        self.busy = true;
        self.files.get(caller.badge)
    }

    fn place(&mut self, caller: Caller) -> Result<Place, FsError> {
        let folder = self.file(caller)?;
        if !folder.is_folder() {
            return Err(FsError::NotDirectory);
        }
        Ok(folder.place())
    }

    /// Opens for a client, and makes the capability.
    fn open_for(
        &mut self,
        client: u32,
        start: Place,
        path: &BufferRange,
        flags: OpenFlags,
        mode: Mode,
    ) -> Result<Grant<File>, FsError> {
        let path = self.path(path)?;
        self.files.admit(client)?;
        let handle = self.vfs.open(start, &path, flags, mode.bits())?;
        match self.files.insert(client, handle) {
            Ok(badge) => {
                let rights = answers::rights(flags, handle.is_folder());
                Ok(Grant::object(self.endpoint, badge, rights))
            }
            Err(error) => {
                self.vfs.close(handle);
                Err(error)
            }
        }
    }

    /// Makes everything durable, and forgets who waited for it.
    ///
    /// # Errors
    /// Those of the file systems.
    pub fn commit_now(&mut self) -> Result<(), FsError> {
        self.waiting.clear();
        self.vfs.sync()
    }

    /// Makes durable what callers wait for, in one commit for each file system, and
    /// answers them.
    fn commit<Q: ServerPort>(&mut self, port: &mut Q) {
        let waiting = core::mem::take(&mut self.waiting);
        let all = waiting
            .iter()
            .any(|waiting| matches!(waiting, Waiting::All(_)));
        let everything = if all { self.vfs.sync() } else { Ok(()) };
        for waiting in waiting {
            // A caller that is gone meanwhile is no concern of ours.
            let _ = match waiting {
                // The first one commits; for the others nothing is left to do.
                Waiting::File(ticket, file) => ticket.answer(port, self.vfs.fsync(file)),
                Waiting::All(ticket) => ticket.answer(port, everything),
            };
        }
    }
}

impl<P: MapMemory, const N: usize> FileSystemServer for FileService<P, N> {
    fn open(
        &mut self,
        caller: Caller,
        path: BufferRange,
        flags: OpenFlags,
        mode: Mode,
    ) -> Result<Grant<File>, FsError> {
        let root = self.vfs.root();
        self.open_for(caller.badge, root, &path, flags, mode)
    }

    fn stat(&mut self, _: Caller, path: BufferRange, stat: BufferRange) -> Result<(), FsError> {
        let path = self.path(&path)?;
        let found = self.vfs.stat(self.vfs.root(), &path)?;
        self.put_stat(&stat, found)
    }

    fn mkdir(&mut self, _: Caller, path: BufferRange, mode: Mode) -> Result<(), FsError> {
        let path = self.path(&path)?;
        self.vfs.mkdir(self.vfs.root(), &path, mode.bits())
    }

    fn rmdir(&mut self, _: Caller, path: BufferRange) -> Result<(), FsError> {
        let path = self.path(&path)?;
        self.vfs.rmdir(self.vfs.root(), &path)
    }

    fn unlink(&mut self, _: Caller, path: BufferRange) -> Result<(), FsError> {
        let path = self.path(&path)?;
        self.vfs.unlink(self.vfs.root(), &path)
    }

    fn rename(
        &mut self,
        _: Caller,
        from: BufferRange,
        to: BufferRange,
        replace: bool,
    ) -> Result<(), FsError> {
        let (from, to) = (self.path(&from)?, self.path(&to)?);
        self.vfs.rename(self.vfs.root(), &from, &to, replace)
    }

    fn statfs(&mut self, _: Caller, path: BufferRange, stat: BufferRange) -> Result<(), FsError> {
        let path = self.path(&path)?;
        let (info, space) = self.vfs.statfs(self.vfs.root(), &path)?;
        let found: FileSystemStat = answers::statfs(&info, &space);
        self.put(&stat, &answers::bytes_of(&found))
    }

    fn sync(&mut self, _: Caller, later: Later<'_, FileSystemSyncTicket>) -> Response<(), FsError> {
        self.busy = true;
        if !self.vfs.is_dirty() {
            return Response::Now(Ok(()));
        }
        self.waiting.push(Waiting::All(later.keep()));
        Response::Later
    }

    fn mounts(&mut self, _: Caller, entries: BufferRange) -> Result<u32, FsError> {
        let mounts = self.vfs.mounts();
        let bytes = answers::mounts(&mounts, entries.length);
        self.put(&entries, &bytes)?;
        Ok(mounts.len() as u32)
    }

    fn remount(&mut self, _: Caller, path: BufferRange, read_only: bool) -> Result<(), FsError> {
        let path = self.path(&path)?;
        self.vfs.remount(self.vfs.root(), &path, read_only)
    }

    fn link(&mut self, _: Caller, from: BufferRange, to: BufferRange) -> Result<(), FsError> {
        let (from, to) = (self.path(&from)?, self.path(&to)?);
        self.vfs.link(self.vfs.root(), &from, &to)
    }

    fn symlink(
        &mut self,
        _: Caller,
        target: BufferRange,
        path: BufferRange,
    ) -> Result<(), FsError> {
        let (target, path) = (self.path(&target)?, self.path(&path)?);
        self.vfs.symlink(self.vfs.root(), &target, &path)
    }

    fn read_link(
        &mut self,
        _: Caller,
        path: BufferRange,
        target: BufferRange,
    ) -> Result<u32, FsError> {
        let path = self.path(&path)?;
        let found = self.vfs.read_link(self.vfs.root(), &path)?;
        self.put_target(&target, &found)
    }

    fn stat_link(
        &mut self,
        _: Caller,
        path: BufferRange,
        stat: BufferRange,
    ) -> Result<(), FsError> {
        let path = self.path(&path)?;
        let found = self.vfs.stat_link(self.vfs.root(), &path)?;
        self.put_stat(&stat, found)
    }
}

impl<P: MapMemory, const N: usize> FileServer for FileService<P, N> {
    fn close(&mut self, caller: Caller) -> Result<(), FsError> {
        self.busy = true;
        let handle = self.files.remove(caller.badge)?;
        // Whoever waits for it waits for its file system.
        self.vfs.close(handle);
        Ok(())
    }

    fn read(&mut self, caller: Caller, offset: u64, data: BufferRange) -> Result<u64, FsError> {
        let file = self.file(caller)?;
        let Self { vfs, buffers, .. } = self;
        let copied = buffers.with(&data, Use::Write, |memory| {
            let mut done = 0;
            let mut lost = false;
            let mut copy = |piece: &[u8]| {
                lost = memory.write(done, piece).is_err();
                done += piece.len() as u64;
                !lost
            };
            let result = vfs.read_with(file, offset, memory.len(), &mut copy);
            match result {
                _ if lost => Err(FsError::BadBuffer),
                // What is known to be read was read.
                Err(error) if done == 0 => Err(error),
                _ => Ok(done),
            }
        });
        copied.map_err(answers::refused)?
    }

    fn write(&mut self, caller: Caller, offset: u64, data: BufferRange) -> Result<u64, FsError> {
        let file = self.file(caller)?;
        let Self {
            vfs,
            buffers,
            chunk,
            ..
        } = self;
        let copied = buffers.with(&data, Use::Read, |memory| {
            let source = |at, to: &mut [u8]| memory.read(at, to).is_ok();
            vfs.write_with(file, offset, memory.len(), &source, chunk)
        });
        copied.map_err(answers::refused)?
    }

    fn fstat(&mut self, caller: Caller, stat: BufferRange) -> Result<(), FsError> {
        let file = self.file(caller)?;
        let found = self.vfs.attributes(file)?;
        self.put_stat(&stat, found)
    }

    fn readdir(
        &mut self,
        caller: Caller,
        position: u64,
        entries: BufferRange,
    ) -> Result<FileReaddirReply, FsError> {
        let folder = self.file(caller)?;
        let mut list = answers::List::new(position, entries.length)?;
        self.vfs
            .entries(folder, position, &mut |entry| list.take(&entry))?;
        self.put(&entries, list.bytes())?;
        Ok(list.reply())
    }

    fn truncate(&mut self, caller: Caller, length: u64) -> Result<(), FsError> {
        let file = self.file(caller)?;
        self.vfs.truncate(file, length)
    }

    fn fsync(
        &mut self,
        caller: Caller,
        later: Later<'_, FileFsyncTicket>,
    ) -> Response<(), FsError> {
        let file = match self.file(caller) {
            Ok(file) => file,
            Err(error) => return Response::Now(Err(error)),
        };
        if !self.vfs.needs_sync(file) {
            return Response::Now(Ok(()));
        }
        self.waiting.push(Waiting::File(later.keep(), file));
        Response::Later
    }

    fn open_at(
        &mut self,
        caller: Caller,
        path: BufferRange,
        flags: OpenFlags,
        mode: Mode,
    ) -> Result<Grant<File>, FsError> {
        let start = self.place(caller)?;
        if !caller.rights.contains(answers::rights_to_open(flags)) {
            return Err(FsError::Access);
        }
        let client = self.files.client_of(caller.badge)?;
        self.open_for(client, start, &path, flags, mode)
    }

    fn stat_at(
        &mut self,
        caller: Caller,
        path: BufferRange,
        stat: BufferRange,
    ) -> Result<(), FsError> {
        let start = self.place(caller)?;
        let path = self.path(&path)?;
        let found = self.vfs.stat(start, &path)?;
        self.put_stat(&stat, found)
    }

    fn mkdir_at(&mut self, caller: Caller, path: BufferRange, mode: Mode) -> Result<(), FsError> {
        let start = self.place(caller)?;
        let path = self.path(&path)?;
        self.vfs.mkdir(start, &path, mode.bits())
    }

    fn unlink_at(
        &mut self,
        caller: Caller,
        path: BufferRange,
        directory: bool,
    ) -> Result<(), FsError> {
        let start = self.place(caller)?;
        let path = self.path(&path)?;
        if directory {
            self.vfs.rmdir(start, &path)
        } else {
            self.vfs.unlink(start, &path)
        }
    }

    fn rename_at(
        &mut self,
        caller: Caller,
        from: BufferRange,
        to: BufferRange,
        replace: bool,
    ) -> Result<(), FsError> {
        let start = self.place(caller)?;
        let (from, to) = (self.path(&from)?, self.path(&to)?);
        self.vfs.rename(start, &from, &to, replace)
    }

    fn set_modified(&mut self, caller: Caller, modified_ns: u64) -> Result<(), FsError> {
        let file = self.file(caller)?;
        let time = (modified_ns != 0).then_some(modified_ns);
        self.vfs.set_modified(file, time)
    }

    fn link_at(
        &mut self,
        caller: Caller,
        from: BufferRange,
        to: BufferRange,
    ) -> Result<(), FsError> {
        let start = self.place(caller)?;
        let (from, to) = (self.path(&from)?, self.path(&to)?);
        self.vfs.link(start, &from, &to)
    }

    fn symlink_at(
        &mut self,
        caller: Caller,
        target: BufferRange,
        path: BufferRange,
    ) -> Result<(), FsError> {
        let start = self.place(caller)?;
        let (target, path) = (self.path(&target)?, self.path(&path)?);
        self.vfs.symlink(start, &target, &path)
    }

    fn read_link_at(
        &mut self,
        caller: Caller,
        path: BufferRange,
        target: BufferRange,
    ) -> Result<u32, FsError> {
        let start = self.place(caller)?;
        let path = self.path(&path)?;
        let found = self.vfs.read_link(start, &path)?;
        self.put_target(&target, &found)
    }

    fn stat_link_at(
        &mut self,
        caller: Caller,
        path: BufferRange,
        stat: BufferRange,
    ) -> Result<(), FsError> {
        let start = self.place(caller)?;
        let path = self.path(&path)?;
        let found = self.vfs.stat_link(start, &path)?;
        self.put_stat(&stat, found)
    }
}

impl<P: MapMemory, const N: usize> SessionServer for FileService<P, N> {
    fn register(
        &mut self,
        caller: Caller,
        memory: Cap<MemoryObject>,
        access: BufferAccess,
    ) -> Result<SessionRegisterAnswer, BaseError> {
        self.busy = true;
        let (buffer, length) =
            self.buffers
                .register(caller.badge, memory, access, self.endpoint)?;
        Ok(SessionRegisterAnswer { buffer, length })
    }

    fn unregister(&mut self, caller: Caller, buffer: EndpointCap<Buffer>) -> Result<(), BaseError> {
        self.busy = true;
        self.buffers.unregister(caller.badge, buffer)
    }

    fn generation(&mut self, _: Caller) -> Result<u64, BaseError> {
        self.busy = true;
        Ok(self.generation)
    }
}

impl<P: MapMemory, const N: usize> SupervisionServer for FileService<P, N> {
    fn client_gone(&mut self, _: Caller, client: u32) -> Result<u32, BaseError> {
        self.busy = true;
        let mut closed = self.buffers.client_gone(client);
        while let Some(handle) = self.files.take_of(client) {
            self.vfs.close(handle);
            closed += 1;
        }
        Ok(closed)
    }
}

impl<P: MapMemory, const N: usize, Q: ServerPort + Alarm> Hooks<Q> for FileService<P, N> {
    fn notified(&mut self, port: &mut Q, _: u64) {
        port.rang();
        // Whatever is dirty is committed now, and the next alarm is a new one.
        self.alarm_passed = true;
    }

    /// Commits when callers wait for it and no further request is there that could
    /// join them; and some time after the first change that nobody committed, as soon
    /// as there is no request.
    fn turn(&mut self, port: &mut Q) {
        let busy = core::mem::take(&mut self.busy);
        if self.waiting.len() >= GROUP || !busy && !self.waiting.is_empty() {
            self.commit(port);
        } else if !busy && self.vfs.is_dirty() {
            // Nobody is there to be told; whoever syncs next learns of a failure, and
            // the next try is as far away as this one was.
            let _ = self.vfs.sync();
            self.alarm_passed = true;
        }
        let alarm = match (self.waiting.is_empty(), self.vfs.is_dirty()) {
            (false, _) => Some(0),
            (true, true) => Some(COMMIT_AFTER_NS),
            (true, false) => None,
        };
        // The moment is computed once, not with each request. One that has passed is replaced, also by none at all:
        // the port would wait until it again and again.
        if self.alarm_passed || alarm != self.alarm {
            port.alarm(alarm);
            self.alarm = alarm;
            self.alarm_passed = false;
        }
    }
}
