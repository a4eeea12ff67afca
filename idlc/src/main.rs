//! `idlc`, the command.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("idlc: {error:#}");
            ExitCode::from(2)
        }
    }
}
