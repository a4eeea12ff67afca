//! The commands of this shell.
//!
//! Each module has a table; adding one here makes its commands known to `help`, completion and the parser.

use alloc::string::String;

use gritos_idl_runtime::Cap as StubCap;
use gritos_service::call_cap;
use gritos_shell_core::{Command, Failure, builtins};
use gritos_sys::environment::Environment;

pub(crate) mod bench;
pub(crate) mod board;
pub(crate) mod files;
pub(crate) mod log;
pub(crate) mod net;
pub(crate) mod system;
pub(crate) mod test;
pub(crate) mod time;

/// All tables. The first command of a name counts.
pub(crate) static TABLES: &[&[Command]] = &[
    builtins::COMMANDS,
    system::COMMANDS,
    test::COMMANDS,
    files::COMMANDS,
    bench::COMMANDS,
    board::COMMANDS,
    log::COMMANDS,
    time::COMMANDS,
    net::COMMANDS,
];

/// The session with the service that `system.toml` calls `name`.
///
/// # Errors
/// If the shell may not use it, or this system has none.
pub(crate) fn service<P>(name: &str) -> Result<StubCap<P>, Failure> {
    let environment = Environment::own().map_err(Failure::new)?;
    match environment.service(name) {
        Some(session) => Ok(call_cap(session)),
        None => Err(Failure::Failed(
            String::from("this system gives the shell no service `") + name + "`",
        )),
    }
}
