//! Measurements: what the kernel does for an operation, in instructions.
//!
//! The emulator counts one cycle per instruction, so the cycle counter, read
//! before and behind, tells how many were executed. What user code executes in
//! between is known, because it is written in assembly (`svc::probe`), and taken
//! off. Every measured stretch also carries marks for a counter outside, by whose
//! numbers `cargo xtask bench` knows the round trips: 1 the passive one, 2 the active one.
//!
//! The other side of a measurement lives in an AddressSpace of its own that
//! holds this program's text and nothing else.

use core::hint::black_box;

use gritos_idl_runtime::serve;
use gritos_service::{Kernel, Port, call_cap};
use gritos_sys::abi::message::Kind;
use gritos_sys::abi::{CapsIn, Control, ObjectType, Outcome, Rights, Syscall, method};
use gritos_sys::cap::{AddressSpace, CNode, Endpoint, Notification, Tcb};
use gritos_sys::invoke::{Permissions, Wanted};
use gritos_sys::raw::Request;
use gritos_sys::shared::{SHARED_BASE, SharedBuf};
use gritos_sys::svc::probe::{self, loops};
use gritos_sys::thread::ThreadBuilder;
use gritos_sys::{Cap, Mask, time};
use gritos_test_shapes_api::{ShapeError, Shapes, ShapesClient, ShapesTwoReply};
use gritos_wire_cases::Mirror;

use crate::check::{Verdict, check, check_eq};
use crate::env::{ABOVE, BELOW, Env, cell, end, eventually, high, low, pack, set_cell};
use crate::runner::tell_result;

mod buffers;

use buffers::buffers;

/// A measurement.
#[derive(Clone, Copy)]
pub(crate) struct Bench {
    /// Its name.
    pub(crate) name: &'static str,
    /// Measures and tells the results.
    pub(crate) run: fn(&mut Env) -> Verdict,
}

macro_rules! benches {
    ($($name:ident),* $(,)?) => {
        /// All measurements.
        pub(crate) const ALL: &[Bench] = &[$(Bench { name: stringify!($name), run: $name }),*];
    };
}

benches![
    ipc_passive,
    ipc_active,
    ipc_bound,
    ipc_fp,
    ipc_deadline,
    ipc_timed,
    cap_transfer,
    cap_unwrap,
    invalid_syscall,
    signal,
    signal_wake,
    page_fault,
    timer,
    map_and_unmap,
    retype,
    revoke,
    stubs,
    copies,
    buffers,
];

/// Repetitions of a measurement.
const ROUNDS: u32 = 2000;
/// Period and budget that do not end while something is measured.
const SLICE: u64 = 1_000_000_000;

const CALL: u16 = Syscall::Call as u16;
const SEND_ASYNC: u16 = Syscall::SendAsync as u16;

/// Counts per value, the largest value, and how many there were.
struct Samples {
    counts: [(u64, u32); 32],
    max: u64,
    n: u32,
}

impl Samples {
    const fn new() -> Self {
        Self {
            counts: [(0, 0); 32],
            max: 0,
            n: 0,
        }
    }

    fn add(&mut self, value: u64) {
        self.n += 1;
        self.max = self.max.max(value);
        let place = self
            .counts
            .iter_mut()
            .find(|(known, count)| *count == 0 || *known == value);
        if let Some((known, count)) = place {
            *known = value;
            *count += 1;
        }
    }

    /// The commonest value. Values beyond the first 32 different ones are only
    /// in the maximum.
    fn mode(&self) -> u64 {
        self.counts
            .iter()
            .max_by_key(|(_, count)| *count)
            .map_or(0, |(value, _)| *value)
    }

    /// Adds the instructions that `act` takes.
    fn time(&mut self, act: impl FnOnce()) {
        let begin = probe::cycles();
        act();
        let end = probe::cycles();
        self.add((end - begin).saturating_sub(probe::timed_nothing()));
    }

    /// Tells the host: kernel instructions, with `user` of user code taken off.
    fn tell(&self, name: &str, user: u64) {
        let kernel = |cycles: u64| cycles.saturating_sub(user + probe::timed_nothing());
        tell_result(format_args!(
            "{name} kernel={} kernel_max={} user={user} n={}",
            kernel(self.mode()),
            kernel(self.max),
            self.n
        ));
    }
}

/// A CSpace and an AddressSpace for the other side.
struct Other {
    cnode: Cap<CNode>,
    space: Cap<AddressSpace>,
}

impl Other {
    fn new(env: &mut Env) -> Verdict<Self> {
        let cnode = Env::UNTYPED.create_cnode(64, env.slot()?)?;
        let space = env.make::<AddressSpace>()?;
        Env::ASIDS.assign(space)?;
        space.donate(Env::UNTYPED.split(32 << 10, env.slot()?)?)?;
        const TEXT: u64 = 0x20_0000;
        Env::TEXT.map_all(space, TEXT, Permissions::ReadExecute)?;
        Ok(Self { cnode, space })
    }

    /// Starts a loop that calls with this x8 and x10. A passive one is relieved
    /// of its context once it waits.
    fn start(
        &self,
        env: &mut Env,
        code: loops::Loop,
        registers: [u64; 2],
        passive: bool,
        flags: u64,
    ) -> Verdict<Cap<Tcb>> {
        let context = env.context(SLICE, SLICE)?;
        let thread = env.make::<Tcb>()?;
        let faults = env.make::<Endpoint>()?;
        ThreadBuilder::new(self.cnode, self.space)
            .priority(ABOVE, ABOVE, Env::TCB)
            .fault_endpoint(faults)
            .flags(flags)
            .build(thread, code as usize as u64, 0, 0)?;
        thread.write_registers(0, registers)?;
        thread.bind_context(context)?;
        thread.resume()?;
        let waits =
            |info: gritos_sys::invoke::ThreadInfo| info.state != Some(method::ThreadState::Ready);
        check!(eventually(|| thread.info().is_ok_and(waits)));
        if passive {
            thread.unbind_context()?;
        }
        Ok(thread)
    }

    /// Puts a capability into its CSpace.
    fn give<T>(&self, index: u16, cap: Cap<T>) -> Verdict<Cap<T>> {
        self.cnode.copy(index, cap, Mask::AS_HELD)?;
        Ok(Cap::at(gritos_sys::abi::Address::root(index)))
    }
}

/// A server in another process, and the endpoint on which it receives.
fn server(env: &mut Env, code: loops::Loop, passive: bool, flags: u64) -> Verdict<Cap<Endpoint>> {
    Ok(server_thread(env, code, passive, flags)?.0)
}

/// The same with its thread.
fn server_thread(
    env: &mut Env,
    code: loops::Loop,
    passive: bool,
    flags: u64,
) -> Verdict<(Cap<Endpoint>, Cap<Tcb>)> {
    let other = Other::new(env)?;
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let (theirs, answer) = (other.give(1, endpoint)?, other.give(2, reply)?);
    let thread = other.start(env, code, [pack(theirs, answer), 0], passive, flags)?;
    Ok((endpoint, thread))
}

fn request<T>(target: Cap<T>, tag: u64, control: Control) -> Request {
    Request::new(target.address(), tag, [0; 8], control)
}

/// Round trips of 0, 4 and 8 words through `endpoint`.
fn round_trips<const ID: u16>(endpoint: Cap<Endpoint>, names: [&str; 3]) -> Verdict {
    for (name, words) in names.into_iter().zip([0, 4, 8]) {
        let mut samples = Samples::new();
        let mut request = request(endpoint, 1, Control::words(words));
        request.words = core::array::from_fn(|i| i as u64 + 1);
        for _ in 0..ROUNDS {
            let timed = probe::timed::<CALL, ID>(&request, &CapsIn::default(), 0);
            check_eq!(
                (timed.returned.outcome.kind(), timed.returned.words),
                (Ok(Kind::Reply), request.words)
            );
            samples.add(timed.cycles());
        }
        samples.tell(name, 1 + loops::ECHO);
    }
    Ok(())
}

fn ipc_passive(env: &mut Env) -> Verdict {
    let endpoint = server(env, loops::echo, true, 0)?;
    round_trips::<1>(
        endpoint,
        ["ipc_passive_0", "ipc_passive_4", "ipc_passive_8"],
    )
}

fn ipc_active(env: &mut Env) -> Verdict {
    let endpoint = server(env, loops::echo, false, 0)?;
    round_trips::<2>(endpoint, ["ipc_active_0", "ipc_active_4", "ipc_active_8"])
}

fn ipc_bound(env: &mut Env) -> Verdict {
    let (endpoint, thread) = server_thread(env, loops::echo, false, 0)?;
    thread.bind_notification(env.make()?)?;
    round_trips::<17>(endpoint, ["ipc_bound_0", "ipc_bound_4", "ipc_bound_8"])
}

/// Measures round trips with FP instructions on both sides; cell 1 says that it
/// is through.
extern "C" fn fp_client(endpoint: u64) -> ! {
    let mut samples = Samples::new();
    for _ in 0..ROUNDS {
        samples.add(probe::timed_fp_call::<3>(endpoint));
    }
    samples.tell("ipc_fp", 2 + loops::ECHO_FP);
    set_cell(1, 1);
    end()
}

fn ipc_fp(env: &mut Env) -> Verdict {
    let endpoint = server(env, loops::echo_fp, true, method::TCB_FLAG_FP)?;
    let client = env.thread(BELOW, fp_client, u64::from(endpoint.address().0), None)?;
    client.set_flags(method::TCB_FLAG_FP)?;
    client.resume()?;
    check!(eventually(|| cell(1) == 1));
    Ok(())
}

fn ipc_deadline(env: &mut Env) -> Verdict {
    let endpoint = server(env, loops::echo, true, 0)?;
    let mut samples = Samples::new();
    let request = request(endpoint, 1, Control::words(0).with_deadline());
    for _ in 0..ROUNDS {
        let deadline = time::after(SLICE);
        let timed = probe::timed::<CALL, 4>(&request, &CapsIn::default(), deadline);
        check_eq!(timed.returned.outcome.kind(), Ok(Kind::Reply));
        samples.add(timed.cycles());
    }
    samples.tell("ipc_deadline", 1 + loops::ECHO);
    Ok(())
}

fn ipc_timed(env: &mut Env) -> Verdict {
    let (endpoint, thread) = server_thread(env, loops::echo_timed, false, 0)?;
    thread.bind_notification(env.make()?)?;
    let mut samples = Samples::new();
    let request = request(endpoint, 1, Control::words(0));
    for _ in 0..ROUNDS {
        let timed = probe::timed::<CALL, 18>(&request, &CapsIn::default(), 0);
        check_eq!(timed.returned.outcome.kind(), Ok(Kind::Reply));
        samples.add(timed.cycles());
    }
    samples.tell("ipc_timed", 1 + loops::ECHO_TIMED);
    Ok(())
}

/// One-way time of a Call with one capability.
fn one_way<const ID: u16>(
    env: &mut Env,
    name: &str,
    code: loops::Loop,
    cap: impl FnOnce(&mut Env, Cap<Endpoint>) -> Verdict<Cap<Endpoint>>,
) -> Verdict {
    const WINDOW: u16 = 10;
    let other = Other::new(env)?;
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let (theirs, answer) = (other.give(1, endpoint)?, other.give(2, reply)?);
    let window = Control::words(1).with_window(gritos_sys::abi::Address::root(WINDOW), 1);
    let registers = [pack(theirs, answer), window.0];
    other.start(env, code, registers, true, 0)?;
    let sent = cap(env, endpoint)?;
    let caps = CapsIn::default().with(0, sent.address(), 0, 0);
    let request = request(endpoint, 1, Control::words(0).with_caps(1, 0));
    let mut samples = Samples::new();
    for _ in 0..ROUNDS {
        let timed = probe::timed::<CALL, ID>(&request, &caps, 0);
        check_eq!(timed.returned.outcome.kind(), Ok(Kind::Reply));
        samples.add(timed.returned.words[0] - timed.begin);
        other.cnode.delete(WINDOW)?;
    }
    // The call itself, and the server's way to its reading.
    samples.tell(name, 2);
    Ok(())
}

fn cap_transfer(env: &mut Env) -> Verdict {
    one_way::<5>(env, "cap_transfer", loops::stamp::<5>, |env, _| env.make())
}

fn cap_unwrap(env: &mut Env) -> Verdict {
    one_way::<6>(env, "cap_unwrap", loops::stamp::<6>, |env, endpoint| {
        env.mint(endpoint, Rights::SEND, 7)
    })
}

fn invalid_syscall(_: &mut Env) -> Verdict {
    let mut samples = Samples::new();
    let request = Request::default();
    for _ in 0..ROUNDS {
        let timed = probe::timed::<99, 7>(&request, &CapsIn::default(), 0);
        check!(!timed.returned.outcome.is_ok());
        samples.add(timed.cycles());
    }
    samples.tell("invalid_syscall", 1);
    Ok(())
}

fn signal(env: &mut Env) -> Verdict {
    let notification = env.make::<Notification>()?;
    let mut samples = Samples::new();
    let request = request(notification, 0, Control::words(1));
    for _ in 0..ROUNDS {
        let timed = probe::timed::<SEND_ASYNC, 8>(&request, &CapsIn::default(), 0);
        check!(timed.returned.outcome.is_ok());
        samples.add(timed.cycles());
    }
    samples.tell("signal", 1);
    Ok(())
}

fn signal_wake(env: &mut Env) -> Verdict {
    let other = Other::new(env)?;
    let notification = env.make::<Notification>()?;
    let theirs = other.give(1, notification)?;
    let registers = [u64::from(theirs.address().0), 0];
    other.start(env, loops::wait, registers, false, 0)?;
    let mut samples = Samples::new();
    let mut request = request(notification, 0, Control::words(1));
    request.words[0] = 1;
    for _ in 0..ROUNDS {
        let timed = probe::timed::<SEND_ASYNC, 9>(&request, &CapsIn::default(), 0);
        check!(timed.returned.outcome.is_ok());
        samples.add(timed.cycles());
    }
    check!(notification.poll().is_err());
    samples.tell("signal_wake", 1 + loops::WAIT);
    Ok(())
}

/// Loads from where nothing is mapped; cell 1 says that it is through.
extern "C" fn faulter(_: u64) -> ! {
    const NOWHERE: u64 = 0x3000_0000;
    let mut samples = Samples::new();
    for _ in 0..ROUNDS {
        samples.add(probe::timed_load::<10>(NOWHERE));
    }
    // The load that faults is not counted: it is never completed.
    samples.tell("page_fault", loops::SKIP_FAULTS);
    set_cell(1, 1);
    gritos_sys::ipc::yield_now();
    loop {
        crate::env::pause(SLICE);
    }
}

fn page_fault(env: &mut Env) -> Verdict {
    let endpoint = server(env, loops::skip_faults, true, 0)?;
    env.spawn_watched(BELOW, faulter, 0, endpoint)?;
    check!(eventually(|| cell(1) == 1));
    Ok(())
}

fn timer(env: &mut Env) -> Verdict {
    const TICKS: u64 = 1000;
    const LIMIT: u64 = 100;
    let other = Other::new(env)?;
    other.start(env, loops::tick, [TICKS, 0], false, 0)?;
    let mut samples = Samples::new();
    for _ in 0..ROUNDS {
        samples.add(probe::wait_for_gap(LIMIT));
    }
    // Two reads are the loop apart anyway.
    samples.tell("timer", loops::TICK + probe::GAP_LOOP - 1);
    Ok(())
}

fn map_and_unmap(env: &mut Env) -> Verdict {
    let object = env.memory(4096)?;
    // The tables exist, as they do for a neighbour of mapped pages.
    let neighbour = env.memory(4096)?;
    neighbour.map_all(Env::SPACE, SHARED_BASE, Permissions::Read)?;
    let (mut maps, mut unmaps) = (Samples::new(), Samples::new());
    let mut map = request(
        object,
        method::MemoryObject::Map as u64,
        Control::words(4).with_caps(1, 0),
    );
    let access = Permissions::ReadWrite.rights().bits();
    map.words[..4].copy_from_slice(&[SHARED_BASE + 4096, 0, 4096, u64::from(access)]);
    let caps = CapsIn::default().with(0, Env::SPACE.address(), 0, 0);
    let unmap = request(
        object,
        method::MemoryObject::Unmap as u64,
        Control::words(0),
    );
    for _ in 0..ROUNDS {
        let timed = probe::timed::<CALL, 12>(&map, &caps, 0);
        check!(timed.returned.outcome.is_ok());
        maps.add(timed.cycles());
        let timed = probe::timed::<CALL, 13>(&unmap, &CapsIn::default(), 0);
        check!(timed.returned.outcome.is_ok());
        unmaps.add(timed.cycles());
    }
    maps.tell("map", 1);
    unmaps.tell("unmap", 1);
    Ok(())
}

fn retype(env: &mut Env) -> Verdict {
    retype_one::<14>(env, "retype_endpoint", ObjectType::Endpoint)?;
    retype_one::<15>(env, "retype_tcb", ObjectType::Tcb)
}

fn retype_one<const ID: u16>(env: &mut Env, name: &str, object: ObjectType) -> Verdict {
    let memory = Env::UNTYPED.split(64 << 10, env.slot()?)?;
    // One object that stays, so that the memory behind it is not taken back.
    let keep = env.slot()?;
    memory.retype(
        Wanted::one(ObjectType::Endpoint, 0),
        Env::CNODE,
        keep.index(),
    )?;
    let slot = env.slot()?;
    let mut request = request(
        memory,
        method::Untyped::Retype as u64,
        Control::words(6).with_caps(1, 0),
    );
    request.words[..4].copy_from_slice(&[object as u64, 0, 1, u64::from(slot.index())]);
    let caps = CapsIn::default().with(0, Env::CNODE.address(), 0, 0);
    let mut samples = Samples::new();
    for _ in 0..ROUNDS {
        let timed = probe::timed::<CALL, ID>(&request, &caps, 0);
        check!(timed.returned.outcome.is_ok());
        samples.add(timed.cycles());
        slot.delete()?;
        if memory.info()?.free < 4096 {
            env.revoke(memory)?;
            memory.retype(
                Wanted::one(ObjectType::Endpoint, 0),
                Env::CNODE,
                keep.index(),
            )?;
        }
    }
    samples.tell(name, 1);
    Ok(())
}

fn revoke(env: &mut Env) -> Verdict {
    const CHILDREN: u16 = 64;
    let cnode = Env::UNTYPED.create_cnode(u32::from(CHILDREN), env.slot()?)?;
    let parent = env.make::<Notification>()?;
    let mut request = request(Env::CNODE, method::CNode::Revoke as u64, Control::words(1));
    request.words[0] = u64::from(parent.address().index());
    let mut samples = Samples::new();
    for _ in 0..ROUNDS / 10 {
        for index in 0..CHILDREN {
            cnode.copy(index, parent, Mask::AS_HELD)?;
        }
        let timed = probe::timed::<CALL, 16>(&request, &CapsIn::default(), 0);
        check!(timed.returned.outcome.is_ok());
        samples.add(timed.cycles());
    }
    samples.tell("revoke_64", 1);
    Ok(())
}

/// Serves the shapes with generated stubs.
extern "C" fn stub_server(argument: u64) -> ! {
    let mut port = Port::with_reply(low(argument), high(argument));
    let nothing = gritos_sys::abi::Address::NULL;
    serve::<Shapes, _, _>(&mut port, &mut Mirror::new(nothing, nothing));
    end()
}

/// A call by itself: it gets its arguments in registers and returns a result,
/// as any other function does.
#[inline(never)]
fn call_two(
    client: &mut ShapesClient<Kernel>,
    a: u64,
    b: u64,
) -> Result<ShapesTwoReply, gritos_idl_runtime::Error<ShapeError>> {
    client.two(a, b)
}

/// What generated stubs execute for a method with two words each way. Client
/// and server share an AddressSpace, which a round trip of nothing but
/// assembly, measured the same way, takes off.
fn stubs(env: &mut Env) -> Verdict {
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let here = Other {
        cnode: Env::CNODE,
        space: Env::SPACE,
    };
    let registers = [pack(endpoint, reply), Control::words(2).0];
    let bare = here.start(env, loops::echo, registers, false, 0)?;
    let kernel = raw_round_trip::<20>(endpoint, 1)? - 1 - loops::ECHO;
    bare.suspend()?;

    let (endpoint, reply) = env.endpoint_and_reply()?;
    env.spawn(ABOVE, stub_server, pack(endpoint, reply))?;
    let with_server = raw_round_trip::<21>(endpoint, 1)?;
    let server = with_server - 1 - kernel;

    let mut client = ShapesClient::new(call_cap(endpoint), Kernel);
    let mut samples = Samples::new();
    for i in 0..u64::from(ROUNDS) {
        let (a, b) = (black_box(i), black_box(7));
        let begin = probe::cycles();
        let answer = call_two(&mut client, a, b);
        let end = probe::cycles();
        let expected = ShapesTwoReply {
            sum: i + 7,
            difference: i.wrapping_sub(7),
        };
        check_eq!(answer, Ok(expected));
        samples.add(end - begin - probe::timed_nothing());
    }
    tell_result(format_args!(
        "stub_client user={} n={ROUNDS}",
        // Without the call of the function that makes the call.
        samples.mode() - kernel - server - 2
    ));
    tell_result(format_args!("stub_server user={server} n={ROUNDS}"));
    Ok(())
}

/// The commonest number of cycles of a call with two words.
fn raw_round_trip<const ID: u16>(endpoint: Cap<Endpoint>, tag: u64) -> Verdict<u64> {
    let mut samples = Samples::new();
    let mut request = request(endpoint, tag, Control::words(2));
    request.words[0] = 5;
    for _ in 0..ROUNDS {
        let timed = probe::timed::<CALL, ID>(&request, &CapsIn::default(), 0);
        check_eq!(timed.returned.outcome, Outcome::message(Kind::Reply, 2, 0));
        samples.add(timed.cycles());
    }
    Ok(samples.mode() - probe::timed_nothing())
}

/// What it costs to copy a page: in memory of one's own, and to and from memory
/// that is shared.
fn copies(env: &mut Env) -> Verdict {
    const PAGE: usize = 4096;
    let memory = env.memory(2 * PAGE as u64)?;
    memory.map_all(Env::SPACE, SHARED_BASE, Permissions::ReadWrite)?;
    let shared = SharedBuf::of(memory)?;
    let (mut page, other) = ([0; PAGE], black_box([7; PAGE]));
    let (mut own, mut aside, mut in_, mut out) = (
        Samples::new(),
        Samples::new(),
        Samples::new(),
        Samples::new(),
    );
    for _ in 0..ROUNDS / 20 {
        own.time(|| page.copy_from_slice(black_box(&other)));
        // Source and target differ by an odd number of bytes.
        aside.time(|| page.copy_within(black_box(1..PAGE - 8), 8));
        let mut done = Ok(());
        in_.time(|| done = shared.read(black_box(0), black_box(&mut page)));
        check_eq!(done, Ok(()));
        out.time(|| done = shared.write(black_box(0), black_box(&page)));
        check_eq!(done, Ok(()));
    }
    for (name, samples) in [
        ("copy_4096", own),
        ("copy_4096_aside", aside),
        ("shared_read_4096", in_),
        ("shared_write_4096", out),
    ] {
        tell_result(format_args!(
            "{name} user={} n={}",
            samples.mode(),
            samples.n
        ));
    }
    Ok(())
}
