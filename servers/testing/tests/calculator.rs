//! The calculator of the guide and its clients, over the real kernel.

use std::sync::{Arc, Mutex};

use example_calculator::server::Memories;
use example_calculator_api::{Calculator, CalculatorClient, CalculatorError, Operation};
use gritos_abi::{Address, ObjectType, Rights, Status};
use gritos_idl_runtime::{Cap, Error, WireError, serve};
use gritos_service::{Kernel, Port};
use gritos_testing::{Program, System};

/// A server with so many Replies, and its endpoint.
fn serving<const REPLIES: usize>(system: &mut System) -> (u32, Program) {
    let endpoint = system.make(ObjectType::Endpoint, 0);
    let mut server = system.program();
    let at = system.give(&mut server, endpoint, Rights::AS_HELD, 0);
    system.server(server, move || {
        let mut port = Port::<REPLIES>::new(gritos_sys::Cap::at(at), 4).unwrap();
        serve::<Calculator, _, _>(&mut port, &mut Memories::default());
    });
    (endpoint, server)
}

fn client(system: &mut System, endpoint: u32, number: u32) -> (Program, Address) {
    let mut client = system.program();
    let at = system.give(&mut client, endpoint, Rights::SEND, 1 << 31 | number);
    (client, at)
}

fn calculator(at: Address) -> CalculatorClient<Kernel> {
    CalculatorClient::new(Cap::new(at), Kernel)
}

#[test]
fn answers_and_errors_travel_through_the_kernel() {
    let mut system = System::new();
    let (endpoint, _) = serving::<1>(&mut system);
    let (program, at) = client(&mut system, endpoint, 7);
    system.client(program, move || {
        let mut calculator = calculator(at);
        assert_eq!(calculator.calculate(6, 7, Operation::Multiply), Ok(42));
        let refused = calculator.calculate(1, 0, Operation::Divide);
        assert_eq!(refused, Err(Error::Server(CalculatorError::DivisionByZero)));
        assert_eq!(calculator.memory(), Ok(42));
        let sum = calculator.sum(u64::MAX, 2).unwrap();
        assert_eq!((sum.low, sum.carry), (1, 1));
        // With one Reply nobody can be kept waiting.
        let busy = calculator.wait_for(1000);
        assert_eq!(busy, Err(Error::Refused(WireError::Busy)));
    });
    system.run();
}

#[test]
fn each_client_has_its_own_memory_and_waits_alone() {
    let mut system = System::new();
    let (endpoint, _) = serving::<3>(&mut system);
    let log = Arc::new(Mutex::new(Vec::new()));
    for number in 1..=2_u32 {
        let (waiting, at) = client(&mut system, endpoint, number);
        let log = Arc::clone(&log);
        system.client(waiting, move || {
            let reached = calculator(at).wait_for(40 * i64::from(number));
            log.lock().unwrap().push((number, reached));
        });
    }
    for number in [2_u32, 1] {
        let (working, at) = client(&mut system, endpoint, number);
        system.client(working, move || {
            for _ in 0..4 {
                let number = i64::from(number);
                calculator(at)
                    .calculate(10 * number, 0, Operation::Add)
                    .unwrap();
            }
        });
    }
    system.run();
    let mut log = log.lock().unwrap().clone();
    log.sort_by_key(|(number, _)| *number);
    assert_eq!(log, [(1, Ok(40)), (2, Ok(80))]);
}

#[test]
fn a_deadline_ends_a_wait_that_nobody_answers() {
    let mut system = System::new();
    let (endpoint, _) = serving::<2>(&mut system);
    let (program, at) = client(&mut system, endpoint, 1);
    system.client(program, move || {
        let before = gritos_sys::time::now();
        let late = calculator(at).wait_for(1);
        assert_eq!(late, Err(Error::Call(Status::TimedOut)));
        let waited = gritos_sys::time::nanoseconds(gritos_sys::time::now() - before);
        assert!(
            (10_000_000_000..10_001_000_000).contains(&waited),
            "{waited} ns"
        );
        // The server's Reply is back in its pool: the next wait is no `Busy`.
        assert_eq!(
            calculator(at).wait_for(1),
            Err(Error::Call(Status::TimedOut))
        );
        assert_eq!(calculator(at).memory(), Ok(0));
    });
    system.run();
}

#[test]
fn callers_of_a_server_that_is_killed_are_told() {
    let mut system = System::new();
    let (endpoint, server) = serving::<2>(&mut system);
    let handle = system.handle();
    let (waiting, at) = client(&mut system, endpoint, 1);
    system.client(waiting, move || {
        let died = calculator(at).wait_for(1);
        assert_eq!(died, Err(Error::Call(Status::ServerDied)));
    });
    let (killer, at) = client(&mut system, endpoint, 2);
    system.client(killer, move || {
        calculator(at).calculate(1, 1, Operation::Add).unwrap();
        handle.kill(&server);
    });
    system.run();
}

#[test]
#[should_panic(expected = "every program waits for ever")]
fn a_run_that_cannot_end_is_told() {
    let mut system = System::new();
    let endpoint = system.make(ObjectType::Endpoint, 0);
    let (program, at) = client(&mut system, endpoint, 1);
    system.client(program, move || {
        let _ = calculator(at).memory();
    });
    system.run();
}

#[test]
fn a_delay_lasts_as_long_as_it_says() {
    use embedded_hal::delay::DelayNs;
    let mut system = System::new();
    let program = system.program();
    system.client(program, || {
        let before = gritos_sys::time::now();
        gritos_sys::time::Delay.delay_ms(3);
        gritos_sys::time::Delay.delay_us(2);
        gritos_sys::time::Delay.delay_ns(1);
        let slept = gritos_sys::time::nanoseconds(gritos_sys::time::now() - before);
        assert_eq!(slept, 3_002_001);
    });
    system.run();
}
