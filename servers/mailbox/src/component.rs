//! From capabilities to a board that answers.

use gritos_base_api::{BaseError, SupervisionServer};
use gritos_board_api::{
    BoardClock, BoardError, BoardFramebufferReply, BoardIdentityReply, BoardServer, BoardService,
};
use gritos_idl_runtime::{Bytes, Caller, Hooks, serve};
use gritos_mailbox_core::{Question, Trouble, framebuffer, letter, register};
use gritos_service::Port;
use gritos_sys::abi::ObjectType;
use gritos_sys::abi::method::MemoryType;
use gritos_sys::dma::{self, DmaMemory};
use gritos_sys::environment::Environment;
use gritos_sys::invoke::Wanted;
use gritos_sys::slots::own;
use gritos_sys::{Error, ipc, mmio, time};

/// How long the firmware may take, and how often it is looked at.
const PATIENCE_NS: u64 = 1_000_000_000;
const LOOK_NS: u64 = 100_000;
/// Memory for questions, which the firmware accesses past the caches.
const MEMORY_BYTES: u64 = 4096;

pub(crate) fn main(_argument: u64) {
    if let Err(error) = run() {
        log::error!("{error}");
    }
}

fn run() -> Result<(), Error> {
    let environment = gritos_service::start()?;
    gritos_log_client::install(&environment, log::LevelFilter::Info);
    let (Some(endpoint), Some(device)) =
        (environment.endpoint("board"), environment.device("mailbox"))
    else {
        log::error!("the system table must give it a service `board` and the device `mailbox`");
        return Ok(());
    };
    let registers = mmio::Registers::map(device.registers)?;
    let slot = own::take()?;
    let wanted = Wanted::one(ObjectType::MemoryObject, MEMORY_BYTES).memory(MemoryType::Uncached);
    Environment::MEMORY.retype(wanted, slot.cnode(), slot.index())?;
    let memory = DmaMemory::map(slot.cap())?;
    let mut port = Port::<1>::new(endpoint, 0)?;
    let mut board = Firmware { registers, memory };
    if letter(memory.physical(), framebuffer::WORDS).is_none() {
        log::error!("its memory lies above the first GiB, where the firmware cannot see it");
    } else if let Ok([revision, _]) = board.ask(Question::BoardRevision) {
        log::info!("a board of revision {revision:x}");
    }
    let status = serve::<BoardService, _, _>(&mut port, &mut board);
    log::error!("cannot receive any more: {status:?}");
    Ok(())
}

/// The mailbox, and the memory for a question.
struct Firmware {
    registers: mmio::Registers,
    memory: DmaMemory,
}

impl Firmware {
    fn ask(&mut self, question: Question) -> Result<[u32; 2], BoardError> {
        let answer = self.exchange(&question.words())?;
        question.answer(&answer).map_err(error)
    }

    /// Sends a message and returns it as the firmware has changed it.
    fn exchange<const N: usize>(&mut self, message: &[u32; N]) -> Result<[u32; N], BoardError> {
        let letter = letter(self.memory.physical(), N).ok_or(BoardError::Io)?;
        let shared = *self.memory.shared();
        for (i, word) in message.iter().enumerate() {
            shared
                .store_release(4 * i, *word)
                .map_err(|_| BoardError::Io)?;
        }
        let end = time::after(PATIENCE_NS);
        self.wait(register::WRITE_STATUS, register::FULL, end)?;
        // The words before the letter that tells of them.
        dma::barrier();
        self.registers.write(register::WRITE, letter);
        loop {
            self.wait(register::READ_STATUS, register::EMPTY, end)?;
            // An answer to a question that was given up earlier has the same words; the tag tells.
            if self.registers.read(register::READ) == letter {
                break;
            }
        }
        dma::barrier();
        let mut words = [0; N];
        for (i, word) in words.iter_mut().enumerate() {
            *word = shared.load_acquire(4 * i).map_err(|_| BoardError::Io)?;
        }
        Ok(words)
    }

    /// Waits until a status has none of `bits`.
    fn wait(&self, status: usize, bits: u32, end: u64) -> Result<(), BoardError> {
        while self.registers.read(status) & bits != 0 {
            if time::now() >= end {
                return Err(BoardError::Io);
            }
            // Woken early it looks early.
            let _ = ipc::sleep_until(time::after(LOOK_NS));
        }
        Ok(())
    }
}

fn error(trouble: Trouble) -> BoardError {
    match trouble {
        Trouble::Unknown => BoardError::Unsupported,
        Trouble::Damaged => BoardError::Io,
    }
}

impl BoardServer for Firmware {
    fn identity(&mut self, _: Caller) -> Result<BoardIdentityReply, BoardError> {
        let [revision, _] = self.ask(Question::BoardRevision)?;
        let [firmware, _] = self.ask(Question::FirmwareRevision)?;
        Ok(BoardIdentityReply { revision, firmware })
    }

    fn temperature(&mut self, _: Caller) -> Result<u32, BoardError> {
        self.ask(Question::Temperature).map(|[value, _]| value)
    }

    fn clock(&mut self, _: Caller, clock: BoardClock) -> Result<u32, BoardError> {
        let number = match clock {
            BoardClock::Uart => 2,
            BoardClock::Processor => 3,
            BoardClock::Core => 4,
            _ => return Err(BoardError::Unsupported),
        };
        self.ask(Question::ClockRate(number)).map(|[hz, _]| hz)
    }

    fn ethernet_address(&mut self, _: Caller) -> Result<Bytes<6>, BoardError> {
        let [low, high] = self.ask(Question::EthernetAddress)?;
        let words = [low.to_le_bytes(), high.to_le_bytes()];
        let mut address = [0; 6];
        for (to, from) in address.iter_mut().zip(words.iter().flatten()) {
            *to = *from;
        }
        Bytes::new(&address).map_err(|_| BoardError::Io)
    }

    fn framebuffer(&mut self, _: Caller) -> Result<BoardFramebufferReply, BoardError> {
        // A firmware that does not say how large the screen is may show something all the same.
        let screen = self.ask(Question::ScreenSize).ok();
        let size = framebuffer::size(screen.map(|[width, height]| (width, height)));
        let answer = self.exchange(&framebuffer::words(size))?;
        let made = framebuffer::answer(&answer).map_err(error)?;
        Ok(BoardFramebufferReply {
            address: made.address,
            pitch: made.pitch,
            width: made.width,
            height: made.height,
        })
    }
}

impl SupervisionServer for Firmware {
    fn client_gone(&mut self, _: Caller, _: u32) -> Result<u32, BaseError> {
        Ok(0)
    }
}

impl<P> Hooks<P> for Firmware {}
