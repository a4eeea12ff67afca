//! What is refused, each for one thing.

use gritos_system::write::Description;
use gritos_system::{
    Board, COMPONENT_BYTES, COMPONENT_LIMIT, Component, HEADER_BYTES, Interrupt, Part, Policy,
    Provider, RIGHT_GRANT, Stop, System, SystemError,
};

use crate::small;

#[test]
fn a_cut_table_is_refused_wherever_it_is_cut() {
    let bytes = small().to_bytes().expect("a good table");
    for len in 0..bytes.len() {
        let error = System::parse(&bytes[..len]).expect_err("cut off");
        assert_eq!(error, SystemError::Truncated, "{len} bytes");
    }
}

#[test]
fn what_is_no_table_for_this_reader_is_refused() {
    let good = small().to_bytes().expect("a good table");
    let patched = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        System::parse(&bytes).map(|_| ()).expect_err("damaged")
    };
    assert_eq!(patched(0, b'G'), SystemError::Magic);
    assert_eq!(patched(8, 3), SystemError::Version(3));
    assert_eq!(patched(16, 9), SystemError::Board(9));
    assert_eq!(patched(20, 65), SystemError::Count(65));
    assert_eq!(patched(20, 3), SystemError::Length);
    assert_eq!(patched(good.len() - 1, 0xff), SystemError::Text);
}

/// What the reader says to the small system with a change.
fn refused(change: impl Fn(&mut Description<'static>)) -> SystemError {
    let mut description = small();
    change(&mut description);
    description.to_bytes().expect_err("must be refused")
}

fn field(part: Part, index: u16, field: &'static str) -> SystemError {
    SystemError::Field { part, index, field }
}

#[test]
fn each_field_of_a_component_has_its_limits() {
    type Change = fn(&mut Component<'static>);
    let changes: [(&'static str, Change); 17] = [
        ("name", |c| c.name = ""),
        ("name", |c| c.name = "Shell"),
        ("name", |c| c.name = "a-name-of-thirty-two-characters-"),
        ("name", |c| c.name = "console"),
        ("binary", |c| c.binary = "-x"),
        ("memory", |c| c.memory_bytes = 4097),
        ("memory", |c| c.memory_bytes = 1 << 49),
        ("period", |c| c.period_ns = 0),
        ("budget", |c| c.budget_ns = c.period_ns + 1),
        ("budget", |c| c.budget_ns = 0),
        ("stack", |c| c.stack_bytes = 0),
        ("cnode_slots", |c| c.cnode_slots = 65_537),
        ("authorities", |c| c.authorities = 2),
        ("ceiling", |c| c.ceiling = 41),
        ("attempts", |c| c.restart.attempts = 0),
        ("window", |c| c.restart.window_ns = 0),
        ("attempts", |c| c.restart.policy = Policy::Never),
    ];
    for (name, change) in changes {
        assert_eq!(
            refused(|d| change(&mut d.components[1].0)),
            field(Part::Component, 1, name)
        );
    }
    assert_eq!(
        refused(|d| {
            let line = d.components[1].clone();
            d.components = vec![line; COMPONENT_LIMIT + 1];
        }),
        SystemError::Count(65)
    );
}

#[test]
fn indices_and_rights_that_do_not_exist_are_refused() {
    assert_eq!(
        refused(|d| d.components[1].1[1].service = 2),
        field(Part::Use, 1, "service")
    );
    assert_eq!(
        refused(|d| d.components[1].1[1].rights = RIGHT_GRANT),
        field(Part::Use, 1, "rights")
    );
    assert_eq!(
        refused(|d| d.components[1].1[0].rights |= 1 << 8),
        field(Part::Use, 0, "rights")
    );
    assert_eq!(
        refused(|d| d.components[1].1[1].alias = "system"),
        field(Part::Use, 1, "alias")
    );
    assert_eq!(
        refused(|d| d.services[1].provider = Provider::Component(2)),
        field(Part::Service, 1, "provider")
    );
    assert_eq!(
        refused(|d| d.services[1].protocol = ""),
        field(Part::Service, 1, "protocol")
    );
    assert_eq!(
        refused(|d| d.devices[0].owner = Some(2)),
        field(Part::Device, 0, "owner")
    );
    assert_eq!(
        refused(|d| d.devices[0].board = Some(Board::Rpi4)),
        field(Part::Device, 0, "board")
    );
    assert_eq!(
        refused(|d| d.devices[0].base = 0x900_0800),
        field(Part::Device, 0, "base")
    );
    assert_eq!(
        refused(|d| d.devices[0].size = !0xfff),
        field(Part::Device, 0, "size")
    );
    for offset in [0x1000, 2] {
        let stop = Stop {
            offset,
            value: 0,
            busy: 0,
        };
        assert_eq!(
            refused(|d| d.devices[0].stop = Some(stop)),
            field(Part::Device, 0, "stop")
        );
    }
    let special = Interrupt {
        number: 1020,
        edge: true,
    };
    assert_eq!(
        refused(|d| d.devices[0] = d.devices[0].with_interrupt(special).expect("room")),
        field(Part::Device, 0, "interrupts")
    );
}

#[test]
fn the_uses_of_components_neither_overlap_nor_leave_gaps() {
    let good = small().to_bytes().expect("a good table");
    let first_use = HEADER_BYTES + COMPONENT_BYTES + 80;
    let mut bytes = good.clone();
    bytes[first_use] = 1;
    assert_eq!(
        System::parse(&bytes).expect_err("a gap"),
        field(Part::Component, 1, "uses")
    );
    let mut bytes = good;
    bytes[first_use + 2] = 1;
    assert_eq!(
        System::parse(&bytes).expect_err("a use that nobody has"),
        SystemError::Length
    );
}

#[test]
fn errors_name_what_they_found() {
    assert_eq!(
        field(Part::Device, 3, "base").to_string(),
        "device 3 in the system table: `base` is out of range"
    );
    assert_eq!(
        SystemError::Version(7).to_string(),
        "the system table has version 7, not 2"
    );
}
