//! A disk, as a client uses it.

use core::fmt;

use gritos_block_api::{
    BlockFeatures, BlockLayout, BlockOperation, BlockRequest, BlockStatus, Geometry,
};
use gritos_ring::{Memory, RingError};

use crate::{Requests, geometry_is_sound};

/// How client and driver wake each other.
pub trait Signals {
    /// Signals the driver's doorbell.
    ///
    /// # Errors
    /// [`DiskError::Gone`] if there is no driver.
    fn ring(&mut self) -> Result<(), DiskError>;

    /// Waits until the driver signals. How long it may take counts from the last
    /// call with `progress`: signals alone give a driver no more time.
    ///
    /// # Errors
    /// [`DiskError::TimedOut`].
    fn wait(&mut self, progress: bool) -> Result<(), DiskError>;
}

/// Why a disk did not do what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// The driver says so.
    Status(BlockStatus),
    /// The driver is gone; attach again. Writes that were under way may or may
    /// not have been done.
    Gone,
    /// The driver broke the protocol; attach again.
    Corrupt,
    /// The driver did not answer in time; attach again.
    TimedOut,
    /// The blocks are not on the disk, the bytes are no whole blocks or lie
    /// outside of the data area.
    OutOfRange,
    /// As many requests are outstanding as can be.
    Full,
}

impl From<RingError> for DiskError {
    fn from(error: RingError) -> Self {
        match error {
            RingError::Gone => Self::Gone,
            RingError::Full => Self::Full,
            RingError::Corrupt | RingError::Layout => Self::Corrupt,
        }
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(BlockStatus::IoError) => f.write_str("the device reported an error"),
            Self::Status(BlockStatus::ReadOnly) => f.write_str("the disk cannot be written to"),
            Self::Status(status) => write!(f, "the driver refused: {status:?}"),
            Self::Gone => f.write_str("the driver of the disk is gone"),
            Self::Corrupt => f.write_str("the driver of the disk broke the protocol"),
            Self::TimedOut => f.write_str("the driver of the disk does not answer"),
            Self::OutOfRange => f.write_str("these blocks are not on the disk"),
            Self::Full => f.write_str("too many requests are outstanding"),
        }
    }
}

impl core::error::Error for DiskError {}

/// Neighbouring blocks whose bytes are neighbours in the data area.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    block: u64,
    count: u32,
    data: u32,
}

impl Run {
    /// Whether a block and its bytes come right behind it.
    fn is_before(&self, block: u64, data: u32, unit: u32) -> bool {
        self.count > 0
            && self.block + u64::from(self.count) == block
            && u64::from(self.data) + u64::from(self.count) * u64::from(unit) == u64::from(data)
    }
}

/// An attached disk with up to `DEPTH` outstanding requests.
///
/// [`read`](Self::read), [`write`](Self::write) and [`flush`](Self::flush) copy
/// to and from the data area and wait. Whoever keeps its data in the data area
/// starts requests itself, any number of them, and waits for all with
/// [`finish`](Self::finish), or looks with [`poll`](Self::poll) without waiting.
/// The two ways are not mixed while requests are outstanding.
///
/// After `Gone`, `Corrupt` and `TimedOut` the disk is of no further use.
#[derive(Debug)]
pub struct Disk<M, S, const DEPTH: usize> {
    requests: Requests<M, DEPTH>,
    memory: M,
    signals: S,
    geometry: Geometry,
    layout: BlockLayout,
}

impl<M: Memory + Clone, S: Signals, const DEPTH: usize> Disk<M, S, DEPTH> {
    /// The disk behind what `attach` for `DEPTH` entries returned.
    ///
    /// # Errors
    /// `Corrupt` if layout, memory or geometry make no sense.
    pub fn new(
        memory: M,
        layout: BlockLayout,
        geometry: Geometry,
        signals: S,
    ) -> Result<Self, DiskError> {
        if !geometry_is_sound(&geometry) || layout.data_bytes < geometry.block_bytes {
            return Err(DiskError::Corrupt);
        }
        Ok(Self {
            requests: Requests::new(memory.clone(), &layout)?,
            memory,
            signals,
            geometry,
            layout,
        })
    }

    /// What the disk is like.
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Whether writes are refused.
    pub const fn is_read_only(&self) -> bool {
        self.geometry.features.contains(BlockFeatures::READ_ONLY)
    }

    /// Bytes of the data area.
    pub const fn data_bytes(&self) -> u32 {
        self.layout.data_bytes
    }

    /// Copies from `data`, an offset in the data area.
    ///
    /// # Errors
    /// `Gone`, `OutOfRange`.
    pub fn read_data(&self, data: u32, to: &mut [u8]) -> Result<(), DiskError> {
        let offset = self.data_range(data, to.len())?;
        self.memory.read(offset, to).map_err(|_| DiskError::Gone)
    }

    /// Copies to `data`, an offset in the data area.
    ///
    /// # Errors
    /// `Gone`, `OutOfRange`.
    pub fn write_data(&self, data: u32, from: &[u8]) -> Result<(), DiskError> {
        let offset = self.data_range(data, from.len())?;
        self.memory.write(offset, from).map_err(|_| DiskError::Gone)
    }

    fn data_range(&self, data: u32, bytes: usize) -> Result<usize, DiskError> {
        match (data as usize).checked_add(bytes) {
            Some(end) if end <= self.layout.data_bytes as usize => {
                Ok(self.layout.data as usize + data as usize)
            }
            _ => Err(DiskError::OutOfRange),
        }
    }

    /// Starts reading `count` blocks from `block` into the data area at `data`.
    /// The driver learns it with [`submit`](Self::submit).
    ///
    /// # Errors
    /// `Full`, `OutOfRange`, `Gone`, `Corrupt`.
    pub fn start_read(&mut self, block: u64, count: u32, data: u32) -> Result<u32, DiskError> {
        self.start(BlockOperation::Read, block, count, data)
    }

    /// Starts writing `count` blocks from `block` on out of the data area at
    /// `data`. Those bytes are not to be changed before it has ended.
    ///
    /// # Errors
    /// As [`start_read`](Self::start_read).
    pub fn start_write(&mut self, block: u64, count: u32, data: u32) -> Result<u32, DiskError> {
        self.start(BlockOperation::Write, block, count, data)
    }

    /// Starts making every write durable that was started before.
    ///
    /// # Errors
    /// As [`start_read`](Self::start_read).
    pub fn start_flush(&mut self) -> Result<u32, DiskError> {
        self.put(BlockOperation::Flush, 0, 0, 0)
    }

    fn start(
        &mut self,
        operation: BlockOperation,
        block: u64,
        count: u32,
        data: u32,
    ) -> Result<u32, DiskError> {
        let end = block.checked_add(count.into());
        let bytes = count as usize * self.geometry.block_bytes as usize;
        let fits = count >= 1
            && count <= self.geometry.request_blocks
            && data.is_multiple_of(self.geometry.block_bytes)
            && end.is_some_and(|end| end <= self.geometry.blocks);
        if !fits {
            return Err(DiskError::OutOfRange);
        }
        self.data_range(data, bytes)?;
        self.put(operation, block, count, data)
    }

    fn put(
        &mut self,
        operation: BlockOperation,
        block: u64,
        count: u32,
        data: u32,
    ) -> Result<u32, DiskError> {
        let request = BlockRequest {
            block,
            id: 0,
            data,
            count,
            operation,
        };
        Ok(self.requests.put(request)?)
    }

    /// Hands everything started to the driver.
    ///
    /// # Errors
    /// `Gone`.
    pub fn submit(&mut self) -> Result<(), DiskError> {
        if self.requests.publish()? {
            self.signals.ring()?;
        }
        Ok(())
    }

    /// A request that has ended, and how; does not wait.
    ///
    /// # Errors
    /// `Gone`, `Corrupt`.
    pub fn poll(&mut self) -> Result<Option<(u32, BlockStatus)>, DiskError> {
        Ok(self.requests.completed()?)
    }

    /// Requests that have not ended.
    pub const fn outstanding(&self) -> u32 {
        self.requests.outstanding()
    }

    /// Asks for a signal when so many more requests have ended. Says whether
    /// to wait for it, in whatever way the program waits for everything; if not,
    /// [`poll`](Self::poll) has them.
    ///
    /// # Errors
    /// `Gone`, `Corrupt`.
    pub fn arm(&mut self, count: u32) -> Result<bool, DiskError> {
        Ok(self.requests.arm(count)?)
    }

    /// Submits, and waits until everything outstanding has ended.
    ///
    /// # Errors
    /// The first that is not [`BlockStatus::Ok`], when all have ended; `Gone`,
    /// `Corrupt`, `TimedOut`.
    pub fn finish(&mut self) -> Result<(), DiskError> {
        self.submit()?;
        let mut result = Ok(());
        let mut progress = true;
        while self.outstanding() > 0 {
            if let Some((_, status)) = self.poll()? {
                progress = true;
                if status != BlockStatus::Ok {
                    result = result.and(Err(DiskError::Status(status)));
                }
            } else if self.requests.arm(self.outstanding())? {
                self.signals.wait(progress)?;
                progress = false;
            }
        }
        result
    }

    /// Reads whole blocks from `block` on.
    ///
    /// # Errors
    /// [`DiskError`]; `to` then holds anything.
    pub fn read(&mut self, block: u64, to: &mut [u8]) -> Result<(), DiskError> {
        self.check(block, to.len())?;
        let mut block = block;
        for piece in to.chunks_mut(self.piece_bytes()) {
            let count = self.start_piece(BlockOperation::Read, block, piece.len())?;
            self.finish()?;
            self.read_data(0, piece)?;
            block += count;
        }
        Ok(())
    }

    /// Writes whole blocks from `block` on. They are durable after a
    /// [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`DiskError`]; each block then has its old or its new content.
    pub fn write(&mut self, block: u64, from: &[u8]) -> Result<(), DiskError> {
        self.check(block, from.len())?;
        let mut block = block;
        for piece in from.chunks(self.piece_bytes()) {
            self.write_data(0, piece)?;
            let count = self.start_piece(BlockOperation::Write, block, piece.len())?;
            self.finish()?;
            block += count;
        }
        Ok(())
    }

    /// Writes whole blocks in several places, each from a block on. The device is told of all
    /// of them at once, as far as the data area holds them, and may do them in any order. If
    /// `durable`, they and all writes before are durable afterwards.
    ///
    /// # Errors
    /// [`DiskError`]; each block then has its old or its new content.
    pub fn write_all<'a>(
        &mut self,
        writes: impl Iterator<Item = (u64, &'a [u8])> + Clone,
        durable: bool,
    ) -> Result<(), DiskError> {
        for (block, bytes) in writes.clone() {
            self.check(block, bytes.len())?;
        }
        let unit = self.geometry.block_bytes;
        let area = self.layout.data_bytes / unit * unit;
        let mut run = Run::default();
        let mut used = 0;
        for (first, bytes) in writes {
            let mut block = first;
            for piece in bytes.chunks(area as usize) {
                // It fits the data area, whose size has 32 bits.
                let length = piece.len() as u32;
                if area - used < length {
                    self.put_run(&mut run)?;
                    self.finish()?;
                    used = 0;
                }
                self.write_data(used, piece)?;
                if !run.is_before(block, used, unit) {
                    self.put_run(&mut run)?;
                    run = Run {
                        block,
                        count: 0,
                        data: used,
                    };
                }
                let count = length / unit;
                run.count += count;
                block += u64::from(count);
                used += length;
            }
        }
        self.put_run(&mut run)?;
        if durable {
            self.put_or_wait(BlockOperation::Flush, 0, 0, 0)?;
        }
        self.finish()
    }

    /// Puts requests for neighbouring blocks.
    fn put_run(&mut self, run: &mut Run) -> Result<(), DiskError> {
        let most = self.geometry.request_blocks.max(1);
        while run.count > 0 {
            let count = run.count.min(most);
            self.put_or_wait(BlockOperation::Write, run.block, count, run.data)?;
            run.block += u64::from(count);
            run.data += count * self.geometry.block_bytes;
            run.count -= count;
        }
        Ok(())
    }

    /// Puts a request, if need be when others have ended.
    fn put_or_wait(
        &mut self,
        operation: BlockOperation,
        block: u64,
        count: u32,
        data: u32,
    ) -> Result<(), DiskError> {
        if self.outstanding() as usize >= DEPTH {
            self.finish()?;
        }
        self.put(operation, block, count, data).map(drop)
    }

    /// Makes every write durable that was started.
    ///
    /// # Errors
    /// [`DiskError`]; nothing is known about earlier writes then.
    pub fn flush(&mut self) -> Result<(), DiskError> {
        self.start_flush()?;
        self.finish()
    }

    /// Most bytes that go at once: what `DEPTH` requests cover and the data area
    /// holds.
    fn piece_bytes(&self) -> usize {
        let block = self.geometry.block_bytes as usize;
        let requests = (self.geometry.request_blocks as usize).saturating_mul(DEPTH);
        let area = self.layout.data_bytes as usize / block;
        requests.min(area) * block
    }

    /// Starts requests for a piece at the beginning of the data area; returns
    /// how many blocks it has.
    fn start_piece(
        &mut self,
        operation: BlockOperation,
        block: u64,
        bytes: usize,
    ) -> Result<u64, DiskError> {
        let block_bytes = self.geometry.block_bytes;
        // A piece lies in the data area, whose size has 32 bits.
        let blocks = (bytes / block_bytes as usize) as u32;
        let mut done = 0;
        while done < blocks {
            let count = (blocks - done).min(self.geometry.request_blocks);
            self.start(
                operation,
                block + u64::from(done),
                count,
                done * block_bytes,
            )?;
            done += count;
        }
        Ok(blocks.into())
    }

    fn check(&self, block: u64, bytes: usize) -> Result<(), DiskError> {
        let size = self.geometry.block_bytes as usize;
        let end = block.checked_add((bytes / size) as u64);
        let fits = bytes.is_multiple_of(size) && end.is_some_and(|end| end <= self.geometry.blocks);
        if fits {
            Ok(())
        } else {
            Err(DiskError::OutOfRange)
        }
    }
}
