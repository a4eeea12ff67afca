//! Tables written, read back, damaged and refused.

use gritos_system::write::Description;
use gritos_system::{
    Board, Component, Device, Interrupt, Policy, Provider, RIGHT_GRANT, RIGHT_SEND, Restart,
    Service, Stop, System, Use,
};

mod properties;
mod refused;

fn component(name: &str) -> Component<'_> {
    Component {
        name,
        binary: "console",
        arguments: "--speed 115200",
        memory_bytes: 1 << 20,
        budget_ns: 2_000_000,
        period_ns: 10_000_000,
        stack_bytes: 65_536,
        cnode_slots: 64,
        authorities: 1,
        priority: 40,
        ceiling: 32,
        restart: Restart {
            policy: Policy::OnFailure,
            attempts: 5,
            window_ns: 60_000_000_000,
            backoff_ns: 50_000_000,
        },
    }
}

/// A console that has the UART and a shell that uses it.
fn small() -> Description<'static> {
    let edge = Interrupt {
        number: 33,
        edge: false,
    };
    let mut uart = Device::new("uart", 0x900_0000, 0x1000)
        .with_interrupt(edge)
        .expect("room");
    uart.owner = Some(0);
    uart.board = Some(Board::Virt);
    uart.stop = Some(Stop {
        offset: 0x30,
        value: 0,
        busy: 8,
    });
    let call = Use {
        alias: "terminal",
        service: 1,
        rights: RIGHT_SEND | RIGHT_GRANT | 1 << 16,
        optional: true,
    };
    let ask = Use {
        alias: "system",
        service: 0,
        rights: RIGHT_SEND,
        optional: false,
    };
    let service = |name, protocol, provider| Service {
        name,
        protocol,
        provider,
    };
    Description {
        board: Board::Virt,
        components: vec![
            (component("console"), vec![]),
            (component("shell"), vec![ask, call]),
        ],
        services: vec![
            service("system", "gritos.system", Provider::Root),
            service("console", "gritos.console", Provider::Component(0)),
        ],
        devices: vec![uart],
    }
}

/// What a table says, put back into the form it was written from.
pub(crate) fn read_back<'a>(system: &System<'a>) -> Description<'a> {
    Description {
        board: system.board(),
        components: (0..)
            .zip(system.components())
            .map(|(index, component)| (component, system.uses_of(index).collect()))
            .collect(),
        services: system.services().collect(),
        devices: system.devices().collect(),
    }
}

#[test]
fn what_was_written_is_read() {
    let written = small();
    let mut bytes = written.to_bytes().expect("a good table");
    bytes.resize(4096, 0xaa);
    let system = System::parse(&bytes).expect("a good table");
    assert_eq!(read_back(&system), written);
    assert_eq!(system.find("shell"), Some(1));
    assert_eq!(system.find("shel"), None);
    assert_eq!(system.services_of(0).collect::<Vec<_>>(), [1]);
    assert_eq!(system.services_of(1).count(), 0);
    assert_eq!(system.devices_of(0).collect::<Vec<_>>(), [0]);
    assert_eq!(system.devices_of(1).count(), 0);
    assert_eq!(system.uses_of(9).count(), 0);
    assert_eq!(system.component(2), None);
}
