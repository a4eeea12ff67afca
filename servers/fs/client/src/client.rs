//! Calls to the file server, with memory for what does not fit in a message.

use alloc::vec::Vec;

use gritos_base_api::{BufferAccess, Session, SessionClient};
use gritos_fs_api::{
    DirectoryEntry, File, FileClient, FileSystem, FileSystemClient, FileSystemStat, FsError, Mode,
    MountEntry, OpenFlags, Stat,
};
use gritos_idl_runtime::object::MemoryObject;
use gritos_idl_runtime::{Address, Buffer, Cap, Error, Status, Transport, Wire};
use gritos_service::BufferMemory;

use crate::Errno;

mod at;
mod links;

/// Bytes of memory that a client needs.
pub const MEMORY_BYTES: usize = DATA as usize + 112 * 1024;
/// Where in the memory the first path lies, and the second.
const PATHS: [u64; 2] = [0, 4096];
/// Where small answers go.
const ANSWER: u64 = 8192;
/// Most entries of a folder that are asked for at once.
const LISTED: u32 = 128;
/// Most bytes of an answer's value.
const LARGEST_ANSWER: usize = DirectoryEntry::SIZE;
/// Where data starts.
const DATA: u64 = 16384;

/// A transport whose capabilities can be given back.
pub trait Link: Transport {
    /// Deletes the capability in a slot of this component.
    fn release(&mut self, address: Address);
}

/// An open file or folder. It stays open until [`Client::close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFile(Address);

impl OpenFile {
    /// The capability in this slot, which came from elsewhere: a folder that the program
    /// was handed.
    #[must_use]
    pub const fn of(cap: Cap<File>) -> Self {
        Self(cap.address())
    }

    /// Its capability, to be handed on.
    #[must_use]
    pub const fn cap(self) -> Cap<File> {
        Cap::new(self.0)
    }
}

/// A session with the file server.
#[derive(Debug)]
pub struct Client<T, M> {
    transport: T,
    session: Address,
    object: Cap<MemoryObject>,
    memory: M,
    buffer: Option<Address>,
    /// Which life of the server the registered memory is of.
    generation: u64,
    /// Something was changed, and not synced since.
    unsynced: bool,
    /// A restart took what was not synced, and nobody was told.
    lost: bool,
}

impl<T: Link, M: BufferMemory> Client<T, M> {
    /// A client over a session; `object` is a memory object of at least [`MEMORY_BYTES`]
    /// that this program has mapped as `memory`.
    ///
    /// # Errors
    /// Those of registering the memory.
    pub fn new(
        transport: T,
        session: Cap<FileSystem>,
        object: Cap<MemoryObject>,
        memory: M,
    ) -> Result<Self, Errno> {
        let mut client = Self {
            transport,
            session: session.address(),
            object,
            memory,
            buffer: None,
            generation: 0,
            unsynced: false,
            lost: false,
        };
        client.buffer()?;
        Ok(client)
    }

    /// The capability of the registered memory, which is registered if need be.
    fn buffer(&mut self) -> Result<Address, Errno> {
        if let Some(buffer) = self.buffer {
            return Ok(buffer);
        }
        let mut session =
            SessionClient::new(Cap::<Session>::new(self.session), &mut self.transport);
        let access = BufferAccess::READ | BufferAccess::WRITE;
        let address = match session.register(self.object, access) {
            Ok(registered) => *self.buffer.insert(registered.buffer.address()),
            Err(Error::Server(error)) => return Err(Errno(error.number())),
            Err(Error::Call(Status::ServerDied)) => return Err(Errno::CONNRESET),
            Err(_) => return Err(Errno::PROTO),
        };
        self.look_at_generation()?;
        Ok(address)
    }

    /// Notes whether the server was restarted, and with what.
    fn look_at_generation(&mut self) -> Result<(), Errno> {
        let generation = self.generation()?;
        if core::mem::replace(&mut self.generation, generation) != generation {
            self.lost |= core::mem::take(&mut self.unsynced);
        }
        Ok(())
    }

    /// A range of the memory.
    fn range(&mut self, at: u64, bytes: usize) -> Result<Buffer, Errno> {
        Ok(Buffer::registered(self.buffer()?, at, bytes as u64))
    }

    /// Puts a path into the memory.
    fn path(&mut self, which: usize, path: &str) -> Result<Buffer, Errno> {
        let at = PATHS.get(which).copied().unwrap_or(0);
        if path.len() > gritos_fs_api::MAX_PATH as usize {
            return Err(Errno::NAMETOOLONG);
        }
        self.put(at, path.as_bytes())?;
        self.put(at + path.len() as u64, &[0])?;
        self.range(at, path.len())
    }

    fn put(&self, at: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.memory.write(at, bytes).map_err(|_| Errno::FAULT)
    }

    fn get(&self, at: u64, bytes: &mut [u8]) -> Result<(), Errno> {
        self.memory.read(at, bytes).map_err(|_| Errno::FAULT)
    }

    fn value<V: Wire>(&self, at: u64) -> Result<V, Errno> {
        let mut bytes = [0; LARGEST_ANSWER];
        let bytes = bytes.get_mut(..V::SIZE).ok_or(Errno::PROTO)?;
        self.get(at, bytes)?;
        V::decode(bytes).map_err(|_| Errno::PROTO)
    }

    fn data_bytes(&self) -> usize {
        self.memory.len().saturating_sub(DATA) as usize
    }

    /// Makes a call that changes something.
    fn change<R>(
        &mut self,
        call: impl Fn(&mut Self) -> Result<Result<R, Error<FsError>>, Errno>,
    ) -> Result<R, Errno> {
        let result = self.call(call);
        self.unsynced |= result.is_ok();
        result
    }

    /// Makes a call. If it was not delivered because the registered memory is that of an
    /// earlier life of the server, registers it again and makes it once more.
    fn call<R>(
        &mut self,
        call: impl Fn(&mut Self) -> Result<Result<R, Error<FsError>>, Errno>,
    ) -> Result<R, Errno> {
        let mut pauses = 0;
        loop {
            match call(self)? {
                Err(Error::Call(Status::EmptySlot | Status::Deleted)) if pauses == 0 => {
                    if let Some(buffer) = self.buffer.take() {
                        self.transport.release(buffer);
                    }
                    pauses += 1;
                }
                Err(Error::Server(FsError::BadBuffer)) if pauses == 0 && self.buffer.is_some() => {
                    // It may still have its place at the server, which has not lost it.
                    let _ = self.give_up_buffer();
                    pauses += 1;
                }
                result => return result.map_err(Errno::from),
            }
        }
    }

    fn files(&mut self) -> FileSystemClient<&mut T> {
        FileSystemClient::new(Cap::new(self.session), &mut self.transport)
    }

    fn file(&mut self, file: OpenFile) -> FileClient<&mut T> {
        FileClient::new(Cap::new(file.0), &mut self.transport)
    }

    /// Opens a file or folder; `mode` is what it gets if it is made.
    ///
    /// # Errors
    /// Those of POSIX's `open`.
    pub fn open(&mut self, path: &str, flags: OpenFlags, mode: Mode) -> Result<OpenFile, Errno> {
        let file = self.call(|client| {
            let path = client.path(0, path)?;
            Ok(client.files().open(path, flags, mode))
        })?;
        self.unsynced |= flags.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE);
        Ok(OpenFile(file.address()))
    }

    /// Opens relative to an open folder, which it cannot leave.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_at(
        &mut self,
        folder: OpenFile,
        path: &str,
        flags: OpenFlags,
        mode: Mode,
    ) -> Result<OpenFile, Errno> {
        let file = self.call(|client| {
            let path = client.path(0, path)?;
            Ok(client.file(folder).open_at(path, flags, mode))
        })?;
        self.unsynced |= flags.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE);
        Ok(OpenFile(file.address()))
    }

    /// Closes a file; its capability is gone whatever the server says.
    ///
    /// # Errors
    /// `BADF` if the server knew of no such file.
    pub fn close(&mut self, file: OpenFile) -> Result<(), Errno> {
        let result = self.file(file).close();
        self.transport.release(file.0);
        result.map_err(Errno::from)
    }

    /// Reads at an offset until `into` is full or the file ends. The server is asked for no
    /// bytes too: whether the file may be read.
    ///
    /// # Errors
    /// Those of POSIX's `pread`, if nothing was read.
    pub fn read(&mut self, file: OpenFile, offset: u64, into: &mut [u8]) -> Result<usize, Errno> {
        let mut done = 0;
        let window = self.data_bytes();
        while let Some(rest) = into.get_mut(done..) {
            let count = rest.len().min(window);
            let at = offset.checked_add(done as u64).ok_or(Errno::INVAL)?;
            let found = self.call(|client| {
                let data = client.range(DATA, count)?;
                Ok(client.file(file).read(at, data))
            });
            let found = match found {
                Ok(found) => (found as usize).min(count),
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            };
            self.get(DATA, rest.get_mut(..found).unwrap_or(&mut []))?;
            done += found;
            if found < count || done == into.len() {
                break;
            }
        }
        Ok(done)
    }

    /// Writes at an offset, or at the end if the file was opened to append. Fewer bytes
    /// than given mean that no more fit. The server is asked for no bytes too: whether the
    /// file may be written.
    ///
    /// # Errors
    /// Those of POSIX's `pwrite`, if nothing was written.
    pub fn write(&mut self, file: OpenFile, offset: u64, from: &[u8]) -> Result<usize, Errno> {
        let mut done = 0;
        let window = self.data_bytes();
        while let Some(rest) = from.get(done..) {
            let now = rest.get(..window).unwrap_or(rest);
            let at = offset.saturating_add(done as u64);
            let taken = self.change(|client| {
                client.put(DATA, now)?;
                let data = client.range(DATA, now.len())?;
                Ok(client.file(file).write(at, data))
            });
            let taken = match taken {
                Ok(taken) => (taken as usize).min(now.len()),
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            };
            done += taken;
            if taken < now.len() || done == from.len() {
                break;
            }
        }
        Ok(done)
    }

    /// What is known of an open file.
    ///
    /// # Errors
    /// Those of POSIX's `fstat`.
    pub fn fstat(&mut self, file: OpenFile) -> Result<Stat, Errno> {
        self.call(|client| {
            let answer = client.range(ANSWER, Stat::SIZE)?;
            Ok(client.file(file).fstat(answer))
        })?;
        self.value(ANSWER)
    }

    /// What is known of what a path names.
    ///
    /// # Errors
    /// Those of POSIX's `stat`.
    pub fn stat(&mut self, path: &str) -> Result<Stat, Errno> {
        self.call(|client| {
            let path = client.path(0, path)?;
            let answer = client.range(ANSWER, Stat::SIZE)?;
            Ok(client.files().stat(path, answer))
        })?;
        self.value(ANSWER)
    }

    /// The entries of an open folder from `position` on, 0 being the start, and where to
    /// go on; none at its end.
    ///
    /// # Errors
    /// Those of POSIX's `readdir`.
    pub fn read_dir(
        &mut self,
        folder: OpenFile,
        position: u64,
    ) -> Result<(Vec<DirectoryEntry>, u64), Errno> {
        let room = self
            .data_bytes()
            .min(LISTED as usize * DirectoryEntry::SIZE);
        let listed = self.call(|client| {
            let entries = client.range(DATA, room)?;
            Ok(client.file(folder).readdir(position, entries))
        })?;
        let count = listed.count.min(LISTED);
        let entries =
            (0..u64::from(count)).map(|i| self.value(DATA + i * DirectoryEntry::SIZE as u64));
        Ok((entries.collect::<Result<_, _>>()?, listed.next))
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// Those of POSIX's `mkdir`.
    pub fn mkdir(&mut self, path: &str, mode: Mode) -> Result<(), Errno> {
        self.change(|client| {
            let path = client.path(0, path)?;
            Ok(client.files().mkdir(path, mode))
        })
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// Those of POSIX's `rmdir`.
    pub fn rmdir(&mut self, path: &str) -> Result<(), Errno> {
        self.change(|client| {
            let path = client.path(0, path)?;
            Ok(client.files().rmdir(path))
        })
    }

    /// Removes a file.
    ///
    /// # Errors
    /// Those of POSIX's `unlink`.
    pub fn unlink(&mut self, path: &str) -> Result<(), Errno> {
        self.change(|client| {
            let path = client.path(0, path)?;
            Ok(client.files().unlink(path))
        })
    }

    /// Gives a file or folder another name, replacing what has it if `replace` says so.
    ///
    /// # Errors
    /// Those of POSIX's `rename`.
    pub fn rename(&mut self, from: &str, to: &str, replace: bool) -> Result<(), Errno> {
        self.change(|client| {
            let (from, to) = (client.path(0, from)?, client.path(1, to)?);
            Ok(client.files().rename(from, to, replace))
        })
    }

    /// Cuts a file or extends it with zeros.
    ///
    /// # Errors
    /// Those of POSIX's `ftruncate`.
    pub fn truncate(&mut self, file: OpenFile, length: u64) -> Result<(), Errno> {
        self.change(|client| Ok(client.file(file).truncate(length)))
    }

    /// Sets when a file changed last, in nanoseconds since 1970; 0 means now.
    ///
    /// # Errors
    /// `BADF` unless it is open for writing, `ROFS`.
    pub fn set_modified(&mut self, file: OpenFile, modified_ns: u64) -> Result<(), Errno> {
        self.change(|client| Ok(client.file(file).set_modified(modified_ns)))
    }

    /// Returns when what was written to a file is on the device. Of a folder: its names.
    /// Whoever wants to be sure of a name opens the folder before it changes it: this
    /// fails then if the server was restarted in between.
    ///
    /// # Errors
    /// `IO`: what is on the device is not known. `STALE`: the server was restarted, and
    /// what was not synced may be lost.
    pub fn fsync(&mut self, file: OpenFile) -> Result<(), Errno> {
        self.file(file).fsync().map_err(Errno::from)
    }

    /// Returns when everything is on its device.
    ///
    /// # Errors
    /// As [`fsync`](Self::fsync). `STALE`, once, if the server was restarted after this
    /// client changed something and before it synced: that may be lost. What there is now
    /// is on its device all the same.
    pub fn sync(&mut self) -> Result<(), Errno> {
        self.look_at_generation()?;
        self.files().sync()?;
        self.unsynced = false;
        if core::mem::take(&mut self.lost) {
            return Err(Errno::STALE);
        }
        Ok(())
    }

    /// What is known of the file system that holds a path.
    ///
    /// # Errors
    /// Those of POSIX's `statvfs`.
    pub fn statfs(&mut self, path: &str) -> Result<FileSystemStat, Errno> {
        self.call(|client| {
            let path = client.path(0, path)?;
            let answer = client.range(ANSWER, FileSystemStat::SIZE)?;
            Ok(client.files().statfs(path, answer))
        })?;
        self.value(ANSWER)
    }

    /// What is mounted.
    ///
    /// # Errors
    /// Those of the call.
    pub fn mounts(&mut self) -> Result<Vec<MountEntry>, Errno> {
        const MOST: usize = 32;
        let count = self.call(|client| {
            let entries = client.range(DATA, MOST * MountEntry::SIZE)?;
            Ok(client.files().mounts(entries))
        })?;
        let entries = (0..u64::from(count).min(MOST as u64))
            .map(|i| self.value(DATA + i * MountEntry::SIZE as u64));
        entries.collect()
    }

    /// Makes the file system that is mounted at a path writable or read-only.
    ///
    /// # Errors
    /// `BADF` if the session may not, `BUSY`, `ROFS`, `INVAL` if nothing is mounted there.
    pub fn remount(&mut self, path: &str, read_only: bool) -> Result<(), Errno> {
        self.call(|client| {
            let path = client.path(0, path)?;
            Ok(client.files().remount(path, read_only))
        })
    }

    /// What carries its calls.
    pub const fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    /// Ends the session's use of the memory, which the server unmaps. What is open stays
    /// open.
    ///
    /// # Errors
    /// Those of the call; the memory is this program's own then as before.
    pub fn disconnect(mut self) -> Result<(), Errno> {
        self.give_up_buffer()
    }

    fn give_up_buffer(&mut self) -> Result<(), Errno> {
        let Some(buffer) = self.buffer.take() else {
            return Ok(());
        };
        let mut session =
            SessionClient::new(Cap::<Session>::new(self.session), &mut self.transport);
        let result = session.unregister(Cap::new(buffer));
        self.transport.release(buffer);
        match result {
            Ok(()) => Ok(()),
            Err(Error::Server(error)) => Err(Errno(error.number())),
            Err(Error::Call(Status::ServerDied)) => Err(Errno::CONNRESET),
            Err(_) => Err(Errno::PROTO),
        }
    }

    /// Which life of the server this is.
    ///
    /// # Errors
    /// Those of the call.
    pub fn generation(&mut self) -> Result<u64, Errno> {
        let mut session =
            SessionClient::new(Cap::<Session>::new(self.session), &mut self.transport);
        session.generation().map_err(|error| match error {
            Error::Call(Status::ServerDied) => Errno::CONNRESET,
            _ => Errno::PROTO,
        })
    }
}
