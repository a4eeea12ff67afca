//! A client of the calculator, which says on the console what came out.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use core::fmt::Write;

use example_calculator_api::{CalculatorClient, CalculatorError, Operation};
use gritos_console_client::Console;
use gritos_idl_runtime::Error;
use gritos_service::{Kernel, call_cap};
use gritos_sys::debug_println;

gritos_sys::entry!(component);

fn component(_argument: u64) {
    if run().is_none() {
        debug_println!("calculator-client: it must be let use `calculator` and `console`");
    }
}

fn run() -> Option<()> {
    let environment = gritos_service::start().ok()?;
    let session = call_cap(environment.service("calculator")?);
    let mut calculator = CalculatorClient::new(session, Kernel);
    let mut console = Console::new(call_cap(environment.service("console")?), Kernel);
    let _ = match calculate(&mut calculator) {
        Ok(sum) => writeln!(console, "calculator: the sum of all results is {sum}"),
        Err(error) => writeln!(console, "calculator: {error}"),
    };
    let refused = calculator.calculate(1, 0, Operation::Divide);
    if refused == Err(Error::Server(CalculatorError::DivisionByZero)) {
        let _ = writeln!(console, "calculator: nothing is divided by zero");
    }
    Some(())
}

fn calculate(calculator: &mut CalculatorClient<Kernel>) -> Result<i64, Error<CalculatorError>> {
    calculator.calculate(6, 7, Operation::Multiply)?;
    calculator.calculate(1, 2, Operation::Subtract)?;
    calculator.memory()
}
