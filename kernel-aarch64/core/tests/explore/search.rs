//! The search itself.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use gritos_abi::fault::FaultKind;
use gritos_abi::{Outcome, Status};
use gritos_kernel_core::handle::TcbRef;
use gritos_kernel_core::host::{Ask, HostKernel, Progress, check, describe, facts};
use gritos_kernel_core::store::Store;

use crate::confinement;

/// What can happen next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// The running thread makes the system call with this number in the shape.
    Call(u16),
    /// The same, and an interrupt comes at the first point that lets one in.
    Preempted(u16),
    /// A preempted system call runs again, and is preempted again.
    Again { preempted: bool },
    /// The slice of the running thread ends.
    EndSlice,
    /// The running thread faults.
    Fault,
    /// The timer interrupt, when it is due now.
    Timer,
    /// So many ticks pass, then the timer interrupt if it is due.
    Pass(u64),
}

/// A system and what its threads may try.
pub(crate) struct Shape {
    pub start: HostKernel,
    /// System calls that any thread tries.
    pub asks: Vec<Ask>,
    /// Of these, those that do long work.
    pub long: fn(&Ask) -> bool,
    /// Ticks that may pass; 0 for none.
    pub pass: u64,
    /// Whether threads fault.
    pub faults: bool,
    /// Errors after which table memory may have been used up.
    pub leaves_tables: bool,
}

impl Shape {
    pub(crate) fn new(start: HostKernel, asks: Vec<Ask>) -> Self {
        Self {
            start,
            asks,
            long: |_| false,
            pass: 0,
            faults: false,
            leaves_tables: false,
        }
    }

    fn events(&self, kernel: &HostKernel, into: &mut Vec<Event>) {
        into.clear();
        if kernel.is_again() {
            into.push(Event::Again { preempted: false });
            into.push(Event::Again { preempted: true });
            into.push(Event::EndSlice);
        } else if kernel.cpu.current.is_some() {
            for (i, ask) in (0..).zip(&self.asks) {
                into.push(Event::Call(i));
                if (self.long)(ask) {
                    into.push(Event::Preempted(i));
                }
            }
            into.push(Event::EndSlice);
            if self.faults {
                into.push(Event::Fault);
            }
        }
        if kernel.machine.timer <= kernel.machine.now {
            into.push(Event::Timer);
        } else if self.pass != 0 {
            into.push(Event::Pass(self.pass));
        }
    }
}

/// Number of the system call that a preempted thread runs again: the explorer
/// keeps it where the program would, in a register that calls preserve.
fn number_of(kernel: &HostKernel) -> u16 {
    let current = kernel.cpu.current.expect("somebody runs");
    kernel.store.tcb(current).frame.x18.get() as u16
}

fn remember(kernel: &HostKernel, number: u16) {
    let current = kernel.cpu.current.expect("somebody runs");
    kernel.store.tcb(current).frame.x18.set(number.into());
}

/// Odd numbers with about as many ones as zeroes.
const K: (u64, u64) = (0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db);

/// Both halves of the product, mixed.
fn fold(a: u64, k: u64) -> u64 {
    let product = u128::from(a ^ k.rotate_left(29)) * u128::from(k);
    product as u64 ^ (product >> 64) as u64 ^ a.rotate_left(23)
}

/// A hash of the state, wide enough that no two states will ever share one.
fn key(kernel: &HostKernel, words: &mut Vec<u64>) -> u128 {
    words.clear();
    facts(kernel, words);
    let mut hash = (0x9e37_79b9_7f4a_7c15_u64, 0xc2b2_ae3d_27d4_eb4f_u64);
    for word in words.iter() {
        hash = (fold(hash.0 ^ word, K.0), fold(hash.1 ^ word, K.1));
    }
    u128::from(fold(hash.0 ^ hash.1, K.1)) << 64 | u128::from(fold(hash.0, K.0) ^ hash.1)
}

/// The keys are hashes already.
#[derive(Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u128");
    }
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

/// What one step did.
struct Step {
    actor: Option<TcbRef>,
    refused: bool,
}

fn apply(
    shape: &Shape,
    kernel: &mut HostKernel,
    event: &Event,
    words: &mut Vec<u64>,
) -> Result<Step, String> {
    let actor = kernel.cpu.current;
    let mut refused = false;
    let again = kernel.is_again();
    match event {
        Event::Call(i) | Event::Preempted(i) => {
            let mut ask = shape.asks[usize::from(*i)];
            if let Some(ticks) = ask.x[17].checked_sub(RELATIVE) {
                ask.x[17] = kernel.machine.now + ticks;
            }
            kernel.prepare(&ask);
            remember(kernel, ask.number);
            let preempted = matches!(event, Event::Preempted(_));
            enter(kernel, ask.number, preempted, words)?;
        }
        Event::Again { preempted } => {
            let number = number_of(kernel);
            enter(kernel, number, *preempted, words)?;
        }
        Event::EndSlice => kernel.end_slice(),
        Event::Fault => {
            let mut quick = kernel.clone();
            let applied = quick.fast_fault();
            kernel.fault(FaultKind::Breakpoint, 0, 0);
            kernel.reschedule();
            if applied {
                go_on_with(kernel, quick, words)?;
            }
        }
        Event::Timer => tick(kernel, words)?,
        Event::Pass(ticks) => {
            kernel.machine.now += ticks;
            if kernel.machine.timer <= kernel.machine.now {
                tick(kernel, words)?;
            }
        }
    }
    kernel.machine.preempt_after.set(None);
    kernel.machine.forgotten.clear();
    let by_call = matches!(event, Event::Call(_) | Event::Preempted(_));
    if let Some(caller) = actor.filter(|_| by_call && !again)
        && kernel.progress(caller) == Progress::Returned
    {
        let t = kernel.store.tcb(caller);
        refused = !Outcome(t.frame.x[10].get()).is_ok();
    }
    Ok(Step { actor, refused })
}

/// As a deadline: now, and what is added, after that.
pub(crate) const RELATIVE: u64 = 0x7ead;

fn enter(
    kernel: &mut HostKernel,
    number: u16,
    preempted: bool,
    words: &mut Vec<u64>,
) -> Result<(), String> {
    kernel.machine.preempt_after.set(preempted.then_some(0));
    let quick = number <= 3 && !preempted;
    let mut fast = quick.then(|| kernel.clone());
    let applied = fast.as_mut().is_some_and(|fast| fast.run_fast(number));
    kernel.run_general(number);
    if let Some(fast) = fast.filter(|_| applied) {
        go_on_with(kernel, fast, words)?;
    }
    Ok(())
}

/// The timer interrupt, by both paths.
fn tick(kernel: &mut HostKernel, words: &mut Vec<u64>) -> Result<(), String> {
    let mut fast = kernel.clone();
    let applied = fast.fast_timer().is_some();
    kernel.tick();
    if applied {
        fast.reschedule();
        go_on_with(kernel, fast, words)?;
    }
    Ok(())
}

/// Compares where both paths lead, and takes one of the two states.
fn go_on_with(
    kernel: &mut HostKernel,
    fast: HostKernel,
    words: &mut Vec<u64>,
) -> Result<(), String> {
    let mark = key(kernel, words);
    if key(&fast, words) != mark {
        let (fast, slow) = (describe(&fast), describe(kernel));
        let at = fast.iter().zip(&slow).position(|(f, s)| f != s);
        let from = at.unwrap_or(0).saturating_sub(2);
        let part = |lines: &[String]| {
            lines
                .iter()
                .skip(from)
                .take(14)
                .cloned()
                .collect::<Vec<_>>()
        };
        return Err(format!(
            "the fast path leads elsewhere: {:?}, not {:?}",
            part(&fast),
            part(&slow)
        ));
    }
    // From here on the state is that of the fast path every other time. By chance: by the number of
    // facts some shapes would never take one of the two.
    if mark & 1 == 0 {
        *kernel = fast;
    }
    Ok(())
}

/// States waiting to be expanded (about 16 KiB each) beyond which the search
/// goes on depth first.
const FRONTIER: usize = 200_000;

/// Explores a shape, at most `limit` states; how many there are.
pub(crate) fn explore(shape: &Shape, limit: usize) -> usize {
    let mut words = Vec::new();
    let mut seen = HashSet::<u128, BuildHasherDefault<Fold>>::default();
    // How each state was reached: from which, by which event.
    let mut origin: Vec<(u32, Event)> = vec![(0, Event::EndSlice)];
    let mut frontier = VecDeque::new();
    seen.insert(key(&shape.start, &mut words));
    frontier.push_back((shape.start.clone(), 0_u32));
    let mut events = Vec::new();
    let mut steps = 0_u64;
    loop {
        // Breadth first, for short reports, as long as memory allows.
        let next = if frontier.len() < FRONTIER {
            frontier.pop_front()
        } else {
            frontier.pop_back()
        };
        let Some((state, index)) = next else { break };
        let before = key(&state, &mut words);
        shape.events(&state, &mut events);
        for event in &events {
            let mut next = state.clone();
            let fail = |next: &HostKernel, what: &str| -> ! {
                report(shape, &origin, index, event, next, what)
            };
            let step = match apply(shape, &mut next, event, &mut words) {
                Ok(step) => step,
                Err(what) => fail(&next, &what),
            };
            steps += 1;
            let after = key(&next, &mut words);
            if after == before {
                continue;
            }
            if step.refused && !(shape.leaves_tables && used_tables(&next, step.actor)) {
                fail(&next, "a refused call changed something");
            }
            if !seen.insert(after) {
                continue;
            }
            if let Err(broken) = check(&next) {
                fail(&next, &broken);
            }
            if let Err(gain) = confinement::check(&state, &next, step.actor) {
                fail(&next, &gain);
            }
            if seen.len() >= limit {
                println!("stopped at {limit} states, {steps} steps");
                return seen.len();
            }
            origin.push((index, *event));
            let number = u32::try_from(origin.len() - 1).expect("fewer than 2^32 states");
            frontier.push_back((next, number));
        }
    }
    println!("{} states, {steps} steps", seen.len());
    seen.len()
}

/// Whether the call failed in a way that may leave tables behind.
fn used_tables(kernel: &HostKernel, actor: Option<TcbRef>) -> bool {
    actor.is_some_and(|actor| {
        let t = kernel.store.tcb(actor);
        let status = Outcome(t.frame.x[10].get()).status();
        matches!(status, Ok(Status::AddressInUse | Status::NoTableMemory))
    })
}

/// Fails with the shortest way that leads here.
fn report(
    shape: &Shape,
    origin: &[(u32, Event)],
    mut index: u32,
    last: &Event,
    state: &HostKernel,
    what: &str,
) -> ! {
    let mut way = vec![*last];
    while index != 0 {
        let (from, event) = origin[index as usize];
        way.push(event);
        index = from;
    }
    way.reverse();
    let mut text = String::new();
    for event in way {
        let ask = match event {
            Event::Call(i) | Event::Preempted(i) => shape.asks.get(usize::from(i)),
            _ => None,
        };
        text += &format!("  {event:?} {ask:x?}\n");
    }
    if std::env::var("GRITOS_STATE").is_ok() {
        println!("{}", describe(state).join("\n"));
    }
    panic!("{what}\nafter\n{text}");
}
