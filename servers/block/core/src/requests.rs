//! A client's rings as the client sees them.

use gritos_block_api::{BlockCompletion, BlockLayout, BlockRequest, BlockStatus};
use gritos_idl_runtime::Wire;
use gritos_ring::{Consumer, Memory, Producer, RingError};

use crate::{COMPLETION_BYTES, REQUEST_BYTES};

/// Requests of which no more than `DEPTH` are outstanding. Neither of the calls
/// waits.
#[derive(Debug)]
pub struct Requests<M, const DEPTH: usize> {
    requests: Producer<M, REQUEST_BYTES>,
    completions: Consumer<M, COMPLETION_BYTES>,
    /// The number under which each outstanding request was sent.
    outstanding: [Option<u32>; DEPTH],
    count: u32,
    sent: u32,
}

impl<M: Memory + Clone, const DEPTH: usize> Requests<M, DEPTH> {
    /// The rings, empty, that `attach` gave for this depth, which is `DEPTH`.
    ///
    /// # Errors
    /// `Layout` if they do not lie in the memory, one behind the other.
    pub fn new(memory: M, layout: &BlockLayout) -> Result<Self, RingError> {
        const { assert!(DEPTH.is_power_of_two() && DEPTH <= crate::api::MAX_DEPTH as usize) };
        let depth = DEPTH as u32;
        let expected = crate::layout(depth, layout.data_bytes);
        if expected.as_ref() != Some(layout) {
            return Err(RingError::Layout);
        }
        if crate::memory_bytes(layout) > memory.len() as u64 {
            return Err(RingError::Layout);
        }
        let (requests, completions) = (layout.requests as usize, layout.completions as usize);
        Ok(Self {
            requests: Producer::new(memory.clone(), requests, depth)?,
            completions: Consumer::new(memory, completions, depth)?,
            outstanding: [None; DEPTH],
            count: 0,
            sent: 0,
        })
    }

    /// Requests that were put and whose completion was not seen.
    #[must_use]
    pub const fn outstanding(&self) -> u32 {
        self.count
    }

    /// Puts a request; its `id` is replaced by the one that is returned, and
    /// which its completion will have.
    ///
    /// # Errors
    /// `Full` if `DEPTH` are outstanding; `Gone`, `Corrupt`.
    pub fn put(&mut self, request: BlockRequest) -> Result<u32, RingError> {
        let index = self
            .outstanding
            .iter()
            .position(Option::is_none)
            .ok_or(RingError::Full)?;
        // The place in the table, and a number that it had not lately.
        let id = self.sent.wrapping_mul(DEPTH as u32) | index as u32;
        let mut entry = [0; REQUEST_BYTES];
        BlockRequest { id, ..request }.encode(&mut entry);
        self.requests.push(&entry)?;
        self.sent = self.sent.wrapping_add(1);
        if let Some(place) = self.outstanding.get_mut(index) {
            *place = Some(id);
        }
        self.count += 1;
        Ok(id)
    }

    /// Shows the driver what was put. Says whether it is to be signalled.
    ///
    /// # Errors
    /// `Gone`.
    pub fn publish(&mut self) -> Result<bool, RingError> {
        self.requests.publish()
    }

    /// The next completion, if there is one.
    ///
    /// # Errors
    /// `Corrupt` for one of a request that is not outstanding; `Gone`.
    pub fn completed(&mut self) -> Result<Option<(u32, BlockStatus)>, RingError> {
        let entry = match self.completions.pop()? {
            Some(entry) => entry,
            None => {
                if self.completions.refresh()? == 0 {
                    return Ok(None);
                }
                self.completions.pop()?.ok_or(RingError::Corrupt)?
            }
        };
        self.completions.release()?;
        let completion = BlockCompletion::decode(&entry).map_err(|_| RingError::Corrupt)?;
        let index = completion.id as usize % DEPTH;
        match self.outstanding.get_mut(index) {
            Some(place) if *place == Some(completion.id) => *place = None,
            _ => return Err(RingError::Corrupt),
        }
        self.count -= 1;
        Ok(Some((completion.id, completion.status)))
    }

    /// Asks for a signal once `count` completions wait. Says whether to wait for
    /// it: if not, they are there.
    ///
    /// # Errors
    /// `Gone`, `Corrupt`.
    pub fn arm(&mut self, count: u32) -> Result<bool, RingError> {
        self.completions.arm(count)
    }
}
