//! The reader.

use crate::error::{Part, SystemError};
use crate::fields::Fields;
use crate::{
    ADDRESS_END, ARGUMENT_BYTES, AUTHORITIES, Board, CNODE_SLOT_LIMIT, COMPONENT_BYTES,
    COMPONENT_LIMIT, COMPONENT_USE_LIMIT, Component, DEVICE_BYTES, DEVICE_LIMIT, DURATION_LIMIT_NS,
    Device, HEADER_BYTES, INTERRUPT_END, Interrupt, MAGIC, PAGE_BYTES, PROTOCOL_BYTES, Policy,
    Provider, RIGHT_GRANT, RIGHT_SEND, RIGHTS_OF_SERVER, Restart, SERVICE_BYTES, SERVICE_LIMIT,
    STRING_BYTES, Service, Stop, USE_BYTES, USE_LIMIT, Use, VERSION, is_name,
};

/// Stands for no component where an index of one is expected.
pub(crate) const NOBODY: u32 = u32::MAX;
/// In an interrupt's word: triggered by an edge.
pub(crate) const EDGE: u32 = 1 << 31;
/// Offset of the register by which a device is stopped, if none is.
pub(crate) const NO_STOP: u32 = u32::MAX;

/// A device that every board has.
pub(crate) const EVERY_BOARD: u8 = 0xff;

/// A checked table.
#[derive(Clone, Copy, Debug)]
pub struct System<'a> {
    board: Board,
    components: &'a [[u8; COMPONENT_BYTES]],
    services: &'a [[u8; SERVICE_BYTES]],
    devices: &'a [[u8; DEVICE_BYTES]],
    uses: &'a [[u8; USE_BYTES]],
    strings: &'a str,
    /// All names were read once and are good.
    is_checked: bool,
}

/// A component's record: the component and where its uses are.
type Row<'a> = (Component<'a>, core::ops::Range<usize>);

impl<'a> System<'a> {
    /// Checks everything: counts and lengths, each field of each record, every
    /// index, that strings are UTF-8, and that no two components, services or
    /// devices, nor two uses of a component, have the same name. What follows
    /// the table, up to the end of a page say, is ignored.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SystemError> {
        let mut system = Self::split(bytes)?;
        let mut next_use = 0;
        for index in 0..system.components.len() {
            let (_, uses) = system.row(index)?;
            if uses.start != next_use || uses.end > system.uses.len() {
                return Err(wrong(Part::Component, index, "uses"));
            }
            for place in uses.clone() {
                let alias = system.usage(place)?.alias;
                let mut earlier = (uses.start..place).filter_map(|i| system.usage(i).ok());
                if earlier.any(|other| other.alias == alias) {
                    return Err(wrong(Part::Use, place, "alias"));
                }
            }
            next_use = uses.end;
        }
        if next_use != system.uses.len() {
            return Err(SystemError::Length);
        }
        for index in 0..system.services.len() {
            system.service_at(index)?;
        }
        for index in 0..system.devices.len() {
            system.device_at(index)?;
        }
        distinct(Part::Component, || system.components().map(|c| c.name))?;
        distinct(Part::Service, || system.services().map(|s| s.name))?;
        distinct(Part::Device, || system.devices().map(|d| d.name))?;
        system.is_checked = true;
        Ok(system)
    }

    /// Checks the header and finds the parts.
    fn split(bytes: &'a [u8]) -> Result<Self, SystemError> {
        let mut header = Fields(bytes.get(..HEADER_BYTES).ok_or(SystemError::Truncated)?);
        if header.u64() != u64::from_le_bytes(MAGIC) {
            return Err(SystemError::Magic);
        }
        match header.u32() {
            VERSION => {}
            other => return Err(SystemError::Version(other)),
        }
        let total = header.u32() as usize;
        let bytes = bytes.get(..total).ok_or(SystemError::Truncated)?;
        let board = header.u32();
        let board = Board::from_number(board).ok_or(SystemError::Board(board))?;
        let mut count = |limit: usize| match usize::from(header.u16()) {
            count if count > limit => Err(SystemError::Count(count as u32)),
            count => Ok(count),
        };
        let components = count(COMPONENT_LIMIT)?;
        let services = count(SERVICE_LIMIT)?;
        let devices = count(DEVICE_LIMIT)?;
        let uses = count(USE_LIMIT)?;
        let string_bytes = header.u32();
        if string_bytes as usize > STRING_BYTES {
            return Err(SystemError::Count(string_bytes));
        }

        let rest = bytes.get(HEADER_BYTES..).ok_or(SystemError::Length)?;
        let (components, rest) = records(rest, components)?;
        let (services, rest) = records(rest, services)?;
        let (devices, rest) = records(rest, devices)?;
        let (uses, rest) = records(rest, uses)?;
        if rest.len() != string_bytes as usize {
            return Err(SystemError::Length);
        }
        Ok(Self {
            board,
            components,
            services,
            devices,
            uses,
            strings: core::str::from_utf8(rest).map_err(|_| SystemError::Text)?,
            is_checked: false,
        })
    }

    /// The board that the table is for.
    #[must_use]
    pub const fn board(&self) -> Board {
        self.board
    }

    /// How many components there are.
    #[must_use]
    pub const fn component_count(&self) -> u16 {
        self.components.len() as u16
    }

    /// All components, in the order in which they are started.
    pub fn components(&self) -> impl Iterator<Item = Component<'a>> + use<'a> {
        let system = *self;
        (0..self.components.len()).filter_map(move |index| Some(system.row(index).ok()?.0))
    }

    /// All services.
    pub fn services(&self) -> impl Iterator<Item = Service<'a>> + use<'a> {
        let system = *self;
        (0..self.services.len()).filter_map(move |index| system.service_at(index).ok())
    }

    /// All devices.
    pub fn devices(&self) -> impl Iterator<Item = Device<'a>> + use<'a> {
        let system = *self;
        (0..self.devices.len()).filter_map(move |index| system.device_at(index).ok())
    }

    /// Component `index`, if there is one.
    #[must_use]
    pub fn component(&self, index: u16) -> Option<Component<'a>> {
        Some(self.row(usize::from(index)).ok()?.0)
    }

    /// Service `index`, if there is one.
    #[must_use]
    pub fn service(&self, index: u16) -> Option<Service<'a>> {
        self.service_at(usize::from(index)).ok()
    }

    /// Device `index`, if there is one.
    #[must_use]
    pub fn device(&self, index: u16) -> Option<Device<'a>> {
        self.device_at(usize::from(index)).ok()
    }

    /// Index of the component called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<u16> {
        let name_of = |record| Fields(record).text(self.strings);
        let mut names = (0..).zip(self.components.iter().map(|record| name_of(record)));
        Some(names.find(|(_, found)| *found == Some(name))?.0)
    }

    /// What component `component` uses.
    pub fn uses_of(&self, component: u16) -> impl Iterator<Item = Use<'a>> + use<'a> {
        let system = *self;
        let row = self.row(usize::from(component));
        let uses = row.map_or(0..0, |(_, uses)| uses);
        uses.filter_map(move |place| system.usage(place).ok())
    }

    /// Indices of the services that component `component` offers.
    pub fn services_of(&self, component: u16) -> impl Iterator<Item = u16> + use<'a> {
        let offered =
            move |service: &Service<'_>| service.provider == Provider::Component(component);
        (0..)
            .zip(self.services())
            .filter(move |(_, service)| offered(service))
            .map(|(index, _)| index)
    }

    /// Indices of the devices that component `component` has.
    pub fn devices_of(&self, component: u16) -> impl Iterator<Item = u16> + use<'a> {
        (0..)
            .zip(self.devices())
            .filter(move |(_, device)| device.owner == Some(component))
            .map(|(index, _)| index)
    }

    /// Reads and checks a component; what its uses are is left to the caller.
    fn row(&self, index: usize) -> Result<Row<'a>, SystemError> {
        let bad = |field| wrong(Part::Component, index, field);
        let mut fields = Fields(self.components.get(index).ok_or(bad("index"))?);
        let name = self.name(&mut fields).ok_or(bad("name"))?;
        let binary = self.name(&mut fields).ok_or(bad("binary"))?;
        let arguments = fields.text(self.strings).ok_or(bad("arguments"))?;
        let memory_bytes = fields.u64();
        let budget_ns = fields.u64();
        let period_ns = fields.u64();
        let window_ns = fields.u64();
        let backoff_ns = fields.u64();
        let stack_bytes = fields.u32();
        let cnode_slots = fields.u32();
        let attempts = fields.u32();
        let authorities = fields.u32();
        let first_use = usize::from(fields.u16());
        let use_count = usize::from(fields.u16());
        let component = Component {
            name,
            binary,
            arguments,
            memory_bytes,
            budget_ns,
            period_ns,
            stack_bytes,
            cnode_slots,
            authorities,
            priority: fields.u8(),
            ceiling: fields.u8(),
            restart: Restart {
                policy: Policy::from_number(fields.u8()).ok_or(bad("restart"))?,
                attempts,
                window_ns,
                backoff_ns,
            },
        };
        if use_count > COMPONENT_USE_LIMIT {
            return Err(bad("uses"));
        }
        match out_of_range(&component) {
            Some(field) => Err(bad(field)),
            None if fields.u8() != 0 => Err(bad("padding")),
            None => Ok((component, first_use..first_use + use_count)),
        }
    }

    fn service_at(&self, index: usize) -> Result<Service<'a>, SystemError> {
        let bad = |field| wrong(Part::Service, index, field);
        let mut fields = Fields(self.services.get(index).ok_or(bad("index"))?);
        let name = self.name(&mut fields).ok_or(bad("name"))?;
        let protocol = fields
            .text(self.strings)
            .filter(|protocol| (1..=PROTOCOL_BYTES).contains(&protocol.len()))
            .ok_or(bad("protocol"))?;
        let provider = self.component_index(fields.u32()).ok_or(bad("provider"))?;
        Ok(Service {
            name,
            protocol,
            provider: provider.map_or(Provider::Root, Provider::Component),
        })
    }

    fn device_at(&self, index: usize) -> Result<Device<'a>, SystemError> {
        let bad = |field| wrong(Part::Device, index, field);
        let mut fields = Fields(self.devices.get(index).ok_or(bad("index"))?);
        let name = self.name(&mut fields).ok_or(bad("name"))?;
        let mut device = Device::new(name, fields.u64(), fields.u64());
        device.owner = self.component_index(fields.u32()).ok_or(bad("owner"))?;
        device.interrupts = core::array::from_fn(|_| {
            let word = fields.u32();
            Interrupt {
                number: word & !EDGE,
                edge: word & EDGE != 0,
            }
        });
        device.interrupt_count = fields.u8();
        device.dma = match fields.u8() {
            0 => false,
            1 => true,
            _ => return Err(bad("dma")),
        };
        device.board = match fields.u8() {
            EVERY_BOARD => None,
            number => Some(Board::from_number(u32::from(number)).ok_or(bad("board"))?),
        };
        let used = usize::from(device.interrupt_count);
        let (used, unused) = device
            .interrupts
            .split_at_checked(used)
            .ok_or(bad("interrupts"))?;
        if used.iter().any(|i| i.number >= INTERRUPT_END)
            || unused.iter().any(|&i| i != Interrupt::default())
        {
            return Err(bad("interrupts"));
        }
        if device.board.is_some_and(|board| board != self.board) {
            return Err(bad("board"));
        }
        if !pages(device.base, 0) || device.base >= ADDRESS_END {
            return Err(bad("base"));
        }
        match device.base.checked_add(device.size) {
            Some(end) if end <= ADDRESS_END && pages(device.size, 1) => {}
            _ => return Err(bad("size")),
        }
        if fields.u8() != 0 {
            return Err(bad("padding"));
        }
        let [offset, value, busy] = core::array::from_fn(|_| fields.u32());
        device.stop = match (offset, value, busy) {
            (NO_STOP, 0, 0) => None,
            _ if offset.is_multiple_of(4) && u64::from(offset) < device.size => Some(Stop {
                offset,
                value,
                busy,
            }),
            _ => return Err(bad("stop")),
        };
        Ok(device)
    }

    fn usage(&self, place: usize) -> Result<Use<'a>, SystemError> {
        let bad = |field| wrong(Part::Use, place, field);
        let mut fields = Fields(self.uses.get(place).ok_or(bad("index"))?);
        let alias = self.name(&mut fields).ok_or(bad("alias"))?;
        let service = fields.u16();
        let optional = fields.u16();
        let rights = fields.u32();
        if usize::from(service) >= self.services.len() {
            return Err(bad("service"));
        }
        if rights & RIGHT_SEND == 0 || rights & !(RIGHT_SEND | RIGHT_GRANT | RIGHTS_OF_SERVER) != 0
        {
            return Err(bad("rights"));
        }
        if optional > 1 {
            return Err(bad("optional"));
        }
        Ok(Use {
            alias,
            service,
            rights,
            optional: optional == 1,
        })
    }

    fn name(&self, fields: &mut Fields<'_>) -> Option<&'a str> {
        let name = fields.text(self.strings)?;
        (self.is_checked || is_name(name)).then_some(name)
    }

    /// The index of a component, or [`NOBODY`]; `None` if it is neither.
    fn component_index(&self, number: u32) -> Option<Option<u16>> {
        match u16::try_from(number) {
            Ok(index) if usize::from(index) < self.components.len() => Some(Some(index)),
            _ if number == NOBODY => Some(None),
            _ => None,
        }
    }
}

/// The first `count` records and what follows them.
fn records<const N: usize>(bytes: &[u8], count: usize) -> Result<(&[[u8; N]], &[u8]), SystemError> {
    let (records, rest) = bytes
        .split_at_checked(count * N)
        .ok_or(SystemError::Length)?;
    Ok((records.as_chunks().0, rest))
}

fn wrong(part: Part, index: usize, field: &'static str) -> SystemError {
    SystemError::Field {
        part,
        index: index as u16,
        field,
    }
}

/// Whether this is a number of whole pages, at least `least`.
fn pages(bytes: u64, least: u64) -> bool {
    bytes.is_multiple_of(PAGE_BYTES) && bytes >= least * PAGE_BYTES
}

/// The first field whose value no component may have.
fn out_of_range(component: &Component<'_>) -> Option<&'static str> {
    let restart = &component.restart;
    let never = restart.policy == Policy::Never;
    let no_time = |ns: u64| ns == 0 || ns > DURATION_LIMIT_NS;
    let checks = [
        ("arguments", component.arguments.len() > ARGUMENT_BYTES),
        (
            "memory",
            !pages(component.memory_bytes, 1) || component.memory_bytes > ADDRESS_END,
        ),
        ("period", no_time(component.period_ns)),
        (
            "budget",
            no_time(component.budget_ns) || component.budget_ns > component.period_ns,
        ),
        ("stack", !pages(u64::from(component.stack_bytes), 1)),
        (
            "cnode_slots",
            component.cnode_slots == 0 || component.cnode_slots > CNODE_SLOT_LIMIT,
        ),
        ("authorities", component.authorities & !AUTHORITIES != 0),
        ("ceiling", component.ceiling > component.priority),
        ("attempts", (restart.attempts == 0) != never),
        (
            "window",
            (restart.window_ns == 0) != never || restart.window_ns > DURATION_LIMIT_NS,
        ),
        (
            "backoff",
            (restart.backoff_ns != 0 && never) || restart.backoff_ns > DURATION_LIMIT_NS,
        ),
    ];
    checks
        .into_iter()
        .find_map(|(field, broken)| broken.then_some(field))
}

fn distinct<'s, I: Iterator<Item = &'s str>>(
    part: Part,
    names: impl Fn() -> I,
) -> Result<(), SystemError> {
    match names()
        .enumerate()
        .find(|&(index, name)| names().take(index).any(|other| other == name))
    {
        Some((index, _)) => Err(wrong(part, index, "name")),
        None => Ok(()),
    }
}
