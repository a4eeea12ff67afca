//! The card as the device of a block driver.
//!
//! One job at a time. [`start`](Backend::start) sends the command and moves what can be moved at once; from
//! then on each interrupt moves a block, or tells that the controller has moved them all. Blocks can be written and read again without harm, so whatever
//! failed is tried again from its beginning, with a card that is asked for its status or, failing that,
//! identified anew. SDHC spec, "Transaction Control with Data Transfer Using DAT Line", "Not using DMA" and "Using ADMA".

use gritos_block_core::api::{BlockFeatures, BlockStatus, Geometry};
use gritos_block_core::{Backend, Busy, Job, Operation, Tag};
use gritos_ring::Memory;

use crate::Outside;
use crate::card::Card;
use crate::command::{Command, Direction, STATUS_ERRORS};
use crate::controller::{BUSY_LIMIT, Controller, Fault};
use crate::dma::Dma;
use crate::register::status;

/// Bytes of a block.
pub const BLOCK_BYTES: usize = 512;
/// Most blocks of a job: 128 KiB, a few milliseconds at 25 MB/s.
pub const REQUEST_BLOCKS: u32 = 256;
/// How often a job is tried.
const ATTEMPTS: u32 = 3;

/// A card in its controller, working on at most one job.
#[derive(Debug)]
pub struct SdCard<O, M> {
    controller: Controller<O>,
    card: Card,
    /// How the controller moves blocks by itself, if it does.
    dma: Option<Dma<M>>,
    /// The card does not answer any more and is to be identified anew.
    lost: bool,
    transfer: Option<Transfer<M>>,
    ended: Option<(Tag, BlockStatus)>,
    /// Why the last job failed that did.
    trouble: Option<Fault>,
}

/// A job under way.
#[derive(Debug)]
struct Transfer<M> {
    job: Job,
    direction: Direction,
    memory: M,
    tag: Tag,
    /// Bytes moved so far.
    moved: usize,
    /// The controller moves them by itself.
    by_itself: bool,
    /// The answer to the command was seen.
    answered: bool,
    /// Attempts left after this one.
    attempts: u32,
    /// When it has failed if nothing happens.
    deadline: u64,
}

impl<O: Outside, M: Memory + Clone> SdCard<O, M> {
    /// Starts controller and card. The controller moves blocks by itself if it can, `dma` says how, and a block that
    /// it read so is the one that was read by the driver ([`has_dma`](Self::has_dma)).
    ///
    /// # Errors
    /// Everything that can go wrong with them, but for what concerns moving blocks by itself alone.
    pub fn start(outside: O, dma: Option<Dma<M>>) -> Result<Self, Fault> {
        let mut controller = Controller::start(outside)?;
        let dma = dma.filter(|_| controller.has_adma2());
        let card = Card::identify(&mut controller)?;
        let mut started = Self {
            controller,
            card,
            dma: None,
            lost: false,
            transfer: None,
            ended: None,
            trouble: None,
        };
        if let Some(dma) = dma {
            match started.trial(&dma) {
                Ok(()) => started.dma = Some(dma),
                Err(fault) => {
                    started.trouble = Some(fault);
                    if recover(&mut started.controller, &started.card).is_err() {
                        started.find_again()?;
                    }
                }
            }
        }
        started.controller.set_interrupts(true);
        Ok(started)
    }

    /// Reads the first block twice, by the driver and by the controller, and compares.
    fn trial(&mut self, dma: &Dma<M>) -> Result<(), Fault> {
        let argument = self.card.argument(0).ok_or(Fault::Exchanged)?;
        let command = Command::transfer(Direction::Read, argument, 1);
        let mut block = [0; BLOCK_BYTES];
        self.controller.read_small(&command, &mut block)?;
        let table = dma.prepare_trial(&block).ok_or(Fault::Dma)?;
        self.controller
            .send(&command, BLOCK_BYTES as u32, 1, Some(table))?;
        let moved = self.controller.await_moved();
        dma.took_trial();
        moved?;
        match dma.trial_is(&block) {
            true => Ok(()),
            false => Err(Fault::Dma),
        }
    }

    /// The card.
    #[must_use]
    pub const fn card(&self) -> &Card {
        &self.card
    }

    /// Whether the controller moves blocks by itself.
    #[must_use]
    pub const fn has_dma(&self) -> bool {
        self.dma.is_some()
    }

    /// What it was started with.
    pub const fn outside(&mut self) -> &mut O {
        self.controller.outside()
    }

    /// What clients are told. What was written is durable: cards of these modes have no cache that would
    /// need a flush (SD spec, "Cache": off unless switched on).
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        let mut features = BlockFeatures::empty();
        if self.card.read_only {
            features |= BlockFeatures::READ_ONLY;
        }
        Geometry {
            blocks: self.card.capacity.blocks,
            block_bytes: BLOCK_BYTES as u32,
            request_blocks: REQUEST_BLOCKS,
            features,
        }
    }

    /// When [`Backend::finished`] is to be asked although nothing interrupted, in nanoseconds.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.transfer.as_ref().map(|transfer| transfer.deadline)
    }

    /// The controller interrupted. What belongs to a job is dealt with when [`Backend::finished`] is asked;
    /// without one it is cleared, so that the line falls silent.
    pub fn interrupt(&mut self) {
        if self.transfer.is_none() {
            self.controller.clear(u32::MAX);
        }
    }

    /// Goes on with the job; whether one has ended that [`Backend::finished`] will tell.
    pub fn has_ended(&mut self) -> bool {
        self.go_on();
        self.ended.is_some()
    }

    /// Why the last job failed that did; asking clears it.
    pub const fn take_trouble(&mut self) -> Option<Fault> {
        self.trouble.take()
    }

    /// Moves what can be moved, and tries again what failed.
    fn go_on(&mut self) {
        while let Some(transfer) = &mut self.transfer {
            let fault = match transfer.advance(&mut self.controller, self.dma.as_ref()) {
                Ok(false) => return,
                Ok(true) => None,
                Err(fault) => Some(fault),
            };
            let again = fault.is_some() && transfer.attempts > 0;
            if let Some(fault) = fault {
                self.trouble = Some(fault);
                if fault == Fault::Dma {
                    // It does not reach what it was told it does: from now on the driver moves them.
                    self.dma = None;
                }
                self.lost |= recover(&mut self.controller, &self.card).is_err();
            }
            if again && let Some(transfer) = self.transfer.take() {
                self.attempt(Transfer {
                    attempts: transfer.attempts - 1,
                    ..transfer
                });
                continue;
            }
            let result = if fault.is_some() {
                BlockStatus::IoError
            } else {
                BlockStatus::Ok
            };
            self.ended = self.transfer.take().map(|done| (done.tag, result));
        }
    }

    /// Begins a job, once more or for the first time. If not even that is possible it has failed.
    fn attempt(&mut self, mut transfer: Transfer<M>) {
        loop {
            match self.send(&mut transfer) {
                Ok(()) => {
                    self.transfer = Some(transfer);
                    return;
                }
                Err(fault) => {
                    self.trouble = Some(fault);
                    self.lost = true;
                    if transfer.attempts == 0 {
                        self.ended = Some((transfer.tag, BlockStatus::IoError));
                        return;
                    }
                    transfer.attempts -= 1;
                }
            }
        }
    }

    fn send(&mut self, transfer: &mut Transfer<M>) -> Result<(), Fault> {
        if self.lost {
            self.find_again()?;
        }
        let job = &transfer.job;
        let argument = self.card.argument(job.block).ok_or(Fault::Exchanged)?;
        let command = Command::transfer(transfer.direction, argument, job.count);
        let table = self.dma.as_ref().and_then(|dma| {
            let job = &transfer.job;
            dma.prepare(&transfer.memory, job.offset, job.bytes)
        });
        (transfer.moved, transfer.answered) = (0, false);
        transfer.by_itself = table.is_some();
        transfer.deadline = self.controller.outside().now().saturating_add(BUSY_LIMIT);
        self.controller
            .send(&command, BLOCK_BYTES as u32, job.count, table)
    }

    /// Identifies the card anew. It must be the one that clients know.
    fn find_again(&mut self) -> Result<(), Fault> {
        self.controller.restart()?;
        let card = Card::identify(&mut self.controller)?;
        if card.identification != self.card.identification || card.capacity != self.card.capacity {
            return Err(Fault::Exchanged);
        }
        self.controller.set_interrupts(true);
        (self.card, self.lost) = (card, false);
        Ok(())
    }
}

impl<O: Outside, M: Memory + Clone> Backend<M> for SdCard<O, M> {
    fn start(&mut self, job: &Job, memory: &M, tag: Tag) -> Result<(), Busy> {
        self.go_on();
        if self.transfer.is_some() || self.ended.is_some() {
            return Err(Busy);
        }
        let direction = match job.operation {
            Operation::Read => Direction::Read,
            Operation::Write => Direction::Write,
            Operation::Flush => {
                self.ended = Some((tag, BlockStatus::Ok));
                return Ok(());
            }
        };
        self.attempt(Transfer {
            job: *job,
            direction,
            memory: memory.clone(),
            tag,
            moved: 0,
            by_itself: false,
            answered: false,
            attempts: ATTEMPTS - 1,
            deadline: 0,
        });
        self.go_on();
        Ok(())
    }

    fn finished(&mut self) -> Option<(Tag, BlockStatus)> {
        self.go_on();
        self.ended.take()
    }
}

impl<M: Memory> Transfer<M> {
    /// Moves blocks while the controller has room or data. Whether the transfer is over.
    fn advance<O: Outside>(
        &mut self,
        controller: &mut Controller<O>,
        dma: Option<&Dma<M>>,
    ) -> Result<bool, Fault> {
        loop {
            let now = controller.status();
            // First what the card said: data that a card refuses do not come, which is an error as well.
            if !self.answered && now & status::COMMAND_COMPLETE != 0 {
                let card = controller.answer();
                controller.clear(status::COMMAND_COMPLETE);
                if card & STATUS_ERRORS != 0 {
                    return Err(Fault::Status(card));
                }
                self.answered = true;
            }
            if now & status::ERROR != 0 {
                return Err(Fault::of_status(now));
            }
            let (wanted, left) = match self.direction {
                Direction::Read => (status::BUFFER_READ, self.job.bytes - self.moved),
                Direction::Write => (status::BUFFER_WRITE, self.job.bytes - self.moved),
            };
            if now & wanted != 0 && left > 0 && !self.by_itself {
                // Cleared first: the next block may set it again before this one is moved.
                controller.clear(wanted);
                self.move_block(controller)?;
                self.deadline = controller.outside().now().saturating_add(BUSY_LIMIT);
            } else if now & status::TRANSFER_COMPLETE != 0 {
                controller.clear(status::TRANSFER_COMPLETE);
                if let Some(dma) = dma.filter(|_| self.by_itself) {
                    (dma.take)(&self.memory, self.job.offset, self.job.bytes);
                    return Ok(true);
                }
                return if left == 0 {
                    Ok(true)
                } else {
                    Err(Fault::Stuck)
                };
            } else if controller.outside().now() >= self.deadline {
                return Err(Fault::Stuck);
            } else {
                return Ok(false);
            }
        }
    }

    fn move_block<O: Outside>(&mut self, controller: &mut Controller<O>) -> Result<(), Fault> {
        let mut block = [0; BLOCK_BYTES];
        let at = self.job.offset + self.moved;
        // Memory of a client that took it away: the driver goes on with zeros, nobody sees them.
        match self.direction {
            Direction::Read => {
                controller.take_block(&mut block);
                let _ = self.memory.write(at, &block);
            }
            Direction::Write => {
                if self.memory.read(at, &mut block).is_err() {
                    return Err(Fault::Stuck);
                }
                controller.put_block(&block);
            }
        }
        self.moved += BLOCK_BYTES;
        Ok(())
    }
}

/// Brings controller and card back to where transfers begin. SDHC spec, "Error Recovery" and "Abort
/// Transaction".
fn recover<O: Outside>(controller: &mut Controller<O>, card: &Card) -> Result<(), Fault> {
    /// The card's state in its status: "tran". SD spec, "Card Status".
    const TRANSFER_STATE: u32 = 4;
    controller.reset_lines()?;
    // A card that has stopped already does not know the command, and does not answer.
    match controller.run(&Command::STOP) {
        Ok(_) | Err(Fault::Silent) => {}
        Err(fault) => return Err(fault),
    }
    // What the status says of the past is cleared by asking.
    controller.run(&Command::send_status(card.address))?;
    let [now, ..] = controller.run(&Command::send_status(card.address))?;
    if now >> 9 & 0xf == TRANSFER_STATE {
        Ok(())
    } else {
        Err(Fault::Stuck)
    }
}
