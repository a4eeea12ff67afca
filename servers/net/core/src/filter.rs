//! Who may do what on the network. Whatever no rule allows is refused.
//!
//! A rule is written `ACTION[/PROTOCOL] NETWORK[:PORTS]`:
//!
//! ```text
//! listen/tcp *:80
//! connect/tcp 10.0.0.0/8:1-1023
//! connect/udp [fe80::]/10:53
//! ping *
//! resolve
//! any
//! ```

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;

/// What a client wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Give a TCP socket a fixed address, or wait for connections.
    ListenTcp,
    /// Connect to a TCP peer.
    ConnectTcp,
    /// Give a UDP socket a fixed address.
    ListenUdp,
    /// Send UDP messages to a peer.
    ConnectUdp,
    /// Send ICMP echo requests.
    Ping,
    /// Look up names.
    Resolve,
}

/// Something that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    actions: &'static [Action],
    network: Option<(IpAddr, u8)>,
    ports: RangeInclusive<u16>,
}

/// Why a rule is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// The first word is no action.
    Action,
    /// The network is neither `*` nor an address with an optional prefix.
    Network,
    /// The ports are neither a number nor a range of two.
    Ports,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Action => {
                "expected one of: any, listen, listen/tcp, listen/udp, connect, connect/tcp, connect/udp, ping, resolve"
            }
            Self::Network => "expected *, or an address like 10.0.0.0/8 or [fe80::]/10",
            Self::Ports => "expected a port like 80 or a range like 1-1023",
        })
    }
}

impl core::error::Error for RuleError {}

impl Rule {
    /// Allows everything.
    pub const ANY: Self = Self {
        actions: &[
            Action::ListenTcp,
            Action::ConnectTcp,
            Action::ListenUdp,
            Action::ConnectUdp,
            Action::Ping,
            Action::Resolve,
        ],
        network: None,
        ports: 0..=u16::MAX,
    };

    /// Reads a rule.
    ///
    /// # Errors
    /// Which part is wrong.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let mut words = text.split_ascii_whitespace();
        let actions: &'static [Action] = match words.next().ok_or(RuleError::Action)? {
            "any" => Self::ANY.actions,
            "listen" => &[Action::ListenTcp, Action::ListenUdp],
            "listen/tcp" => &[Action::ListenTcp],
            "listen/udp" => &[Action::ListenUdp],
            "connect" => &[Action::ConnectTcp, Action::ConnectUdp],
            "connect/tcp" => &[Action::ConnectTcp],
            "connect/udp" => &[Action::ConnectUdp],
            "ping" => &[Action::Ping],
            "resolve" => &[Action::Resolve],
            _ => return Err(RuleError::Action),
        };
        let place = words.next().unwrap_or("*");
        if words.next().is_some() {
            return Err(RuleError::Network);
        }
        let (network, ports) = split_ports(place);
        Ok(Self {
            actions,
            network: parse_network(network)?,
            ports: ports.map_or(Ok(0..=u16::MAX), parse_ports)?,
        })
    }

    /// Whether it allows `action` with `address`.
    #[must_use]
    pub fn allows(&self, action: Action, address: SocketAddr) -> bool {
        self.actions.contains(&action)
            && self.ports.contains(&address.port())
            && self
                .network
                .is_none_or(|(network, bits)| within(network, bits, address.ip()))
    }
}

/// `10.0.0.0/8:1-9` is a network and ports; an IPv6 network with ports stands in
/// brackets.
fn split_ports(place: &str) -> (&str, Option<&str>) {
    let Some((network, ports)) = place.rsplit_once(':') else {
        return (place, None);
    };
    if network.contains(':') && !network.contains(']') {
        (place, None)
    } else {
        (network, Some(ports))
    }
}

fn parse_network(text: &str) -> Result<Option<(IpAddr, u8)>, RuleError> {
    if text == "*" {
        return Ok(None);
    }
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let ip: IpAddr = address.parse().map_err(|_| RuleError::Network)?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Ok(most), |bits| {
        bits.parse().map_err(|_| RuleError::Network)
    })?;
    if bits > most {
        return Err(RuleError::Network);
    }
    Ok(Some((ip, bits)))
}

fn parse_ports(text: &str) -> Result<RangeInclusive<u16>, RuleError> {
    let port = |text: &str| text.parse::<u16>().map_err(|_| RuleError::Ports);
    match text.split_once('-') {
        _ if text == "*" => Ok(0..=u16::MAX),
        Some((first, last)) => {
            let (first, last) = (port(first)?, port(last)?);
            (first <= last)
                .then_some(first..=last)
                .ok_or(RuleError::Ports)
        }
        None => port(text).map(|port| port..=port),
    }
}

/// Whether `ip` lies in the network of `bits` bits around `network`.
pub(crate) fn within(network: IpAddr, bits: u8, ip: IpAddr) -> bool {
    match (network, ip) {
        (IpAddr::V4(network), IpAddr::V4(ip)) => {
            let mask = u32::MAX
                .checked_shl(32 - u32::from(bits.min(32)))
                .unwrap_or(0);
            (network.to_bits() ^ ip.to_bits()) & mask == 0
        }
        (IpAddr::V6(network), IpAddr::V6(ip)) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(bits.min(128)))
                .unwrap_or(0);
            (network.to_bits() ^ ip.to_bits()) & mask == 0
        }
        _ => false,
    }
}

/// The rules of all clients.
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<(Option<u32>, Rule)>);

impl Rules {
    /// Allows nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a rule for one client, by the badge of its session.
    pub fn allow(&mut self, client: u32, rule: Rule) {
        self.0.push((Some(client), rule));
    }

    /// Adds a rule for every client.
    pub fn allow_all(&mut self, rule: Rule) {
        self.0.push((None, rule));
    }

    /// Whether `client` may do this.
    #[must_use]
    pub fn allows(&self, client: u32, action: Action, address: SocketAddr) -> bool {
        self.0.iter().any(|(whose, rule)| {
            whose.is_none_or(|whose| whose == client) && rule.allows(action, address)
        })
    }
}
