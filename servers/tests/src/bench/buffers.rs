//! What user code executes for a call that carries a registered buffer: the
//! client's stub, and the server's loop with the buffer table, as a cached read
//! of a file does.

use core::hint::black_box;

use gritos_idl_runtime::{
    BUFFER_READ, BUFFER_WRITE, Buffer, BufferRange, Caller, Cap as StubCap, Error, Hooks, serve,
};
use gritos_service::base::BufferAccess;
use gritos_service::{BADGE_BUFFER, Buffers, Kernel, Port, SharedMapper, Use, call_cap};
use gritos_sys::Cap;
use gritos_sys::abi::message::Kind;
use gritos_sys::abi::{CapsIn, Control, Outcome, Rights};
use gritos_sys::cap::{Endpoint, MemoryObject};
use gritos_sys::svc::probe::{self, loops};
use gritos_test_shapes_api::{ShapeError, Tape, TapeClient, TapeServer};

use super::{CALL, Other, ROUNDS, Samples, request};
use crate::check::{Verdict, check_eq};
use crate::env::{ABOVE, Env, end, high, low, pack};
use crate::runner::tell_result;

const PAGE: usize = 4096;
/// Places of the table, one more for the mapper.
const PLACES: usize = 64;
/// The badge of the first buffer that a table registers.
const FIRST: u32 = BADGE_BUFFER | 1 << 10;
/// The badge of the object that is called.
const OBJECT: u32 = 5;

/// A page that is read and written, from and to memory of clients.
struct Pages {
    page: [u8; PAGE],
    buffers: Buffers<SharedMapper<{ PLACES + 1 }>, PLACES>,
}

impl TapeServer for Pages {
    fn read(&mut self, _: Caller, target: BufferRange, at: u64) -> Result<u64, ShapeError> {
        let page = &self.page;
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        let copied = self.buffers.with(&target, Use::Write, |target| {
            let end = from.saturating_add(target.len() as usize).min(PAGE);
            let bytes = page.get(from..end).unwrap_or(&[]);
            target.write(0, bytes).map(|()| bytes.len() as u64)
        });
        match copied {
            Ok(Ok(count)) => Ok(count),
            _ => Err(ShapeError::NotFound),
        }
    }

    fn write(&mut self, _: Caller, source: BufferRange, at: u64) -> Result<u64, ShapeError> {
        let page = &mut self.page;
        let to = usize::try_from(at).unwrap_or(usize::MAX);
        let copied = self.buffers.with(&source, Use::Read, |source| {
            let end = to.saturating_add(source.len() as usize).min(PAGE);
            let bytes = page.get_mut(to..end).unwrap_or(&mut []);
            source.read(0, bytes).map(|()| bytes.len() as u64)
        });
        match copied {
            Ok(Ok(count)) => Ok(count),
            _ => Err(ShapeError::NotFound),
        }
    }
}

impl<P> Hooks<P> for Pages {}

extern "C" fn server(argument: u64) -> ! {
    let (endpoint, memory) = (low::<Endpoint>(argument), high::<MemoryObject>(argument));
    if let Ok(mut port) = Port::<2>::new(endpoint, 1) {
        let mut pages = Pages {
            page: [7; PAGE],
            buffers: Buffers::new(SharedMapper::default(), 4),
        };
        let both = BufferAccess::READ | BufferAccess::WRITE;
        let memory = StubCap::new(memory.address());
        let registered = pages
            .buffers
            .register(1 << 31 | 1, memory, both, endpoint.address());
        if registered.is_ok() {
            serve::<Tape, _, _>(&mut port, &mut pages);
        }
    }
    end()
}

#[inline(never)]
fn read(
    client: &mut TapeClient<Kernel>,
    buffer: Buffer,
    at: u64,
) -> Result<u64, Error<ShapeError>> {
    client.read(buffer, at)
}

#[inline(never)]
fn write(
    client: &mut TapeClient<Kernel>,
    buffer: Buffer,
    at: u64,
) -> Result<u64, Error<ShapeError>> {
    client.write(buffer, at)
}

/// A round trip with a capability that unwraps, without stubs on this side.
fn raw<const ID: u16>(target: Cap<Endpoint>, buffer: Cap<Endpoint>) -> Verdict<u64> {
    let mut samples = Samples::new();
    let request = request(target, 1, Control::words(3).with_caps(1, 0));
    let caps = CapsIn::default().with(0, buffer.address(), 0, 0);
    for _ in 0..ROUNDS {
        let timed = probe::timed::<CALL, ID>(&request, &caps, 0);
        check_eq!(timed.returned.outcome, Outcome::message(Kind::Reply, 1, 0));
        samples.add(timed.cycles());
    }
    Ok(samples.mode() - probe::timed_nothing())
}

pub(super) fn buffers(env: &mut Env) -> Verdict {
    env.provide_slots();
    let both = BUFFER_READ | BUFFER_WRITE;
    // The kernel's part, between loops of assembly.
    let (endpoint, reply) = env.endpoint_and_reply()?;
    let here = Other {
        cnode: Env::CNODE,
        space: Env::SPACE,
    };
    let registers = [pack(endpoint, reply), Control::words(1).0];
    let bare = here.start(env, loops::echo, registers, false, 0)?;
    let target = env.mint(endpoint, Rights::SEND, OBJECT)?;
    let buffer = env.mint(endpoint, Rights::SEND | both, FIRST)?;
    let kernel = raw::<22>(target, buffer)? - 1 - loops::ECHO;
    bare.suspend()?;

    let endpoint = env.make::<Endpoint>()?;
    let memory = env.memory(2 * PAGE as u64)?;
    let for_server = env.copy(memory, Rights::READ | Rights::WRITE | Rights::MAP)?;
    let target = env.mint(endpoint, Rights::SEND, OBJECT)?;
    let buffer = env.mint(endpoint, Rights::SEND | both, FIRST)?;
    env.spawn(ABOVE, server, pack(endpoint, for_server))?;
    let server = raw::<23>(target, buffer)? - 1 - kernel;
    tell_result(format_args!("buffer_server user={server} n={ROUNDS}"));

    let mut client = TapeClient::new(call_cap(target), Kernel);
    let range = |length| Buffer::registered(buffer.address(), 0, length);
    let (mut nothing, mut reads, mut writes) = (Samples::new(), Samples::new(), Samples::new());
    for _ in 0..ROUNDS / 10 {
        let mut done = Ok(0);
        let (none, page) = (black_box(range(0)), black_box(range(PAGE as u64)));
        nothing.time(|| done = read(&mut client, none, black_box(0)));
        check_eq!(done, Ok(0));
        reads.time(|| done = read(&mut client, page, black_box(0)));
        check_eq!(done, Ok(PAGE as u64));
        writes.time(|| done = write(&mut client, page, black_box(0)));
        check_eq!(done, Ok(PAGE as u64));
    }
    let client = nothing.mode() - kernel - server;
    tell_result(format_args!("buffer_client user={client} n={ROUNDS}"));
    for (name, samples) in [("buffer_read_4096", reads), ("buffer_write_4096", writes)] {
        tell_result(format_args!(
            "{name} user={} kernel_part={kernel} n={}",
            samples.mode() - kernel,
            samples.n
        ));
    }
    Ok(())
}
