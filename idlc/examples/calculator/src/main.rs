//! The calculator service: typed errors, a memory per client, a one-way
//! message, and callers that wait.
//!
//! `cargo run -p example-calculator`

use example_calculator::port::Script;
use example_calculator::server::Memories;
use example_calculator_api::{Calculator, CalculatorClient, CalculatorError, Operation};
use gritos_idl_runtime::loopback::Loopback;
use gritos_idl_runtime::{Address, Cap, Error, Rights, WireError, serve};

/// Badge of client number 7: bit 31 says that it is a session.
const CLIENT: u32 = 0x8000_0007;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    one_by_one()?;
    with_a_caller_that_waits()?;
    println!("all as it should be");
    Ok(())
}

fn one_by_one() -> Result<(), Box<dyn std::error::Error>> {
    let mut wire = Loopback::<_, Calculator>::new(Memories::default());
    wire.badge = CLIENT;
    let mut client = CalculatorClient::new(Cap::new(Address::root(1)), &mut wire);
    assert_eq!(client.calculate(6, 7, Operation::Multiply)?, 42);
    assert_eq!(client.calculate(1, 2, Operation::Subtract)?, -1);
    assert_eq!(client.memory()?, 41);
    let refused = client.calculate(1, 0, Operation::Divide);
    assert_eq!(refused, Err(Error::Server(CalculatorError::DivisionByZero)));
    client.clear()?;
    assert_eq!(client.memory()?, 0);

    // A capability that is no session is refused before the server sees the call.
    wire.badge = 7;
    let mut client = CalculatorClient::new(Cap::new(Address::root(1)), &mut wire);
    assert_eq!(client.memory(), Err(Error::Refused(WireError::WrongBadge)));
    Ok(())
}

/// The loop that a server runs, on messages that are written down before.
fn with_a_caller_that_waits() -> Result<(), Box<dyn std::error::Error>> {
    let mut port = Script::new(2);
    let mut waiting = CalculatorClient::new(
        Cap::new(Address::root(1)),
        port.client(CLIENT, Rights::SEND),
    );
    let _ = waiting.wait_for(40);
    let mut busy = CalculatorClient::new(
        Cap::new(Address::root(1)),
        port.client(CLIENT, Rights::SEND),
    );
    let _ = busy.calculate(20, 22, Operation::Add);

    serve::<Calculator, _, _>(&mut port, &mut Memories::default());

    // The second caller, whose result woke the first, is answered after it.
    let answers: Vec<_> = port
        .replies()
        .iter()
        .map(|reply| (reply.caller, reply.tag, reply.words[0]))
        .collect();
    assert_eq!(answers, [(0, 0, 42), (1, 0, 42)]);
    Ok(())
}
