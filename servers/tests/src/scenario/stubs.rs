//! Generated stubs against each other over the kernel: the cases that run on
//! the host as well, of calls and of malformed messages.

use gritos_idl_runtime::{Address, BUFFER_READ, BUFFER_WRITE, serve};
use gritos_service::{Kernel, Port};
use gritos_sys::Cap;
use gritos_sys::abi::{ObjectType, Rights};
use gritos_sys::cap::{Endpoint, Notification};
use gritos_test_shapes_api::{Everything, Thing};
use gritos_wire_cases::{self as wire, Given, MALFORMED, Mirror};

use super::tests;
use crate::check::{Failure, Verdict, check_eq};
use crate::env::{ABOVE, Env, end, high, low, pack};

tests![
    wire_cases_become_their_words_and_come_back,
    malformed_messages_are_refused_by_name,
];

/// Serves the shapes, at the endpoint in the lower half of the argument.
extern "C" fn server(argument: u64) -> ! {
    let endpoint = low::<Endpoint>(argument);
    let memory = high::<()>(argument).address();
    if let Ok(mut port) = Port::<2>::new(endpoint, 4) {
        let mut mirror = Mirror::new(endpoint.address(), memory);
        serve::<Everything, _, _>(&mut port, &mut mirror);
    }
    end()
}

/// A server, and a client's capabilities.
fn given(env: &mut Env) -> Verdict<Given> {
    env.provide_slots();
    let endpoint = env.make::<Endpoint>()?;
    let (send, map) = (Rights::SEND, Rights::READ | Rights::MAP | Rights::GRANT);
    let both = Thing::LOOK | Thing::CHANGE;
    let mut mint = |rights, badge| -> Verdict<Address> {
        Ok(env.mint(endpoint, send | rights, badge)?.address())
    };
    let session = mint(Rights::GRANT, Given::SESSION)?;
    let thing = mint(both, Given::THING)?;
    let thing_to_look_at = mint(Thing::LOOK, Given::THING)?;
    let buffer = mint(BUFFER_READ | BUFFER_WRITE, Given::BUFFER)?;
    let buffer_to_read = mint(BUFFER_READ, Given::BUFFER)?;
    let memory = env.memory(4096)?;
    let given = Given {
        session,
        thing,
        thing_to_look_at,
        buffer,
        buffer_to_read,
        foreign: env.make::<Endpoint>()?.address(),
        signal: env.make::<Notification>()?.address(),
        memory: memory.address(),
        to_move: env.copy(memory, map)?.address(),
    };
    env.spawn(ABOVE, server, pack(endpoint, memory))?;
    Ok(given)
}

fn failure(failure: wire::Failure) -> Failure {
    let wire::Failure {
        case,
        sent,
        tag,
        answered,
    } = failure;
    Failure::new(format_args!(
        "{case}: sent {sent:x?}, tag {tag:#x}, answered {answered}"
    ))
}

fn wire_cases_become_their_words_and_come_back(env: &mut Env) -> Verdict {
    let given = given(env)?;
    let count = wire::run(&given, Kernel).map_err(failure)?;
    check_eq!(count, wire::cases::<Kernel>().len());
    // What was moved is gone.
    let left = Env::CNODE.inspect(Cap::<()>::at(given.to_move).address().index())?;
    check_eq!(left.object, Some(ObjectType::Null));
    Ok(())
}

fn malformed_messages_are_refused_by_name(env: &mut Env) -> Verdict {
    let given = given(env)?;
    let free = gritos_sys::slots::own::free();
    let count = wire::run_malformed(&given, Kernel).map_err(failure)?;
    check_eq!(count, MALFORMED.len());
    // What came with refused messages is not kept by either side.
    check_eq!(gritos_sys::slots::own::free(), free);
    Ok(())
}
