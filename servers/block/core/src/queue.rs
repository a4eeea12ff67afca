//! The requests of all clients of a driver.

use gritos_block_api::BlockStatus;
use gritos_ring::{Memory, RingError};

use crate::{Attachment, Job, Operation};

/// Which job of which client; what a [`Backend`] keeps while it works on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    place: usize,
    id: u32,
}

/// The backend takes no further job before one is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// A device.
pub trait Backend<M> {
    /// Begins a job on blocks of the disk and bytes of `memory`, all of which
    /// were checked. May finish it at once.
    ///
    /// # Errors
    /// [`Busy`]; the job comes again later.
    fn start(&mut self, job: &Job, memory: &M, tag: Tag) -> Result<(), Busy>;

    /// A job that has ended since, if there is one.
    fn finished(&mut self) -> Option<(Tag, BlockStatus)>;

    /// Tells the device of all jobs that were started.
    fn kick(&mut self) {}
}

struct Place<M> {
    attachment: Attachment<M>,
    /// Its client is gone: it stays until its last job has ended, because the
    /// device still uses the memory.
    closing: bool,
    /// A job that the backend had no room for, or a flush that waits for its writes.
    held: Option<Job>,
}

/// The attachments of up to `N` clients.
pub struct Queue<M, const N: usize> {
    places: [Option<Place<M>>; N],
    /// Whose turn it is first.
    turn: usize,
}

impl<M, const N: usize> Default for Queue<M, N> {
    fn default() -> Self {
        Self {
            places: [const { None }; N],
            turn: 0,
        }
    }
}

impl<M: Memory + Clone, const N: usize> Queue<M, N> {
    /// A place that nobody has.
    #[must_use]
    pub fn vacant(&self) -> Option<usize> {
        self.places.iter().position(Option::is_none)
    }

    /// Puts an attachment into a vacant place.
    pub fn insert(&mut self, place: usize, attachment: Attachment<M>) {
        if let Some(entry) = self.places.get_mut(place) {
            *entry = Some(Place {
                attachment,
                closing: false,
                held: None,
            });
        }
    }

    /// Takes no further request of this place. [`reap`](Self::reap) tells when
    /// nothing of it is under way any more.
    pub fn close(&mut self, place: usize) {
        if let Some(Some(entry)) = self.places.get_mut(place) {
            entry.close();
        }
    }

    /// Removes a closed place whose memory the device no longer uses.
    pub fn reap(&mut self) -> Option<usize> {
        let ended = |place: &Option<Place<M>>| {
            place
                .as_ref()
                .is_some_and(|place| place.closing && place.attachment.under_way() == 0)
        };
        let index = self.places.iter().position(ended)?;
        self.places.get_mut(index)?.take();
        Some(index)
    }

    /// One pass: hands out what has ended, takes what clients want, each a ring
    /// full at most and one after the other in turn. `signal` is called for each
    /// place whose client waits. A client whose rings are impossible is closed.
    /// Says whether there may be more to do at once; if not, the next request
    /// of each client is signalled.
    ///
    /// Nothing is taken while the device has jobs of a closed place. A client that
    /// was restarted, or attached anew, repairs what its earlier life left on the
    /// disk; a write of that life that arrived later would undo the repair, since a
    /// device may do its jobs in any order.
    pub fn run<B: Backend<M>>(&mut self, backend: &mut B, mut signal: impl FnMut(usize)) -> bool {
        self.collect(backend);
        let waits = self.is_leaving();
        let mut more = false;
        for step in 0..N {
            let place = (self.turn + step) % N;
            more |= !waits && self.serve(place, backend);
        }
        self.turn = (self.turn + 1) % N.max(1);
        backend.kick();
        let room = self.collect(backend);
        more |= waits && !self.is_leaving();
        more |= room
            && self
                .places
                .iter()
                .flatten()
                .any(|place| place.held.is_some());
        for (place, entry) in self.places.iter_mut().enumerate() {
            let Some(entry) = entry.as_mut().filter(|entry| !entry.closing) else {
                continue;
            };
            match entry.attachment.publish() {
                Ok(true) => signal(place),
                Ok(false) => {}
                Err(_) => entry.close(),
            }
        }
        more
    }

    /// Whether the device has jobs of a client that is gone.
    fn is_leaving(&self) -> bool {
        let leaving = |place: &Place<M>| place.closing && place.attachment.under_way() > 0;
        self.places.iter().flatten().any(leaving)
    }

    /// Notes which jobs have ended; says whether any has.
    fn collect<B: Backend<M>>(&mut self, backend: &mut B) -> bool {
        let mut any = false;
        while let Some((tag, status)) = backend.finished() {
            any = true;
            let Some(Some(entry)) = self.places.get_mut(tag.place) else {
                continue;
            };
            if entry.attachment.complete(tag.id, status).is_err() {
                entry.close();
            }
        }
        any
    }

    /// Takes requests of one client until there are none, or the backend has no
    /// room. Says whether requests came in meanwhile.
    fn serve<B: Backend<M>>(&mut self, place: usize, backend: &mut B) -> bool {
        let Some(Some(entry)) = self.places.get_mut(place) else {
            return false;
        };
        if entry.closing {
            return false;
        }
        entry.pass(place, backend).unwrap_or_else(|_| {
            entry.close();
            false
        })
    }
}

impl<M: Memory + Clone> Place<M> {
    fn close(&mut self) {
        self.closing = true;
        if self.held.take().is_some() {
            // It never reached the device.
            let _ = self.attachment.complete(0, BlockStatus::IoError);
        }
    }

    fn pass<B: Backend<M>>(&mut self, place: usize, backend: &mut B) -> Result<bool, RingError> {
        let mut left = self.attachment.refresh()? + 1;
        while left > 0 {
            let job = match self.held.take() {
                Some(job) => Some(job),
                None => self.attachment.take()?,
            };
            let Some(job) = job else { break };
            if job.operation == Operation::Flush && self.attachment.under_way() > 1 {
                // It is for the writes before it too, whose ends bring this up again.
                self.held = Some(job);
                return Ok(false);
            }
            let tag = Tag { place, id: job.id };
            if backend.start(&job, self.attachment.memory(), tag).is_err() {
                // The end of a job, which is signalled, brings this up again.
                self.held = Some(job);
                return Ok(false);
            }
            left -= 1;
        }
        // A client that lets completions pile up gets nothing more done, and
        // its requests keep nobody busy.
        let waits = self.attachment.arm()?;
        Ok(!waits && !self.attachment.is_stalled())
    }
}
