//! The time of day.

use alloc::string::String;
use core::fmt::Write;

use gritos_idl_runtime::Error;
use gritos_service::Kernel;
use gritos_shell_core::calendar::Moment;
use gritos_shell_core::{Command, Completes, Context, Failure, status};
use gritos_time_api::{Time, TimeClient, TimeError};

const SECOND: u64 = 1_000_000_000;

/// The table.
pub(crate) const COMMANDS: &[Command] = &[Command {
    name: "date",
    summary: "tells the time of day (UTC); with -s sets it, with -u tells seconds since 1970",
    arguments: "[-u | -s 'YYYY-MM-DD HH:MM:SS']",
    example: "date -s '2026-11-30 12:00'",
    completes: Completes::Nothing,
    run: date,
}];

fn date(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let mut time = TimeClient::new(super::service::<Time>("time")?, Kernel);
    match arguments {
        [] => {
            let now = Moment::of(now(&mut time)? / SECOND);
            writeln!(context, "{} {now} UTC", now.weekday())?;
        }
        [unix] if unix == "-u" => writeln!(context, "{}", now(&mut time)? / SECOND)?,
        [set] if set == "-s" => {
            return Err(Failure::usage(
                "-s needs a time, such as 2026-11-30 12:34:56",
            ));
        }
        [set, words @ ..] if set == "-s" => {
            let text = words.join(" ");
            let seconds = Moment::read(&text).and_then(|moment| moment.seconds());
            let Some(seconds) = seconds else {
                return Err(Failure::usage(format_args!(
                    "`{text}` is no time from 1970 to 9999, such as 2026-11-30 12:34:56"
                )));
            };
            time.set_wall_clock(seconds * SECOND)
                .map_err(Failure::new)?;
        }
        [other, ..] => {
            return Err(Failure::usage(format_args!(
                "unexpected argument `{other}`"
            )));
        }
    }
    Ok(status::OK)
}

fn now(time: &mut TimeClient<Kernel>) -> Result<u64, Failure> {
    time.wall_clock().map_err(|error| match error {
        Error::Server(TimeError::NotSet) => {
            Failure::new("nobody has told the time of day yet; `date -s` sets it")
        }
        error => Failure::new(error),
    })
}
