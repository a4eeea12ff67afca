//! Boards and their devices.

use gritos_system::{Interrupt, Stop};
use toml::de::DeValue;

use super::find_board;
use crate::system::findings::{At, Finding, Findings};
use crate::system::model::{BoardLine, DeviceLine};
use crate::system::tree::{self, Keys, Value};

pub(super) fn read_board(
    name: &At<String>,
    mut keys: Keys<'_>,
    findings: &mut Findings,
) -> Option<BoardLine> {
    let board = find_board(name, findings);
    let memory = keys.size("memory", findings);
    if keys.any("memory").is_none() {
        keys.missing("memory", "\"1 GiB\"", findings);
    }
    let mut devices = Vec::new();
    if let Some(table) = keys.table("device", "`device`", findings) {
        for (name, value) in table.entries() {
            let keys = Keys::of("a device", &name.place, value, findings);
            devices.extend(keys.and_then(|keys| read_device(name, keys, findings)));
        }
    }
    keys.finish(findings);
    Some(BoardLine {
        board: board?,
        memory_bytes: memory?,
        devices,
    })
}

fn read_device(
    name: At<String>,
    mut keys: Keys<'_>,
    findings: &mut Findings,
) -> Option<DeviceLine> {
    let base = keys.number("base", u64::MAX, findings);
    let size = keys.size("size", findings);
    for (key, example) in [("base", "0x0900_0000"), ("size", "\"4 KiB\"")] {
        if keys.any(key).is_none() {
            keys.missing(key, example, findings);
        }
    }
    let interrupts = keys.any("interrupts");
    let interrupts = interrupts.map_or(Vec::new(), |value| read_interrupts(value, findings));
    let dma = keys.flag("dma", findings).unwrap_or(false);
    let stop = keys.table("stop", "`stop`", findings);
    let stop = stop.and_then(|keys| read_stop(keys, size.as_ref().map(|size| size.it), findings));
    keys.finish(findings);
    Some(DeviceLine {
        name,
        base: base?,
        size: size?,
        interrupts,
        dma,
        stop,
    })
}

/// What is written to which register.
fn read_stop(mut keys: Keys<'_>, size: Option<u64>, findings: &mut Findings) -> Option<Stop> {
    let [offset, value, busy] =
        ["offset", "value", "busy"].map(|key| keys.number(key, u32::MAX.into(), findings));
    if keys.any("offset").is_none() {
        keys.missing("offset", "0x70", findings);
    }
    keys.finish(findings);
    let offset = offset?;
    if !offset.it.is_multiple_of(4) || size.is_some_and(|size| offset.it >= size) {
        findings.push(Finding::error(
            "bad-value",
            &offset.place,
            "registers of 32 bits lie at multiples of 4 within the device".to_string(),
        ));
        return None;
    }
    let or_zero = |number: Option<At<u64>>| number.map_or(0, |number| number.it as u32);
    Some(Stop {
        offset: offset.it as u32,
        value: or_zero(value),
        busy: or_zero(busy),
    })
}

/// Numbers, or tables with a number and how the line is triggered.
fn read_interrupts(value: &Value<'_>, findings: &mut Findings) -> Vec<At<Interrupt>> {
    let DeValue::Array(items) = value.get_ref() else {
        let found = value.get_ref();
        findings.push(tree::wrong_type(
            &value.span(),
            "interrupts",
            "a list of numbers",
            found,
        ));
        return Vec::new();
    };
    let mut interrupts = Vec::new();
    for item in items.iter() {
        let (number, edge) = match item.get_ref() {
            DeValue::Table(_) => {
                let place = item.span();
                let Some(mut keys) = Keys::of("an interrupt", &place, item, findings) else {
                    continue;
                };
                let number = keys.number("number", u64::from(u32::MAX), findings);
                if number.is_none() {
                    keys.missing("number", "33", findings);
                }
                let edge = keys.flag("edge", findings).unwrap_or(false);
                keys.finish(findings);
                (number, edge)
            }
            _ => (
                tree::number("interrupts", item, u64::from(u32::MAX), findings),
                false,
            ),
        };
        if let Some(At { it, place }) = number {
            let number = it as u32;
            interrupts.push(At::new(Interrupt { number, edge }, place));
        }
    }
    interrupts
}
