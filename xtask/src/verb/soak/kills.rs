//! Every component of the shipped system is killed again and again while a client calls all services.
//!
//! The shipped description gets one component more, the caller of `servers/trial`, so that nothing is tested that is not
//! shipped. After many kills the system must hold what it held after half as many, the caller must get answers, and the
//! shell must do what it is for.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::Step;
use crate::qemu::Board;
use crate::system::SYSTEM_FILE;
use crate::verb::test::system::{Guest, Image, Setting};
use crate::workspace::Workspace;

/// The description with the caller.
const SYSTEM: &str = "target/gritos/soak-kills.toml";
/// How often each component is killed: so often before what the system holds is looked at, and as often again.
const KILLS: usize = 50;
/// What the caller calls.
const CALLER: &str = r#"
[component.caller]
binary = "trial"
arguments = "callers"
priority = "application"
budget = "1 ms"
period = "5 ms"
memory = "1 MiB"
boards = ["virt"]
uses = { log = {}, time = {}, console = {}, files = {}, net = {} }
"#;

const SETTING: Setting = Setting {
    system: SYSTEM,
    network: true,
    entropy: true,
    disk: Some(crate::disk::make),
    ..Setting::SHIPPED
};

pub(super) fn steps(workspace: &Workspace) -> Result<Vec<Step>> {
    let shipped = fs::read_to_string(workspace.root.join(SYSTEM_FILE))?;
    let path = workspace.output("soak-kills.toml")?;
    fs::write(&path, shipped + CALLER).context("the description cannot be written")?;
    let names = with_guest(workspace, components)?;
    let step = |name: String| Step {
        label: format!("{name} {} times", 2 * KILLS),
        run: Box::new(move |workspace| with_guest(workspace, |guest| campaign(guest, &name))),
    };
    Ok(names.into_iter().map(step).collect())
}

fn with_guest<T>(
    workspace: &Workspace,
    work: impl FnOnce(&mut Guest<'_>) -> Result<T>,
) -> Result<T> {
    const CONTEXT_LINES: usize = 15;
    let path = workspace.output("soak-kills.img")?;
    let image = Image::write(workspace, &SETTING, Board::Virt, path)?;
    let mut guest = Guest::start(workspace, &SETTING, Board::Virt, &image, "soak-kills")?;
    work(&mut guest).with_context(|| {
        let lines = guest.last_lines(CONTEXT_LINES);
        format!("the console showed last:\n{}", lines.join("\n"))
    })
}

/// All components but the root task and the caller.
fn components(guest: &mut Guest<'_>) -> Result<Vec<String>> {
    let table = guest.succeed("ps")?;
    let names = table
        .lines()
        .skip(2)
        .filter_map(|line| line.split_whitespace().nth(1));
    Ok(names
        .filter(|name| *name != "caller")
        .map(str::to_string)
        .collect())
}

fn campaign(guest: &mut Guest<'_>, name: &str) -> Result<()> {
    // What is used once only, such as memory for the first requests, is used now.
    kill(guest, name, 5)?;
    kill(guest, name, KILLS)?;
    let before = holdings(guest)?;
    kill(guest, name, KILLS)?;
    let after = holdings(guest)?;
    ensure!(
        before == after,
        "held before:\n{before}\nand after:\n{after}"
    );
    let errors = guest.succeed("log error caller")?;
    ensure!(errors.is_empty(), "the caller says:\n{errors}");
    Ok(())
}

/// Kills a component so many times, and has the system used in between.
fn kill(guest: &mut Guest<'_>, name: &str, times: usize) -> Result<()> {
    for time in 0..times {
        guest.survive(&format!("restart {name}"))?;
        if time % 10 == 0 {
            works(guest).with_context(|| format!("after {} kills", time + 1))?;
        }
    }
    works(guest)
}

/// The system does what it is for, after a moment in which services find each other again.
fn works(guest: &mut Guest<'_>) -> Result<()> {
    let commands = [
        ("date", "UTC"),
        ("log state", "records"),
        ("echo kept > /data/soak && cat /data/soak", "kept"),
        ("ping 127.0.0.1", "127.0.0.1"),
    ];
    for (command, text) in commands {
        let mut last = String::new();
        let done = (0..20).any(|_| {
            match guest.run(command) {
                Ok(ran) if ran.status == 0 && ran.stdout.contains(text) => return true,
                Ok(ran) => last = ran.stdout,
                Err(error) => last = format!("{error:#}"),
            }
            let _ = guest.run("sleep 0.2");
            false
        });
        ensure!(done, "`{command}` came to: {last}");
    }
    let told = |guest: &mut Guest<'_>| guest.succeed("log -1 caller");
    let (before, mut later) = (told(guest)?, String::new());
    for _ in 0..10 {
        guest.succeed("sleep 0.5")?;
        later = told(guest)?;
        if later != before && later.contains("answered") {
            return Ok(());
        }
    }
    anyhow::bail!("the caller gets no answers: {before}{later}")
}

/// What must not change: used memory of each component, and slots of the root task. A shell that runs another command
/// than before has another heap.
fn holdings(guest: &mut Guest<'_>) -> Result<String> {
    guest.succeed("mem")
}
