//! What a component's line in the system table gives it, capability by
//! capability.

use gritos_sys::abi::Rights;
use gritos_sys::cap::CNode;
use gritos_sys::environment::{Author, Grant, GrantKind, slot};
use gritos_sys::slots::Slot;
use gritos_sys::{Cap, Error, Mask};
use gritos_system::{AUTHORITY_POWER, System};

/// One capability to be granted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned<'a> {
    /// What it is.
    pub(crate) kind: GrantKind,
    /// What the component calls it.
    pub(crate) name: &'a str,
    /// Index of the service or device in the system table.
    pub(crate) index: u16,
    /// Position of an interrupt within its device; else 0.
    pub(crate) position: usize,
    /// See [`GrantKind`].
    pub(crate) values: [u64; 2],
}

/// All grants of component `index`, in the order of their slots.
pub(crate) fn planned<'a>(
    system: &System<'a>,
    index: u16,
) -> impl Iterator<Item = Planned<'a>> + use<'a> {
    let system = *system;
    let offered = system.services_of(index).filter_map(move |number| {
        let service = system.service(number)?;
        Some(Planned::simple(GrantKind::Endpoint, service.name, number))
    });
    let used = system.uses_of(index).map(|wanted| Planned {
        values: [u64::from(wanted.rights), 0],
        ..Planned::simple(GrantKind::Service, wanted.alias, wanted.service)
    });
    let devices = system
        .devices_of(index)
        .flat_map(move |number| device(&system, number));
    let has_power = system
        .component(index)
        .is_some_and(|component| component.authorities & AUTHORITY_POWER != 0);
    let power = has_power.then_some(Planned::simple(GrantKind::Platform, "platform", 0));
    offered.chain(used).chain(devices).chain(power)
}

fn device<'a>(system: &System<'a>, number: u16) -> impl Iterator<Item = Planned<'a>> + use<'a> {
    system.device(number).into_iter().flat_map(move |device| {
        let registers = Planned {
            values: [device.base, device.size],
            ..Planned::simple(GrantKind::Registers, device.name, number)
        };
        let lines = device.interrupts().len();
        let interrupts = (0..lines).map(move |position| Planned {
            position,
            values: [
                device
                    .interrupts()
                    .get(position)
                    .map_or(0, |line| u64::from(line.number)),
                0,
            ],
            ..Planned::simple(GrantKind::Interrupt, device.name, number)
        });
        core::iter::once(registers).chain(interrupts)
    })
}

impl<'a> Planned<'a> {
    const fn simple(kind: GrantKind, name: &'a str, index: u16) -> Self {
        Self {
            kind,
            name,
            index,
            position: 0,
            values: [0; 2],
        }
    }
}

/// Puts capabilities into a component's CNode and their names on its page.
///
/// The root task keeps the parent of each in a slot of its own: revoking those
/// takes back everything that came of them, wherever it went.
#[derive(Debug)]
pub(crate) struct Granting {
    author: Author,
    cnode: Cap<CNode>,
    run: Slot,
    given: u16,
}

impl Granting {
    /// For the component whose CNode is `cnode`; parents go into the empty slots
    /// from `run` on.
    pub(crate) const fn new(author: Author, cnode: Cap<CNode>, run: Slot) -> Self {
        Self {
            author,
            cnode,
            run,
            given: 0,
        }
    }

    /// Grants a copy of `source` with the rights of `mask` and, unless it is 0,
    /// `badge`.
    pub(crate) fn give<T>(
        &mut self,
        planned: &Planned<'_>,
        source: Cap<T>,
        mask: Mask,
        badge: u32,
    ) -> Result<(), Error> {
        let parent = nth(self.run, self.given);
        let held = match badge {
            0 => parent.copy(source, mask)?,
            _ => parent.mint(source, mask, badge)?,
        };
        let index = slot::GRANT_FIRST + self.given;
        self.cnode.copy(index, held, Mask::AS_HELD)?;
        self.author.grant(&Grant {
            kind: planned.kind,
            name: planned.name,
            address: gritos_sys::abi::Address::root(index),
            values: planned.values,
        })?;
        self.given += 1;
        Ok(())
    }

    /// The page, when everything was given, and the first slot behind it.
    pub(crate) const fn finish(self) -> (Author, u16) {
        (self.author, slot::GRANT_FIRST + self.given)
    }
}

/// Slot `position` of a run.
pub(crate) const fn nth(first: Slot, position: u16) -> Slot {
    let address = gritos_sys::abi::Address(first.address().0 + position as u32);
    Slot::new(first.cnode(), address)
}

/// The rights of a session: to call, and what the table says.
pub(crate) fn session_rights(rights: u64) -> Mask {
    Mask::new(Rights::from_bits_retain(rights as u32) | Rights::SEND).unwrap_or(Mask::AS_HELD)
}
