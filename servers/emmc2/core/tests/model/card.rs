//! A card as the *SD Physical Layer Simplified Specification 6.00* describes it, section titles at each
//! fact. Written from that, not from the driver.

use std::collections::HashMap;

pub(crate) const BLOCK: usize = 512;

/// Bits of the card's status ("Card Status").
const OUT_OF_RANGE: u32 = 1 << 31;
const ADDRESS_ERROR: u32 = 1 << 30;
const WP_VIOLATION: u32 = 1 << 26;
const CARD_IS_LOCKED: u32 = 1 << 25;
const ILLEGAL_COMMAND: u32 = 1 << 22;
const READY_FOR_DATA: u32 = 1 << 8;
const APP_CMD: u32 = 1 << 5;

/// "Card Status", `CURRENT_STATE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Idle = 0,
    Ready = 1,
    Identification = 2,
    StandBy = 3,
    Transfer = 4,
    Data = 5,
    Receive = 6,
}

/// What the card sends back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 48 bits, the last 32 of them before the checksum.
    Short(u32),
    /// The same, and the card may be busy.
    Busy(u32),
    /// 128 bits.
    Long(u128),
    /// Without a checksum.
    Unchecked(u32),
}

/// Which card.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) blocks: u64,
    /// "High Capacity": CCS is 1.
    pub(crate) by_block: bool,
    /// Version 2.00 or later: knows CMD8.
    pub(crate) modern: bool,
    /// "SCR": `SD_BUS_WIDTHS` has 4 bits.
    pub(crate) four_bits: bool,
    /// "SCR": `SD_SPEC` is at least 1.10, so that CMD6 is known.
    pub(crate) can_switch: bool,
    /// Whether CMD6 finds High Speed.
    pub(crate) high_speed: bool,
    pub(crate) read_only: bool,
    pub(crate) locked: bool,
    pub(crate) serial: u32,
}

impl Kind {
    pub(crate) fn sdhc() -> Self {
        Self {
            blocks: 8 << 20,
            by_block: true,
            modern: true,
            four_bits: true,
            can_switch: true,
            high_speed: true,
            read_only: false,
            locked: false,
            serial: 0x1234,
        }
    }

    /// 64 MiB.
    pub(crate) fn sdsc() -> Self {
        Self {
            blocks: 128 << 10,
            by_block: false,
            ..Self::sdhc()
        }
    }

    /// A card of version 1.01: one mode, no CMD8, no CMD6.
    pub(crate) fn old() -> Self {
        Self {
            modern: false,
            can_switch: false,
            ..Self::sdsc()
        }
    }
}

#[derive(Debug)]
pub(crate) struct Card {
    pub(crate) kind: Kind,
    pub(crate) state: State,
    pub(crate) written: HashMap<u64, [u8; BLOCK]>,
    pub(crate) lines: u8,
    pub(crate) fast: bool,
    /// It was put in while the clock ran faster than cards can be started with, and hears nothing until it
    /// is started properly.
    pub(crate) deaf: bool,
    /// How often ACMD41 is answered with "busy" still.
    pub(crate) not_ready: u32,
    errors: u32,
    application: bool,
    address: u16,
    /// The next block of a transfer, and whether there is more than one.
    at: u64,
    multiple: bool,
}

impl Card {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            state: State::Idle,
            written: HashMap::new(),
            lines: 1,
            fast: false,
            deaf: false,
            not_ready: 3,
            errors: 0,
            application: false,
            address: 0,
            at: 0,
            multiple: false,
        }
    }

    /// What a block holds that was never written.
    pub(crate) fn original(block: u64) -> [u8; BLOCK] {
        let mut data = [0; BLOCK];
        for (i, byte) in data.iter_mut().enumerate() {
            *byte = (block as u8).wrapping_mul(31).wrapping_add(i as u8);
        }
        data
    }

    pub(crate) fn block(&self, block: u64) -> [u8; BLOCK] {
        let written = self.written.get(&block).copied();
        written.unwrap_or_else(|| Self::original(block))
    }

    fn csd(&self) -> u128 {
        let protection = u128::from(self.kind.read_only) << 12;
        if self.kind.by_block {
            // CSD_STRUCTURE 1; C_SIZE counts 512 KiB.
            return 1 << 126 | u128::from(self.kind.blocks / 1024 - 1) << 48 | protection;
        }
        // READ_BL_LEN 9, C_SIZE_MULT 7: units of 512 blocks.
        9 << 80 | u128::from(self.kind.blocks / 512 - 1) << 62 | 7 << 47 | protection
    }

    /// The same card, put into a slot that is under power.
    pub(crate) fn inserted(mut self) -> Self {
        self.deaf = true;
        self
    }

    pub(crate) fn cid(&self) -> u128 {
        // PSN in bits 55:24.
        0x0353_4454_4553_5410 << 56 | u128::from(self.kind.serial) << 24
    }

    /// The status, whose errors are told once.
    fn status(&mut self) -> u32 {
        let errors = std::mem::take(&mut self.errors);
        let locked = if self.kind.locked { CARD_IS_LOCKED } else { 0 };
        let application = if self.application { APP_CMD } else { 0 };
        errors | locked | (self.state as u32) << 9 | READY_FOR_DATA | application
    }

    /// "Detailed Command Description", with the states of "Card State Transition Table".
    pub(crate) fn command(&mut self, index: u8, argument: u32) -> Option<Answer> {
        let application = std::mem::take(&mut self.application);
        let addressed = (argument >> 16) as u16 == self.address;
        let state = self.state;
        match (application, index, state) {
            (_, 0, _) => {
                (self.state, self.lines, self.fast, self.errors) = (State::Idle, 1, false, 0);
                (self.address, self.multiple) = (0, false);
                None
            }
            (false, 8, State::Idle) if self.kind.modern => Some(Answer::Short(argument & 0xfff)),
            (_, 55, _) if addressed => {
                self.application = true;
                Some(Answer::Short(self.status()))
            }
            (true, 41, State::Idle) => {
                let ready = self.not_ready == 0;
                self.not_ready = self.not_ready.saturating_sub(1);
                // A card of high capacity never gets ready for a host that does not know it.
                let ready = ready && (!self.kind.by_block || argument & 1 << 30 != 0);
                if !ready {
                    return Some(Answer::Unchecked(0x00ff_8000));
                }
                self.state = State::Ready;
                let capacity = u32::from(self.kind.by_block) << 30;
                Some(Answer::Unchecked(1 << 31 | capacity | 0x00ff_8000))
            }
            (_, 2, State::Ready) => {
                self.state = State::Identification;
                Some(Answer::Long(self.cid()))
            }
            (_, 3, State::Identification | State::StandBy) => {
                let status = self.status();
                (self.state, self.address) = (State::StandBy, 0xb0b0);
                Some(Answer::Short(0xb0b0 << 16 | status & 0xffff))
            }
            (_, 9, State::StandBy) if addressed => Some(Answer::Long(self.csd())),
            (_, 7, State::StandBy) if addressed => {
                let status = self.status();
                self.state = State::Transfer;
                Some(Answer::Busy(status))
            }
            (_, 13, _) if addressed && state as u8 >= State::StandBy as u8 => {
                Some(Answer::Short(self.status()))
            }
            (_, 12, State::Data | State::Receive) => {
                let status = self.status();
                self.state = State::Transfer;
                Some(Answer::Busy(status))
            }
            (_, _, State::Transfer) => self.in_transfer(application, index, argument),
            _ => self.illegal(),
        }
    }

    fn in_transfer(&mut self, application: bool, index: u8, argument: u32) -> Option<Answer> {
        match (application, index) {
            (false, 16) if argument == 512 => Some(Answer::Short(self.status())),
            (true, 6) if argument == 2 && self.kind.four_bits => {
                self.lines = 4;
                Some(Answer::Short(self.status()))
            }
            (true, 51) => {
                self.state = State::Data;
                Some(Answer::Short(self.status()))
            }
            (false, 6) if self.kind.can_switch => {
                // Mode 1, group 1: function 1, the others unchanged.
                assert_eq!(argument, 0x80ff_fff1);
                self.state = State::Data;
                Some(Answer::Short(self.status()))
            }
            (false, 17 | 18 | 24 | 25) => self.begin(index, argument),
            _ => self.illegal(),
        }
    }

    fn begin(&mut self, index: u8, argument: u32) -> Option<Answer> {
        let address = u64::from(argument);
        let block = if self.kind.by_block {
            address
        } else {
            if !address.is_multiple_of(BLOCK as u64) {
                self.errors |= ADDRESS_ERROR;
            }
            address / BLOCK as u64
        };
        if block >= self.kind.blocks {
            self.errors |= OUT_OF_RANGE;
        }
        let writes = index >= 24;
        if writes && self.kind.read_only {
            self.errors |= WP_VIOLATION;
        }
        let good = self.errors == 0;
        let status = self.status();
        if good {
            self.state = if writes { State::Receive } else { State::Data };
            (self.at, self.multiple) = (block, index % 2 == if writes { 1 } else { 0 });
        }
        Some(Answer::Short(status))
    }

    fn illegal(&mut self) -> Option<Answer> {
        self.errors |= ILLEGAL_COMMAND;
        None
    }

    /// The data behind a command, `bytes` at a time.
    pub(crate) fn send(&mut self, index: u8, application: bool, bytes: usize) -> Option<Vec<u8>> {
        if self.state != State::Data {
            return None;
        }
        if application && index == 51 {
            // SD_SPEC 2 (or 0), SD_BUS_WIDTHS.
            self.state = State::Transfer;
            let widths = if self.kind.four_bits { 5 } else { 1 };
            let version = if self.kind.can_switch { 2 } else { 0 };
            return Some(vec![version, widths, 0, 0, 0, 0, 0, 0]);
        }
        if index == 6 {
            // "Switch Function Status": 379:376 is the function that group 1 now has, 0xf: refused.
            self.state = State::Transfer;
            let mut status = vec![0; 64];
            status[16] = if self.kind.high_speed { 1 } else { 0xf };
            self.fast |= self.kind.high_speed;
            return Some(status);
        }
        assert_eq!(bytes, BLOCK);
        if self.at >= self.kind.blocks {
            self.errors |= OUT_OF_RANGE;
            return None;
        }
        let data = self.block(self.at).to_vec();
        self.at += 1;
        if !self.multiple {
            self.state = State::Transfer;
        }
        Some(data)
    }

    /// Takes a block of data.
    pub(crate) fn receive(&mut self, data: &[u8]) {
        assert_eq!(self.state, State::Receive, "nobody asked for data");
        let data = data.try_into().expect("a block");
        self.written.insert(self.at, data);
        self.at += 1;
        if !self.multiple {
            self.state = State::Transfer;
        }
    }
}
