//! A network of which xtask is everything but the guest: each frame that leaves the guest arrives here,
//! and each that the guest gets is sent from here.
//!
//! QEMU exchanges frames with a pair of Unix datagram sockets. A thread takes in what the guest sends,
//! writes it down, does what any network does for its machines (ARP, addresses by DHCP), and keeps the
//! rest for whoever plays the peer. What a peer says is up to the caller: there is no TCP here but
//! single segments ([`Connection`]).

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use etherparse::{EtherType, IpNumber};

pub(crate) use capture::Capture;
pub(crate) use connection::Connection;
pub(crate) use segment::{ACK, FIN, PSH, RST, SYN, Segment};

mod capture;
pub(crate) mod check;
mod connection;
pub(crate) mod dhcp;
pub(crate) mod packet;
mod segment;

/// The guest's hardware address, QEMU's first.
pub(crate) const GUEST_MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
/// That of every other machine.
pub(crate) const PEER_MAC: [u8; 6] = [0x52, 0x55, 10, 0, 2, 2];
/// Addresses as QEMU's user networking has them.
pub(crate) const GUEST: [u8; 4] = [10, 0, 2, 15];
/// The peer, gateway and DHCP server.
pub(crate) const PEER: [u8; 4] = [10, 0, 2, 2];
/// The name server.
pub(crate) const NAME_SERVER: [u8; 4] = [10, 0, 2, 3];

/// Longest wait for a frame of the guest's that has to come, on a busy host.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
/// How long the thread waits before it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);
/// Frames that are kept for nobody.
const INBOX_LIMIT: usize = 4096;
/// Longest frame.
const FRAME_LIMIT: usize = 65_536;

/// What the network does by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answers {
    pub(crate) arp: bool,
    pub(crate) dhcp: bool,
}

/// The network.
#[derive(Debug)]
pub(crate) struct Lan {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    socket: UnixDatagram,
    /// Where this side and QEMU listen.
    here: PathBuf,
    there: PathBuf,
    state: Mutex<State>,
    news: Condvar,
    next_port: AtomicU16,
}

#[derive(Debug)]
struct State {
    capture: Capture,
    inbox: VecDeque<Vec<u8>>,
    answers: Answers,
    over: bool,
}

impl Lan {
    /// A network without a guest.
    ///
    /// # Errors
    /// When there can be no sockets.
    pub(crate) fn start() -> Result<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Short: a socket's address holds 108 bytes.
        let name = format!("gritos-{}-{number}", std::process::id());
        let here = std::env::temp_dir().join(format!("{name}.lan"));
        let there = std::env::temp_dir().join(format!("{name}.nic"));
        let socket = UnixDatagram::bind(&here)
            .with_context(|| format!("no socket at {}", here.display()))?;
        socket.set_read_timeout(Some(LOOK))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let shared = Arc::new(Shared {
            socket,
            here,
            there,
            state: Mutex::new(State {
                capture: Capture::default(),
                inbox: VecDeque::new(),
                answers: Answers {
                    arp: true,
                    dhcp: true,
                },
                over: false,
            }),
            news: Condvar::new(),
            next_port: AtomicU16::new(20_000),
        });
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || shared.serve()
        });
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Where QEMU's frames go to, and where it listens for others.
    pub(crate) fn paths(&self) -> (&Path, &Path) {
        (&self.shared.here, &self.shared.there)
    }

    /// A port that no connection had yet.
    pub(crate) fn fresh_port(&self) -> u16 {
        self.shared.next_port.fetch_add(1, Ordering::Relaxed)
    }

    /// Has the network answer these from now on.
    pub(crate) fn answer(&self, answers: Answers) {
        self.shared.state().answers = answers;
    }

    /// Forgets what nobody took.
    pub(crate) fn clear(&self) {
        self.shared.state().inbox.clear();
    }

    /// Sends a frame to the guest. One that is sent before there is a guest is lost.
    pub(crate) fn send(&self, frame: &[u8]) {
        self.shared.send(frame);
    }

    /// The next frame of the guest's for which `take` has a value, within `limit`; others stay.
    pub(crate) fn find<T>(
        &self,
        limit: Duration,
        mut take: impl FnMut(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let end = Instant::now() + limit;
        let mut state = self.shared.state();
        loop {
            let found = state
                .inbox
                .iter()
                .enumerate()
                .find_map(|(at, frame)| take(frame).map(|value| (at, value)));
            if let Some((at, value)) = found {
                state.inbox.remove(at);
                return Some(value);
            }
            let left = end.checked_duration_since(Instant::now())?;
            let waited = self.shared.news.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// As [`find`](Self::find), of a frame that must come.
    ///
    /// # Errors
    /// When it does not; `what` says what it was to be.
    pub(crate) fn expect<T>(&self, what: &str, take: impl FnMut(&[u8]) -> Option<T>) -> Result<T> {
        match self.find(PATIENCE, take) {
            Some(value) => Ok(value),
            None => bail!(
                "the guest did not send {what} within {} s",
                PATIENCE.as_secs()
            ),
        }
    }

    /// Everything that went over the wire.
    pub(crate) fn capture(&self) -> Capture {
        self.shared.state().capture.clone()
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        self.shared.state().over = true;
        if let Some(thread) = self.thread.take() {
            // It has no result, and what it panicked about was printed.
            let _ = thread.join();
        }
        for path in [&self.shared.here, &self.shared.there] {
            // QEMU removes its own if it ends in peace.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, frame: &[u8]) {
        self.state().capture.add(frame);
        // QEMU is not there yet, or no more.
        let _ = self.socket.send_to(frame, &self.there);
    }

    /// Takes in frames until it is over.
    fn serve(&self) {
        let mut room = vec![0; FRAME_LIMIT];
        loop {
            match self.socket.recv(&mut room) {
                Ok(length) => self.take(&room[..length]),
                Err(error) => {
                    let is_late = matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    );
                    if !is_late {
                        return;
                    }
                }
            }
            if self.state().over {
                return;
            }
        }
    }

    fn take(&self, frame: &[u8]) {
        let answer = {
            let mut state = self.state();
            state.capture.add(frame);
            let answers = state.answers;
            let answer = house(frame, answers);
            if answer.is_none() {
                if state.inbox.len() == INBOX_LIMIT {
                    state.inbox.pop_front();
                }
                state.inbox.push_back(frame.to_vec());
            }
            answer
        };
        self.news.notify_all();
        if let Some(answer) = answer {
            self.send(&answer);
        }
    }
}

/// What the network itself answers to a frame.
fn house(frame: &[u8], answers: Answers) -> Option<Vec<u8>> {
    let kind = frame.get(12..14)?;
    match EtherType(u16::from_be_bytes([kind[0], kind[1]])) {
        EtherType::ARP if answers.arp => packet::arp_answer(frame),
        EtherType::IPV4 if answers.dhcp => {
            let (protocol, payload) = packet::ipv4_payload(frame)?;
            let message = (protocol == IpNumber::UDP).then(|| dhcp::request(payload))??;
            let kind = match message.kind {
                dhcp::DISCOVER => dhcp::OFFER,
                dhcp::REQUEST => dhcp::ACKNOWLEDGE,
                _ => return None,
            };
            Some(dhcp::frame(&dhcp::answer(&message, kind, GUEST)))
        }
        _ => None,
    }
}
