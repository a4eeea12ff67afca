//! A system description as it is written: names are not resolved yet, and every value knows its
//! place.

use gritos_system::{Board, Interrupt, Restart, Stop};

use super::findings::At;

/// The whole description.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// Memory of kernel, boot image and root task.
    pub(crate) root_bytes: u64,
    /// Services of the root task itself.
    pub(crate) root_offers: Vec<Offer>,
    /// In the order of the text, which is the order in which they are started.
    pub(crate) components: Vec<Line>,
    /// Boards that the description is for.
    pub(crate) boards: Vec<BoardLine>,
}

/// A board.
#[derive(Debug)]
pub(crate) struct BoardLine {
    pub(crate) board: At<Board>,
    /// The least memory that it is expected to have.
    pub(crate) memory_bytes: At<u64>,
    pub(crate) devices: Vec<DeviceLine>,
}

/// A device.
#[derive(Debug)]
pub(crate) struct DeviceLine {
    pub(crate) name: At<String>,
    pub(crate) base: At<u64>,
    pub(crate) size: At<u64>,
    pub(crate) interrupts: Vec<At<Interrupt>>,
    pub(crate) dma: bool,
    /// How it is stopped when its driver is gone.
    pub(crate) stop: Option<Stop>,
}

/// A component.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: At<String>,
    pub(crate) binary: At<String>,
    pub(crate) arguments: String,
    /// The boards that have it; `None` if every board that has its devices does.
    pub(crate) boards: Option<Vec<At<Board>>>,
    pub(crate) priority: At<u8>,
    pub(crate) ceiling: At<u8>,
    pub(crate) budget_ns: u64,
    pub(crate) period_ns: u64,
    pub(crate) memory_bytes: At<u64>,
    pub(crate) stack_bytes: At<u64>,
    pub(crate) cnode_slots: u32,
    pub(crate) restart: Restart,
    /// `AUTHORITY_*`.
    pub(crate) authorities: u32,
    /// All that it drives, where a board has them.
    pub(crate) devices: Vec<At<String>>,
    /// Those of them that it can do without.
    pub(crate) optional_devices: Vec<String>,
    pub(crate) offers: Vec<Offer>,
    pub(crate) uses: Vec<UseLine>,
}

/// A service that somebody offers.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) name: At<String>,
    /// Package of its protocols, possibly with the server in it: `gritos.fs` or
    /// `gritos.fs.FileService`.
    pub(crate) protocol: At<String>,
}

/// A service that a component wants.
#[derive(Debug)]
pub(crate) struct UseLine {
    /// What the component calls it.
    pub(crate) alias: At<String>,
    pub(crate) service: At<String>,
    pub(crate) rights: Vec<At<String>>,
    pub(crate) optional: bool,
    pub(crate) allow: Allow,
}

/// What is accepted of a use although it is reported elsewhere, each with the reason.
#[derive(Debug, Default)]
pub(crate) struct Allow {
    /// It is part of a cycle of calls.
    pub(crate) cycle: Option<At<String>>,
    /// The server has a lower priority.
    pub(crate) priority: Option<At<String>>,
}
