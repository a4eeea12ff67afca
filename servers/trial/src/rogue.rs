//! A component that does all the harm it can.

use alloc::vec::Vec;

use gritos_sys::abi::{Address, Control, Syscall};
use gritos_sys::cap::Reply;
use gritos_sys::environment::{Environment, GrantKind};
use gritos_sys::raw::{RawCalls, Request, kernel};
use gritos_sys::slots::own;
use gritos_sys::{Error, Wait, ipc, time};

/// Runs for as many milliseconds as `argument` says.
pub(crate) fn run(argument: &str, environment: &Environment<'_>) {
    let milliseconds: u64 = argument.parse().unwrap_or(500);
    let end = time::after(milliseconds * 1_000_000);
    let endpoints: Vec<Address> = environment
        .grants()
        .filter(|grant| grant.kind == GrantKind::Service)
        .map(|grant| grant.address)
        .collect();
    // The heap took the first slots that were free.
    let first = u32::from(environment.free_slots().0);
    let heap = first..first + 16;
    let mut random = Random(environment.generation() + 1);
    let mut calls = 0_u64;
    fill_memory();
    while time::now() < end {
        // Half of what it does goes to services, half to anything.
        let target = match random.below(2) {
            0 => endpoints
                .get(random.below(endpoints.len() as u64) as usize)
                .copied()
                .unwrap_or(Address::NULL),
            _ => Address(random.below(40) as u32 | (random.below(4) as u32 / 3) << 16),
        };
        // Waiting for ever would spare the others: what can block has a deadline that has passed.
        let call = match random.below(5) {
            0 => Syscall::SendAsync,
            1 => Syscall::Poll,
            2 => Syscall::Reply,
            3 => Syscall::Yield,
            _ => Syscall::Call,
        };
        // Its own CNode, thread, space and heap are spared, so that it goes on.
        // CNode 1 of an address is its own again.
        let slot = target.0 & 0xffff;
        let is_own = (1..4).contains(&slot) || heap.contains(&slot);
        if call == Syscall::Call && is_own {
            continue;
        }
        let tag = match random.below(4) {
            0 => random.next(),
            1 => 0x1000 + random.below(8),
            _ => random.below(24),
        };
        let mut words = [0; 8];
        words.fill_with(|| match random.below(3) {
            0 => random.next(),
            1 => random.below(64),
            _ => 0,
        });
        let control = Control(random.below(9) | random.below(5) << 4 | 1 << 14);
        let request = Request::new(target, tag, words, control);
        let mut caps = gritos_sys::abi::CapsIn::default();
        for slot in 0..4 {
            let source = Address(random.below(64) as u32);
            let rights = random.next() as u32;
            caps = caps.with(slot, source, rights, random.below(8) as u32);
        }
        let deadline = time::after(random.below(3) * 20_000);
        let _ = kernel().full(call, request, caps, deadline);
        calls += 1;
    }
    log::info!("{calls} calls, and it could do no more");
}

/// Calls that are kept: as many callers as it can hold, and more that it does not even hear.
const KEPT: usize = 4;

/// A server that holds the Replies of its first callers, answers nobody, and then hears nobody.
pub(crate) fn hoard(environment: &Environment<'_>) -> Result<(), Error> {
    let Some(endpoint) = environment.endpoint("hoarded") else {
        log::error!("there is no service `hoarded`");
        return Ok(());
    };
    for _ in 0..KEPT {
        let reply = Environment::MEMORY.create::<Reply>(own::take()?)?;
        endpoint.recv(Some(reply), &Wait::FOREVER)?;
    }
    log::info!("{KEPT} callers are kept");
    loop {
        ipc::sleep_until(u64::MAX)?;
    }
}

/// Takes all its memory and slots.
fn fill_memory() {
    let mut bytes = 1 << 20;
    while bytes >= 64 {
        let Ok(slot) = own::take() else { return };
        if Environment::MEMORY.split(bytes, slot).is_err() {
            own::give_back(slot);
            bytes /= 2;
        }
    }
}

struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    const fn below(&mut self, limit: u64) -> u64 {
        match limit {
            0 => 0,
            limit => self.next() % limit,
        }
    }
}
