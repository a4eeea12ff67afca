//! The server: `log.gidl` over a [`Store`].

use gritos_abi::cap::BADGE_CLIENT;
use gritos_base_api::{
    BaseError, Buffer, BufferAccess, SessionRegisterAnswer, SessionServer, SupervisionServer,
};
use gritos_idl_runtime::object::MemoryObject;
use gritos_idl_runtime::{Bytes, Caller, Cap, EndpointCap, Hooks};
use gritos_log_api::{
    Head, Level, LogError, LogNextReply, LogServer, LogStateReply, MAX_HEAD, MAX_REST,
};
use gritos_service::{Clients, Port};

use crate::allowance::{Allowance, Rate};
use crate::draft::Draft;
use crate::store::{Record, Store};

/// Most clients that may write.
pub const WRITER_LIMIT: usize = 64;
/// As whom kernel and root task write: the root task's badge.
pub const ROOT: u32 = BADGE_CLIENT;
/// Most pieces of text of the kernel that are taken in one turn; the next turn goes on.
const PIECES: usize = 32;
/// Numbers of one life of the service.
const LIFE_SHIFT: u32 = 40;

/// Text of kernel and root task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Whether it tells of a failure.
    pub failure: bool,
    /// The text, not necessarily whole lines.
    pub text: Bytes<61>,
}

/// What the log needs of the system that it runs in.
pub trait Outside {
    /// Nanoseconds since the machine started.
    fn now(&self) -> u64;

    /// The next piece that kernel or root task printed, if there is one.
    fn kernel_text(&mut self) -> Option<Piece>;
}

/// What is known of a client.
#[derive(Debug, Default)]
struct Writer {
    allowance: Allowance,
    draft: Draft,
}

/// The log service.
#[derive(Debug)]
pub struct Service<O> {
    outside: O,
    store: Store,
    writers: Clients<Writer, WRITER_LIMIT>,
    rate: Rate,
    /// What is kept: this level and those that matter more.
    level: Level,
    /// The line that the kernel is writing, and whether it tells of a failure.
    line: (bool, Draft),
    /// The kernel may have more text.
    pending: bool,
    /// Tells this life of the service from others.
    life: u64,
}

impl<O: Outside> Service<O> {
    /// A service that was started `life` times before.
    pub fn new(outside: O, life: u64, rate: Rate) -> Self {
        Self {
            outside,
            store: Store::new((life << LIFE_SHIFT) + 1),
            writers: Clients::default(),
            rate,
            level: Level::Debug,
            line: (false, Draft::default()),
            pending: true,
            life,
        }
    }

    /// Kernel or root task have written something.
    pub const fn note_kernel_text(&mut self) {
        self.pending = true;
    }

    /// Takes what kernel and root task have written. Whether it is to be called again at once.
    pub fn turn(&mut self) -> bool {
        if !self.pending {
            return false;
        }
        for _ in 0..PIECES {
            let Some(piece) = self.outside.kernel_text() else {
                self.pending = false;
                return false;
            };
            self.take_kernel_text(&piece);
        }
        true
    }

    fn take_kernel_text(&mut self, piece: &Piece) {
        for part in piece.text.split_inclusive(|&byte| byte == b'\n') {
            self.line.0 |= piece.failure;
            // Lines of the kernel end with a carriage return, too.
            let bare = part.trim_ascii_end();
            let is_end = part.last() == Some(&b'\n');
            self.line.1.push(if is_end { bare } else { part });
            if !is_end {
                continue;
            }
            let (failure, line) = core::mem::take(&mut self.line);
            // Who writes is known from the record; the console needs the name in the text.
            let text = line.text();
            let text = text.strip_prefix(b"root: ").unwrap_or(text);
            if !text.is_empty() {
                let level = if failure { Level::Error } else { Level::Info };
                self.record(ROOT, level, text);
            }
        }
    }

    fn record(&mut self, client: u32, level: Level, text: &[u8]) {
        let record = Record {
            time: self.outside.now(),
            client,
            length: 0,
            level,
        };
        self.store.push(record, text);
    }

    fn complete(&mut self, client: u32, level: Level) -> Result<(), LogError> {
        if level.number() > self.level.number() {
            if let Some(writer) = self.writers.get(client) {
                writer.draft.clear();
            }
            return Ok(());
        }
        let now = self.outside.now();
        let writer = self.writers.get(client).ok_or(LogError::Limit)?;
        let mut draft = core::mem::take(&mut writer.draft);
        if let Some(left_out) = writer.allowance.take(now, self.rate) {
            if left_out > 0 {
                let text = alloc::format!("{left_out} records were left out: too many at once");
                self.record(client, Level::Warn, text.as_bytes());
            }
            self.record(client, level, draft.text());
        }
        draft.clear();
        if let Some(writer) = self.writers.get(client) {
            writer.draft = draft;
        }
        Ok(())
    }
}

impl<O: Outside> LogServer for Service<O> {
    fn append(
        &mut self,
        caller: Caller,
        level: Level,
        last: bool,
        text: Bytes<61>,
    ) -> Result<(), LogError> {
        let writer = self.writers.get(caller.badge).ok_or(LogError::Limit)?;
        writer.draft.push(&text);
        if last {
            return self.complete(caller.badge, level);
        }
        Ok(())
    }

    fn next(
        &mut self,
        _caller: Caller,
        after: u64,
        level: Level,
        client: u32,
    ) -> Result<LogNextReply, LogError> {
        let wanted = |record: &Record| {
            record.level.number() <= level.number() && (client == 0 || record.client == client)
        };
        let (sequence, record) = self.store.next(after, wanted).ok_or(LogError::NotFound)?;
        let mut text = [0; MAX_HEAD as usize];
        let count = self.store.text(sequence, 0, &mut text).unwrap_or(0);
        Ok(LogNextReply {
            head: Head {
                sequence,
                time: record.time,
                client: record.client,
                length: record.length,
                level: record.level,
            },
            text: Bytes::new(text.get(..count).unwrap_or(&[])).unwrap_or_default(),
        })
    }

    fn rest(&mut self, _caller: Caller, sequence: u64, offset: u16) -> Result<Bytes<63>, LogError> {
        let mut text = [0; MAX_REST as usize];
        let count = self
            .store
            .text(sequence, offset.into(), &mut text)
            .ok_or(LogError::NotFound)?;
        Bytes::new(text.get(..count).unwrap_or(&[])).map_err(|_| LogError::Invalid)
    }

    fn keep(&mut self, _caller: Caller, level: Level) -> Result<(), LogError> {
        self.level = level;
        Ok(())
    }

    fn state(&mut self, _caller: Caller) -> Result<LogStateReply, LogError> {
        let (kept, dropped) = self.store.counts();
        Ok(LogStateReply {
            newest: self.store.newest(),
            kept,
            dropped,
            level: self.level,
        })
    }
}

impl<O: Outside> SessionServer for Service<O> {
    /// Everything travels in messages: the log takes no buffers.
    fn register(
        &mut self,
        _caller: Caller,
        _memory: Cap<MemoryObject>,
        _access: BufferAccess,
    ) -> Result<SessionRegisterAnswer, BaseError> {
        Err(BaseError::Limit)
    }

    fn unregister(
        &mut self,
        _caller: Caller,
        _buffer: EndpointCap<Buffer>,
    ) -> Result<(), BaseError> {
        Err(BaseError::NotRegistered)
    }

    fn generation(&mut self, _caller: Caller) -> Result<u64, BaseError> {
        Ok(self.life)
    }
}

impl<O: Outside> SupervisionServer for Service<O> {
    /// What it wrote stays; what it had begun to write becomes a record.
    fn client_gone(&mut self, _caller: Caller, client: u32) -> Result<u32, BaseError> {
        let Some(writer) = self.writers.remove(client) else {
            return Ok(0);
        };
        if !writer.draft.text().is_empty() {
            self.record(client, Level::Warn, writer.draft.text());
        }
        Ok(1)
    }
}

impl<O: Outside, const N: usize> Hooks<Port<N>> for Service<O> {
    fn notified(&mut self, _port: &mut Port<N>, _bits: u64) {
        self.note_kernel_text();
    }

    fn turn(&mut self, port: &mut Port<N>) {
        port.set_deadline(Self::turn(self).then_some(0));
    }
}

#[cfg(test)]
mod tests;
