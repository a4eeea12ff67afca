//! The state of the system as JSON.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use gritos_idl_runtime::Cap as StubCap;
use gritos_service::Kernel;
use gritos_sys::time;
use gritos_system_api::{Component, ComponentState, System, SystemClient, ThreadState};

/// What the page shows, or nothing if the root task does not say.
pub(crate) fn json(system: StubCap<System>) -> Option<Vec<u8>> {
    let mut system = SystemClient::new(system, Kernel);
    let machine = system.machine().ok()?;
    let mut text = String::with_capacity(2048);
    let uptime_ms = time::nanoseconds(time::now()) / 1_000_000;
    let board = match machine.board {
        1 => "QEMU virt",
        2 => "Raspberry Pi 4",
        _ => "unknown",
    };
    let written = write!(
        text,
        "{{\"version\":\"{}\",\"board\":\"{board}\",\"uptime_ms\":{uptime_ms},\
         \"memory\":{{\"bytes\":{},\"free\":{}}},\"components\":[",
        env!("CARGO_PKG_VERSION"),
        machine.memory_bytes,
        machine.free_bytes
    );
    written.ok()?;
    for number in 0..machine.components {
        let Ok(component) = system.component(number) else {
            continue;
        };
        if number > 0 {
            text.push(',');
        }
        entry(&mut text, number, &component).ok()?;
    }
    text.push_str("]}\n");
    Some(text.into_bytes())
}

fn entry(text: &mut String, number: u32, component: &Component) -> fmt::Result {
    // Names are lower-case letters, digits and hyphens.
    write!(
        text,
        "{{\"number\":{number},\"name\":\"{}\",\"state\":\"{}\",\"priority\":{},\"restarts\":{},\
         \"used_us\":{},\"memory\":{}}}",
        component.name.as_str(),
        state(component),
        component.priority,
        component.restarts,
        component.used_ns / 1000,
        component.memory_bytes
    )
}

fn state(component: &Component) -> &'static str {
    match component.state {
        ComponentState::New => "new",
        ComponentState::Ended => "ended",
        ComponentState::Failed => "failed",
        ComponentState::Stopped => "stopped",
        ComponentState::Restarting => "restarting",
        ComponentState::Running => match component.thread {
            ThreadState::Ready | ThreadState::Running => "running",
            _ => "waiting",
        },
        _ => "unknown",
    }
}
