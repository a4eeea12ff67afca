//! A description as one board sees it: who is there, who has which device, who calls whom.

use std::collections::BTreeMap;

use gritos_system::write::Description;
use gritos_system::{
    Board, Component, DEVICE_LIMIT, Device, Interrupt, Provider, RIGHT_SEND, SERVICE_LIMIT,
    Service, Use,
};

use super::check::{Surroundings, offers};
use super::findings::{At, Finding, Findings};
use super::model::{BoardLine, DeviceLine, Line, Model, Offer, UseLine};
use super::protocol::Protocols;
use super::units::show_size;

/// A component with what its names mean on this board.
pub(crate) struct Row<'m> {
    pub(crate) line: &'m Line,
    pub(crate) uses: Vec<Call<'m>>,
}

/// A use whose service is there.
pub(crate) struct Call<'m> {
    pub(crate) line: &'m UseLine,
    /// Index of the service.
    pub(crate) service: usize,
    pub(crate) rights: u32,
}

/// A description on one board.
pub(crate) struct View<'m> {
    pub(crate) board: Board,
    /// Memory of the machine.
    pub(crate) memory_bytes: u64,
    /// Memory of kernel, boot image and root task.
    pub(crate) root_bytes: u64,
    pub(crate) rows: Vec<Row<'m>>,
    /// Services with who offers them; `None` is the root task.
    pub(crate) services: Vec<(&'m Offer, Option<usize>)>,
    /// Devices with who has them.
    pub(crate) devices: Vec<(&'m DeviceLine, Option<usize>)>,
}

impl<'m> View<'m> {
    /// Resolves names and notes what does not fit together on this board.
    pub(crate) fn new(
        model: &'m Model,
        board: &'m BoardLine,
        surroundings: &Surroundings<'_>,
        findings: &mut Findings,
    ) -> Self {
        let lines: Vec<_> = model
            .components
            .iter()
            .filter(|line| is_there(line, board, findings))
            .collect();
        let devices = give_devices(board, &lines, findings);
        let services = find_services(model, &lines, board, findings);
        let mut view = Self {
            board: board.board.it,
            memory_bytes: surroundings.memory_bytes.unwrap_or(board.memory_bytes.it),
            root_bytes: model.root_bytes,
            rows: Vec::new(),
            services,
            devices,
        };
        let protocols = Protocols::new(surroundings.interface);
        for line in lines {
            let uses = view.resolve(line, model, protocols, findings);
            view.rows.push(Row { line, uses });
        }
        view.check_quotas(findings);
        view.check_limits(board, findings);
        view
    }

    /// The uses of a component whose service is there.
    fn resolve(
        &self,
        line: &'m Line,
        model: &Model,
        protocols: Protocols<'_>,
        findings: &mut Findings,
    ) -> Vec<Call<'m>> {
        let mut uses = Vec::new();
        for usage in &line.uses {
            let wanted = &usage.service.it;
            let found = self
                .services
                .iter()
                .position(|(offer, _)| offer.name.it == *wanted);
            if let Some(service) = found {
                let protocol = &self.services[service].0.protocol.it;
                let rights = usage
                    .rights
                    .iter()
                    .filter_map(|right| protocols.right(protocol, right).ok());
                uses.push(Call {
                    line: usage,
                    service,
                    rights: rights.fold(RIGHT_SEND, |all, right| all | right),
                });
            } else if !usage.optional && offers(model).any(|offer| offer.name.it == *wanted) {
                findings.push(
                    Finding::error(
                        "not-on-board",
                        &usage.service.place,
                        format!("on {} nobody offers `{wanted}`", self.board.name()),
                    )
                    .help(format!(
                        "`optional = true` if `{}` can do without, or `boards = [...]` in its line",
                        line.name.it
                    )),
                );
            }
        }
        uses
    }

    fn check_quotas(&self, findings: &mut Findings) {
        let promised = self.promised_bytes();
        if promised <= self.memory_bytes {
            return;
        }
        let largest = self
            .rows
            .iter()
            .max_by_key(|row| row.line.memory_bytes.it)
            .map(|row| &row.line.memory_bytes.place);
        if let Some(place) = largest {
            findings.push(
                Finding::error(
                    "quota",
                    place,
                    format!(
                        "on {} the quotas add up to {}, and it has {}",
                        self.board.name(),
                        show_size(promised),
                        show_size(self.memory_bytes)
                    ),
                )
                .label("the largest"),
            );
        }
    }

    /// Bytes of all quotas together.
    pub(crate) fn promised_bytes(&self) -> u64 {
        let quotas = self.rows.iter().map(|row| row.line.memory_bytes.it);
        quotas.fold(self.root_bytes, u64::saturating_add)
    }

    fn check_limits(&self, board: &BoardLine, findings: &mut Findings) {
        for (what, count, limit) in [
            ("services", self.services.len(), SERVICE_LIMIT),
            ("devices", self.devices.len(), DEVICE_LIMIT),
            (
                "uses",
                self.rows.iter().map(|row| row.uses.len()).sum(),
                gritos_system::USE_LIMIT,
            ),
        ] {
            if count > limit {
                findings.push(Finding::error(
                    "limit",
                    &board.board.place,
                    format!("there can be {limit} {what}, and these are {count}"),
                ));
            }
        }
    }

    /// The form that the table is written from.
    pub(crate) fn describe(&self, protocols: Protocols<'m>) -> Description<'m> {
        let index = |index: usize| u16::try_from(index).unwrap_or(u16::MAX);
        let describe = |row: &Row<'m>| {
            let uses = row.uses.iter().map(|call| Use {
                alias: &call.line.alias.it,
                service: index(call.service),
                rights: call.rights,
                optional: call.line.optional,
            });
            (component(row.line), uses.collect())
        };
        Description {
            board: self.board,
            components: self.rows.iter().map(describe).collect(),
            services: self
                .services
                .iter()
                .map(|&(offer, provider)| Service {
                    name: &offer.name.it,
                    protocol: protocols.package(&offer.protocol.it),
                    provider: provider.map_or(Provider::Root, |p| Provider::Component(index(p))),
                })
                .collect(),
            devices: self
                .devices
                .iter()
                .map(|&(line, owner)| {
                    let mut device = device(line);
                    device.board = Some(self.board);
                    device.owner = owner.map(index);
                    device
                })
                .collect(),
        }
    }
}

fn component(line: &Line) -> Component<'_> {
    Component {
        name: &line.name.it,
        binary: &line.binary.it,
        arguments: &line.arguments,
        memory_bytes: line.memory_bytes.it,
        budget_ns: line.budget_ns,
        period_ns: line.period_ns,
        stack_bytes: u32::try_from(line.stack_bytes.it).unwrap_or(u32::MAX),
        cnode_slots: line.cnode_slots,
        authorities: line.authorities,
        priority: line.priority.it,
        ceiling: line.ceiling.it,
        restart: line.restart,
    }
}

fn device(line: &DeviceLine) -> Device<'_> {
    let mut device = Device::new(&line.name.it, line.base.it, line.size.it);
    device.dma = line.dma;
    device.stop = line.stop;
    let interrupts = line.interrupts.iter().map(|interrupt| interrupt.it);
    interrupts.fold(device, |device, interrupt| {
        device.with_interrupt(interrupt).unwrap_or(device)
    })
}

/// Whether a component is on a board: the board is among those it names, and has its devices. One
/// that names the board must find its devices there.
fn is_there(line: &Line, board: &BoardLine, findings: &mut Findings) -> bool {
    let named = line
        .boards
        .as_ref()
        .map(|boards| boards.iter().any(|named| named.it == board.board.it));
    if named == Some(false) {
        return false;
    }
    let has = |name: &str| board.devices.iter().any(|device| device.name.it == name);
    let needed = |name: &&At<String>| !line.optional_devices.contains(&name.it);
    let absent: Vec<_> = line
        .devices
        .iter()
        .filter(needed)
        .filter(|name| !has(&name.it))
        .collect();
    if named == Some(true) {
        for device in &absent {
            findings.push(
                Finding::error(
                    "not-on-board",
                    &device.place,
                    format!("{} has no device `{}`", board.board.it.name(), device.it),
                )
                .related(&line.name.place, "which its `boards` name"),
            );
        }
    }
    absent.is_empty()
}

/// The devices of a board with their owners, of which each has one at most.
fn give_devices<'m>(
    board: &'m BoardLine,
    lines: &[&'m Line],
    findings: &mut Findings,
) -> Vec<(&'m DeviceLine, Option<usize>)> {
    for (at, device) in board.devices.iter().enumerate() {
        check_device(device, &board.devices[..at], board, findings);
    }
    let mut owners: BTreeMap<&str, (usize, &At<String>)> = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        for device in &line.devices {
            match owners.get(device.it.as_str()) {
                Some(&(owner, first)) if owner != index => findings.push(
                    Finding::error(
                        "device-shared",
                        &device.place,
                        format!(
                            "device `{}` is given to two components, `{}` and `{}`",
                            device.it, lines[owner].name.it, line.name.it
                        ),
                    )
                    .related(&first.place, "here first")
                    .help("one of them drives it and offers a service to the other"),
                ),
                _ => {
                    owners.insert(&device.it, (index, device));
                }
            }
        }
    }
    let owner = |device: &DeviceLine| owners.get(device.name.it.as_str()).map(|owner| owner.0);
    board
        .devices
        .iter()
        .map(|device| (device, owner(device)))
        .collect()
}

/// A coprocessor's share of the first RAM does not begin below: `gpu_mem` of a Pi is at most 512 MiB.
const SHARE_START: u64 = 0x2000_0000;

/// Notes registers that other devices have as well, and such as user space cannot have.
fn check_device(
    device: &DeviceLine,
    earlier: &[DeviceLine],
    board: &BoardLine,
    findings: &mut Findings,
) {
    let end = |device: &DeviceLine| device.base.it.saturating_add(device.size.it);
    let known = match board.board.it {
        Board::Virt => gritos_board::qemu_virt::BOARD,
        Board::Rpi4 => gritos_board::rpi4::BOARD,
    };
    let (first, last) = known.devices;
    // Where a share begins is not known before the machine runs: behind the first RAM.
    let shared = device.base.it >= SHARE_START && end(device) <= known.share_end;
    if (device.base.it < first || end(device) > last) && !shared {
        findings.push(
            Finding::error(
                "bad-value",
                &device.base.place,
                format!(
                    "the registers of `{}` are not where devices are",
                    device.name.it
                ),
            )
            .help(format!("on {} from {first:#x} to {last:#x}", known.name)),
        );
    }
    for other in earlier {
        if device.base.it < end(other) && other.base.it < end(device) {
            findings.push(
                Finding::error(
                    "device-overlap",
                    &device.base.place,
                    format!(
                        "devices `{}` and `{}` have registers in common",
                        other.name.it, device.name.it
                    ),
                )
                .related(&other.base.place, "the other")
                .help("what shares a page of 4 KiB is one device with one owner"),
            );
        }
        for interrupt in &device.interrupts {
            let same = |i: &&At<Interrupt>| i.it.number == interrupt.it.number;
            if let Some(first) = other.interrupts.iter().find(same) {
                findings.push(
                    Finding::error(
                        "interrupt-shared",
                        &interrupt.place,
                        format!(
                            "devices `{}` and `{}` have the same interrupt",
                            other.name.it, device.name.it
                        ),
                    )
                    .related(&first.place, "the other"),
                );
            }
        }
    }
}

/// All services with who offers them, each once.
fn find_services<'m>(
    model: &'m Model,
    lines: &[&'m Line],
    board: &BoardLine,
    findings: &mut Findings,
) -> Vec<(&'m Offer, Option<usize>)> {
    let of_root = model.root_offers.iter().map(|offer| (offer, None));
    let of_components = lines
        .iter()
        .enumerate()
        .flat_map(|(index, line)| line.offers.iter().map(move |offer| (offer, Some(index))));
    let mut services: Vec<(&Offer, Option<usize>)> = Vec::new();
    for (offer, provider) in of_root.chain(of_components) {
        let earlier = services
            .iter()
            .find(|(other, _)| other.name.it == offer.name.it);
        match earlier {
            None => services.push((offer, provider)),
            Some((first, _)) => findings.push(
                Finding::error(
                    "duplicate",
                    &offer.name.place,
                    format!(
                        "on {} a service `{}` is offered twice",
                        board.board.it.name(),
                        offer.name.it
                    ),
                )
                .related(&first.name.place, "here first"),
            ),
        }
    }
    services
}
