//! Properties of any table: written and read back, damaged, made of random bytes.

use gritos_system::write::Description;
use gritos_system::{
    Board, Component, Device, Interrupt, Policy, Provider, RIGHT_GRANT, RIGHT_SEND, Restart,
    Service, Stop, System, Use,
};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::Index;

use crate::read_back;

/// Names that differ: a letter and a number.
fn name(index: usize) -> &'static str {
    Box::leak(format!("n{index}-x").into_boxed_str())
}

fn restart() -> impl Strategy<Value = Restart> {
    let again = |policy| {
        (1..u32::MAX, 1..1_u64 << 40, 0..1_u64 << 40).prop_map(
            move |(attempts, window_ns, backoff_ns)| Restart {
                policy,
                attempts,
                window_ns,
                backoff_ns,
            },
        )
    };
    prop_oneof![
        Just(Restart::default()),
        again(Policy::OnFailure),
        again(Policy::Always)
    ]
}

fn any_component() -> impl Strategy<Value = Component<'static>> {
    (
        "[ -~äß]{0,40}",
        (1..1_u64 << 30, 1..1_u64 << 30, 0..1_u64 << 30),
        (1..1_u32 << 16, 1..=65_536_u32, 0..2_u32),
        (any::<u8>(), any::<u8>()),
        restart(),
    )
        .prop_map(
            |(arguments, (pages, budget, more), (stack, slots, authorities), priority, restart)| {
                Component {
                    name: "",
                    binary: "program",
                    arguments: Box::leak(arguments.into_boxed_str()),
                    memory_bytes: pages * 4096,
                    budget_ns: budget,
                    period_ns: budget + more,
                    stack_bytes: stack * 4096,
                    cnode_slots: slots,
                    authorities,
                    priority: priority.0.max(priority.1),
                    ceiling: priority.0.min(priority.1),
                    restart,
                }
            },
        )
}

fn any_device() -> impl Strategy<Value = Device<'static>> {
    (
        (0..1_u64 << 30, 1..1_u64 << 10),
        vec((0..1020_u32, any::<bool>()), 0..=4),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|((base, pages), interrupts, dma, only)| {
            let mut device = Device::new("", base * 4096, pages * 4096);
            for (number, edge) in interrupts {
                device = device
                    .with_interrupt(Interrupt { number, edge })
                    .expect("room");
            }
            device.dma = dma;
            device.stop = dma.then_some(Stop {
                offset: 4 * (base % 1024) as u32,
                value: pages as u32,
                busy: base as u32,
            });
            device.board = only.then_some(Board::Rpi4);
            device
        })
}

fn any_description() -> impl Strategy<Value = Description<'static>> {
    let uses = vec(
        (any::<Index>(), any::<u16>(), any::<bool>(), any::<bool>()),
        0..6,
    );
    (
        vec((any_component(), uses), 0..8),
        vec(any::<Option<Index>>(), 1..8),
        vec((any_device(), any::<Option<Index>>()), 0..8),
    )
        .prop_map(|(components, services, devices)| {
            let count = components.len();
            let pick = |index: Option<Index>| {
                index
                    .filter(|_| count > 0)
                    .map(|index| index.index(count) as u16)
            };
            let service_count = services.len();
            let used =
                |(place, (service, rights, grant, optional)): (usize, (Index, u16, bool, bool))| {
                    Use {
                        alias: name(place),
                        service: service.index(service_count) as u16,
                        rights: RIGHT_SEND
                            | u32::from(rights) << 16
                            | if grant { RIGHT_GRANT } else { 0 },
                        optional,
                    }
                };
            Description {
                board: Board::Rpi4,
                components: components
                    .into_iter()
                    .enumerate()
                    .map(|(index, (mut component, uses))| {
                        component.name = name(index);
                        (component, uses.into_iter().enumerate().map(used).collect())
                    })
                    .collect(),
                services: services
                    .into_iter()
                    .enumerate()
                    .map(|(index, provider)| Service {
                        name: name(index),
                        protocol: "gritos.some",
                        provider: pick(provider).map_or(Provider::Root, Provider::Component),
                    })
                    .collect(),
                devices: devices
                    .into_iter()
                    .enumerate()
                    .map(|(index, (mut device, owner))| {
                        device.name = name(index);
                        device.owner = pick(owner);
                        device
                    })
                    .collect(),
            }
        })
}

/// Reads everything that a table offers.
fn read_all(bytes: &[u8]) -> usize {
    System::parse(bytes).map_or(0, |system| {
        let read = read_back(&system);
        let given = (0..read.components.len() as u16)
            .map(|index| system.services_of(index).count() + system.devices_of(index).count());
        given.sum::<usize>() + read.services.len()
    })
}

proptest! {
    #[test]
    fn any_system_is_read_as_it_was_written(description in any_description()) {
        let bytes = description.to_bytes().expect("within the limits");
        let system = System::parse(&bytes).expect("what the writer wrote");
        prop_assert_eq!(read_back(&system), description);
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..600)) {
        read_all(&bytes);
    }

    #[test]
    fn damage_anywhere_never_panics(
        description in any_description(),
        damage in vec((any::<Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = description.to_bytes().expect("within the limits");
        for (place, value) in damage {
            let len = bytes.len();
            bytes[place.index(len)] = value;
        }
        read_all(&bytes);
    }

    #[test]
    fn what_is_accepted_after_damage_can_be_written_again(
        description in any_description(),
        place in any::<Index>(),
        value in any::<u8>(),
    ) {
        let mut bytes = description.to_bytes().expect("within the limits");
        let len = bytes.len();
        bytes[place.index(len)] = value;
        if let Ok(system) = System::parse(&bytes) {
            let read = read_back(&system);
            let again = read.to_bytes().expect("what was accepted");
            let system = System::parse(&again).expect("what the writer wrote");
            prop_assert_eq!(read_back(&system), read);
        }
    }
}
