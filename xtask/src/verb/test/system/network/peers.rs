//! Programs of the host as peers: what people reach for first. Each is left out, and said to be, where it is not
//! installed.
//!
//! They run together with QEMU in a network of their own ([`crate::qemu::apart`]), so that port 53 is free for a name
//! server, and that nobody else is reached.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Case, Guest, PATIENCE, SPARE_PORT, Setting};
use crate::qemu::apart;
use crate::report;

pub(crate) const CASES: &[Case] = &[
    Case::new("network/load_generators_find_no_error", loads).with(APART),
    Case::new("network/curl_and_netcat_are_served", programs).with(APART),
    Case::new("network/a_local_name_server_is_asked", names).with(APART),
];

/// A machine in a network of its own.
pub(super) const APART: Setting = Setting {
    ports: &[80, SPARE_PORT],
    apart: true,
    entropy: true,
    ..Setting::SHIPPED
};

/// Longest time for a program of the host's, in seconds.
const LIMIT: &str = "150";
/// Connections that load generators use.
const CONNECTIONS: &str = "100";

/// Whether a case cannot be run on this machine, and why.
pub(crate) fn impossible(case: &Case) -> Option<String> {
    case.setting.apart.then(impossible_apart)?
}

/// Why there can be no machine with [`APART`], if there can be none.
pub(super) fn impossible_apart() -> Option<String> {
    let why = apart::impossible(Path::new("/etc/resolv.conf"))?;
    Some(format!("there can be no network of its own: {why}"))
}

/// Whether a program is installed; says so if it is not.
fn has(name: &str, package: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {name}")])
        .stdout(Stdio::null())
        .status();
    let is_here = found.is_ok_and(|status| status.success());
    if !is_here {
        report::skipped(format!("{name} is not here (`apt-get install {package}`)"));
    }
    is_here
}

/// What a program prints that must succeed, beside the guest and within [`LIMIT`].
fn run(guest: &mut Guest<'_>, arguments: &[&str]) -> Result<String> {
    let mut command = guest.beside("timeout")?;
    command.arg(LIMIT).args(arguments);
    let output = command.stdin(Stdio::null()).output()?;
    let (out, complaints) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(
        output.status.success(),
        "`{}` ended with {} and printed:\n{out}{complaints}",
        arguments.join(" "),
        output.status
    );
    Ok(out)
}

/// How many requests load generators make.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Of `ab`, with a hundred connections that are kept.
    pub(super) kept: u32,
    /// The same with a connection for each request.
    pub(super) fresh: u32,
    /// For how long `wrk` makes them, in seconds.
    pub(super) seconds: u32,
}

fn loads(guest: &mut Guest<'_>) -> Result<()> {
    let load = Load {
        kept: 2000,
        fresh: 300,
        seconds: 2,
    };
    under_load(guest, load)
}

/// Load generators that use a hundred connections at a time, and may not see one error.
pub(super) fn under_load(guest: &mut Guest<'_>, load: Load) -> Result<()> {
    guest.succeed("ip -w")?;
    let url = format!("http://127.0.0.1:{}/", guest.port(80)?);
    served(guest, &url)?;
    if has("ab", "apache2-utils") {
        for (count, keeps) in [(load.kept, true), (load.fresh, false)] {
            let count = count.to_string();
            let mut arguments = vec!["ab", "-q", "-s", LIMIT, "-c", CONNECTIONS, "-n", &count];
            if keeps {
                arguments.push("-k");
            }
            arguments.push(&url);
            let said = run(guest, &arguments)?;
            let number = |what: &str| {
                let line = said.lines().find_map(|line| line.strip_prefix(what));
                line.map(str::trim)
            };
            let all = number("Complete requests:") == Some(&count);
            let failed = number("Failed requests:") != Some("0");
            let wrong = number("Non-2xx responses:").is_some();
            let kept = !keeps || number("Keep-Alive requests:") == Some(&count);
            ensure!(all && !failed && !wrong && kept, "ab says\n{said}");
            let rate = number("Requests per second:").unwrap_or("");
            let kind = if keeps { "kept" } else { "fresh" };
            report::step("Measured", format!("ab, {count} requests, {kind}: {rate}"));
        }
    }
    if has("wrk", "wrk") {
        let time = format!("{}s", load.seconds);
        let arguments = [
            "wrk",
            "-c",
            CONNECTIONS,
            "-t",
            "2",
            "-d",
            &time,
            "--timeout",
            "60s",
            &url,
        ];
        let said = run(guest, &arguments)?;
        let errors = said.contains("Socket errors") || said.contains("Non-2xx");
        let requests = said.lines().find(|line| line.contains("requests in"));
        let count: Option<u32> = requests
            .and_then(|line| line.split_whitespace().next())
            .and_then(|count| count.parse().ok());
        ensure!(
            !errors && count.is_some_and(|count| count > 0),
            "wrk says\n{said}"
        );
        report::step(
            "Measured",
            format!("wrk: {}", requests.unwrap_or("").trim()),
        );
    }
    Ok(())
}

/// Waits until the web server answers.
fn served(guest: &mut Guest<'_>, url: &str) -> Result<()> {
    if !has("curl", "curl") {
        return Ok(());
    }
    let mut arguments = vec!["curl", "--silent", "--show-error", "--output", "/dev/null"];
    arguments.extend([
        "--retry",
        "20",
        "--retry-all-errors",
        "--retry-delay",
        "1",
        url,
    ]);
    run(guest, &arguments).map(drop)
}

fn programs(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("ip -w")?;
    let port = guest.port(80)?;
    let url = format!("http://127.0.0.1:{port}/");
    served(guest, &url)?;
    if has("curl", "curl") {
        let page = run(guest, &["curl", "--silent", "--fail", &url])?;
        ensure!(page.contains("<title>gRiTOS"), "{page}");
        let part = run(
            guest,
            &["curl", "--silent", "--fail", "--range", "2-8", &url],
        )?;
        ensure!(part == "doctype", "{part}");
        let head = run(guest, &["curl", "--silent", "--fail", "--head", &url])?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
        let twice = run(
            guest,
            &[
                "curl",
                "--silent",
                "--output",
                "/dev/null",
                "--output",
                "/dev/null",
                "--write-out",
                "%{http_code} %{num_connects}\n",
                &url,
                &url,
            ],
        )?;
        ensure!(
            twice == "200 1\n200 0\n",
            "one connection for both: {twice}"
        );
        let none = run(
            guest,
            &[
                "curl",
                "--silent",
                "--write-out",
                "%{http_code}",
                &format!("{url}none"),
            ],
        )?;
        ensure!(none.ends_with("404"), "{none}");
    }
    for (name, package) in [("ncat", "ncat"), ("nc", "netcat-openbsd")] {
        if has(name, package) {
            netcat(guest, name)?;
        }
    }
    if has("ncat", "ncat") {
        calls_out(guest)?;
    }
    Ok(())
}

/// The guest waits, and `name` calls until it is there.
fn netcat(guest: &mut Guest<'_>, name: &str) -> Result<()> {
    let port = guest.port(SPARE_PORT)?.to_string();
    let mut caller = guest.beside("sh")?;
    // Without an end of its own: it leaves when the guest has said everything.
    let script = format!(
        "for i in $(seq 100); do \
           heard=$(echo 'from {name}' | timeout 20 {name} 127.0.0.1 {port}); \
           [ -n \"$heard\" ] && echo \"$heard\" && exit 0; sleep 0.2; \
         done; exit 1"
    );
    caller.args(["-c", &script]).stdout(Stdio::piped());
    let caller = caller.spawn()?;
    let waiting = thread::spawn(move || caller.wait_with_output());
    let printed = guest.succeed(&format!("echo from inside | nc -l {SPARE_PORT}"))?;
    let heard = waiting.join().ok().context("the caller ended")??;
    ensure!(
        printed == format!("from {name}\n"),
        "the guest heard {printed}"
    );
    ensure!(heard.stdout == b"from inside\n", "{name} heard {heard:?}");
    Ok(())
}

/// A program of the host's waits, and the guest calls.
fn calls_out(guest: &mut Guest<'_>) -> Result<()> {
    let mut listener = guest.beside("sh")?;
    listener.args(["-c", "echo over there | timeout 60 ncat -l 127.0.0.1 7777"]);
    let listener = Peer(listener.stdout(Stdio::piped()).spawn()?);
    let end = Instant::now() + PATIENCE;
    loop {
        let ran = guest.run("echo hello | nc 10.0.2.2 7777")?;
        if ran.status == 0 && ran.stdout == "over there\n" {
            break;
        }
        ensure!(Instant::now() < end, "ncat does not answer: {ran:?}");
        thread::sleep(Duration::from_millis(200));
    }
    drop(listener);
    Ok(())
}

/// A program that ends with this value.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A name server that knows a few names, through QEMU's, which asks the host's.
fn names(guest: &mut Guest<'_>) -> Result<()> {
    if !has("dnsmasq", "dnsmasq-base") {
        return Ok(());
    }
    guest.succeed("ip -w")?;
    let mut server = guest.beside("dnsmasq")?;
    server.args([
        "--no-daemon",
        "--no-resolv",
        "--no-hosts",
        "--bind-interfaces",
    ]);
    server.args(["--conf-file=/dev/null", "--pid-file=", "--port=53"]);
    server.args(["--listen-address=127.0.0.1", "--local=/test/"]);
    server.args([
        "--address=/host.test/192.0.2.7",
        "--address=/host.test/2001:db8::7",
    ]);
    server.args([
        "--host-record=one.test,192.0.2.1",
        "--cname=other.test,one.test",
    ]);
    let server = server.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
    let _server = Peer(server.context("dnsmasq does not start")?);
    let end = Instant::now() + PATIENCE;
    while guest.run("dns host.test")?.status != 0 {
        ensure!(Instant::now() < end, "the name server does not answer");
        thread::sleep(Duration::from_millis(200));
    }
    ensure!(guest.succeed("dns host.test")? == "192.0.2.7\n2001:db8::7\n");
    ensure!(guest.succeed("dns other.test")? == "192.0.2.1\n");
    guest.refuse("dns none.test", 1, "none.test")?;
    if has("dig", "bind9-dnsutils") {
        for name in ["host.test", "other.test"] {
            let said = run(
                guest,
                &["dig", "+short", "@127.0.0.1", name, "A", name, "AAAA"],
            )?;
            let mut digs: Vec<_> = said.lines().filter(|line| !line.ends_with('.')).collect();
            digs.sort_unstable();
            let found = guest.succeed(&format!("dns {name}"))?;
            let mut founds: Vec<_> = found.lines().collect();
            founds.sort_unstable();
            ensure!(digs == founds, "dig finds {digs:?}, the guest {founds:?}");
        }
    }
    Ok(())
}
