//! A client of the echo service, which says on the console what it heard.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use core::fmt::Write;

use example_echo_api::EchoClient;
use gritos_console_client::Console;
use gritos_idl_runtime::Text;
use gritos_service::{Kernel, call_cap};
use gritos_sys::debug_println;

gritos_sys::entry!(component);

fn component(_argument: u64) {
    if run().is_none() {
        debug_println!("echo-client: the system table must let it use `echo` and `console`");
    }
}

fn run() -> Option<()> {
    let environment = gritos_service::start().ok()?;
    let mut echo = EchoClient::new(call_cap(environment.service("echo")?), Kernel);
    let mut console = Console::new(call_cap(environment.service("console")?), Kernel);
    // Whether there is anybody to read it is of no concern here.
    let _ = match echo.echo(Text::new("hello").ok()?) {
        Ok(heard) => writeln!(console, "{heard}"),
        Err(error) => writeln!(console, "echo-client: {error}"),
    };
    Some(())
}
