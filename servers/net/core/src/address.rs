//! Addresses: those of `core::net`, of the interface and of smoltcp.

use core::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

use gritos_net_api::{IpAddress as ApiIp, SocketAddress, SocketAddressV4, SocketAddressV6};
use smoltcp::wire::{IpEndpoint, IpListenEndpoint};

/// An address of the interface. IPv4 addresses that are mapped into IPv6 are
/// what they stand for.
pub(crate) fn from_api(address: &SocketAddress) -> SocketAddr {
    match address {
        SocketAddress::V4(v4) => SocketAddr::new(IpAddr::from(v4.address), v4.port),
        SocketAddress::V6(v6) => {
            let ip = core::net::Ipv6Addr::from(v6.address);
            ip.to_ipv4_mapped().map_or_else(
                || SocketAddr::V6(SocketAddrV6::new(ip, v6.port, v6.flow, v6.scope)),
                |v4| SocketAddr::V4(SocketAddrV4::new(v4, v6.port)),
            )
        }
    }
}

/// The other way round.
pub(crate) fn to_api(address: SocketAddr) -> SocketAddress {
    match address {
        SocketAddr::V4(v4) => SocketAddress::V4(SocketAddressV4 {
            address: v4.ip().octets(),
            port: v4.port(),
        }),
        SocketAddr::V6(v6) => SocketAddress::V6(SocketAddressV6 {
            address: v6.ip().octets(),
            port: v6.port(),
            flow: v6.flowinfo(),
            scope: v6.scope_id(),
        }),
    }
}

/// An address without a port.
pub(crate) fn ip_to_api(ip: IpAddr) -> ApiIp {
    match ip {
        IpAddr::V4(v4) => ApiIp::V4(v4.octets()),
        IpAddr::V6(v6) => ApiIp::V6(v6.octets()),
    }
}

pub(crate) fn from_wire(endpoint: IpEndpoint) -> SocketAddr {
    SocketAddr::new(endpoint.addr.into(), endpoint.port)
}

pub(crate) fn to_wire(address: SocketAddr) -> IpEndpoint {
    IpEndpoint::new(address.ip().into(), address.port())
}

/// What smoltcp binds to: the unspecified address is none.
pub(crate) fn to_listen(address: SocketAddr) -> IpListenEndpoint {
    IpListenEndpoint {
        addr: (!address.ip().is_unspecified()).then(|| address.ip().into()),
        port: address.port(),
    }
}

/// Whether a packet to `address` goes to more than one machine.
pub(crate) fn is_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_multicast(),
    }
}
