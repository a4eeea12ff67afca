//! The root task's own code on a host, around everything that chance can do to it.
//!
//! The [`machine`] is kernel, helpers, components and who uses the service `system`, all at once: it decides what the root
//! task receives next, and looks at each thing that the root task does.

use gritos_service::Port;
use gritos_sys::abi::Address;
use gritos_sys::abi::boot_image::{BootImage, MAGIC, PAGE, VERSION};
use gritos_sys::abi::boot_info::{BootInfo, ROOT_CNODE_SLOTS, UNTYPED_LIMIT, UntypedInfo, slot};
use gritos_sys::cap::CNode;
use gritos_sys::memory::Pool;
use gritos_sys::process::Creator;
use gritos_sys::raw::host;
use gritos_sys::slots::Slots;
use gritos_sys::{Cap, abi};
use gritos_system::write::Description;
use gritos_system::{
    Board, Component as Spec, Policy, Provider, Restart, SERVICE_LIMIT, Service as Offer, System,
    Use,
};
use gritos_system_api::ComponentState;

use self::machine::{ADMINISTRATION, Machine};
use super::{REPLIES, Root, Start};
use crate::console::Console;
use crate::devices::Devices;
use crate::worker::{Service, Shared};

mod machine;

/// What there is of a component in the table: how it is started again, what it offers, what it uses.
struct Line {
    name: &'static str,
    policy: Policy,
    offers: &'static [&'static str],
    uses: &'static [u16],
}

/// Two servers, one of which uses the other, and clients of each kind. The service `system` is number 0.
const LINES: [Line; 5] = [
    line("log", Policy::OnFailure, &["log"], &[0]),
    line("disk", Policy::OnFailure, &["disk"], &[1]),
    line("files", Policy::OnFailure, &["files", "admin"], &[1, 2]),
    line("once", Policy::Never, &[], &[1, 3, 4]),
    line("shell", Policy::Always, &[], &[0, 1, 3]),
];

const fn line(
    name: &'static str,
    policy: Policy,
    offers: &'static [&'static str],
    uses: &'static [u16],
) -> Line {
    Line {
        name,
        policy,
        offers,
        uses,
    }
}

fn spec(line: &Line, priority: usize) -> Spec<'static> {
    let restart = match line.policy {
        Policy::Never => Restart::default(),
        policy => Restart {
            policy,
            attempts: 4,
            window_ns: 1_000_000_000,
            backoff_ns: 10_000_000,
        },
    };
    Spec {
        name: line.name,
        binary: line.name,
        memory_bytes: 1 << 20,
        budget_ns: 5_000_000,
        period_ns: 5_000_000,
        stack_bytes: 64 << 10,
        cnode_slots: 64,
        priority: 24 + priority as u8,
        ceiling: 24 + priority as u8,
        restart,
        ..Spec::default()
    }
}

/// The table of [`LINES`], for good.
fn system() -> System<'static> {
    let mut services = vec![Offer {
        name: "system",
        protocol: "gritos.system",
        provider: Provider::Root,
    }];
    for (index, line) in LINES.iter().enumerate() {
        services.extend(line.offers.iter().map(|name| Offer {
            name,
            protocol: "test.service",
            provider: Provider::Component(index as u16),
        }));
    }
    let names: Vec<&str> = services.iter().map(|service| service.name).collect();
    let used = |line: &Line| -> Vec<Use<'_>> {
        let of = |&service: &u16| Use {
            alias: names[usize::from(service)],
            service,
            rights: gritos_system::RIGHT_SEND,
            optional: false,
        };
        line.uses.iter().map(of).collect()
    };
    let components = LINES.iter().enumerate();
    let description = Description {
        board: Board::Virt,
        components: components
            .map(|(index, line)| (spec(line, index), used(line)))
            .collect(),
        services: services.clone(),
        devices: Vec::new(),
    };
    let table = description.to_bytes().expect("a good table");
    System::parse(Vec::leak(table)).expect("what was written can be read")
}

/// A boot image without entries: nobody looks at programs here.
fn image() -> BootImage<'static> {
    let mut bytes = vec![0; PAGE as usize];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&PAGE.to_le_bytes());
    BootImage::parse(Vec::leak(bytes), |_, _| 0).expect("a good header")
}

fn info() -> &'static BootInfo {
    let mut untyped = [UntypedInfo::default(); UNTYPED_LIMIT];
    untyped[0] = UntypedInfo {
        base: 1 << 30,
        size: 1 << 28,
        device: 0,
    };
    Box::leak(Box::new(BootInfo {
        magic: abi::boot_info::MAGIC,
        version: 1,
        board: 1,
        counter_hz: 1_000_000_000,
        image_bytes: PAGE,
        device_tree_bytes: 0,
        device_tree_offset: 0,
        first_free_slot: 128,
        untyped_count: 1,
        flags: 0,
        untyped,
    }))
}

/// A root task that is about to begin, and the slots that are free then.
fn root() -> (Root, u16) {
    let (info, system) = (info(), system());
    let cnode = Cap::<CNode>::at(Address::root(slot::CNODE));
    let mut slots = Slots::new(cnode, 0, 128, ROOT_CNODE_SLOTS);
    let at = |number: u16| Address::root(number);
    let mut services = [None; SERVICE_LIMIT];
    for ((number, place), service) in (0..).zip(&mut services).zip(system.services()) {
        *place = Some(Service {
            all: Cap::at(at(ADMINISTRATION + 64 + number)),
            administration: Cap::at(at(ADMINISTRATION + number)),
            provider: match service.provider {
                Provider::Root => None,
                Provider::Component(index) => Some(index),
            },
        });
    }
    let creator = Creator {
        space: Cap::at(at(slot::ADDRESS_SPACE)),
        tcb: Cap::at(at(slot::TCB)),
        asids: Cap::at(at(slot::ASID_CONTROL)),
        budgets: Cap::at(at(slot::SCHED_CONTROL)),
        image: Cap::at(at(slot::BOOT_IMAGE)),
    };
    let devices = Devices::make(info, &system, &[], &mut slots, |_, _| {});
    let shared: &'static Shared = Box::leak(Box::new(Shared {
        image: image(),
        system,
        creator,
        cnode,
        platform: Cap::at(at(slot::PLATFORM)),
        services,
        devices,
        helper_faults: Cap::at(at(100)),
    }));
    let mut root = Root::new(Start {
        info,
        shared,
        pool: Pool::from_boot_info(info),
        scratch: slots.take_run(2).expect("there are slots"),
        slots,
        endpoint: Cap::at(at(101)),
        console: Console::new(shared.platform),
        console_service: None,
        worker: Cap::at(at(102)),
        contexts: [Cap::at(at(103)); 4],
    });
    root.console.use_printer();
    let free = root.slots.free();
    (root, free)
}

/// Lives that are tried, and what happens in each before all is to end.
const LIVES: u64 = 300;
const EVENTS: u32 = 2000;

#[test]
fn whatever_happens_each_life_is_taken_back_before_the_next_and_nobody_waits_for_ever() {
    let mut seen = machine::Seen::default();
    for seed in 1..=LIVES {
        let (mut root, free) = root();
        let machine = Machine::new(seed, EVENTS, root.shared.system);
        let before = host::install(Some(machine.clone()));
        root.begin();
        let replies = core::array::from_fn(|i| Cap::at(Address::root(machine::REPLY + i as u16)));
        let mut port =
            Port::<REPLIES>::with_replies((root.endpoint, Cap::at(Address::root(104))), replies);
        root.watch(&mut port);
        host::install(before);
        seen.add(&machine.end());
        // Each component keeps its memory and its fault endpoint, each service the memory and slots of its stand-in.
        let kept = LINES.len() * 2 + 4 * (1 + usize::from(crate::stand_in::SLOTS));
        assert!(usize::from(free - root.slots.free()) <= kept, "seed {seed}");
        for component in root.components.iter().take(LINES.len()) {
            assert!(
                component.process.is_none() && component.run.is_none(),
                "seed {seed}"
            );
            assert!(
                component.grants.is_none() && component.fault.is_none(),
                "seed {seed}"
            );
            let over = [
                ComponentState::Ended,
                ComponentState::Failed,
                ComponentState::Stopped,
            ];
            assert!(
                over.contains(&component.state),
                "seed {seed}: {:?}",
                component.state
            );
        }
        assert!(root.waiting.iter().all(Option::is_none), "seed {seed}");
    }
    seen.check();
}
