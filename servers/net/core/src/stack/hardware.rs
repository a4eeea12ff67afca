//! The hardware address of the interface, which a device may say late.
//!
//! The machine reaches itself by this address too, so that link and TCP machine must have the same at every moment.

use core::net::{IpAddr, Ipv6Addr};

use smoltcp::socket::dhcpv4;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};

use super::Stack;
use crate::frame::FrameDevice;

/// RFC 4291, "Modified EUI-64 Format Interface Identifiers".
pub(super) fn link_local(mac: [u8; 6]) -> IpCidr {
    let [a, b, c, d, e, f] = mac;
    let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    let interface = [pair(a ^ 2, b), pair(c, 0xff), pair(0xfe, d), pair(e, f)];
    let [w, x, y, z] = interface;
    let ip = Ipv6Addr::new(0xfe80, 0, 0, 0, w, x, y, z);
    IpCidr::new(IpAddr::V6(ip).into(), 64)
}

impl<D: FrameDevice> Stack<D> {
    /// Takes over another hardware address of the device. Whoever knows this machine by the one before asks anew,
    /// and so does this machine: neighbours are forgotten, and DHCP begins again.
    pub(super) fn follow_hardware(&mut self) {
        let before = self.link.wire.mac();
        if !self.link.wire.follow_mac() {
            return;
        }
        let mac = self.link.wire.mac();
        self.interface
            .set_hardware_addr(HardwareAddress::Ethernet(EthernetAddress(mac)));
        self.interface.update_ip_addrs(|list| {
            let local = list.iter_mut().find(|cidr| **cidr == link_local(before));
            if let Some(local) = local {
                *local = link_local(mac);
            }
        });
        if let Some(handle) = self.dhcp {
            self.set.get_mut::<dhcpv4::Socket<'_>>(handle).reset();
        }
        self.set.touch_all();
    }
}
