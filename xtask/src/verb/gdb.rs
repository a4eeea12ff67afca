//! `cargo xtask gdb`: the machine stopped at its first instruction, a debugger attached.
//!
//! The kernel's symbols lie at high addresses. Those of root task and components lie all at the same low ones,
//! so that the debugger knows one program at a time: its command `in-NAME` says which. A breakpoint at a low
//! address would stop whoever comes by it: `break-in-NAME` adds the condition that it is NAME, which the page
//! tells that every component finds at its start.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use gritos_abi::boot_image::FLAG_SEMIHOSTING;

use crate::image::Contents;
use crate::qemu::{Board, Machine, Running};
use crate::symbols::{KERNEL, Symbols};
use crate::toolchain::{self, output_of};
use crate::verb::image::ProgramOptions;
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
    programs: ProgramOptions,
    /// Start no debugger; print how to attach one
    #[arg(long)]
    wait: bool,
    /// For the debugger, behind `--`, such as `-ex 'break-in-time timers.rs:start' -ex continue`
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let machine = options.machine.machine()?;
    toolchain::ensure_qemu(machine.board == Board::Rpi4)?;
    let mut session = Session::start(workspace, &machine, &options.programs)?;
    report::step(
        "Stopped",
        format!("{} at its first instruction", machine.label()),
    );
    report::step("Console", session.console.display());
    let mut arguments = session.arguments();
    arguments.extend(options.arguments.iter().cloned());
    if options.wait {
        println!("gdb-multiarch {}", quoted(&arguments));
        session.qemu.wait(None)?;
        return Ok(());
    }
    let debugger = debugger().with_context(|| {
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

/// A machine that is stopped at its first instruction, and what a debugger is told.
pub(crate) struct Session {
    pub(crate) qemu: Running,
    /// What the serial line carries.
    console: PathBuf,
    script: PathBuf,
}

impl Session {
    /// Builds the image and starts the machine.
    pub(crate) fn start(
        workspace: &Workspace,
        machine: &Machine,
        programs: &ProgramOptions,
    ) -> Result<Self> {
        let image = workspace.output("gdb.img")?;
        let contents = Contents {
            flags: FLAG_SEMIHOSTING,
            ..Contents::default()
        };
        let destination = machine.destination();
        let built = verb::image::write(workspace, programs, destination, contents, &image)?;
        // The port is free now and QEMU takes it at once.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .context("no free TCP port")?
            .port();
        let console = workspace.output("gdb-console.log")?;
        let mut command = machine.command(workspace, &image)?;
        command.args(["-S", "-gdb", &format!("tcp:127.0.0.1:{port}")]);
        command.args(["-monitor", "none"]);
        command.args(["-serial", &format!("file:{}", console.display())]);
        let script = workspace.output("gdb-commands")?;
        std::fs::write(&script, commands(port, &built.symbols))
            .with_context(|| format!("cannot write {}", script.display()))?;
        Ok(Self {
            qemu: Running::start(command.stdin(Stdio::null()))?,
            console,
            script,
        })
    }

    /// Arguments of a debugger that is to attach itself.
    pub(crate) fn arguments(&self) -> Vec<String> {
        vec!["-x".to_string(), self.script.display().to_string()]
    }
}

/// The debugger, if this machine has one.
pub(crate) fn debugger() -> Option<&'static str> {
    let runs = |debugger: &&str| output_of(debugger, &["--version"]).is_ok();
    DEBUGGERS.into_iter().find(runs)
}

/// Where a component finds the page that names it, and its name there: `gritos_sys::environment`.
const NAME_ADDRESS: u64 = 0x4_0000_0000 + 40;
/// Bytes of the name, padded with zeros.
const NAME_BYTES: usize = 32;

/// Holds while the program `name` runs. In whole words, as the debugger has no strings without a program's types, and
/// in Rust's syntax. Root has no such page: it is the first to get an ASID, which is 1.
fn condition(name: &str) -> String {
    if name == "root" {
        return "$TTBR0_EL1 >> 48 == 1".to_string();
    }
    let mut padded = name.as_bytes().to_vec();
    padded.resize(NAME_BYTES, 0);
    let words = padded.chunks_exact(8).take(name.len() / 8 + 1);
    let words = words.enumerate().map(|(i, bytes)| {
        let word = bytes
            .iter()
            .rev()
            .fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        format!(
            "*({:#x} as *const u64) == {word:#x}",
            NAME_ADDRESS + 8 * i as u64
        )
    });
    let words: Vec<String> = words.collect();
    format!("$TTBR0_EL1 >> 48 != 1 && {}", words.join(" && "))
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
            "define in-{name}\nsymbol-file\nsymbol-file {kernel}\nadd-symbol-file {}\nend\n\
             document in-{name}\nTakes low addresses for those of {name}.\nend\n",
            quote(path)
        );
        text += &format!(
            "define break-in-{name}\nin-{name}\nset language rust\nbreak $arg0 if {}\nset language auto\nend\n\
             document break-in-{name}\nTakes low addresses for those of {name}, and stops at a place of it: \
             FILE:LINE, FILE:FUNCTION or a symbol.\nend\n",
            condition(name)
        );
        names.push(format!("in-{name}"));
    }
    text += &format!("target remote 127.0.0.1:{port}\n");
    if names.iter().any(|name| name == "in-root") {
        text += "in-root\n";
    }
    text + &format!(
        "echo Low addresses are those of the program that you choose: {}. To stop there: break-in-NAME FILE:LINE (or FILE:FUNCTION)\\n\n",
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

    use super::{Symbols, commands, condition};

    #[test]
    fn names_are_compared_to_their_end() {
        assert_eq!(
            condition("virtio-blk"),
            "$TTBR0_EL1 >> 48 != 1 && *(0x400000028 as *const u64) == 0x622d6f6974726976 && \
             *(0x400000030 as *const u64) == 0x6b6c"
        );
        // All of a word, and the zeros behind.
        assert!(condition("shepherd").ends_with("0x400000030 as *const u64) == 0x0"));
    }

    #[test]
    fn each_program_has_its_commands_and_the_root_task_is_first() {
        let mut symbols = Symbols::new(Path::new("/k"), Some(Path::new("/r")));
        symbols.add("log", Path::new("/a b"));
        let text = commands(1234, &symbols);
        for part in [
            "define in-log\nsymbol-file\nsymbol-file \"/k\"\nadd-symbol-file \"/a b\"\nend\n",
            "target remote 127.0.0.1:1234\nin-root\n",
            "break $arg0 if $TTBR0_EL1 >> 48 == 1\n",
            "*(0x400000028 as *const u64) == 0x676f6c\n",
        ] {
            assert!(text.contains(part), "no `{part}` in {text}");
        }
        assert!(!text.contains("in-kernel"));
    }
}
