//! Commands that cards know.
//!
//! Indices, arguments and answers: SD spec, "Detailed Command Description". How the controller is to be told
//! of an answer: SDHC spec, "Command Register", "Relation Between Parameters and the Name of Response Type".

use crate::register::command;

/// What a card answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// Nothing.
    None,
    /// Its status, or what has the same form (R1, R6, R7).
    Short,
    /// Its status, and it may be busy behind that (R1b).
    Busy,
    /// A register of 128 bits (R2).
    Long,
    /// A register without a checksum (R3).
    Unchecked,
}

/// Where data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the card.
    Read,
    /// To the card.
    Write,
}

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its number.
    pub index: u8,
    /// Its argument.
    pub argument: u32,
    /// What the card answers.
    pub response: Response,
    /// Where data goes that follows.
    pub data: Option<Direction>,
}

impl Command {
    const fn new(index: u8, argument: u32, response: Response) -> Self {
        Self {
            index,
            argument,
            response,
            data: None,
        }
    }

    const fn with(index: u8, argument: u32, data: Direction) -> Self {
        Self {
            data: Some(data),
            ..Self::new(index, argument, Response::Short)
        }
    }

    /// CMD0: the card forgets everything.
    pub const GO_IDLE: Self = Self::new(0, 0, Response::None);
    /// CMD2: every card that was not heard yet tells its CID.
    pub const ALL_SEND_CID: Self = Self::new(2, 0, Response::Long);
    /// CMD3: the card takes an address and tells it.
    pub const SEND_ADDRESS: Self = Self::new(3, 0, Response::Short);
    /// CMD8: whether the card runs at 2.7 to 3.6 V; cards before version 2 do not answer. The low byte comes
    /// back.
    pub const SEND_IF_COND: Self = Self::new(8, 0x1aa, Response::Short);
    /// CMD12: stops a transfer.
    pub const STOP: Self = Self::new(12, 0, Response::Busy);
    /// CMD16: blocks have 512 bytes. Cards with more than 2 GB have no others.
    pub const SET_BLOCK_LENGTH: Self = Self::new(16, 512, Response::Short);
    /// ACMD6: four data lines.
    pub const FOUR_BITS: Self = Self::new(6, 2, Response::Short);
    /// ACMD51: reads the SCR, 8 bytes.
    pub const SEND_SCR: Self = Self::with(51, 0, Direction::Read);
    /// CMD6: switches function group 1 to High Speed and leaves the others; reads 64 bytes.
    pub const SWITCH_HIGH_SPEED: Self = Self::with(6, 0x80ff_fff1, Direction::Read);

    /// CMD55: the next command is the card's own kind ("ACMD").
    #[must_use]
    pub const fn application(address: u32) -> Self {
        Self::new(55, address, Response::Short)
    }

    /// ACMD41: starts the card with these conditions and tells how far it is.
    #[must_use]
    pub const fn operating_conditions(conditions: u32) -> Self {
        Self::new(41, conditions, Response::Unchecked)
    }

    /// CMD9: reads the CSD.
    #[must_use]
    pub const fn send_csd(address: u32) -> Self {
        Self::new(9, address, Response::Long)
    }

    /// CMD7: this card is the one that is spoken to.
    #[must_use]
    pub const fn select(address: u32) -> Self {
        Self::new(7, address, Response::Busy)
    }

    /// CMD13: the card's status.
    #[must_use]
    pub const fn send_status(address: u32) -> Self {
        Self::new(13, address, Response::Short)
    }

    /// CMD17, CMD18, CMD24, CMD25: one block or several, from the one at `argument`.
    #[must_use]
    pub const fn transfer(direction: Direction, argument: u32, blocks: u32) -> Self {
        let index = match (direction, blocks > 1) {
            (Direction::Read, false) => 17,
            (Direction::Read, true) => 18,
            (Direction::Write, false) => 24,
            (Direction::Write, true) => 25,
        };
        Self::with(index, argument, direction)
    }

    /// The upper half of `TransferCommand`.
    #[must_use]
    pub const fn bits(&self) -> u32 {
        let response = match self.response {
            Response::None => 0,
            Response::Short => command::ANSWER_48 | command::CHECK_CRC | command::CHECK_INDEX,
            Response::Busy => command::ANSWER_48_BUSY | command::CHECK_CRC | command::CHECK_INDEX,
            Response::Long => command::ANSWER_136 | command::CHECK_CRC,
            Response::Unchecked => command::ANSWER_48,
        };
        let data = if self.data.is_some() {
            command::DATA
        } else {
            0
        };
        let kind = if self.index == Self::STOP.index {
            command::ABORT
        } else {
            0
        };
        (self.index as u32) << command::INDEX_SHIFT | response | data | kind
    }
}

/// Errors in a card's status (R1). SD spec, "Card Status": the bits of type E.
pub(crate) const STATUS_ERRORS: u32 = 0xfdf9_8008;
/// The card is locked by a password.
pub(crate) const LOCKED: u32 = 1 << 25;

#[cfg(test)]
mod tests {
    use super::{Command, Direction};

    #[test]
    fn command_words_are_those_of_the_specification() {
        // Index, then type and flags, by hand from the tables.
        for (command, bits) in [
            (Command::GO_IDLE, 0x0000_0000),
            (Command::ALL_SEND_CID, 0x0209_0000),
            (Command::SEND_IF_COND, 0x081a_0000),
            (Command::operating_conditions(0), 0x2902_0000),
            (Command::select(0), 0x071b_0000),
            (Command::STOP, 0x0cdb_0000),
            (Command::SEND_SCR, 0x333a_0000),
            (Command::transfer(Direction::Read, 0, 1), 0x113a_0000),
            (Command::transfer(Direction::Write, 0, 9), 0x193a_0000),
        ] {
            assert_eq!(command.bits(), bits, "{command:?}");
        }
    }
}
