//! Builds, boots, tests and measures gRiTOS. `cargo xtask --help` lists the verbs; each has a
//! module of its name.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::qemu::{Board, Gic, Machine};
use crate::workspace::Workspace;

mod annotate;
mod card;
mod compile;
mod disk;
mod elf;
mod exec;
mod frames;
mod image;
mod lan;
mod load;
mod qemu;
mod report;
mod source;
mod symbols;
mod system;
mod tidy;
mod toolchain;
mod verb;
mod workspace;

/// Builds, boots, tests and measures gRiTOS
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    max_term_width = 100
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Builds the system and boots it in QEMU with its console on this terminal
    #[command(
        after_help = "Examples:\n  cargo xtask qemu --board rpi4 --timeout 60\n  \
        cargo xtask qemu --exec 'echo hi' --exec ps\n\n\
        With --exec stdout has what the commands print and nothing else, and the exit status is that of the\n\
        first that failed, 124 if --timeout ended it, 125 if console, shell or machine did not survive it.\n\
        Leave QEMU with Ctrl-A X. Missing Rust targets and QEMU are installed where possible."
    )]
    Qemu(verb::qemu::Options),
    /// Builds the flat image that a board boots
    #[command(
        after_help = "Example:\n  cargo xtask image --board rpi4 --out kernel8.img\n\n\
        The kernel is the same for all boards; what it starts is what the board has. For rpi4 a card\n\
        with the Raspberry Pi's firmware is written beside it."
    )]
    Image(verb::image::Options),
    /// Writes a card for the Raspberry Pi and reads it back
    #[command(after_help = "Example:\n  cargo xtask flash --device /dev/sdX\n\n\
        Without --device the devices that could be a card are listed.")]
    Flash(verb::flash::Options),
    /// Loads the system into a board over its serial line, and shows its console
    #[command(
        after_help = "Example:\n  cargo xtask load --serial /dev/ttyUSB0 --baud 921600\n\n\
        The board needs a card with the loader, once: `cargo xtask flash --loader --device /dev/sdX`.\n\
        After each reset the board is loaded again."
    )]
    Load(verb::load::Options),
    /// Runs the tests: on this machine, then on the target, on every board that QEMU has
    #[command(
        after_help = "Example:\n  cargo xtask test --target --board virt endpoint\n\n\
        The last line is `N passed, M failed`; what is skipped is said, with the reason. A filter that\n\
        begins with an area of the system tests, such as shell/, runs those alone."
    )]
    Test(verb::test::Options),
    /// Runs what takes too long for the gate, part by part; each goes on where it was interrupted
    #[command(after_help = "Example:\n  cargo xtask soak machines\n\nResults go to docs/soak.md.")]
    Soak(verb::soak::Options),
    /// Measures what operations cost, in guest instructions, beside figures of seL4 and Linux
    #[command(
        after_help = "Examples:\n  cargo xtask bench --json target/bench.json\n  \
        cargo xtask bench --part system"
    )]
    Bench(verb::bench::Options),
    /// Boots with the machine stopped and a debugger attached, with symbols of kernel and components
    #[command(after_help = "Example:\n  cargo xtask gdb --board rpi4")]
    Gdb(verb::gdb::Options),
    /// Measures the kernel against its budgets in ci/budgets.toml
    #[command(after_help = "Example:\n  cargo xtask size")]
    Size,
    /// Checks servers/system.toml and prints what runs and who may reach whom
    #[command(after_help = "Example:\n  cargo xtask system --board virt --memory 512M")]
    System(verb::system::Options),
    /// Makes the files of a new service: interface, stubs, server, test and component
    #[command(after_help = "Example:\n  cargo xtask new server counter")]
    New(verb::new::Options),
    /// Writes the files that are generated and committed: the C header and the interfaces' stubs
    #[command(after_help = "Example:\n  cargo xtask codegen --check")]
    Codegen(verb::codegen::Options),
    /// Checks format, lints (for this machine and for the target) and the rules of the tree
    #[command(after_help = "Example:\n  cargo xtask check")]
    Check,
    /// Writes the documentation of all crates
    #[command(after_help = "Example:\n  cargo xtask doc")]
    Doc,
    /// Does everything that must hold, in order: what a continuous-integration job calls
    #[command(after_help = "Example:\n  cargo xtask ci")]
    Ci,
}

/// The emulated machine.
#[derive(Args)]
struct MachineOptions {
    /// Board to boot on
    #[arg(long, value_enum, default_value = "virt")]
    board: Board,
    /// Number of processors
    #[arg(long, value_name = "N")]
    smp: Option<u32>,
    /// Memory, such as 512M or 2G
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Interrupt controller of virt
    #[arg(long, value_enum, default_value = "2")]
    gic: Gic,
    /// Enter the kernel at EL1 instead of EL2 (virt)
    #[arg(long)]
    el1: bool,
}

impl MachineOptions {
    fn machine(&self) -> Result<Machine> {
        let mut machine = Machine::new(self.board, self.smp, self.memory.clone())?;
        (machine.gic, machine.el2) = (self.gic, !self.el1);
        Ok(machine)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let run = || -> Result<u8> {
        let workspace = Workspace::find()?;
        match arguments.verb {
            Verb::Qemu(options) => verb::qemu::run(&workspace, &options),
            Verb::Image(options) => verb::image::run(&workspace, &options).map(|()| 0),
            Verb::Flash(options) => verb::flash::run(&workspace, &options).map(|()| 0),
            Verb::Load(options) => verb::load::run(&workspace, &options).map(|()| 0),
            Verb::Test(options) => verb::test::run(&workspace, &options),
            Verb::Soak(options) => verb::soak::run(&workspace, &options).map(|()| 0),
            Verb::Bench(options) => verb::bench::run(&workspace, &options).map(|()| 0),
            Verb::Gdb(options) => verb::gdb::run(&workspace, &options).map(|()| 0),
            Verb::Size => verb::size::run(&workspace),
            Verb::System(options) => verb::system::run(&workspace, &options).map(|()| 0),
            Verb::New(options) => verb::new::run(&workspace, &options).map(|()| 0),
            Verb::Codegen(options) => verb::codegen::run(&workspace, &options).map(|()| 0),
            Verb::Check => verb::check::run(&workspace).map(|()| 0),
            Verb::Doc => verb::ci::doc(&workspace).map(|()| 0),
            Verb::Ci => verb::ci::run(&workspace),
        }
    };
    match run() {
        Ok(code) => code.into(),
        Err(error) => {
            report::error(&error);
            ExitCode::FAILURE
        }
    }
}
