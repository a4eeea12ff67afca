//! `netstat`: everybody's sockets.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use gritos_net_client::api::{SocketAddress, SocketState, SocketStatus, SocketType};
use gritos_service::Kernel;
use gritos_shell_core::builtins::no_arguments;
use gritos_shell_core::{Context, Failure, status};
use gritos_sys::abi::cap::BADGE_CLIENT;
use gritos_system_api::{System, SystemClient};

use super::{failed, open};

pub(super) fn netstat(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    no_arguments(arguments)?;
    let net = open()?;
    let mut sockets: Vec<SocketStatus> = Vec::new();
    net.sockets(|socket| sockets.push(*socket))
        .map_err(failed)?;
    let service = crate::commands::service::<System>("system")?;
    let mut system = SystemClient::new(service, Kernel);
    writeln!(
        context,
        "{:<12} {:<4} {:<28} {:<28} {:<12} {:>8} {:>8}",
        "COMPONENT", "KIND", "LOCAL", "PEER", "STATE", "RECEIVED", "TO SEND"
    )?;
    for socket in &sockets {
        let number = socket.client & !BADGE_CLIENT;
        // One that is gone has its number only.
        let name = match system.component(number) {
            Ok(component) => component.name.as_str().to_string(),
            Err(_) => number.to_string(),
        };
        let kind = match socket.kind {
            SocketType::Stream => "tcp",
            SocketType::Datagram => "udp",
            SocketType::Raw => "icmp",
        };
        let address = |address: &Option<SocketAddress>| {
            address
                .as_ref()
                .map_or_else(|| String::from("-"), address_text)
        };
        writeln!(
            context,
            "{name:<12} {kind:<4} {:<28} {:<28} {:<12} {:>8} {:>8}",
            address(&socket.local),
            address(&socket.remote),
            state_text(socket.state),
            socket.received,
            socket.sent
        )?;
    }
    Ok(status::OK)
}

fn address_text(address: &SocketAddress) -> String {
    match address {
        SocketAddress::V4(v4) => {
            let [a, b, c, d] = v4.address;
            format!("{a}.{b}.{c}.{d}:{}", v4.port)
        }
        SocketAddress::V6(v6) => {
            let ip = core::net::Ipv6Addr::from(v6.address);
            format!("[{ip}]:{}", v6.port)
        }
    }
}

/// The names of RFC 9293.
const fn state_text(state: SocketState) -> &'static str {
    match state {
        SocketState::Closed => "CLOSED",
        SocketState::Listen => "LISTEN",
        SocketState::SynSent => "SYN-SENT",
        SocketState::SynReceived => "SYN-RECEIVED",
        SocketState::Established => "ESTABLISHED",
        SocketState::FinWait1 => "FIN-WAIT-1",
        SocketState::FinWait2 => "FIN-WAIT-2",
        SocketState::CloseWait => "CLOSE-WAIT",
        SocketState::Closing => "CLOSING",
        SocketState::LastAck => "LAST-ACK",
        SocketState::TimeWait => "TIME-WAIT",
        SocketState::Messages => "-",
    }
}
