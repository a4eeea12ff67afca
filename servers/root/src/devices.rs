//! Registers and interrupts of the devices that the system table names.
//!
//! Their capabilities are made once, in the order of their addresses, because
//! device memory is given out upwards. Components get copies of them, one
//! component each. What of memory a device with DMA sees by itself is read from
//! the device tree here, once.

use core::fmt;
use core::ops::Range;

use gritos_sys::abi::ObjectType;
use gritos_sys::abi::boot_info::{BootInfo, UNTYPED_LIMIT, slot};
use gritos_sys::abi::method::MemoryType;
use gritos_sys::abi::{Address, Status};
use gritos_sys::cap::{AddressSpace, IrqControl, IrqHandler, MemoryObject, Untyped};
use gritos_sys::environment::Window;
use gritos_sys::error::Operation;
use gritos_sys::invoke::Wanted;
use gritos_sys::mmio::Registers;
use gritos_sys::slots::{Slot, Slots};
use gritos_sys::{Cap, Error};
use gritos_system::{Board, DEVICE_LIMIT, Device, INTERRUPT_LIMIT, Stop, System};

/// The capabilities of one device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    /// Its registers.
    pub(crate) registers: Cap<MemoryObject>,
    interrupts: [Option<Cap<IrqHandler>>; INTERRUPT_LIMIT],
    /// What of memory it sees by itself, if it has DMA and the tree says.
    pub(crate) window: Option<Window>,
}

impl Made {
    /// The handlers of its interrupts, in its own order.
    pub(crate) fn interrupts(&self) -> impl Iterator<Item = Cap<IrqHandler>> {
        self.interrupts.into_iter().flatten()
    }
}

/// How often a register is read that is to say that the device has stopped.
const PATIENCE: usize = 10_000;

/// What was wrong with a device.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It cannot be made.
    Kernel(Error),
    /// What it sees of memory is not known.
    Tree(gritos_device_tree::Error),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(error) => write!(f, "{error}"),
            Self::Tree(error) => write!(f, "{error}; it is used without DMA"),
        }
    }
}

/// Why a device was not stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unstopped {
    Kernel(Error),
    /// What its register says still.
    Busy(u32),
}

impl fmt::Display for Unstopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(error) => write!(f, "{error}"),
            Self::Busy(value) => write!(f, "it stays busy ({value:#x})"),
        }
    }
}

impl Made {
    /// Stops the device, so that it uses no memory any more.
    pub(crate) fn stop(&self, stop: Stop, space: Cap<AddressSpace>) -> Result<(), Unstopped> {
        let offset = stop.offset as usize;
        let left = Registers::lend(self.registers, space, |registers| {
            registers.write(offset, stop.value);
            let mut left = registers.read(offset) & stop.busy;
            for _ in 0..PATIENCE {
                if left == 0 {
                    break;
                }
                left = registers.read(offset) & stop.busy;
            }
            left
        });
        match left.map_err(Unstopped::Kernel)? {
            0 => Ok(()),
            left => Err(Unstopped::Busy(left)),
        }
    }
}

/// The devices of the table, by index. What is not on this board or could not
/// be made is missing.
#[derive(Debug)]
pub(crate) struct Devices {
    made: [Option<Made>; DEVICE_LIMIT],
}

impl Devices {
    /// Makes the capabilities of all devices that somebody owns. `failed` is
    /// told about each with which something is wrong.
    pub(crate) fn make(
        info: &BootInfo,
        system: &System<'_>,
        tree: &[u8],
        slots: &mut Slots,
        mut failed: impl FnMut(&Device<'_>, Trouble),
    ) -> Self {
        let mut devices = Self {
            made: [None; DEVICE_LIMIT],
        };
        let mut below = 0;
        loop {
            // The next by address; at most as many turns as there are devices.
            let next = (0_usize..)
                .zip(system.devices())
                .filter(|(_, device)| device.owner.is_some() && on_board(device, system.board()))
                .filter(|(_, device)| device.base >= below)
                .min_by_key(|(_, device)| device.base);
            let Some((index, device)) = next else {
                return devices;
            };
            below = device.base + 1;
            match make(info, &device, slots) {
                Ok(mut made) => {
                    if device.dma {
                        let window = window(tree, &device);
                        made.window = window
                            .unwrap_or_else(|error| {
                                failed(&device, Trouble::Tree(error));
                                None
                            })
                            .map(environment_window);
                    }
                    if let Some(place) = devices.made.get_mut(index) {
                        *place = Some(made);
                    }
                }
                Err(error) => failed(&device, Trouble::Kernel(error)),
            }
        }
    }

    /// The physical addresses that all of these devices see by themselves.
    pub(crate) fn seen(&self, indices: impl Iterator<Item = u16>) -> Range<u64> {
        let windows = indices.filter_map(|index| self.get(index)?.window);
        windows.fold(0..u64::MAX, |seen, window| {
            let end = window.physical.saturating_add(window.bytes);
            seen.start.max(window.physical)..seen.end.min(end)
        })
    }

    /// The device with this index.
    pub(crate) fn get(&self, index: u16) -> Option<Made> {
        self.made.get(usize::from(index)).copied().flatten()
    }
}

fn on_board(device: &Device<'_>, board: Board) -> bool {
    device.board.is_none_or(|wanted| wanted == board)
}

fn make(info: &BootInfo, device: &Device<'_>, slots: &mut Slots) -> Result<Made, Error> {
    let slot = slots.take()?;
    let registers = untyped_of(info, device)
        .and_then(|untyped| map(untyped, device, slot))
        .inspect_err(|_| slots.give_back(slot))?;
    let mut made = Made {
        registers,
        interrupts: [None; INTERRUPT_LIMIT],
        window: None,
    };
    let control = Cap::<IrqControl>::at(Address::root(slot::IRQ_CONTROL));
    for (place, line) in made.interrupts.iter_mut().zip(device.interrupts()) {
        let slot = slots.take()?;
        let handler = control.get(line.number, line.edge, slot);
        *place = Some(handler.inspect_err(|_| slots.give_back(slot))?);
    }
    Ok(made)
}

/// What the device sees of memory, by the tree.
fn window(
    tree: &[u8],
    device: &Device<'_>,
) -> Result<Option<gritos_device_tree::Window>, gritos_device_tree::Error> {
    let registers = device.base..device.base.saturating_add(device.size);
    gritos_device_tree::window(tree, &registers)
}

const fn environment_window(window: gritos_device_tree::Window) -> Window {
    Window {
        device: window.device,
        physical: window.physical,
        bytes: window.bytes,
    }
}

fn untyped_of(info: &BootInfo, device: &Device<'_>) -> Result<Cap<Untyped>, Error> {
    let described = usize::try_from(info.untyped_count).unwrap_or(UNTYPED_LIMIT);
    let holds = |base: u64, size: u64| {
        let end = device.base.checked_add(device.size);
        device.base >= base && end.is_some_and(|end| end <= base.saturating_add(size))
    };
    info.untyped
        .iter()
        .take(described)
        .position(|region| region.device != 0 && holds(region.base, region.size))
        .map(|index| Cap::at(Address::root(slot::UNTYPED_FIRST + index as u16)))
        .ok_or(Error::local(
            Status::OutOfRange,
            Operation::Allocate(ObjectType::MemoryObject),
        ))
}

fn map(untyped: Cap<Untyped>, device: &Device<'_>, slot: Slot) -> Result<Cap<MemoryObject>, Error> {
    let wanted = Wanted::one(ObjectType::MemoryObject, device.size)
        .at(device.base)
        .memory(MemoryType::Device);
    untyped.retype(wanted, slot.cnode(), slot.index())?;
    Ok(slot.cap())
}
