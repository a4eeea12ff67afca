//! Addresses, gateways and name servers: fixed ones, DHCP's, and routers'.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use gritos_net_api::{InterfaceStatus, Network};
use smoltcp::iface::{Config as InterfaceConfig, Interface};
use smoltcp::socket::dhcpv4;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Cidr};

use super::hardware::link_local;
use super::{Config, Stack};
use crate::address;
use crate::frame::{Counters, FrameDevice};
use crate::link::{HEADER_BYTES, Link};

/// Most fixed addresses.
const FIXED_LIMIT: usize = 4;

/// An interface that has no address but those inside of the machine.
pub(super) fn interface<D: FrameDevice>(
    link: &mut Link<D>,
    config: &Config,
    seed: u64,
    now: Instant,
) -> Interface {
    let mac = link.wire.mac();
    let mut settings = InterfaceConfig::new(EthernetAddress(mac).into());
    settings.random_seed = seed;
    settings.slaac = config.slaac;
    let mut interface = Interface::new(settings, link, now);
    let mut addresses: Vec<IpCidr> = fixed(&config.addresses).collect();
    addresses.push(link_local(mac));
    // Those inside come last, so that they are no source for packets outside. Nothing else of 127.0.0.0/8 is
    // reached, and a network of one address has no broadcast address to look for in every frame.
    addresses.push(IpCidr::new(IpAddr::V4(Ipv4Addr::LOCALHOST).into(), 32));
    addresses.push(IpCidr::new(IpAddr::V6(Ipv6Addr::LOCALHOST).into(), 128));
    interface.update_ip_addrs(|list| {
        for address in addresses {
            // The list has room for eight.
            let _ = list.push(address);
        }
    });
    for gateway in &config.gateways {
        // There is room for one of each family.
        let _ = match gateway {
            IpAddr::V4(v4) => interface.routes_mut().add_default_ipv4_route(*v4),
            IpAddr::V6(v6) => interface.routes_mut().add_default_ipv6_route(*v6),
        };
    }
    interface
}

/// An interface of the same device that has no address and asks for none.
pub(super) fn shadow<D: FrameDevice>(link: &mut Link<D>, now: Instant) -> Interface {
    let mac = link.wire.mac();
    let settings = InterfaceConfig::new(EthernetAddress(mac).into());
    Interface::new(settings, link, now)
}

fn fixed(addresses: &[(IpAddr, u8)]) -> impl Iterator<Item = IpCidr> + '_ {
    addresses
        .iter()
        .filter(|(ip, bits)| is_usable(*ip) && *bits <= if ip.is_ipv4() { 32 } else { 128 })
        .map(|(ip, bits)| IpCidr::new((*ip).into(), *bits))
        .take(FIXED_LIMIT)
}

fn is_usable(ip: IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_loopback() && !address::is_group(ip)
}

impl<D: FrameDevice> Stack<D> {
    pub(super) fn start_configuration(&mut self) {
        if self.config.dhcp {
            self.dhcp = Some(self.set.add(dhcpv4::Socket::new()));
        }
        self.follow_addresses();
        self.follow_name_servers();
    }

    /// Takes over what DHCP and routers said since the last turn.
    pub(super) fn follow_configuration(&mut self) {
        if let Some(handle) = self.dhcp {
            let socket = self.set.get_mut::<dhcpv4::Socket<'_>>(handle);
            match socket.poll() {
                Some(dhcpv4::Event::Configured(lease)) => {
                    let servers = lease.dns_servers.iter().map(|ip| IpAddr::V4(*ip));
                    let servers = servers.filter(|ip| is_usable(*ip)).collect();
                    let (address, router) = (lease.address, lease.router);
                    self.lease(Some(address), router, servers);
                }
                Some(dhcpv4::Event::Deconfigured) => self.lease(None, None, Vec::new()),
                None => {}
            }
        }
        self.follow_addresses();
    }

    fn lease(&mut self, network: Option<Ipv4Cidr>, router: Option<Ipv4Addr>, servers: Vec<IpAddr>) {
        let network = network.filter(|network| is_usable(network.address().into()));
        let is_fixed = |cidr: &IpCidr| fixed(&self.config.addresses).any(|fixed| fixed == *cidr);
        self.interface.update_ip_addrs(|list| {
            list.retain(|cidr| {
                let ip = IpAddr::from(cidr.address());
                ip.is_ipv6() || ip.is_loopback() || is_fixed(cidr)
            });
            if let Some(network) = network {
                // At most five others are there.
                let _ = list.insert(0, IpCidr::Ipv4(network));
            }
        });
        // Whenever addresses are set, neighbours are forgotten.
        self.link.wire.introduce();
        let routes = self.interface.routes_mut();
        let fixed_gateway = self.config.gateways.iter().any(IpAddr::is_ipv4);
        if !fixed_gateway {
            routes.remove_default_ipv4_route();
            if let Some(router) = router.filter(|router| is_usable((*router).into())) {
                let _ = routes.add_default_ipv4_route(router);
            }
        }
        self.dhcp_servers = servers;
        self.follow_name_servers();
    }

    fn follow_name_servers(&mut self) {
        let fixed = self.config.name_servers.iter();
        let servers = fixed.chain(&self.dhcp_servers).copied().collect();
        self.resolver.set_servers(servers);
    }

    fn follow_addresses(&mut self) {
        if self.known != self.interface.ip_addrs() {
            self.tell_addresses();
            self.known = self.interface.ip_addrs().to_vec();
            self.set.touch_all();
            let own = self.known.iter().map(|cidr| cidr.address().into());
            self.link.set_own(own.collect());
        }
    }

    /// Writes to the log which addresses came and went.
    fn tell_addresses(&self) {
        let (old, new) = (&self.known, self.interface.ip_addrs());
        let is_outside = |cidr: &&IpCidr| !IpAddr::from(cidr.address()).is_loopback();
        for cidr in old.iter().filter(is_outside) {
            if !new.contains(cidr) {
                log::info!("{cidr} is no longer its address");
            }
        }
        for cidr in new.iter().filter(is_outside) {
            if !old.contains(cidr) {
                log::info!("{cidr} is its address");
            }
        }
    }

    /// What went through the device.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.link.wire.counters
    }

    /// What is known of the interface.
    #[must_use]
    pub fn status(&self) -> InterfaceStatus {
        let counters = self.counters();
        let first = |is_wanted: &dyn Fn(IpAddr) -> bool| {
            self.known
                .iter()
                .find(|cidr| is_wanted(cidr.address().into()))
                .map(|cidr| Network {
                    address: address::ip_to_api(cidr.address().into()),
                    prefix_bits: cidr.prefix_len(),
                })
        };
        let is_v4 = |ip: IpAddr| ip.is_ipv4() && !ip.is_loopback();
        let is_global = |ip: IpAddr| matches!(ip, IpAddr::V6(v6) if !v6.is_loopback() && !v6.is_unicast_link_local());
        let is_v6 = |ip: IpAddr| ip.is_ipv6() && !ip.is_loopback();
        let gateway = self.gateway(true).or_else(|| self.gateway(false));
        InterfaceStatus {
            received_bytes: counters.received_bytes,
            sent_bytes: counters.sent_bytes,
            received_packets: counters.received_frames,
            sent_packets: counters.sent_frames,
            dropped_packets: counters.dropped_frames,
            mtu: self.mtu() as u32,
            mac: self.link.wire.mac(),
            link_up: self.link.wire.device.link_up(),
            ipv4: first(&is_v4),
            ipv6: first(&is_global).or_else(|| first(&is_v6)),
            gateway: gateway.map(address::ip_to_api),
            name_server: self
                .resolver
                .servers()
                .first()
                .copied()
                .map(address::ip_to_api),
        }
    }

    /// The default gateway of a family.
    pub(super) fn gateway(&self, ipv4: bool) -> Option<IpAddr> {
        let routes = self.interface.routes();
        let route = if ipv4 {
            routes.get_default_ipv4_route()
        } else {
            routes.get_default_ipv6_route()
        };
        route.map(|route| route.via_router.into())
    }

    /// Bytes of the largest packet.
    pub(super) fn mtu(&self) -> usize {
        use smoltcp::phy::Device;
        self.link.capabilities().max_transmission_unit - HEADER_BYTES
    }
}
