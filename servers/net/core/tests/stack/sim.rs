//! Two machines on a wire that loses, doubles and reorders frames.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use gritos_net_api::{Domain, IpProtocol, NetError, SocketType};
use gritos_net_core::{
    Config, FrameDevice, Generator, Limits, Received, Rule, Rules, SocketId, Stack,
};

/// Frames on their way, each with when it arrives.
type Queue = Rc<RefCell<VecDeque<(u64, Vec<u8>)>>>;

/// One end of the wire.
#[derive(Clone)]
pub(crate) struct End {
    mac: [u8; 6],
    pub(crate) incoming: Queue,
    pub(crate) outgoing: Queue,
    now: Rc<RefCell<u64>>,
    faults: Rc<RefCell<Faults>>,
}

/// What the wire does to frames, in 1/1000.
pub(crate) struct Faults {
    pub(crate) loss: u64,
    pub(crate) double: u64,
    pub(crate) late: u64,
    pub(crate) random: Generator,
}

const LATENCY_NS: u64 = 200_000;

impl FrameDevice for End {
    fn mac(&self) -> [u8; 6] {
        self.mac
    }
    fn mtu(&self) -> usize {
        1500
    }
    fn link_up(&self) -> bool {
        true
    }
    fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        let now = *self.now.borrow();
        let mut queue = self.incoming.borrow_mut();
        let at = queue.iter().position(|(due, _)| *due <= now)?;
        let (_, bytes) = queue.remove(at)?;
        let length = bytes.len().min(frame.len());
        frame[..length].copy_from_slice(&bytes[..length]);
        Some(length)
    }
    fn can_send(&mut self) -> bool {
        self.outgoing.borrow().len() < 512
    }
    fn send(&mut self, frame: &[u8]) {
        let now = *self.now.borrow();
        let faults = &mut *self.faults.borrow_mut();
        let mut happens = |rate: u64| faults.random.any_u64() % 1000 < rate;
        if happens(faults.loss) {
            return;
        }
        let late = if happens(faults.late) {
            LATENCY_NS * 5
        } else {
            0
        };
        let copies = 1 + usize::from(happens(faults.double));
        for _ in 0..copies {
            let due = now + LATENCY_NS + late;
            self.outgoing.borrow_mut().push_back((due, frame.to_vec()));
        }
    }
}

/// Two machines.
pub(crate) struct World {
    pub(crate) now: Rc<RefCell<u64>>,
    pub(crate) a: Stack<End>,
    pub(crate) b: Stack<End>,
    pub(crate) ends: [End; 2],
    pub(crate) faults: Rc<RefCell<Faults>>,
}

/// The client that tests use.
pub(crate) const CLIENT: u32 = 0x8000_0001;
pub(crate) const A: &str = "10.0.0.1";
pub(crate) const B: &str = "10.0.0.2";

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn config(ip: &str, ip6: &str) -> Config {
    let parse = |text: &str| text.parse::<IpAddr>().unwrap();
    Config {
        addresses: vec![(parse(ip), 24), (parse(ip6), 64)],
        ..Config::default()
    }
}

pub(crate) fn open_rules() -> Rules {
    let mut rules = Rules::new();
    rules.allow_all(Rule::ANY);
    rules
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(0, Limits::default(), open_rules())
    }

    /// A world in which A asks for names at `server`.
    pub(crate) fn with_name_server(server: &str) -> Self {
        let mut world = Self::new();
        let mut settings = config(A, "fd00::1");
        settings.name_servers.push(server.parse().unwrap());
        let end = world.ends[0].clone();
        world.a = Stack::new(
            end,
            settings,
            Limits::default(),
            open_rules(),
            &mut [1; 32],
            0,
        );
        world
    }

    /// Each fault happens to so many frames of 1000.
    pub(crate) fn with(rate: u64, limits: Limits, rules: Rules) -> Self {
        let now = Rc::new(RefCell::new(1_000_000));
        let faults = Rc::new(RefCell::new(Faults {
            loss: rate,
            double: rate,
            late: rate,
            random: Generator::new(&mut [7; 32]),
        }));
        let (there, back) = (Queue::default(), Queue::default());
        let end = |mac: u8, incoming: &Queue, outgoing: &Queue| End {
            mac: [2, 0, 0, 0, 0, mac],
            incoming: incoming.clone(),
            outgoing: outgoing.clone(),
            now: now.clone(),
            faults: faults.clone(),
        };
        let ends = [end(1, &back, &there), end(2, &there, &back)];
        let stack = |end: &End, ip, ip6, seed: u8| {
            Stack::new(
                end.clone(),
                config(ip, ip6),
                limits,
                rules.clone(),
                &mut [seed; 32],
                0,
            )
        };
        Self {
            a: stack(&ends[0], A, "fd00::1", 1),
            b: stack(&ends[1], B, "fd00::2", 2),
            ends,
            now,
            faults,
        }
    }

    /// One turn of both machines; time then moves to the next event, for at most
    /// 100 ms.
    pub(crate) fn step(&mut self) {
        let now = *self.now.borrow();
        self.a.turn(now);
        self.b.turn(now);
        let queued = self.ends.iter().flat_map(|end| {
            let queue = end.incoming.borrow();
            queue.iter().map(|(due, _)| *due).min()
        });
        let next = queued
            .chain(self.a.next_turn_ns())
            .chain(self.b.next_turn_ns())
            .min()
            .unwrap_or(u64::MAX);
        *self.now.borrow_mut() = next.clamp(now + 1_000, now + 100_000_000);
    }

    /// Steps until so many nanoseconds have passed.
    pub(crate) fn pass(&mut self, ns: u64) {
        let end = *self.now.borrow() + ns;
        while *self.now.borrow() < end {
            self.step();
        }
    }

    /// Steps until `action` says something else than `WOULD_BLOCK`.
    pub(crate) fn wait<T>(
        &mut self,
        mut action: impl FnMut(&mut Self) -> Result<T, NetError>,
    ) -> Result<T, NetError> {
        for _ in 0..200_000 {
            match action(self) {
                Err(NetError::WouldBlock) => self.step(),
                other => return other,
            }
        }
        panic!("waited for too long");
    }

    /// A connection from A to B: both ends and the listener at B.
    pub(crate) fn connection(&mut self, port: u16) -> (SocketId, SocketId, SocketId) {
        let listener = tcp(&mut self.b);
        self.b
            .bind(listener, address(&format!("0.0.0.0:{port}")))
            .unwrap();
        self.b.listen(listener, 4).unwrap();
        let client = tcp(&mut self.a);
        self.a
            .connect(client, address(&format!("{B}:{port}")))
            .unwrap();
        self.wait(|w| w.a.connected(client)).unwrap();
        let (server, _) = self.wait(|w| w.b.accept(listener)).unwrap();
        (client, server, listener)
    }
}

pub(crate) fn tcp(stack: &mut Stack<End>) -> SocketId {
    stack
        .socket(CLIENT, Domain::Inet, SocketType::Stream, IpProtocol::Any)
        .unwrap()
}

pub(crate) fn udp(stack: &mut Stack<End>) -> SocketId {
    stack
        .socket(CLIENT, Domain::Inet, SocketType::Datagram, IpProtocol::Any)
        .unwrap()
}

pub(crate) fn send(
    stack: &mut Stack<End>,
    id: SocketId,
    mut data: &[u8],
) -> Result<usize, NetError> {
    stack.send(id, &mut data, 0, None)
}

pub(crate) fn send_to(
    stack: &mut Stack<End>,
    id: SocketId,
    mut data: &[u8],
    to: &str,
) -> Result<usize, NetError> {
    stack.send(id, &mut data, 0, Some(address(to)))
}

pub(crate) fn receive(
    stack: &mut Stack<End>,
    id: SocketId,
    mut room: &mut [u8],
) -> Result<Received, NetError> {
    stack.receive(id, &mut room, 0, false)
}

/// What is there, as text.
pub(crate) fn text(stack: &mut Stack<End>, id: SocketId) -> Result<String, NetError> {
    let mut room = [0; 2000];
    let received = receive(stack, id, &mut room)?;
    Ok(String::from_utf8_lossy(&room[..received.bytes]).into_owned())
}
