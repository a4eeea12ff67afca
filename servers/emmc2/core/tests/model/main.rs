//! The driver against models of card and controller.

mod by_itself;
mod card;
mod controller;
mod errors;
mod identification;
mod mishaps;
mod transfers;

use gritos_block_core::api::{BlockLayout, BlockStatus};
use gritos_block_core::{Attachment, Disk, DiskError, Queue, Signals, layout, memory_bytes};
use gritos_emmc2_core::{Dma, SdCard, TABLE_BYTES, Window};
use gritos_ring::host::HostMemory;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use card::{Card, Kind};
use controller::{Machine, Mishap, Shared, with};

pub(crate) const DEPTH: usize = 4;
pub(crate) const DATA_BYTES: u32 = 256 << 10;

/// A driver with one client that runs whenever the client waits.
pub(crate) struct Driver {
    pub(crate) card: SdCard<Machine, HostMemory>,
    queue: Queue<HostMemory, 1>,
    model: Shared,
    signalled: bool,
    pub(crate) interrupts: u32,
}

impl Driver {
    fn run(&mut self) {
        for _ in 0..100_000 {
            let Self {
                card,
                queue,
                signalled,
                ..
            } = self;
            if queue.run(card, |_| *signalled = true) {
                continue;
            }
            if self.signalled {
                return;
            }
            if !self.sleep() {
                return;
            }
        }
        panic!("the driver never comes to rest");
    }

    /// Lets time pass until the device interrupts or the driver's own deadline is there; whether either comes.
    fn sleep(&mut self) -> bool {
        let mut model = self.model.borrow_mut();
        loop {
            let next = match model.interrupts() {
                Ok(()) => {
                    self.interrupts += 1;
                    return true;
                }
                Err(next) => next,
            };
            match (next, self.card.deadline()) {
                (Some(next), deadline) if deadline.is_none_or(|deadline| next < deadline) => {
                    model.now = model.now.max(next);
                }
                (_, Some(deadline)) => {
                    model.now = model.now.max(deadline);
                    return true;
                }
                (_, None) => return false,
            }
        }
    }
}

pub(crate) struct Wires(pub(crate) Rc<RefCell<Driver>>);

impl Signals for Wires {
    fn ring(&mut self) -> Result<(), DiskError> {
        Ok(())
    }

    fn wait(&mut self, _progress: bool) -> Result<(), DiskError> {
        let mut driver = self.0.borrow_mut();
        driver.run();
        match std::mem::take(&mut driver.signalled) {
            true => Ok(()),
            false => Err(DiskError::TimedOut),
        }
    }
}

pub(crate) struct Bench {
    pub(crate) model: Shared,
    pub(crate) driver: Rc<RefCell<Driver>>,
    pub(crate) disk: Disk<HostMemory, Wires, DEPTH>,
    pub(crate) memory: HostMemory,
}

/// A driver for a card of this kind, and a client of it.
pub(crate) fn bench(kind: Kind) -> Bench {
    bench_of(with(Some(Card::new(kind))), None)
}

/// Where the controller sees the client's memory, and the driver's table.
const SEEN_AT: u32 = 0xc100_0000;
const TABLE_AT: u32 = 0xc000_1000;

thread_local! {
    /// What is the controller's at the moment: offset and bytes.
    pub(crate) static GIVEN: RefCell<Vec<(usize, usize)>> = const { RefCell::new(Vec::new()) };
}

/// The same with a controller that moves blocks by itself.
pub(crate) fn bench_by_itself(kind: Kind) -> Bench {
    bench_after(kind, VecDeque::new())
}

/// The same, with what goes wrong at the start.
pub(crate) fn bench_after(kind: Kind, trial: VecDeque<Mishap>) -> Bench {
    let table = HostMemory::new(TABLE_BYTES);
    let dma = Dma {
        table: table.clone(),
        window: Window {
            device: 0xc000_0000,
            physical: 0,
            bytes: 1 << 30,
        },
        physical: |memory: &HostMemory| match gritos_ring::Memory::len(memory) {
            TABLE_BYTES => 0x1000,
            _ => 0x0100_0000,
        },
        give: |_, offset, bytes| GIVEN.with_borrow_mut(|given| given.push((offset, bytes))),
        take: |_, offset, bytes| {
            GIVEN.with_borrow_mut(|given| assert_eq!(given.pop(), Some((offset, bytes))));
        },
    };
    let model = with(Some(Card::new(kind)));
    (model.borrow_mut().memories, model.borrow_mut().mishaps) = (vec![(TABLE_AT, table)], trial);
    let bench = bench_of(model, Some(dma));
    let mut model = bench.model.borrow_mut();
    let client = (SEEN_AT, bench.memory.clone());
    model.memories.push(client);
    drop(model);
    bench
}

fn bench_of(model: Shared, dma: Option<Dma<HostMemory>>) -> Bench {
    let card = SdCard::start(Machine(model.clone()), dma).expect("a good card");
    let geometry = card.geometry();
    let layout: BlockLayout = layout(DEPTH as u32, DATA_BYTES).expect("possible");
    let memory = HostMemory::new(memory_bytes(&layout) as usize);
    let mut queue = Queue::default();
    let attachment = Attachment::new(memory.clone(), DEPTH as u32, layout, geometry);
    queue.insert(0, attachment.expect("it fits"));
    let driver = Rc::new(RefCell::new(Driver {
        card,
        queue,
        model: model.clone(),
        signalled: false,
        interrupts: 0,
    }));
    let disk = Disk::new(memory.clone(), layout, geometry, Wires(driver.clone())).expect("sound");
    Bench {
        model,
        driver,
        disk,
        memory,
    }
}

impl Bench {
    /// Reads blocks from `block` on.
    pub(crate) fn read(&mut self, block: u64, count: usize) -> Result<Vec<u8>, DiskError> {
        let mut data = vec![0xee; count * card::BLOCK];
        self.disk.read(block, &mut data).map(|()| data)
    }

    /// What the card itself holds.
    pub(crate) fn holds(&self, block: u64) -> [u8; card::BLOCK] {
        self.model
            .borrow()
            .card
            .as_ref()
            .expect("a card")
            .block(block)
    }
}

pub(crate) const IO_ERROR: DiskError = DiskError::Status(BlockStatus::IoError);
