//! A client's rings as the driver sees them.

use gritos_block_api::{
    BlockCompletion, BlockFeatures, BlockLayout, BlockOperation, BlockRequest, BlockStatus,
    Geometry,
};
use gritos_idl_runtime::Wire;
use gritos_ring::{Consumer, Memory, Producer, RingError, reset};

use crate::{COMPLETION_BYTES, REQUEST_BYTES};

/// What a device is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Fill memory from the disk.
    Read,
    /// Write memory to the disk.
    Write,
    /// Make completed writes durable.
    Flush,
}

/// A request that was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// The client's name for it.
    pub id: u32,
    /// What to do.
    pub operation: Operation,
    /// First block; all blocks are on the disk. 0 for a flush.
    pub block: u64,
    /// Blocks, at least one; 0 for a flush.
    pub count: u32,
    /// Where the data lies in the memory of the attachment, in bytes from its
    /// beginning; all of it is inside of the data area.
    pub offset: usize,
    /// Bytes of data.
    pub bytes: usize,
}

/// The driver's side of one client's memory.
#[derive(Debug)]
pub struct Attachment<M> {
    requests: Consumer<M, REQUEST_BYTES>,
    completions: Producer<M, COMPLETION_BYTES>,
    memory: M,
    layout: BlockLayout,
    geometry: Geometry,
    depth: u32,
    /// Jobs taken and not completed.
    under_way: u32,
}

impl<M: Memory + Clone> Attachment<M> {
    /// Makes empty rings in `memory`. `geometry` is the disk as this client may
    /// use it; `depth` and `layout` are what [`layout`](crate::layout) made.
    ///
    /// # Errors
    /// `Layout` if it does not fit the memory, `Gone`.
    pub fn new(
        memory: M,
        depth: u32,
        layout: BlockLayout,
        geometry: Geometry,
    ) -> Result<Self, RingError> {
        if crate::memory_bytes(&layout) > memory.len() as u64 {
            return Err(RingError::Layout);
        }
        let (requests, completions) = (layout.requests as usize, layout.completions as usize);
        reset(&memory, requests)?;
        reset(&memory, completions)?;
        Ok(Self {
            requests: Consumer::new(memory.clone(), requests, depth)?,
            completions: Producer::new(memory.clone(), completions, depth)?,
            memory,
            layout,
            geometry,
            depth,
            under_way: 0,
        })
    }

    /// The memory that is shared.
    pub const fn memory(&self) -> &M {
        &self.memory
    }

    /// Jobs that were taken and are not completed.
    pub const fn under_way(&self) -> u32 {
        self.under_way
    }

    /// Looks how many requests can be taken now.
    ///
    /// # Errors
    /// `Gone`, `Corrupt`.
    pub fn refresh(&mut self) -> Result<u32, RingError> {
        self.requests.refresh()
    }

    /// Takes the next of the requests that [`refresh`](Self::refresh) saw. Those
    /// that are not in order are completed on the way, with the reason. Takes
    /// none while there is no room for one more completion.
    ///
    /// # Errors
    /// `Gone`, `Corrupt`.
    pub fn take(&mut self) -> Result<Option<Job>, RingError> {
        while self.has_room()? {
            let Some(entry) = self.requests.pop()? else {
                return Ok(None);
            };
            // An entry of the right size always decodes: what its enum does not
            // list stays a number.
            let Ok(request) = BlockRequest::decode(&entry) else {
                return Err(RingError::Corrupt);
            };
            self.under_way += 1;
            match self.check(&request) {
                Ok(job) => return Ok(Some(job)),
                Err(status) => self.complete(request.id, status)?,
            }
        }
        Ok(None)
    }

    /// Whether no request is taken because there would be no room for its
    /// completion. It does not happen to clients that have at most as many
    /// requests outstanding as the rings have entries.
    pub fn is_stalled(&self) -> bool {
        self.completions.used() + self.under_way >= self.depth
    }

    /// Whether each job under way and one more could be completed.
    fn has_room(&mut self) -> Result<bool, RingError> {
        if self.is_stalled() {
            self.completions.refresh()?;
        }
        Ok(!self.is_stalled())
    }

    fn check(&self, request: &BlockRequest) -> Result<Job, BlockStatus> {
        let job = |operation| Job {
            id: request.id,
            operation,
            block: request.block,
            count: request.count,
            offset: self.layout.data as usize + request.data as usize,
            bytes: request.count as usize * self.geometry.block_bytes as usize,
        };
        match request.operation {
            BlockOperation::Read => self.range(request).map(|()| job(Operation::Read)),
            BlockOperation::Write if self.read_only() => Err(BlockStatus::ReadOnly),
            BlockOperation::Write => self.range(request).map(|()| job(Operation::Write)),
            BlockOperation::Flush if request.count != 0 => Err(BlockStatus::Invalid),
            BlockOperation::Flush => Ok(Job {
                block: 0,
                offset: self.layout.data as usize,
                ..job(Operation::Flush)
            }),
            _ => Err(BlockStatus::Unsupported),
        }
    }

    fn read_only(&self) -> bool {
        self.geometry.features.contains(BlockFeatures::READ_ONLY)
    }

    /// Whether the blocks are on the disk and their data in the data area.
    fn range(&self, request: &BlockRequest) -> Result<(), BlockStatus> {
        let geometry = &self.geometry;
        let bytes = u64::from(request.count) * u64::from(geometry.block_bytes);
        let data_end = u64::from(request.data) + bytes;
        let on_disk = request
            .block
            .checked_add(request.count.into())
            .is_some_and(|end| end <= geometry.blocks);
        let inside = request.data.is_multiple_of(geometry.block_bytes)
            && data_end <= u64::from(self.layout.data_bytes);
        let sized = (1..=geometry.request_blocks).contains(&request.count);
        if on_disk && inside && sized {
            Ok(())
        } else {
            Err(BlockStatus::Invalid)
        }
    }

    /// Completes a job. The client sees it with the next
    /// [`publish`](Self::publish).
    ///
    /// # Errors
    /// `Gone`, `Corrupt`; `Full` if no job was under way.
    pub fn complete(&mut self, id: u32, status: BlockStatus) -> Result<(), RingError> {
        self.under_way = self.under_way.checked_sub(1).ok_or(RingError::Full)?;
        let mut entry = [0; COMPLETION_BYTES];
        BlockCompletion { id, status }.encode(&mut entry);
        self.completions.push(&entry)
    }

    /// Shows the client what was taken and completed. Says whether it waits for
    /// that and is to be signalled.
    ///
    /// # Errors
    /// `Gone`.
    pub fn publish(&mut self) -> Result<bool, RingError> {
        let room = self.requests.release()?;
        Ok(self.completions.publish()? || room)
    }

    /// Asks for a signal with the next request. Says whether to wait for it: if
    /// not, there is one already.
    ///
    /// # Errors
    /// `Gone`, `Corrupt`.
    pub fn arm(&mut self) -> Result<bool, RingError> {
        self.requests.arm(1)
    }
}
