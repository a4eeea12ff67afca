//! The calculator and its clients in one process, without a kernel.

use example_calculator::port::Script;
use example_calculator::server::Memories;
use example_calculator_api::{Calculator, CalculatorClient, CalculatorError, Operation};
use gritos_idl_runtime::loopback::Loopback;
use gritos_idl_runtime::{Address, Cap, Error, Rights, WireError, serve};

/// Badge of client number 7: bit 31 says that it is a session.
const CLIENT: u32 = 0x8000_0007;
const TARGET: Cap<Calculator> = Cap::new(Address::root(1));

#[test]
fn it_calculates_and_remembers() {
    let mut wire = Loopback::<_, Calculator>::new(Memories::default());
    wire.badge = CLIENT;
    let mut client = CalculatorClient::new(TARGET, &mut wire);
    assert_eq!(client.calculate(6, 7, Operation::Multiply), Ok(42));
    assert_eq!(client.calculate(1, 2, Operation::Subtract), Ok(-1));
    assert_eq!(client.memory(), Ok(41));
    let refused = client.calculate(1, 0, Operation::Divide);
    assert_eq!(refused, Err(Error::Server(CalculatorError::DivisionByZero)));
    client.clear().unwrap();
    assert_eq!(client.memory(), Ok(0));

    // A capability that is no session is refused before the server sees the call.
    wire.badge = 7;
    let mut client = CalculatorClient::new(TARGET, &mut wire);
    assert_eq!(client.memory(), Err(Error::Refused(WireError::WrongBadge)));
}

/// The loop that a server runs, on messages that are written down before.
#[test]
fn a_caller_that_waits_is_answered_after_the_one_that_wakes_it() {
    let mut port = Script::new(2);
    let mut waiting = CalculatorClient::new(TARGET, port.client(CLIENT, Rights::SEND));
    let _ = waiting.wait_for(40);
    let mut busy = CalculatorClient::new(TARGET, port.client(CLIENT, Rights::SEND));
    let _ = busy.calculate(20, 22, Operation::Add);

    serve::<Calculator, _, _>(&mut port, &mut Memories::default());

    let answers: Vec<_> = port
        .replies()
        .iter()
        .map(|reply| (reply.caller, reply.tag, reply.words[0]))
        .collect();
    assert_eq!(answers, [(0, 0, 42), (1, 0, 42)]);
}
