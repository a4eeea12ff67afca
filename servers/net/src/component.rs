//! From capabilities to a served network.

use gritos_idl_runtime::{Text, serve};
use gritos_net_api::NetService;
use gritos_net_core::{Limits, Rules, Service, ServiceLimits, Settings, Stack};
use gritos_service::{Buffers, Kernel, Port, SharedMapper, call_cap};
use gritos_sys::abi::cap::BADGE_CLIENT;
use gritos_sys::cap::Notification;
use gritos_sys::environment::Environment;
use gritos_sys::heap::Heap;
use gritos_sys::slots::own;
use gritos_sys::{Error, ipc, time};
use gritos_system_api::SystemClient;
use log::error;

use crate::cable::Cable;
use crate::outside::{ClientSignals, Seed, SystemClock};

#[global_allocator]
static HEAP: Heap = Heap::new();

/// Pieces in which the heap may grow.
const HEAP_PIECES: u16 = 31;
/// Callers that can wait at a time, and the one in hand.
const REPLIES: usize = 64;
/// Buffers of all clients.
const BUFFERS: usize = 48;
/// Buffers of one client.
const CLIENT_BUFFERS: usize = 8;
/// Pauses of 10 ms that the driver has at the start of the system.
const PAUSES: usize = 50;
const PAUSE_NS: u64 = 10_000_000;
/// Bytes of socket buffers, of all clients and of one.
const SOCKET_BYTES: usize = 20 << 20;
const CLIENT_BYTES: usize = 12 << 20;

pub(crate) fn main(_argument: u64) {
    if let Err(error) = run() {
        error!("{error}");
    }
}

fn run() -> Result<(), Error> {
    let environment = gritos_service::start()?;
    gritos_log_client::install(&environment, log::LevelFilter::Info);
    HEAP.provide_own(HEAP_PIECES)?;
    let (Some(endpoint), Some(ethernet), Some(entropy)) = (
        environment.endpoint("net"),
        environment.service("ethernet"),
        environment.service("entropy"),
    ) else {
        error!(
            "the system table must give it a service `net`, and let it use `ethernet` and \
             `entropy`"
        );
        return Ok(());
    };
    let settings = match Settings::parse(environment.arguments()) {
        Ok(settings) => settings,
        Err(error) => {
            error!("arguments in the system table, {error}");
            return Ok(());
        }
    };
    let Some(mut seed) = Seed::read(call_cap(entropy)) else {
        error!("without random numbers anybody could forge connections: ends");
        return Ok(());
    };
    let wake = Environment::MEMORY.create::<Notification>(own::take()?)?;
    Environment::TCB.bind_notification(wake)?;
    let mut cable = Cable::new(call_cap(ethernet), wake);
    for _ in 0..PAUSES {
        if cable.is_ready() {
            break;
        }
        let _ = ipc::sleep_until(time::after(PAUSE_NS));
        cable.hurry();
    }
    let rules = rules(&environment, &settings);
    let limits = Limits {
        bytes: SOCKET_BYTES,
        client_bytes: CLIENT_BYTES,
        ..Limits::default()
    };
    let now = time::nanoseconds(time::now());
    let stack = Stack::new(cable, settings.config, limits, rules, &mut seed, now);
    // One place more is for memory that comes with a call.
    let mapper = SharedMapper::<{ BUFFERS + 1 }>::default();
    let mut service = Service::<_, _, _, _, BUFFERS>::new(
        stack,
        SystemClock,
        Buffers::new(mapper, CLIENT_BUFFERS),
        ClientSignals,
        endpoint.address(),
        environment.generation(),
        ServiceLimits::default(),
    );
    let mut port = Port::<REPLIES>::new(endpoint, 4)?;
    port.hold_answers();
    // The first turn comes without a message.
    port.set_deadline(Some(0));
    let status = serve::<NetService, _, _>(&mut port, &mut service);
    error!("cannot receive any more: {status:?}");
    Ok(())
}

/// What each component may do, by the badge of its session. A name that no component has allows nothing.
fn rules(environment: &Environment<'_>, settings: &Settings) -> Rules {
    let mut rules = Rules::new();
    let Some(system) = environment.service("system") else {
        error!("without the service `system` no component may use the network");
        return rules;
    };
    let mut system = SystemClient::new(call_cap(system), Kernel);
    for (name, rule) in &settings.rules {
        let number = Text::new(name).ok().and_then(|name| system.find(name).ok());
        match number {
            Some(number) => rules.allow(BADGE_CLIENT | number, rule.clone()),
            None => error!("there is no component `{name}` to allow anything"),
        }
    }
    rules
}
