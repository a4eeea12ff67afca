//! `cargo xtask gdb`: the machine stopped at its first instruction, a debugger attached.
//!
//! The kernel's symbols lie at high addresses. Those of root task and components lie all at the same low ones,
//! so that the debugger knows one program at a time: its command `in-NAME` says which.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use gritos_abi::boot_image::FLAG_SEMIHOSTING;

use crate::image::Contents;
use crate::qemu::{Board, Running};
use crate::symbols::{KERNEL, Symbols};
use crate::toolchain::{self, output_of};
use crate::workspace::Workspace;
use crate::{MachineOptions, report, verb};

/// Debuggers that know AArch64, in the order of preference.
const DEBUGGERS: [&str; 4] = [
    "gdb-multiarch",
    "aarch64-none-elf-gdb",
    "aarch64-elf-gdb",
    "aarch64-linux-gnu-gdb",
];

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    machine: MachineOptions,
    #[command(flatten)]
    programs: verb::image::ProgramOptions,
    /// Start no debugger; print how to attach one
    #[arg(long)]
    wait: bool,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let machine = options.machine.machine()?;
    toolchain::ensure_qemu(machine.board == Board::Rpi4)?;
    let image = workspace.output("gdb.img")?;
    let contents = Contents {
        flags: FLAG_SEMIHOSTING,
        ..Contents::default()
    };
    let destination = machine.destination();
    let built = verb::image::write(workspace, &options.programs, destination, contents, &image)?;
    // The port is free now and QEMU takes it at once.
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .context("no free TCP port")?
        .port();
    let console = workspace.output("gdb-console.log")?;
    let mut command = machine.command(workspace, &image)?;
    command.args(["-S", "-gdb", &format!("tcp:127.0.0.1:{port}")]);
    command.args([
        "-monitor",
        "none",
        "-serial",
        &format!("file:{}", console.display()),
    ]);
    let script = workspace.output("gdb-commands")?;
    std::fs::write(&script, commands(port, &built.symbols))
        .with_context(|| format!("cannot write {}", script.display()))?;
    let arguments = ["-x".to_string(), script.display().to_string()];
    report::step(
        "Stopped",
        format!("{} at its first instruction", machine.label()),
    );
    report::step("Console", console.display());
    let mut qemu = Running::start(command.stdin(Stdio::null()))?;
    if options.wait {
        println!("gdb-multiarch {}", quoted(&arguments));
        qemu.wait(None)?;
        return Ok(());
    }
    let debugger = DEBUGGERS
        .into_iter()
        .find(|debugger| output_of(debugger, &["--version"]).is_ok())
        .with_context(|| {
            format!(
                "none of {} is installed; on Debian: `sudo apt-get install gdb-multiarch`. With \
                 --wait the machine waits for a debugger of yours",
                DEBUGGERS.join(", ")
            )
        })?;
    let status = Command::new(debugger).args(arguments).status()?;
    ensure!(status.success(), "{debugger} ended with {status}");
    Ok(())
}

/// What the debugger is told first: the target, and a command for each program.
fn commands(port: u16, symbols: &Symbols) -> String {
    let quote = |path: &Path| format!("{:?}", path.display().to_string());
    let kernel = symbols.programs().find(|(name, _)| *name == KERNEL);
    let kernel = kernel.map_or(String::new(), |(_, path)| quote(path));
    let mut text = format!("set confirm off\nset architecture aarch64\nsymbol-file {kernel}\n");
    let mut names = Vec::new();
    for (name, path) in symbols.programs().filter(|(name, _)| *name != KERNEL) {
        text += &format!(
            "define in-{name}\nsymbol-file {kernel}\nadd-symbol-file {}\nend\n\
             document in-{name}\nTakes low addresses for those of {name}.\nend\n",
            quote(path)
        );
        names.push(format!("in-{name}"));
    }
    text += &format!("target remote 127.0.0.1:{port}\n");
    if names.iter().any(|name| name == "in-root") {
        text += "in-root\n";
    }
    text + &format!(
        "echo Low addresses are those of the program that you choose: {}\\n\n",
        names.join(" ")
    )
}

fn quoted(arguments: &[String]) -> String {
    let quote = |a: &String| {
        if a.contains(' ') {
            format!("'{a}'")
        } else {
            a.clone()
        }
    };
    arguments.iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Symbols, commands};

    #[test]
    fn each_program_has_a_command_and_the_root_task_is_first() {
        let mut symbols = Symbols::new(Path::new("/k"), Some(Path::new("/r")));
        symbols.add("log", Path::new("/a b"));
        let text = commands(1234, &symbols);
        assert!(
            text.contains("define in-log\nsymbol-file \"/k\"\nadd-symbol-file \"/a b\"\nend\n")
        );
        assert!(
            text.contains("target remote 127.0.0.1:1234\nin-root\n"),
            "{text}"
        );
        assert!(!text.contains("in-kernel"));
    }
}
