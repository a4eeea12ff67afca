//! The shell: what it prints, what its commands come to, and that it survives its users.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::{Board, Case, Guest};

pub(super) const CASES: &[Case] = &[
    Case::new("shell/output_and_status_are_exact", output_and_status)
        .on(&[Board::Virt, Board::Rpi4]),
    Case::new("shell/a_machine_can_be_cut_off_and_started_again", cut_off).alone(),
    Case::new("shell/a_line_that_is_typed_is_run", typed).alone(),
    Case::new("shell/poweroff_ends_with_the_status_it_is_given", power_off).alone(),
];

/// Longest time to the first prompt.
const BOOT_LIMIT: Duration = Duration::from_secs(120);

fn output_and_status(guest: &mut Guest<'_>) -> Result<()> {
    ensure!(guest.succeed("echo one two")? == "one two\n");
    ensure!(guest.succeed("echo -n")? == "");
    guest.refuse("no-such-command", 127, "no-such-command")?;
    guest.expect("ps", "shell")?;
    Ok(())
}

fn cut_off(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("echo")?;
    let status = guest.monitor(&json!({"execute": "query-status"}))?;
    ensure!(status["status"] == "running", "the monitor says {status}");
    guest.kill();
    ensure!(guest.run("echo").is_err(), "a machine that is off answers");
    guest.boot()?;
    guest.expect("echo back", "back")?;
    Ok(())
}

fn typed(guest: &mut Guest<'_>) -> Result<()> {
    guest.wait_for("prompt", BOOT_LIMIT, |text| text.contains("gritos> "))?;
    guest.type_bytes(b"echo 'a;bx\x7fc'\r")?;
    guest.wait_for("output", BOOT_LIMIT, |text| text.contains("\na;bc"))?;
    Ok(())
}

fn power_off(guest: &mut Guest<'_>) -> Result<()> {
    let status = guest.end("poweroff 3")?;
    ensure!(status == 3, "QEMU ended with status {status}");
    Ok(())
}
