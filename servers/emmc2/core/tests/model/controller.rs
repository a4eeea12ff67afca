//! A controller as the *SD Host Controller Simplified Specification 3.00* describes it, with what is EMMC2's
//! own (Linux `sdhci-iproc`, and what `sdhci` prints on boards): four card clocks between writes while the clock is slow, 200 kHz
//! at least, a base clock of 100 MHz. Written from that, not from the driver: it refuses, by panicking, what
//! the hardware would not understand.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use gritos_emmc2_core::Outside;
use gritos_emmc2_core::register::Register;
use gritos_ring::Memory;
use gritos_ring::host::HostMemory;

use super::card::{Answer, Card, State};

/// Capabilities of EMMC2, as Linux' `sdhci` prints them on boards: base clock 100 MHz, High Speed.
const CAPABILITIES: u32 = 0x45ee_6432;
const BASE_HZ: u64 = 100_000_000;

/// What goes wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// The next command is not answered.
    NoAnswer,
    /// The next answer has a wrong checksum.
    AnswerDamaged,
    /// The controller tells of this error instead of the next answer.
    AnswerError(u32),
    /// The card's status in the next answer to a command with data has these errors, and no data come.
    Refused(u32),
    /// The block after so many has a wrong checksum.
    BlockDamaged(u32),
    /// At the block after so many the controller tells of this error.
    BlockError(u32, u32),
    /// At the block after so many everything falls silent: the controller does not even tell that nothing comes.
    Nothing(u32),
    /// The card stops sending, or never takes data, after so many blocks.
    Silence(u32),
    /// The controller reaches no memory by itself.
    Unreachable,
    /// What it brings to memory by itself comes to another place than it should.
    Astray,
}

#[derive(Debug)]
struct Transfer {
    reads: bool,
    index: u8,
    application: bool,
    bytes: usize,
    left: u32,
    done: u32,
    auto_stop: bool,
    /// "Advanced DMA": where the bytes go to or come from, and the clocks that it takes so far.
    dma: Option<VecDeque<(usize, HostMemory)>>,
    clocks: u64,
}

#[derive(Debug)]
pub(crate) struct Controller {
    pub(crate) card: Option<Card>,
    pub(crate) now: u64,
    pub(crate) mishaps: VecDeque<Mishap>,
    /// What goes wrong at the command of this number.
    pub(crate) mishap_at: Option<(usize, Mishap)>,
    /// Commands that were sent.
    pub(crate) commands: Vec<u8>,
    block: u32,
    argument: u32,
    response: [u32; 4],
    control: u32,
    clock: u32,
    status: u32,
    status_enable: u32,
    signal_enable: u32,
    buffer: VecDeque<u8>,
    transfer: Option<Transfer>,
    /// Bits that the status gets at a time.
    coming: Vec<(u64, u32)>,
    last_write: u64,
    application: bool,
    /// "ADMA System Address Register".
    table: u32,
    /// What the controller sees at which of its addresses.
    pub(crate) memories: Vec<(u32, HostMemory)>,
    /// Blocks that it moved by itself.
    pub(crate) moved: u32,
    /// Whether it was powered since the last reset.
    powered_since: Option<u64>,
    /// What it does not do any more.
    pub(crate) broken: Option<Broken>,
}

/// What a controller can fail at for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Resets never end.
    Reset,
    /// The internal clock is never stable.
    Clock,
    /// The command that is under way never ends.
    Command,
}

pub(crate) type Shared = Rc<RefCell<Controller>>;

pub(crate) fn with(card: Option<Card>) -> Shared {
    Rc::new(RefCell::new(Controller {
        card,
        now: 0,
        mishaps: VecDeque::new(),
        mishap_at: None,
        commands: Vec::new(),
        block: 0,
        argument: 0,
        response: [0; 4],
        control: 0,
        clock: 0,
        status: 0,
        status_enable: 0,
        signal_enable: 0,
        buffer: VecDeque::new(),
        transfer: None,
        coming: Vec::new(),
        last_write: 0,
        application: false,
        table: 0,
        memories: Vec::new(),
        moved: 0,
        powered_since: None,
        broken: None,
    }))
}

/// The driver's view of it.
#[derive(Clone, Debug)]
pub(crate) struct Machine(pub(crate) Shared);

impl Outside for Machine {
    fn read(&mut self, register: Register) -> u32 {
        self.0.borrow_mut().read(register)
    }

    fn write(&mut self, register: Register, value: u32) {
        self.0.borrow_mut().write(register, value);
    }

    fn now(&self) -> u64 {
        self.0.borrow().now
    }

    fn pause(&mut self, nanoseconds: u64) {
        self.0.borrow_mut().now += nanoseconds;
    }
}

impl Controller {
    /// "Clock Control Register": 10-bit divided clock mode.
    fn hz(&self) -> u64 {
        let divisor = u64::from(self.clock >> 8 & 0xff | (self.clock >> 6 & 3) << 8);
        BASE_HZ / (2 * divisor).max(1)
    }

    fn clocks(&self, count: u64) -> u64 {
        count * 1_000_000_000 / self.hz()
    }

    fn settle(&mut self) {
        let now = self.now;
        let ripe = self.coming.iter().filter(|(at, _)| *at <= now);
        let bits = ripe.fold(0, |bits, (_, more)| bits | more);
        self.coming.retain(|(at, _)| *at > now);
        // "Error Interrupt": any error sets bit 15 of the normal status.
        let bits = bits & self.status_enable;
        let summary = if bits >> 16 != 0 { 1 << 15 } else { 0 };
        self.status |= bits | summary;
    }

    /// Whether it interrupts, and if not, the time at which it may next.
    pub(crate) fn interrupts(&mut self) -> Result<(), Option<u64>> {
        self.settle();
        let errors = self.status & 0xffff_0000 & self.signal_enable;
        if self.status & self.signal_enable & 0x7fff != 0 || errors != 0 {
            return Ok(());
        }
        Err(self.coming.iter().map(|(at, _)| *at).min())
    }

    fn soon(&mut self, clocks: u64, bits: u32) {
        let at = self.now + self.clocks(clocks);
        self.coming.push((at, bits));
    }

    fn read(&mut self, register: Register) -> u32 {
        self.now += 100;
        self.settle();
        match register {
            Register::BlockSizeCount => self.block,
            Register::Argument => self.argument,
            Register::TransferCommand => panic!("nobody needs to read this"),
            Register::Response0 => self.response[0],
            Register::Response1 => self.response[1],
            Register::Response2 => self.response[2],
            Register::Response3 => self.response[3],
            Register::Buffer => self.take(),
            Register::PresentState => {
                let command = self.coming.iter().any(|(_, bits)| bits & 1 != 0);
                let command = command || self.broken == Some(Broken::Command);
                u32::from(command) | u32::from(self.transfer.is_some()) << 1
            }
            Register::HostControl => self.control,
            Register::ClockControl => self.clock,
            Register::Status => self.status,
            Register::StatusEnable => self.status_enable,
            Register::SignalEnable => self.signal_enable,
            Register::Capabilities => CAPABILITIES,
            Register::AdmaAddress => self.table,
            Register::Version => 0x1002_0000,
        }
    }

    fn write(&mut self, register: Register, value: u32) {
        if self.clock & 4 != 0 && self.hz() <= 400_000 {
            let since = self.now - self.last_write;
            assert!(
                since >= self.clocks(4),
                "writes follow each other after {since} ns"
            );
        }
        self.last_write = self.now;
        self.now += 100;
        self.settle();
        match register {
            Register::BlockSizeCount => {
                assert!(self.transfer.is_none(), "a transfer is under way");
                self.block = value;
            }
            Register::Argument => self.argument = value,
            Register::AdmaAddress => {
                assert!(self.transfer.is_none(), "a transfer is under way");
                assert!(value.is_multiple_of(4), "descriptors are aligned");
                self.table = value;
            }
            Register::TransferCommand => self.send(value),
            Register::Buffer => self.put(value),
            Register::HostControl => {
                if value & 1 << 8 != 0 {
                    assert_eq!(value >> 9 & 7, 7, "the slot has 3.3 V");
                    self.powered_since.get_or_insert(self.now);
                }
                self.control = value;
            }
            Register::ClockControl => self.set_clock(value),
            Register::Status => {
                self.status &= !value;
                if self.status >> 16 == 0 {
                    self.status &= !(1 << 15);
                }
            }
            Register::StatusEnable => self.status_enable = value,
            Register::SignalEnable => self.signal_enable = value,
            other => panic!("{other:?} is read only"),
        }
    }

    fn set_clock(&mut self, value: u32) {
        if value & 1 << 24 != 0 {
            let (card, now) = (self.card.take(), self.now);
            let mishaps = std::mem::take(&mut self.mishaps);
            let commands = std::mem::take(&mut self.commands);
            let (memories, moved) = (std::mem::take(&mut self.memories), self.moved);
            let broken = self.broken;
            let fresh = with(card);
            *self = Rc::try_unwrap(fresh)
                .expect("nobody else has it")
                .into_inner();
            (self.now, self.last_write) = (now, now);
            (self.mishaps, self.commands) = (mishaps, commands);
            (self.memories, self.moved, self.broken) = (memories, moved, broken);
            if broken == Some(Broken::Reset) {
                self.clock = value;
            }
            return;
        }
        if value & 1 << 25 != 0 {
            self.coming
                .retain(|(_, bits)| bits & 1 == 0 && bits >> 16 & 0xf == 0);
        }
        if value & 1 << 26 != 0 {
            self.coming.retain(|(_, bits)| bits & 1 != 0);
            (self.transfer, self.buffer) = (None, VecDeque::new());
        }
        let running = self.clock & 4 != 0;
        assert!(
            !running || value & 4 == 0 || (value ^ self.clock) & 0xffc0 == 0,
            "the divisor changes while the card gets the clock"
        );
        // Resets clear themselves; the internal clock is stable at once.
        self.clock = value & 0x000f_ffff & !2 | (value & 1) << 1;
        match self.broken {
            Some(Broken::Reset) => self.clock |= value & 7 << 24,
            // One that runs goes on.
            Some(Broken::Clock) if value & 4 == 0 => self.clock &= !2,
            Some(Broken::Clock | Broken::Command) | None => {}
        }
        assert!(
            value & 4 == 0 || self.clock & 2 != 0,
            "the clock is not stable"
        );
        if self.clock & 4 != 0 {
            assert!(self.hz() >= 200_000, "EMMC2 goes down to 200 kHz");
        }
    }

    /// "Command Register": bits 31:16 of the word.
    fn send(&mut self, word: u32) {
        let index = (word >> 24 & 0x3f) as u8;
        self.commands.push(index);
        assert!(self.clock & 4 != 0, "the card has no clock");
        let powered = self.powered_since.expect("the card has power");
        assert!(
            self.now - powered >= 1_000_000,
            "it has power for {} ns",
            self.now - powered
        );
        assert!(
            !self.coming.iter().any(|(_, bits)| bits & 1 != 0),
            "a command is under way"
        );
        let uses_data = word & 1 << 21 != 0 || (word >> 16 & 3 == 3 && index != 12);
        assert!(
            !uses_data || self.transfer.is_none(),
            "the data lines are in use"
        );
        let application = std::mem::replace(&mut self.application, index == 55);
        if self.card.as_ref().is_some_and(|card| card.deaf) && self.hz() > 400_000 {
            return self.soon(48 + 64, 1 << 16);
        }
        let limit = match &mut self.card {
            Some(card) if card.deaf => {
                card.deaf = false;
                400_000
            }
            Some(card) if (card.state as u8) < State::StandBy as u8 => 400_000,
            Some(card) if card.fast => 50_000_000,
            Some(_) => 25_000_000,
            None => u64::MAX,
        };
        assert!(
            self.hz() <= limit,
            "{} Hz are too fast for CMD{index}",
            self.hz()
        );

        if let Some((at, mishap)) = self.mishap_at
            && at + 1 == self.commands.len()
        {
            self.mishaps.push_front(mishap);
            self.mishap_at = None;
        }
        let mishap = self.mishaps.front().copied();
        if let Some(Mishap::Refused(errors)) = mishap
            && word & 1 << 21 != 0
        {
            self.mishaps.pop_front();
            // It is ready for data and stays where it was, "tran".
            self.keep([errors | 1 << 8 | (State::Transfer as u32) << 9, 0, 0, 0]);
            self.soon(48 + 48, 1);
            return self.begin(word, index, application);
        }
        let answer = self
            .card
            .as_mut()
            .and_then(|card| card.command(index, self.argument));
        let error = match mishap {
            Some(Mishap::NoAnswer) => Some(1 << 16),
            Some(Mishap::AnswerDamaged) => Some(1 << 17),
            Some(Mishap::AnswerError(bit)) => Some(1 << bit),
            _ => None,
        };
        if let Some(bits) = error {
            self.mishaps.pop_front();
            // The command was heard, and the card may send data.
            return self.soon(48 + 64, bits);
        }
        let Some(answer) = answer else {
            // Without an answer, none is waited for, or the time is over.
            let bits = if word >> 16 & 3 == 0 { 1 } else { 1 << 16 };
            return self.soon(48 + 64, bits);
        };
        // "Relation Between Parameters and the Name of Response Type".
        let (kind, checks, busy) = match answer {
            Answer::Short(value) => (2, 3, self.keep([value, 0, 0, 0])),
            Answer::Busy(value) => (3, 3, self.keep([value, 0, 0, 0])),
            Answer::Unchecked(value) => (2, 0, self.keep([value, 0, 0, 0])),
            Answer::Long(value) => {
                // R[127:8] lie at bit 0.
                let words = [8, 40, 72, 104].map(|shift| (value >> shift) as u32);
                (1, 1, self.keep(words))
            }
        };
        let () = busy;
        assert_eq!(word >> 16 & 3, kind, "CMD{index}: type of the answer");
        assert_eq!(word >> 19 & 3, checks, "CMD{index}: checks of the answer");
        self.soon(48 + 48, 1);
        if kind == 3 {
            self.soon(48 + 48 + 1000, 2);
        }
        if word & 1 << 21 != 0 {
            self.begin(word, index, application);
        }
    }

    fn keep(&mut self, words: [u32; 4]) {
        self.response = words;
    }

    /// "Transfer Mode Register": bits 15:0.
    fn begin(&mut self, word: u32, index: u8, application: bool) {
        let multiple = word & 1 << 5 != 0;
        let dma = (word & 1 != 0).then(|| self.descriptors());
        assert!(word & 2 != 0, "the block count is to count");
        assert!(multiple == (self.block >> 16 > 1), "one block or several");
        assert_eq!(multiple, index == 18 || index == 25);
        let reads = word & 1 << 4 != 0;
        self.transfer = Some(Transfer {
            reads,
            index,
            application,
            bytes: (self.block & 0xfff) as usize,
            left: self.block >> 16,
            done: 0,
            auto_stop: word & 1 << 2 != 0,
            dma: dma.clone().flatten(),
            clocks: 200,
        });
        let sends = self
            .card
            .as_ref()
            .is_some_and(|card| card.state == if reads { State::Data } else { State::Receive });
        if matches!(dma, Some(None))
            || dma.is_some() && self.mishaps.front() == Some(&Mishap::Unreachable)
        {
            self.mishaps
                .pop_front_if(|mishap| *mishap == Mishap::Unreachable);
            self.soon(200, 1 << 25);
        } else if sends && dma.is_some() {
            while self.transfer.is_some() && self.move_block() {}
        } else if sends {
            self.next_block(200);
        } else {
            // The card refused; its data never come.
            self.soon(10_000_000, 1 << 20);
        }
    }

    /// "Descriptor Table": each word of memory that it names, in order. `None`: a descriptor does not count, or
    /// names what the controller does not see.
    fn descriptors(&self) -> Option<VecDeque<(usize, HostMemory)>> {
        assert_eq!(self.control >> 3 & 3, 2, "what DMA is: 32-bit ADMA2");
        let find = |address: u32| {
            self.memories.iter().find_map(|(base, memory)| {
                let offset = address.checked_sub(*base)? as usize;
                (offset < memory.len()).then(|| (offset, memory.clone()))
            })
        };
        let mut words = VecDeque::new();
        for at in (self.table..).step_by(8) {
            let (offset, table) = find(at)?;
            let attributes = table.load(offset).ok()?;
            let address = table.load(offset + 4).ok()?;
            assert_eq!(attributes & 0x31, 0x21, "it counts and moves data");
            assert!(address.is_multiple_of(4) && attributes >> 16 & 3 == 0);
            let length = match attributes >> 16 {
                0 => 0x1_0000,
                length => length,
            };
            for word in (address..address + length).step_by(4) {
                words.push_back(find(word)?);
            }
            if attributes & 2 != 0 {
                let bytes = (self.block & 0xfff) * (self.block >> 16);
                assert_eq!(words.len(), bytes as usize / 4, "as much as the card sends");
                return Some(words);
            }
        }
        None
    }

    /// Moves a block between card and memory. Whether that went well.
    fn move_block(&mut self) -> bool {
        let Some(transfer) = &mut self.transfer else {
            return false;
        };
        let (bytes, at) = (transfer.bytes, transfer.clocks);
        transfer.clocks += 50 + 2 * bytes as u64;
        let (index, application, reads) = (transfer.index, transfer.application, transfer.reads);
        match self.mishaps.front() {
            Some(&Mishap::BlockDamaged(after)) if after == transfer.done => {
                self.mishaps.pop_front();
                self.soon(at, 1 << 21);
                return false;
            }
            Some(&Mishap::Silence(after)) if after == transfer.done => {
                self.mishaps.pop_front();
                self.soon(at + 10_000_000, 1 << 20);
                return false;
            }
            Some(&Mishap::BlockError(after, bit)) if after == transfer.done => {
                self.mishaps.pop_front();
                self.soon(at, 1 << bit);
                return false;
            }
            Some(&Mishap::Nothing(after)) if after == transfer.done => {
                self.mishaps.pop_front();
                return false;
            }
            _ => {}
        }
        let words = transfer.dma.as_mut().expect("by itself");
        let words: Vec<_> = words.drain(..bytes / 4).collect();
        let card = self.card.as_mut().expect("a card");
        if reads {
            let Some(data) = card.send(index, application, bytes) else {
                self.soon(at + 10_000_000, 1 << 20);
                return false;
            };
            let astray = self
                .mishaps
                .pop_front_if(|mishap| *mishap == Mishap::Astray);
            let words = if astray.is_some() { &[] } else { &*words };
            for ((offset, memory), data) in words.iter().zip(data.as_chunks::<4>().0) {
                // Memory that was taken away swallows what is written there.
                let _ = memory.store(*offset, u32::from_le_bytes(*data));
            }
        } else {
            let word = |(offset, memory): &(usize, HostMemory)| memory.load(*offset).unwrap_or(0);
            let data: Vec<u8> = words.iter().flat_map(|at| word(at).to_le_bytes()).collect();
            card.receive(&data);
        }
        self.moved += 1;
        self.block_done();
        true
    }

    /// Brings the next block into the buffer, or makes room for it.
    fn next_block(&mut self, clocks: u64) {
        let Some(transfer) = &mut self.transfer else {
            return;
        };
        let Some(card) = &mut self.card else {
            return self.soon(10_000_000, 1 << 20);
        };
        let width = if self.control & 2 != 0 { 4 } else { 1 };
        let mut damaged = width != card.lines || (self.control & 4 != 0) != card.fast;
        match self.mishaps.front() {
            Some(&Mishap::BlockDamaged(after)) if after == transfer.done => {
                self.mishaps.pop_front();
                damaged = true;
            }
            Some(&Mishap::Silence(after)) if after == transfer.done => {
                self.mishaps.pop_front();
                return self.soon(10_000_000, 1 << 20);
            }
            Some(&Mishap::BlockError(after, bit)) if after == transfer.done => {
                self.mishaps.pop_front();
                return self.soon(clocks, 1 << bit);
            }
            Some(&Mishap::Nothing(after)) if after == transfer.done => {
                self.mishaps.pop_front();
                return;
            }
            _ => {}
        }
        if damaged && transfer.reads {
            return self.soon(clocks, 1 << 21);
        }
        if !transfer.reads {
            if damaged {
                return self.soon(clocks, 1 << 21);
            }
            return self.soon(clocks, 1 << 4);
        }
        let (index, application, bytes) = (transfer.index, transfer.application, transfer.bytes);
        match card.send(index, application, bytes) {
            Some(data) => {
                let clocks = clocks + 8 * data.len() as u64 / u64::from(card.lines);
                assert_eq!(data.len(), bytes);
                self.buffer = data.into();
                self.soon(clocks, 1 << 5);
            }
            None => self.soon(10_000_000, 1 << 20),
        }
    }

    fn take(&mut self) -> u32 {
        assert!(
            !self.coming.iter().any(|(_, bits)| bits & 1 << 5 != 0),
            "no data is there yet"
        );
        let word: Vec<u8> = self.buffer.drain(..4).collect();
        if self.buffer.is_empty() {
            self.block_done();
        }
        u32::from_le_bytes(word.try_into().expect("four bytes"))
    }

    fn put(&mut self, value: u32) {
        assert!(
            !self.coming.iter().any(|(_, bits)| bits & 1 << 4 != 0),
            "no room yet"
        );
        let transfer = self.transfer.as_ref().expect("a transfer");
        let bytes = transfer.bytes;
        self.buffer.extend(value.to_le_bytes());
        if self.buffer.len() == bytes {
            let data: Vec<u8> = self.buffer.drain(..).collect();
            self.card.as_mut().expect("a card").receive(&data);
            self.block_done();
        }
    }

    fn block_done(&mut self) {
        let Some(transfer) = &mut self.transfer else {
            return;
        };
        (transfer.left, transfer.done) = (transfer.left - 1, transfer.done + 1);
        if transfer.left > 0 {
            if transfer.dma.is_none() {
                self.next_block(50);
            }
            return;
        }
        let clocks = transfer.clocks;
        let stop = transfer.auto_stop && transfer.index != 6;
        self.transfer = None;
        if stop {
            // Auto CMD12; its answer goes into the last response word.
            let answer = self.card.as_mut().and_then(|card| card.command(12, 0));
            assert!(matches!(answer, Some(Answer::Busy(_))));
        }
        self.soon(2_000 + clocks, 2);
    }
}
