//! Commands about the board.

use alloc::string::String;
use core::fmt::Write;

use gritos_board::rpi4::Revision;
use gritos_board_api::{Board, BoardClient, BoardClock};
use gritos_service::Kernel;
use gritos_shell_core::builtins::no_arguments;
use gritos_shell_core::{Command, Completes, Context, Failure, status};

/// The table.
pub(crate) const COMMANDS: &[Command] = &[Command {
    name: "board",
    summary: "shows what the board says of itself: revision, temperature, clocks (Raspberry Pi)",
    arguments: "",
    example: "board",
    completes: Completes::Nothing,
    run: board,
}];

fn board(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    no_arguments(arguments)?;
    let mut board = BoardClient::new(super::service::<Board>("board")?, Kernel);
    let identity = board.identity().map_err(Failure::new)?;
    let (revision, firmware) = (identity.revision, identity.firmware);
    if let Some(about) = Revision::new(revision) {
        writeln!(context, "board        {about}")?;
    }
    writeln!(context, "revision     {revision:x}")?;
    writeln!(context, "firmware     {firmware} s since 1970")?;
    if let Ok(millidegrees) = board.temperature() {
        let (whole, tenths) = (millidegrees / 1000, millidegrees % 1000 / 100);
        writeln!(context, "temperature  {whole}.{tenths} C")?;
    }
    for (name, clock) in [
        ("processor", BoardClock::Processor),
        ("core", BoardClock::Core),
        ("uart", BoardClock::Uart),
    ] {
        if let Ok(hz) = board.clock(clock) {
            writeln!(context, "{name:<12} {} MHz", hz / 1_000_000)?;
        }
    }
    if let Ok(address) = board.ethernet_address() {
        write!(context, "ethernet    ")?;
        for (i, byte) in address.iter().enumerate() {
            write!(context, "{}{byte:02x}", if i == 0 { ' ' } else { ':' })?;
        }
        writeln!(context)?;
    }
    Ok(status::OK)
}
