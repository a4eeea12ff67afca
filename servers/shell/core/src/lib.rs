//! The shell without the machine.
//!
//! A [`Session`] takes the bytes that come from the console. Typed text goes through the line [`Editor`], requests of the
//! host arrive as frames; either way a line is parsed ([`parse`]) and run by the [`Shell`] with the [`Command`]s of its
//! tables. What commands reach of the system is [`Host`].
//!
//! Whatever arrives, nothing panics, blocks or grows without bound.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod builtins;
pub mod calendar;
pub mod parse;
pub mod path;
pub mod usage;

mod command;
mod complete;
mod editor;
mod history;
mod keys;
mod listing;
mod meant;
mod session;
mod shell;

pub use command::{Command, Completes, Context, Failure, Host, Interrupted};
pub use complete::Candidate;
pub use editor::{Editor, Event, TEXT_LIMIT};
pub use history::{HISTORY_LIMIT, History};
pub use keys::{Key, Keys};
pub use listing::two_columns;
pub use session::{COMMAND_LIMIT, Session};
pub use shell::{PIPE_LIMIT, Shell, status};
