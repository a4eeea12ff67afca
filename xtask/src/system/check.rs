//! What can be said about a description without any board: names, binaries, protocols and rights.

use std::collections::{BTreeMap, BTreeSet};

use gritos_system::{
    ARGUMENT_BYTES, COMPONENT_LIMIT, COMPONENT_USE_LIMIT, INTERRUPT_LIMIT, NAME_BYTES, PAGE_BYTES,
    PROTOCOL_BYTES, is_name,
};
use idlc::ir::Interface;
use idlc::suggest::did_you_mean;

use super::findings::{At, Finding, Findings};
use super::model::{DeviceLine, Line, Model, Offer};
use super::protocol::Protocols;
use super::tree::list;

/// What a description is checked against.
pub(crate) struct Surroundings<'a> {
    /// Binaries that can be built, by the name that a line gives them.
    pub(crate) binaries: &'a BTreeSet<String>,
    /// All interfaces of the tree.
    pub(crate) interface: &'a Interface,
    /// Memory of the machine, if it is known better than the description knows it.
    pub(crate) memory_bytes: Option<u64>,
}

/// Checks every line by itself.
pub(crate) fn lines(model: &Model, surroundings: &Surroundings<'_>, findings: &mut Findings) {
    if model.components.len() > COMPONENT_LIMIT {
        findings.push(Finding::error(
            "limit",
            &model.components[COMPONENT_LIMIT].name.place,
            format!("there can be {COMPONENT_LIMIT} components"),
        ));
    }
    for offer in &model.root_offers {
        offered(offer, surroundings, findings);
    }
    for line in &model.components {
        component(line, model, surroundings, findings);
    }
    for device in model.boards.iter().flat_map(|board| &board.devices) {
        self::device(device, findings);
    }
}

fn component(line: &Line, model: &Model, surroundings: &Surroundings<'_>, findings: &mut Findings) {
    name("component", &line.name, findings);
    binary(&line.binary, surroundings.binaries, findings);
    pages("memory", &line.memory_bytes, findings);
    pages("stack", &line.stack_bytes, findings);
    if (PAGE_BYTES..=line.stack_bytes.it).contains(&line.memory_bytes.it) {
        findings.push(
            Finding::error(
                "quota",
                &line.memory_bytes.place,
                "the stack alone takes all of the memory",
            )
            .help("memory covers program, stack, capability slots and all that is made later"),
        );
    }
    if line.cnode_slots == 0 {
        findings.push(Finding::error(
            "bad-value",
            &line.name.place,
            "without capability slots it could do nothing: `slots` must be at least 1",
        ));
    }
    if line.arguments.len() > ARGUMENT_BYTES {
        findings.push(Finding::error(
            "limit",
            &line.name.place,
            format!("its arguments are longer than {ARGUMENT_BYTES} bytes"),
        ));
    }
    if line.ceiling.it > line.priority.it {
        findings.push(
            Finding::error(
                "bad-value",
                &line.ceiling.place,
                format!(
                    "the ceiling {} is a lower priority than its own, {}",
                    line.ceiling.it, line.priority.it
                ),
            )
            .help("0 is the highest priority; the ceiling is its own or a smaller number"),
        );
    }
    if line.uses.len() > COMPONENT_USE_LIMIT {
        findings.push(Finding::error(
            "limit",
            &line.uses[COMPONENT_USE_LIMIT].alias.place,
            format!("a component can use {COMPONENT_USE_LIMIT} services"),
        ));
    }
    for offer in &line.offers {
        offered(offer, surroundings, findings);
    }
    let mut seen: BTreeMap<&str, &At<String>> = BTreeMap::new();
    for device in &line.devices {
        if let Some(first) = seen.insert(&device.it, device) {
            findings.push(
                Finding::error(
                    "duplicate",
                    &device.place,
                    format!("device `{}` is named twice", device.it),
                )
                .related(&first.place, "here first"),
            );
        }
        exists(device, model, findings);
    }
    uses(line, model, surroundings, findings);
}

fn uses(line: &Line, model: &Model, surroundings: &Surroundings<'_>, findings: &mut Findings) {
    let protocols = Protocols::new(surroundings.interface);
    for usage in &line.uses {
        name("use", &usage.alias, findings);
        let offers: Vec<_> = offers(model)
            .filter(|offer| offer.name.it == usage.service.it)
            .collect();
        if offers.is_empty() {
            let known: BTreeSet<_> = self::offers(model)
                .map(|offer| offer.name.it.as_str())
                .collect();
            let known: Vec<_> = known.into_iter().collect();
            findings.push(
                Finding::error(
                    "unknown-service",
                    &usage.service.place,
                    format!("nobody offers a service `{}`", usage.service.it),
                )
                .maybe_help(did_you_mean(&usage.service.it, known.iter().copied()))
                .help(format!("services are {}", list(&known))),
            );
        }
        for offer in offers {
            for right in &usage.rights {
                if let Err(finding) = protocols.right(&offer.protocol.it, right) {
                    findings
                        .push(finding.related(&offer.protocol.place, "the service's protocols"));
                }
            }
        }
    }
}

/// All offers, of the root task and of components.
pub(crate) fn offers(model: &Model) -> impl Iterator<Item = &Offer> {
    let components = model.components.iter().flat_map(|line| &line.offers);
    model.root_offers.iter().chain(components)
}

fn offered(offer: &Offer, surroundings: &Surroundings<'_>, findings: &mut Findings) {
    name("service", &offer.name, findings);
    if offer.protocol.it.len() > PROTOCOL_BYTES {
        findings.push(Finding::error(
            "limit",
            &offer.protocol.place,
            format!("the name of a package has at most {PROTOCOL_BYTES} bytes here"),
        ));
    }
    if let Err(finding) = Protocols::new(surroundings.interface).find(&offer.protocol) {
        findings.push(*finding);
    }
}

fn name(what: &str, name: &At<String>, findings: &mut Findings) {
    if !is_name(&name.it) {
        findings.push(
            Finding::error(
                "bad-name",
                &name.place,
                format!("`{}` cannot name a {what}", name.it),
            )
            .help(format!(
                "1 to {NAME_BYTES} lower-case letters, digits and hyphens, first a letter"
            )),
        );
    }
}

fn binary(binary: &At<String>, known: &BTreeSet<String>, findings: &mut Findings) {
    if !known.contains(&binary.it) {
        let names: Vec<_> = known.iter().map(String::as_str).collect();
        findings.push(
            Finding::error(
                "unknown-binary",
                &binary.place,
                format!(
                    "there is no program `{0}`: the workspace has no package `gritos-{0}` with a \
                     binary under servers/",
                    binary.it
                ),
            )
            .maybe_help(did_you_mean(&binary.it, names.iter().copied()))
            .help(format!("programs are {}", list(&names))),
        );
    }
}

/// A device must exist on each board that the component names, or on any.
fn exists(device: &At<String>, model: &Model, findings: &mut Findings) {
    let mut all = model.boards.iter().flat_map(|board| &board.devices);
    if all.clone().any(|known| known.name.it == device.it) {
        return;
    }
    let known: BTreeSet<_> = all.by_ref().map(|device| device.name.it.as_str()).collect();
    let known: Vec<_> = known.into_iter().collect();
    findings.push(
        Finding::error(
            "unknown-device",
            &device.place,
            format!("no board has a device `{}`", device.it),
        )
        .maybe_help(did_you_mean(&device.it, known.iter().copied()))
        .help(format!("devices are {}", list(&known))),
    );
}

fn device(device: &DeviceLine, findings: &mut Findings) {
    const FIRST_SHARED: u32 = 32;
    name("device", &device.name, findings);
    pages("size", &device.size, findings);
    if !device.base.it.is_multiple_of(PAGE_BYTES) {
        findings.push(
            Finding::error(
                "bad-value",
                &device.base.place,
                "registers are given in whole pages of 4 KiB, and this is not where one begins",
            )
            .help(format!("{:#x}", device.base.it & !(PAGE_BYTES - 1))),
        );
    }
    if device.interrupts.len() > INTERRUPT_LIMIT {
        findings.push(Finding::error(
            "limit",
            &device.interrupts[INTERRUPT_LIMIT].place,
            format!("a device can have {INTERRUPT_LIMIT} interrupts"),
        ));
    }
    for interrupt in &device.interrupts {
        if !(FIRST_SHARED..gritos_system::INTERRUPT_END).contains(&interrupt.it.number) {
            findings.push(
                Finding::error(
                    "bad-value",
                    &interrupt.place,
                    format!("no device has the interrupt {}", interrupt.it.number),
                )
                .help(
                    "32 to 1019, as the interrupt controller counts: \"SPI n\" of a device tree is \
                     n + 32",
                ),
            );
        }
    }
}

fn pages(what: &str, size: &At<u64>, findings: &mut Findings) {
    if size.it == 0 || !size.it.is_multiple_of(PAGE_BYTES) || size.it > u64::from(u32::MAX) << 12 {
        findings.push(
            Finding::error(
                "bad-value",
                &size.place,
                format!("`{what}` is given in whole pages of 4 KiB, at least one"),
            )
            .help(format!(
                "\"{}\"",
                super::units::show_size(
                    size.it
                        .div_ceil(PAGE_BYTES)
                        .max(1)
                        .saturating_mul(PAGE_BYTES)
                )
            )),
        );
    }
}
