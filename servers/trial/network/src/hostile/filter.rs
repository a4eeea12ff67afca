//! What the filter does not allow this client: `system.toml` leaves it some ports of the machine itself.

use alloc::format;
use alloc::string::String;

use gritos_idl_runtime::Error;
use gritos_net_client::api::{
    Domain, IpProtocol, MessageFlags, NetError, SocketClient, SocketType,
};

use super::{Desk, PORT, leave, says};
use crate::component::came_to;
use crate::patient::Patient;

/// Addresses that no rule has: of the gateway, the name server, everybody, a group, the machine's own, of nobody.
const FORBIDDEN: [[u8; 4]; 6] = [
    [10, 0, 2, 2],
    [10, 0, 2, 3],
    [255, 255, 255, 255],
    [224, 0, 0, 1],
    [10, 0, 2, 15],
    [192, 0, 2, 1],
];
/// Ports of the machine itself that no rule has.
const FORBIDDEN_PORTS: [u16; 4] = [1, 7, 53, PORT - 1];
const NO_WAIT: MessageFlags = MessageFlags::DONT_WAIT;

pub(super) fn denies(desk: &Desk<'_>) -> Result<(), String> {
    let mut messages = desk.socket(SocketType::Datagram)?;
    let mut stream = desk.socket(SocketType::Stream)?;
    let data = desk.range(1024, 16);
    let targets = FORBIDDEN
        .map(|address| (address, PORT))
        .into_iter()
        .chain(FORBIDDEN_PORTS.map(|port| ([127, 0, 0, 1], port)));
    for (address, port) in targets {
        let to = desk.address(address, port)?;
        let what = |name: &str| format!("{name} {address:?}:{port}");
        let sent = messages.sendto(data, to, NO_WAIT);
        says(&what("a message to"), &sent, NetError::Access)?;
        let connected = messages.connect(to, NO_WAIT);
        says(&what("messages to"), &connected, NetError::Access)?;
        let connected = stream.connect(to, NO_WAIT);
        says(&what("a connection to"), &connected, NetError::Access)?;
    }
    // That it may not send there does not change where it may.
    says(
        "a message to nobody",
        &messages.send(data, NO_WAIT),
        NetError::DestinationRequired,
    )?;
    for port in FORBIDDEN_PORTS {
        for address in [[127, 0, 0, 1], [0, 0, 0, 0]] {
            let at = desk.address(address, port)?;
            let what = |name: &str| format!("{name} at {address:?}:{port}");
            says(&what("messages"), &messages.bind(at), NetError::Access)?;
            says(&what("a listener"), &stream.bind(at), NetError::Access)?;
        }
    }
    // Any free port may be had, but not to wait for connections at.
    let any = desk.here(0)?;
    stream
        .bind(any)
        .map_err(|error| came_to("bind to any", &error))?;
    says("listening at any", &stream.listen(1), NetError::Access)?;
    leave(messages)?;
    leave(stream)?;

    let echo = desk
        .net()
        .socket(Domain::Inet, SocketType::Raw, IpProtocol::Icmp);
    let echo = echo.map_err(|error| came_to("a socket for ICMP", &error))?;
    let mut echo = SocketClient::new(echo, Patient::LONG);
    let to = desk.address([10, 0, 2, 2], 9)?;
    says("ping", &echo.sendto(data, to, NO_WAIT), NetError::Access)?;
    says(
        "ping as another",
        &echo.bind(desk.here(9)?),
        NetError::Access,
    )?;
    leave(echo)?;

    let name = desk.put(b"localhost")?;
    let found = desk.net().resolve(name, desk.room());
    says("a name", &found, NetError::Access)?;
    let made = desk
        .net()
        .socket(Domain::Inet, SocketType::Stream, IpProtocol::Udp);
    match made {
        Err(Error::Server(NetError::ProtocolNotSupported)) => Ok(()),
        other => Err(came_to("UDP as a stream", &other)),
    }
}
