//! A device that does not say at once which hardware address it has.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

use gritos_net_api::{Domain, IpAddress, IpProtocol, SocketType};
use gritos_net_core::{Config, FrameDevice, Limits, Stack};

use crate::sim::{CLIENT, address, open_rules};

const NONE: [u8; 6] = [0; 6];
const REAL: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

/// It keeps what it is given to send.
#[derive(Clone, Default)]
struct Nic {
    mac: Rc<Cell<[u8; 6]>>,
    out: Rc<RefCell<Vec<Vec<u8>>>>,
}

impl FrameDevice for Nic {
    fn mac(&self) -> [u8; 6] {
        self.mac.get()
    }
    fn mtu(&self) -> usize {
        1500
    }
    fn link_up(&self) -> bool {
        true
    }
    fn receive(&mut self, _frame: &mut [u8]) -> Option<usize> {
        None
    }
    fn can_send(&mut self) -> bool {
        true
    }
    fn send(&mut self, frame: &[u8]) {
        self.out.borrow_mut().push(frame.to_vec());
    }
}

struct Host {
    nic: Nic,
    stack: Stack<Nic>,
    now: u64,
}

impl Host {
    fn new(mac: [u8; 6], config: Config) -> Self {
        let nic = Nic::default();
        nic.mac.set(mac);
        let (limits, rules) = (Limits::default(), open_rules());
        Self {
            stack: Stack::new(nic.clone(), config, limits, rules, &mut [3; 32], 0),
            nic,
            now: 1_000_000,
        }
    }

    fn pass(&mut self, ns: u64) {
        let end = self.now + ns;
        while self.now < end {
            self.stack.turn(self.now);
            self.now += 1_000_000;
        }
    }

    /// Whether the machine answers its own echo request.
    fn answers(&mut self, to: &str) -> bool {
        let to = address(to);
        let (domain, protocol, request) = match to.is_ipv4() {
            true => (Domain::Inet, IpProtocol::Icmp, 8),
            false => (Domain::Inet6, IpProtocol::Icmpv6, 128),
        };
        let socket = self.stack.socket(CLIENT, domain, SocketType::Raw, protocol);
        let socket = socket.unwrap();
        let mut message = *b"\0\0\0\0\0\0\0\x05payload";
        message[0] = request;
        self.stack
            .send(socket, &mut &message[..], 0, Some(to))
            .unwrap();
        // Neighbours are asked for once a second.
        self.pass(2_000_000_000);
        let mut room = [0; 100];
        let answered = loop {
            match self.stack.receive(socket, &mut &mut room[..], 0, false) {
                // The request comes past as well.
                Ok(_) if room[0] == request => {}
                other => break other.is_ok(),
            }
        };
        self.stack.close(socket).unwrap();
        answered
    }
}

fn fixed() -> Config {
    Config {
        addresses: vec![("10.0.0.1".parse().unwrap(), 24)],
        ..Config::default()
    }
}

const INSIDE: [&str; 3] = ["127.0.0.1:0", "[::1]:0", "10.0.0.1:0"];

#[test]
fn a_machine_whose_device_has_no_address_still_reaches_itself() {
    // What is no address of one device is none, either.
    for mac in [NONE, [0xff; 6], [1, 0, 0x5e, 0, 0, 1]] {
        let mut host = Host::new(mac, fixed());
        for to in INSIDE {
            assert!(host.answers(to), "{to} with {mac:x?}");
        }
        assert!(
            host.nic
                .out
                .borrow()
                .iter()
                .all(|frame| frame[6..12] != mac)
        );
    }
}

#[test]
fn a_machine_reaches_itself_before_and_after_its_device_says_its_address() {
    let mut host = Host::new(NONE, fixed());
    for to in INSIDE {
        assert!(host.answers(to), "{to} before");
    }
    host.nic.mac.set(REAL);
    host.pass(50_000_000);
    for to in INSIDE {
        assert!(host.answers(to), "{to} after");
    }
}

#[test]
fn frames_come_from_the_address_that_the_device_says_late() {
    let dhcp = Config {
        dhcp: true,
        ..Config::default()
    };
    let mut host = Host::new(NONE, dhcp);
    host.pass(50_000_000);
    host.nic.mac.set(REAL);
    host.nic.out.borrow_mut().clear();
    host.pass(30_000_000_000);
    let out = host.nic.out.borrow();
    assert!(!out.is_empty(), "DHCP asks again");
    assert!(out.iter().all(|frame| frame[6..12] == REAL));
    // The hardware address that DHCP is told (RFC 2131, `chaddr`), behind Ethernet, IPv4 and UDP.
    let asks = |frame: &&Vec<u8>| frame[12..14] == [8, 0] && frame[14 + 9] == 17;
    let discover = out.iter().find(asks).unwrap();
    assert_eq!(discover[42 + 28..42 + 34], REAL);
    let status = host.stack.status();
    assert_eq!(status.mac, REAL);
    // RFC 4291: the link-local address is made of it.
    let local = status.ipv6.map(|network| match network.address {
        IpAddress::V4(v4) => IpAddr::from(v4),
        IpAddress::V6(v6) => IpAddr::from(v6),
    });
    assert_eq!(local, "fe80::5054:ff:fe12:3456".parse().ok());
}
