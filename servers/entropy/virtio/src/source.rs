//! The service: callers in the order in which they came, one request to the device at a time.

use gritos_base_api::{BaseError, SupervisionServer};
use gritos_entropy_api::{EntropyError, EntropyReadTicket, EntropyServer, MAX_BYTES};
use gritos_idl_runtime::{Bytes, Caller, Hooks, Later, Response};
use gritos_service::Port;
use gritos_sys::dma::DmaMemory;
use gritos_sys::dma::virtio::Device;

/// Descriptors of the queue.
pub(crate) const DESCRIPTORS: usize = 4;
/// Callers that can wait at a time, and the one in hand.
pub(crate) const REPLIES: usize = 8;
/// The only queue ("Virtqueues" of the entropy device).
const REQUESTS: usize = 0;
/// Most bytes of one answer.
const LIMIT: usize = MAX_BYTES as usize;

/// Somebody who waits.
struct Waiting {
    client: u32,
    ticket: EntropyReadTicket,
    count: u8,
    /// What has come for it.
    bytes: [u8; LIMIT],
    filled: usize,
    /// Its Reply is set aside only after this turn, and cannot be answered before.
    fresh: bool,
}

/// The service.
pub(crate) struct Source {
    device: Device<1, DESCRIPTORS>,
    memory: DmaMemory,
    /// Who waits, the first first.
    waiting: [Option<Waiting>; REPLIES],
    /// Bytes that the device was asked for, while it was.
    asked: Option<usize>,
    failed: bool,
}

impl Source {
    /// Serves `device`, which writes into `memory`.
    pub(crate) fn new(device: Device<1, DESCRIPTORS>, memory: DmaMemory) -> Self {
        Self {
            device,
            memory,
            waiting: [const { None }; REPLIES],
            asked: None,
            failed: false,
        }
    }

    /// Asks the device for what the first caller lacks.
    fn ask(&mut self) {
        let Some(first) = self.waiting.iter().flatten().next() else {
            return;
        };
        if self.asked.is_some() || self.failed {
            return;
        }
        let missing = usize::from(first.count).saturating_sub(first.filled);
        if missing == 0 {
            // It is answered in the next turn.
            return;
        }
        let range = self.memory.range(0, missing);
        let submitted = range.map(|range| self.device.submit(REQUESTS, &[], &[range]));
        if let Some(Ok(_)) = submitted {
            self.asked = Some(missing);
            self.device.notify(REQUESTS);
        } else {
            self.failed = true;
        }
    }

    /// Takes what the device has written.
    fn take(&mut self) {
        let written = match self.device.pop(REQUESTS) {
            Ok(Some((_, written))) => written as usize,
            Ok(None) => return,
            Err(_) => {
                self.failed = true;
                return;
            }
        };
        let asked = self.asked.take().unwrap_or(0);
        let count = written.min(asked).min(LIMIT);
        if count == 0 {
            self.failed = true;
            return;
        }
        let mut bytes = [0; LIMIT];
        let fresh = bytes.get_mut(..count).unwrap_or(&mut []);
        // It is the driver's own memory and stays mapped. Nobody gets these bytes again.
        let read = self.memory.shared().read(0, fresh);
        let wiped = self.memory.shared().write(0, &[0; LIMIT]);
        if read.and(wiped).is_err() {
            self.failed = true;
            return;
        }
        // A caller that has gone meanwhile leaves its bytes to nobody.
        if let Some(first) = self.waiting.iter_mut().flatten().next() {
            let end = (first.filled + count).min(usize::from(first.count));
            let room = first.bytes.get_mut(first.filled..end).unwrap_or(&mut []);
            let length = room.len();
            room.copy_from_slice(fresh.get(..length).unwrap_or(&[]));
            first.filled = end;
        }
    }

    /// Answers whoever has all, or everybody after a failure.
    fn answer(&mut self, port: &mut Port<REPLIES>) {
        for place in &mut self.waiting {
            let is_done = |w: &Waiting| w.filled == usize::from(w.count);
            let failed = self.failed;
            let Some(done) = place.take_if(|w| !w.fresh && (failed || is_done(w))) else {
                continue;
            };
            let result = match is_done(&done) {
                true => {
                    let bytes = done.bytes.get(..done.filled).unwrap_or(&[]);
                    Bytes::new(bytes).map_err(|_| EntropyError::Invalid)
                }
                false => Err(EntropyError::Io),
            };
            // A caller that has gone away is no concern of ours.
            let _ = done.ticket.answer(port, result);
        }
        self.close_ranks();
    }

    /// Moves whoever waits to the front, in order.
    fn close_ranks(&mut self) {
        let mut free = 0;
        for at in 0..REPLIES {
            if self.waiting[at].is_some() {
                self.waiting.swap(free, at);
                free += 1;
            }
        }
    }
}

impl EntropyServer for Source {
    fn read(
        &mut self,
        caller: Caller,
        later: Later<'_, EntropyReadTicket>,
        count: u8,
    ) -> Response<Bytes<{ LIMIT }>, EntropyError> {
        if !(1..=LIMIT).contains(&usize::from(count)) {
            return Response::Now(Err(EntropyError::Invalid));
        }
        if self.failed {
            return Response::Now(Err(EntropyError::Io));
        }
        let Some(place) = self.waiting.iter_mut().find(|place| place.is_none()) else {
            return Response::Now(Err(EntropyError::Io));
        };
        *place = Some(Waiting {
            client: caller.badge,
            ticket: later.keep(),
            count,
            bytes: [0; LIMIT],
            filled: 0,
            fresh: true,
        });
        Response::Later
    }
}

impl SupervisionServer for Source {
    fn client_gone(&mut self, _caller: Caller, client: u32) -> Result<u32, BaseError> {
        let mut gone = 0;
        for place in &mut self.waiting {
            if place.take_if(|waiting| waiting.client == client).is_some() {
                gone += 1;
            }
        }
        self.close_ranks();
        Ok(gone)
    }
}

impl Hooks<Port<REPLIES>> for Source {
    fn notified(&mut self, _port: &mut Port<REPLIES>, _bits: u64) {
        self.device.acknowledge();
        self.take();
    }

    fn turn(&mut self, port: &mut Port<REPLIES>) {
        // Who is answered makes place for the next.
        self.answer(port);
        self.ask();
        let mut fresh = false;
        for waiting in self.waiting.iter_mut().flatten() {
            fresh |= core::mem::take(&mut waiting.fresh);
        }
        // Only after a failure is somebody answered to whom the device has not written.
        port.set_deadline((fresh && self.failed).then_some(0));
    }
}
