//! The network, with the host's own programs as peers.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Case, Guest, Setting};
use crate::report;
use http::Peer;

mod frames;
mod hostile;
mod http;
mod iperf;
pub(super) mod peers;
mod rings;
mod web;

pub(crate) use web::soak as soak_web;
pub(crate) mod soak;

pub(super) use frames::CASES as FRAMES;
pub(super) use peers::CASES as PEERS;

pub(super) const CASES: &[Case] = &[
    Case::new("network/an_address_comes_by_dhcp", address).with(NETWORK),
    Case::new("network/ping_is_answered_outside_and_inside", ping).with(NETWORK),
    Case::new("network/names_are_looked_up", names).with(NETWORK),
    Case::new("network/everybody_s_sockets_are_listed", sockets).with(NETWORK),
    Case::new("network/netcat_talks_both_ways", netcat).with(NETWORK),
    Case::new("network/messages_are_exchanged", messages).with(NETWORK),
    Case::new("network/iperf_measures_both_ways", iperf::both_ways).with(NETWORK),
    Case::new("network/the_page_and_the_state_are_served", page).with(NETWORK),
    Case::new("network/wrong_requests_have_their_errors", wrong_requests).with(NETWORK),
    Case::new("network/a_hundred_connections_are_served_at_once", hundred).with(NETWORK),
    Case::new("network/a_thousand_requests_have_no_error", thousand).with(NETWORK),
    Case::new(
        "network/requests_have_the_answers_of_the_standard",
        web::conformance,
    )
    .with(web::WEB),
    Case::new(
        "network/ten_thousand_requests_have_no_error",
        web::ten_thousand,
    )
    .with(web::WEB),
    Case::new("network/bad_web_clients_keep_nobody_out", web::bad_clients).with(web::WEB),
    Case::new("network/hostile_clients_harm_nobody", hostile::harm_nobody).with(hostile::HOSTILE),
    Case::new(
        "network/megabytes_go_through_rings_in_a_few_calls",
        rings::megabytes,
    )
    .with(Setting {
        counters: true,
        ..NETWORK
    }),
    Case::new(
        "network/driver_and_service_are_restarted_under_traffic",
        restart,
    )
    .with(NETWORK),
];

/// The port at which commands of the shell wait for peers.
const SPARE_PORT: u16 = 7000;

const NETWORK: Setting = Setting {
    ports: &[80, SPARE_PORT],
    entropy: true,
    ..Setting::SHIPPED
};

/// Longest time for something of the host's that the guest answers.
const PATIENCE: Duration = Duration::from_secs(60);
/// For the answer of one connection of several.
const LONGEST_TRY: Duration = Duration::from_secs(5);
/// Between two connections, if the first was refused.
const REFUSED: Duration = Duration::from_millis(20);

fn address(guest: &mut Guest<'_>) -> Result<()> {
    let shown = guest.succeed("ip -w")?;
    for line in [
        "link         up, 52:54:00:12:34:56, packets of up to 1500 bytes",
        "IPv4         10.0.2.15/24",
        "gateway      10.0.2.2",
        "name server  10.0.2.3",
    ] {
        ensure!(shown.contains(line), "`{line}` is not in\n{shown}");
    }
    Ok(())
}

fn ping(guest: &mut Guest<'_>) -> Result<()> {
    guest.expect("ping 10.0.2.2 1", "1 sent, 1 received")?;
    guest.expect("ping 127.0.0.1 1", "1 sent, 1 received")?;
    guest.expect("ping -6 ::1 1", "1 sent, 1 received")?;
    Ok(())
}

fn names(guest: &mut Guest<'_>) -> Result<()> {
    ensure!(guest.succeed("dns localhost")? == "127.0.0.1\n::1\n");
    guest.refuse("dns 'no name'", 1, "no name")?;
    Ok(())
}

fn sockets(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("ip -w")?;
    let has = |shown: &str, words: &[&str]| {
        let mut lines = shown.lines();
        lines.any(|line| words.iter().all(|word| line.contains(word)))
    };
    let listens = ["http", "tcp", ":80 ", "LISTEN"];
    let connected = ["http", "tcp", "10.0.2.15:80 ", "10.0.2.2:", "ESTABLISHED"];
    let before = guest.succeed("netstat")?;
    ensure!(has(&before, &listens), "{before}");
    let mut peer = Peer::new(guest.port(80)?);
    ensure!(peer.get("/no/such/file")?.status == 404);
    let during = guest.succeed("netstat")?;
    ensure!(
        has(&during, &listens) && has(&during, &connected),
        "{during}"
    );
    Ok(())
}

/// Accepts one connection within the time that there is.
fn accept(listener: &TcpListener) -> Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            return Ok(stream);
        }
        thread::sleep(Duration::from_millis(20));
    }
    bail!("nobody connected")
}

fn netcat(guest: &mut Guest<'_>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let peer = thread::spawn(move || -> Result<Vec<u8>> {
        let mut stream = accept(&listener)?;
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard)?;
        stream.write_all(b"to the guest\n")?;
        Ok(heard)
    });
    let printed = guest.succeed(&format!("echo to the host | nc 10.0.2.2 {port}"))?;
    let heard = peer.join().ok().context("the peer ended")??;
    ensure!(heard == b"to the host\n", "the host heard {heard:?}");
    ensure!(printed == "to the guest\n", "the guest heard {printed}");

    // The other way round: the guest waits.
    let port = guest.port(SPARE_PORT)?;
    let caller = thread::spawn(move || call(port, b"from outside\n"));
    let printed = guest.succeed(&format!("echo from inside | nc -l {SPARE_PORT}"))?;
    let heard = caller.join().ok().context("the caller ended")??;
    ensure!(printed == "from outside\n", "the guest heard {printed}");
    ensure!(heard == b"from inside\n", "the host heard {heard:?}");
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    guest.refuse(&format!("nc 10.0.2.2 {closed}"), 1, "refused")?;
    Ok(())
}

/// Calls until somebody in the guest answers: QEMU takes connections that the guest then refuses.
fn call(port: u16, says: &[u8]) -> Result<Vec<u8>> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut heard = Vec::new();
        let said = stream
            .write_all(says)
            .and_then(|()| stream.shutdown(Shutdown::Write))
            .and_then(|()| stream.read_to_end(&mut heard));
        if said.is_ok() && !heard.is_empty() {
            return Ok(heard);
        }
        thread::sleep(Duration::from_millis(100));
    }
    bail!("nobody answered")
}

fn messages(guest: &mut Guest<'_>) -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let port = socket.local_addr()?.port();
    let echo = thread::spawn(move || -> Result<()> {
        let mut room = [0; 100];
        let (count, from) = socket.recv_from(&mut room)?;
        socket.send_to(&room[..count], from)?;
        Ok(())
    });
    let printed = guest.succeed(&format!("echo there and back | nc -u 10.0.2.2 {port}"))?;
    echo.join().ok().context("the peer ended")??;
    ensure!(printed == "there and back\n", "the guest heard {printed}");
    Ok(())
}

fn page(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("ip -w")?;
    let mut peer = Peer::new(guest.port(80)?);
    let page = peer.get("/")?;
    ensure!(
        page.status == 200 && page.text().contains("<title>gRiTOS"),
        "{page:?}"
    );
    let state = peer.get("/api/system")?;
    let state: serde_json::Value = serde_json::from_slice(&state.body)?;
    let components = state["components"]
        .as_array()
        .context("there are components")?;
    for name in ["root", "net", "http", "virtio-net", "shell"] {
        let found = components
            .iter()
            .find(|component| component["name"] == name);
        let found = found.with_context(|| format!("{name} is not in {state}"))?;
        ensure!(
            found["state"] == "waiting" || found["state"] == "running",
            "{found}"
        );
    }
    // The state changes, the connection stays.
    let later: serde_json::Value = serde_json::from_slice(&peer.get("/api/system")?.body)?;
    ensure!(
        later["uptime_ms"].as_u64() > state["uptime_ms"].as_u64(),
        "{later}"
    );
    ensure!(peer.connections == 1, "{} connections", peer.connections);
    guest.expect(
        &format!("get http://10.0.2.2:{}/", guest.port(80)?),
        "<title>gRiTOS",
    )?;
    Ok(())
}

fn wrong_requests(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("ip -w")?;
    let port = guest.port(80)?;
    let mut peer = Peer::new(port);
    ensure!(peer.get("/no/such/file")?.status == 404);
    let part = peer.ask(
        "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=2-8\r\n\r\n",
        false,
    )?;
    ensure!(part.status == 206 && part.body == b"doctype", "{part:?}");
    let beyond = peer.ask(
        "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=999999-\r\n\r\n",
        false,
    )?;
    ensure!(beyond.status == 416, "{beyond:?}");
    let head = peer.ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", true)?;
    ensure!(head.status == 200 && head.body.is_empty(), "{head:?}");
    for (request, status) in [
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /%2e%2e/%2e%2e/x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
            405,
        ),
        ("GET / HTTP/3.0\r\n\r\n", 505),
        ("\u{1}\u{2}\u{3}\r\n\r\n", 400),
    ] {
        let answer = Peer::new(port).ask(request, false)?;
        ensure!(answer.status == status, "{request}: {answer:?}");
    }
    let long = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "a".repeat(9000)
    );
    ensure!(Peer::new(port).ask(&long, false)?.status == 431);
    ensure!(peer.get("/")?.status == 200, "the others are served on");
    Ok(())
}

fn hundred(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("ip -w")?;
    let port = guest.port(80)?;
    let mut peers: Vec<Peer> = (0..100).map(|_| Peer::new(port)).collect();
    for round in 0..2 {
        for (number, peer) in peers.iter_mut().enumerate() {
            let answer = peer.get("/")?;
            ensure!(
                answer.status == 200,
                "{number} in round {round}: {answer:?}"
            );
        }
    }
    let all = peers.iter().map(|peer| peer.connections).sum::<usize>();
    ensure!(all == 100, "{all} connections");
    Ok(())
}

fn thousand(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("ip -w")?;
    let port = guest.port(80)?;
    let expected = Peer::new(port).get("/")?;
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let expected = expected.body.clone();
            thread::spawn(move || -> Result<()> {
                let mut peer = Peer::new(port);
                for number in 0..250 {
                    if worker % 2 == 1 {
                        // Half of them with a connection for each request.
                        peer = Peer::new(port);
                    }
                    let answer = peer.get("/")?;
                    ensure!(
                        answer.status == 200 && answer.body == expected,
                        "request {number} of {worker}: {} with {} bytes",
                        answer.status,
                        answer.body.len()
                    );
                }
                Ok(())
            })
        })
        .collect();
    for worker in workers {
        worker.join().ok().context("a worker ended")??;
    }
    Ok(())
}

/// Gets the page, in several attempts: a system that is being restarted may take its time.
fn get_again(port: u16, expected: &[u8]) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match Peer::new(port).get("/") {
            Ok(answer) => {
                ensure!(answer.body == expected, "a wrong page: {answer:?}");
                return Ok(());
            }
            Err(error) if Instant::now() >= end => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Restarts a component; how long it takes until the page comes through a new connection.
///
/// A first segment that came while nobody took it is sent again by QEMU after 6 s: others are tried meanwhile.
fn restart_cost(
    guest: &mut Guest<'_>,
    component: &str,
    port: u16,
    expected: &[u8],
) -> Result<Duration> {
    let begun = Instant::now();
    let mut patience = Duration::from_millis(100);
    guest.succeed(&format!("restart {component}"))?;
    loop {
        match Peer::hasty(port, patience).get("/") {
            Ok(answer) => {
                ensure!(answer.body == expected, "a wrong page: {answer:?}");
                return Ok(begun.elapsed());
            }
            Err(error) if begun.elapsed() >= PATIENCE => {
                return Err(error).with_context(|| format!("after a restart of {component}"));
            }
            // On a busy host an answer takes its time. One that was refused came at once.
            Err(_) => {
                patience = LONGEST_TRY.min(patience * 3 / 2);
                thread::sleep(REFUSED);
            }
        }
    }
}

fn restart(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("ip -w")?;
    let port = guest.port(80)?;
    let expected = Peer::new(port).get("/")?.body;
    for component in ["virtio-net", "net", "http"] {
        let mut old = Peer::new(port);
        ensure!(old.get("/")?.body == expected);
        let cost = restart_cost(guest, component, port, &expected)?.as_millis();
        report::step(
            "Measured",
            format!("{cost} ms from the restart of {component} to the page"),
        );
        // What was open goes on or ends; it does not lie.
        if let Ok(answer) = old.get("/") {
            ensure!(
                answer.body == expected,
                "after restarting {component}: {answer:?}"
            );
        }
        get_again(port, &expected).with_context(|| format!("after restarting {component}"))?;
        guest.expect("ip -w", "10.0.2.15/24")?;
    }
    Ok(())
}
