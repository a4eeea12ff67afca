//! What is too much, and descriptions that chance has changed.

use std::fmt::Write as _;
use std::path::Path;

use gritos_system::{
    COMPONENT_LIMIT, DEVICE_LIMIT, PROTOCOL_BYTES, SERVICE_LIMIT, System, USE_LIMIT,
};

use super::{FOLDER, described, sources};
use crate::system::Described;
use crate::system::protocol::Protocols;

/// The messages about a description.
fn said(text: &str) -> String {
    let described = Described::parse(Path::new("system.toml"), text.to_owned());
    let (_, findings) = described.check(&sources().surroundings(None));
    findings.render(&described.path, &described.text)
}

/// A description with so many components, devices, services and uses of each component.
fn large(components: usize, devices: usize, services: usize, uses: usize) -> String {
    let mut text = String::from("[root]\nmemory = \"16 MiB\"\n");
    let offers = |from: usize, to: usize| -> String {
        let one = |n| format!("s{n} = \"test.log\"");
        (from..to).map(one).collect::<Vec<_>>().join(", ")
    };
    let _ = writeln!(text, "offers = {{ {} }}", offers(0, services));
    for n in 0..components {
        let _ = write!(
            text,
            "[component.c{n}]\nbinary = \"shell\"\npriority = 100\nmemory = \"1 MiB\"\n"
        );
        let used: Vec<_> = (0..uses)
            .map(|u| format!("u{u} = {{ service = \"s0\" }}"))
            .collect();
        let _ = writeln!(text, "uses = {{ {} }}", used.join(", "));
    }
    text += "[board.virt]\nmemory = \"128 MiB\"\n[board.virt.device]\n";
    for n in 0..devices {
        let base = 0x0900_0000 + n * 0x1000;
        let _ = writeln!(text, "d{n} = {{ base = {base:#x}, size = \"4 KiB\" }}");
    }
    text
}

#[test]
fn as_much_as_there_can_be_is_accepted_and_one_more_is_not() {
    let uses = USE_LIMIT / COMPONENT_LIMIT;
    let most = (COMPONENT_LIMIT, DEVICE_LIMIT, SERVICE_LIMIT, uses);
    let full = said(&large(most.0, most.1, most.2, most.3));
    assert!(!full.contains("error"), "{full}");
    for (text, message) in [
        (
            large(COMPONENT_LIMIT + 1, 1, 1, 1),
            format!("there can be {COMPONENT_LIMIT} components"),
        ),
        (
            large(1, DEVICE_LIMIT + 1, 1, 1),
            format!(
                "there can be {DEVICE_LIMIT} devices, and these are {}",
                DEVICE_LIMIT + 1
            ),
        ),
        (
            large(1, 1, SERVICE_LIMIT + 1, 1),
            format!(
                "there can be {SERVICE_LIMIT} services, and these are {}",
                SERVICE_LIMIT + 1
            ),
        ),
        (
            large(COMPONENT_LIMIT, 1, 1, uses + 1),
            format!(
                "there can be {USE_LIMIT} uses, and these are {}",
                COMPONENT_LIMIT * (uses + 1)
            ),
        ),
        (
            large(1, 1, 1, 1).replace(
                "\"test.log\"",
                &format!("\"{}\"", "p".repeat(PROTOCOL_BYTES + 1)),
            ),
            format!("the name of a package has at most {PROTOCOL_BYTES} bytes here"),
        ),
    ] {
        let said = said(&text);
        assert!(said.contains(&message), "`{message}` is not in:\n{said}");
    }
}

/// Numbers that look like chance and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % limit.max(1)
    }
}

/// What could stand where something else stands.
const PIECES: [&str; 24] = [
    "\"",
    "[",
    "]",
    "{",
    "}",
    "=",
    ",",
    "#",
    "\n",
    "-1",
    "0",
    "0xffff_ffff_ffff_ffff",
    "1e9",
    "true",
    "\"0 KiB\"",
    "\"1 TiB\"",
    "\"1 ms\"",
    "\"\"",
    "\"ü\"",
    "[component.log]",
    "uses = {}",
    "\"files\"",
    "'''",
    "inf",
];

/// The text with a few pieces removed, doubled, exchanged or put in.
fn changed(text: &str, chance: &mut Chance) -> String {
    // Words, and what is between them.
    let mut parts: Vec<&str> = text
        .split_inclusive(|c: char| c.is_whitespace() || "=[]{},\"".contains(c))
        .collect();
    for _ in 0..1 + chance.below(4) {
        let at = chance.below(parts.len());
        let other = chance.below(parts.len());
        match chance.below(4) {
            0 => {
                let end = (at + 1 + chance.below(6)).min(parts.len());
                parts.drain(at..end);
            }
            1 => parts.swap(at, other),
            2 => parts.insert(at, parts[other]),
            _ => parts.insert(at, PIECES[chance.below(PIECES.len())]),
        }
        if parts.is_empty() {
            break;
        }
    }
    parts.concat()
}

/// Changes of each description that are tried.
const TRIES: usize = 300;

#[test]
fn whatever_stands_there_is_refused_with_a_place_or_makes_a_good_table() {
    let sources = sources();
    let good = std::fs::read_to_string(Path::new(FOLDER).join("good.toml")).expect("it is there");
    let shipped = std::fs::read_to_string("../servers/system.toml").expect("it is there");
    assert_eq!(described(&Path::new(FOLDER).join("good.toml")).text, good);
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let (mut refused, mut accepted) = (0, 0);
    for number in 0..2 * TRIES {
        let text = changed(if number % 2 == 0 { &good } else { &shipped }, &mut chance);
        let described = Described::parse(Path::new("system.toml"), text.clone());
        let (views, findings) = described.check(&sources.surroundings(None));
        let said = findings.render(&described.path, &described.text);
        if findings.errors() > 0 {
            refused += 1;
            assert!(said.starts_with("system.toml:"), "{said}\n{text}");
            continue;
        }
        for view in &views {
            let description = view.describe(Protocols::new(&sources.interface));
            let table = description.to_bytes().expect("what is accepted fits");
            let system = System::parse(&table).expect("what is accepted can be read");
            assert_eq!(system.component_count() as usize, view.rows.len(), "{text}");
            accepted += 1;
        }
    }
    assert!(refused > TRIES && accepted > 20, "{refused} {accepted}");
}
