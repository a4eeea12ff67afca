//! Measurements from inside, in instructions that the machine executed: `cargo xtask bench` runs them and
//! sets the figures beside others.
//!
//! Each area has a table of its own; adding one to [`TABLES`] makes it known. A measurement writes
//! lines `NAME key=value ...`, most often by [`measure`].

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use gritos_shell_core::{Command, Completes, Context, Failure, status, two_columns};
use gritos_sys::svc::retired;

mod files;
mod network;
mod system;

/// The table of commands.
pub(crate) const COMMANDS: &[Command] = &[Command {
    name: "bench",
    summary: "measures in executed instructions what something costs; lists what it can measure",
    arguments: "[NAME [ARGUMENT]...]",
    example: "bench system",
    completes: Completes::Named(|| TABLES.iter().copied().flatten().map(|b| b.name).collect()),
    run: bench,
}];

/// Something to measure.
pub(crate) struct Bench {
    pub(crate) name: &'static str,
    /// What it measures, and its arguments.
    pub(crate) what: &'static str,
    pub(crate) run: fn(&mut Context<'_>, &[String]) -> Result<u8, Failure>,
}

/// What each area can measure.
static TABLES: &[&[Bench]] = &[system::BENCHES, files::BENCHES, network::BENCHES];

fn bench(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let mut all = TABLES.iter().copied().flatten();
    let Some((name, rest)) = arguments.split_first() else {
        let entries: Vec<_> = all.map(|bench| (bench.name, bench.what)).collect();
        let text = two_columns(&entries, context.is_screen());
        context.write(text.as_bytes());
        return Ok(status::OK);
    };
    match all.find(|bench| bench.name == name) {
        Some(bench) => (bench.run)(context, rest),
        None => Err(Failure::usage(format_args!(
            "nothing to measure is called `{name}`; `bench` lists what is"
        ))),
    }
}

/// Counts instructions.
#[derive(Debug)]
pub(crate) struct Meter {
    /// What reading the counter costs by itself.
    own: u32,
}

impl Meter {
    /// A meter.
    ///
    /// # Errors
    /// If the boot image keeps the counters closed.
    pub(crate) fn new() -> Result<Self, Failure> {
        if !retired::is_open() {
            return Err(Failure::new(
                "programs may not read the counters of this boot image; `cargo xtask bench` makes one where they may",
            ));
        }
        retired::start();
        let mut meter = Self { own: 0 };
        let (_, own) = meter.count(|| ());
        meter.own = own;
        Ok(meter)
    }

    /// Instructions of everybody, the kernel included, while `work` runs: fewer than 2³².
    pub(crate) fn count<T>(&self, work: impl FnOnce() -> T) -> (T, u32) {
        let begin = retired::count();
        let result = work();
        let end = retired::count();
        (result, end.wrapping_sub(begin).saturating_sub(self.own))
    }
}

/// Does `work` once to warm up and then `rounds` times, and writes what a round costs: median, least and most.
///
/// # Errors
/// What `work` fails with; Ctrl-C.
pub(crate) fn measure(
    context: &mut Context<'_>,
    name: &str,
    rounds: usize,
    mut work: impl FnMut() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let meter = Meter::new()?;
    work()?;
    let mut figures = Vec::with_capacity(rounds);
    for _ in 0..rounds.max(1) {
        let (result, instructions) = meter.count(&mut work);
        result?;
        figures.push(instructions);
        context.check()?;
    }
    figures.sort_unstable();
    let at = |place: usize| figures.get(place).copied().unwrap_or(0);
    writeln!(
        context,
        "{name} instructions={} least={} most={} n={}",
        at(figures.len() / 2),
        at(0),
        at(figures.len() - 1),
        figures.len()
    )?;
    Ok(())
}
