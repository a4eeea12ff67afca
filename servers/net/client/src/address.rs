//! Addresses of `core::net` and of the interface.

use core::net::{IpAddr, SocketAddr, SocketAddrV6};

use gritos_net_api::{IpAddress, SocketAddress, SocketAddressV4, SocketAddressV6};

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

pub(crate) fn from_api(address: &SocketAddress) -> SocketAddr {
    match address {
        SocketAddress::V4(v4) => SocketAddr::new(v4.address.into(), v4.port),
        SocketAddress::V6(v6) => {
            let ip = v6.address.into();
            SocketAddr::V6(SocketAddrV6::new(ip, v6.port, v6.flow, v6.scope))
        }
    }
}

pub(crate) fn ip_from_api(address: &IpAddress) -> IpAddr {
    match address {
        IpAddress::V4(v4) => IpAddr::from(*v4),
        IpAddress::V6(v6) => IpAddr::from(*v6),
    }
}
