//! The writer, for build tools.

use alloc::vec::Vec;

use crate::read::{EDGE, EVERY_BOARD, NO_STOP, NOBODY};
use crate::{
    Board, Component, Device, HEADER_BYTES, INTERRUPT_LIMIT, Interrupt, MAGIC, Provider, Service,
    System, SystemError, Use, VERSION,
};

/// A system as it is described, to be written as a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description<'a> {
    /// The board that it is for.
    pub board: Board,
    /// Components in the order in which they are started, each with what it
    /// uses.
    pub components: Vec<(Component<'a>, Vec<Use<'a>>)>,
    /// Services.
    pub services: Vec<Service<'a>>,
    /// Devices.
    pub devices: Vec<Device<'a>>,
}

impl Description<'_> {
    /// The bytes of the table. The same description gives the same bytes.
    ///
    /// # Errors
    /// Those with which [`System::parse`] refuses what was written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SystemError> {
        let mut strings = Strings::default();
        let mut records = Vec::new();
        let mut uses = Vec::new();
        let mut use_count = 0;
        for (component, used) in &self.components {
            let first = use_count;
            use_count += used.len();
            put_component(component, &mut records, &mut strings);
            put_u16(&mut records, first);
            put_u16(&mut records, used.len());
            records.extend([
                component.priority,
                component.ceiling,
                component.restart.policy as u8,
                0,
            ]);
            for usage in used {
                strings.put(&mut uses, usage.alias);
                uses.extend(usage.service.to_le_bytes());
                uses.extend(u16::from(usage.optional).to_le_bytes());
                uses.extend(usage.rights.to_le_bytes());
            }
        }
        for service in &self.services {
            strings.put(&mut records, service.name);
            strings.put(&mut records, service.protocol);
            let provider = match service.provider {
                Provider::Root => NOBODY,
                Provider::Component(index) => u32::from(index),
            };
            records.extend(provider.to_le_bytes());
        }
        for device in &self.devices {
            put_device(device, &mut records, &mut strings);
        }
        records.extend(uses);

        let total = HEADER_BYTES + records.len() + strings.0.len();
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        put_u32(&mut bytes, total);
        bytes.extend(u32::from(self.board as u8).to_le_bytes());
        put_u16(&mut bytes, self.components.len());
        put_u16(&mut bytes, self.services.len());
        put_u16(&mut bytes, self.devices.len());
        put_u16(&mut bytes, use_count);
        put_u32(&mut bytes, strings.0.len());
        bytes.extend(records);
        bytes.extend(strings.0);
        System::parse(&bytes)?;
        Ok(bytes)
    }
}

/// Everything of a component up to its uses.
fn put_component(component: &Component<'_>, out: &mut Vec<u8>, strings: &mut Strings) {
    strings.put(out, component.name);
    strings.put(out, component.binary);
    strings.put(out, component.arguments);
    for value in [
        component.memory_bytes,
        component.budget_ns,
        component.period_ns,
        component.restart.window_ns,
        component.restart.backoff_ns,
    ] {
        out.extend(value.to_le_bytes());
    }
    for value in [
        component.stack_bytes,
        component.cnode_slots,
        component.restart.attempts,
        component.authorities,
    ] {
        out.extend(value.to_le_bytes());
    }
}

fn put_device(device: &Device<'_>, out: &mut Vec<u8>, strings: &mut Strings) {
    strings.put(out, device.name);
    out.extend(device.base.to_le_bytes());
    out.extend(device.size.to_le_bytes());
    out.extend(device.owner.map_or(NOBODY, u32::from).to_le_bytes());
    let mut words = [0; INTERRUPT_LIMIT];
    for (word, &Interrupt { number, edge }) in words.iter_mut().zip(device.interrupts()) {
        *word = number | if edge { EDGE } else { 0 };
    }
    out.extend(words.into_iter().flat_map(u32::to_le_bytes));
    out.extend([
        device.interrupts().len() as u8,
        u8::from(device.dma),
        device.board.map_or(EVERY_BOARD, |board| board as u8),
        0,
    ]);
    let stop = device
        .stop
        .map_or([NO_STOP, 0, 0], |s| [s.offset, s.value, s.busy]);
    out.extend(stop.into_iter().flat_map(u32::to_le_bytes));
}

/// All strings one behind the other.
#[derive(Default)]
struct Strings(Vec<u8>);

impl Strings {
    /// Adds `text`, and where it is to `out`.
    fn put(&mut self, out: &mut Vec<u8>, text: &str) {
        put_u32(out, self.0.len());
        put_u32(out, text.len());
        self.0.extend(text.as_bytes());
    }
}

/// Numbers too large for their field become the largest, which is beyond every
/// limit.
fn put_u16(out: &mut Vec<u8>, value: usize) {
    out.extend(u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes());
}

fn put_u32(out: &mut Vec<u8>, value: usize) {
    out.extend(u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
}
