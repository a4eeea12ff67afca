//! A QEMU in a network of its own (Linux's network namespaces), together with programs of the host that talk to its
//! guest: nothing reaches, or comes from, any other network, and ports are free that belong to others outside.
//!
//! It has 127.0.0.1 and nothing else, and asks a name server there. SYN cookies are off: QEMU's user network listens with
//! a queue of one, and a host that answers with cookies what does not fit there resets the connection later. Without
//! them it tries again.

use std::path::Path;
use std::process::Command;

/// Done before QEMU starts: `$0` is a file that takes the place of the resolver's settings.
const SCRIPT: &str = "ip link set lo up && \
    echo 0 > /proc/sys/net/ipv4/tcp_syncookies && \
    mount --bind \"$0\" /etc/resolv.conf && \
    exec \"$@\"";
/// What stands in that file.
pub(crate) const RESOLVER: &str = "nameserver 127.0.0.1\n";

/// Root within, whoever it is outside.
const SPACES: [&str; 4] = ["--map-root-user", "--net", "--mount", "sh"];

/// `command` in a network of its own.
pub(crate) fn within(command: &Command, resolver: &Path) -> Command {
    let mut within = Command::new("unshare");
    within.args(SPACES).args(["-c", SCRIPT]).arg(resolver);
    within.arg(command.get_program()).args(command.get_args());
    within
}

/// A program in the network of process `id`, which [`within`] started.
pub(crate) fn beside(id: u32, program: &str) -> Command {
    let mut beside = Command::new("nsenter");
    beside.args(["--target", &id.to_string(), "--user", "--net"]);
    beside.args(["--preserve-credentials", program]);
    beside
}

/// Why there can be no such network, if there can be none; `resolver` is the file for [`within`].
pub(crate) fn impossible(resolver: &Path) -> Option<String> {
    let tried = within(&Command::new("true"), resolver).output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_string()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}
