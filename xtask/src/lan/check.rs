//! Whether a frame is as the standards have it: lengths, checksums, options, nothing left over.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use etherparse::checksum::Sum16BitWords;
use etherparse::{
    EtherType, Icmpv6Slice, IpNumber, Ipv4Slice, Ipv6Slice, NetSlice, SlicedPacket, TcpSlice,
    UdpSlice,
};

use super::packet::ETHERNET_BYTES;

/// Checks a frame.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn frame(frame: &[u8]) -> Result<()> {
    let packet = SlicedPacket::from_ethernet(frame)?;
    let rest = frame.get(ETHERNET_BYTES..).unwrap_or(&[]);
    match &packet.net {
        Some(NetSlice::Ipv4(ip)) => ipv4(ip, rest),
        Some(NetSlice::Ipv6(ip)) => ipv6(ip, rest),
        Some(NetSlice::Arp(arp)) => {
            ensure!(
                arp.slice().len() == 28 && rest.len() == 28,
                "no ARP for IPv4"
            );
            ensure!(arp.slice()[..6] == [0, 1, 8, 0, 6, 4], "no ARP for IPv4");
            Ok(())
        }
        None => {
            let kind = packet.payload_ether_type().unwrap_or(EtherType(0));
            bail!("a packet of type {:#06x}", kind.0)
        }
    }
}

fn ipv4(ip: &Ipv4Slice<'_>, rest: &[u8]) -> Result<()> {
    let header = ip.header().to_header();
    let length = usize::from(header.total_len);
    ensure!(length == rest.len(), "{} bytes of {length}", rest.len());
    ensure!(
        header.header_checksum == header.calc_header_checksum(),
        "checksum of the IPv4 header"
    );
    ensure!(header.time_to_live > 0, "no hops");
    ensure!(
        header.source != header.destination && header.source[0] != 127,
        "sent to itself"
    );
    if ip.is_payload_fragmented() {
        return Ok(());
    }
    let payload = ip.payload().payload;
    let sum = Sum16BitWords::new()
        .add_4bytes(header.source)
        .add_4bytes(header.destination);
    match header.protocol {
        IpNumber::ICMP => {
            let sum = Sum16BitWords::new().add_slice(payload);
            ensure!(sum.ones_complement() == 0, "checksum of ICMP");
            ensure!(payload.len() >= 8, "ICMP of {} bytes", payload.len());
            Ok(())
        }
        IpNumber::IGMP => {
            let sum = Sum16BitWords::new().add_slice(payload);
            ensure!(sum.ones_complement() == 0, "checksum of IGMP");
            Ok(())
        }
        protocol => transport(protocol, payload, sum),
    }
}

fn ipv6(ip: &Ipv6Slice<'_>, rest: &[u8]) -> Result<()> {
    let header = ip.header().to_header();
    let length = usize::from(header.payload_length) + 40;
    ensure!(length == rest.len(), "{} bytes of {length}", rest.len());
    let payload = ip.payload();
    if payload.ip_number == IpNumber::IPV6_ICMP {
        let icmp = Icmpv6Slice::from_slice(payload.payload)?;
        ensure!(
            icmp.is_checksum_valid(header.source, header.destination),
            "checksum of ICMPv6"
        );
        // RFC 4861, 6.1 and 7.1: who discovers neighbors is one.
        let discovers = (133..=137).contains(&icmp.type_u8());
        ensure!(!discovers || header.hop_limit == 255, "discovery from afar");
        return Ok(());
    }
    let sum = Sum16BitWords::new()
        .add_16bytes(header.source)
        .add_16bytes(header.destination);
    transport(payload.ip_number, payload.payload, sum)
}

/// `sum` is over the addresses.
fn transport(protocol: IpNumber, payload: &[u8], sum: Sum16BitWords) -> Result<()> {
    let sum = sum
        .add_2bytes([0, protocol.0])
        .add_4bytes((payload.len() as u32).to_be_bytes())
        .add_slice(payload);
    match protocol {
        IpNumber::UDP => {
            let udp = UdpSlice::from_slice(payload)?;
            ensure!(usize::from(udp.length()) == payload.len(), "length of UDP");
            ensure!(udp.checksum() != 0, "UDP without a checksum");
            ensure!(sum.ones_complement() == 0, "checksum of UDP");
        }
        IpNumber::TCP => {
            let tcp = TcpSlice::from_slice(payload)?;
            ensure!(sum.ones_complement() == 0, "checksum of TCP");
            ensure!(payload[12] & 0xe == 0, "reserved bits of TCP");
            ensure!(
                tcp.ack() || tcp.acknowledgment_number() == 0,
                "ACK without its bit"
            );
            ensure!(
                tcp.ack() || tcp.syn() || tcp.rst(),
                "neither SYN, ACK nor RST"
            );
            for option in tcp.options_iterator() {
                option.context("an option of TCP")?;
            }
        }
        other => bail!("a packet of protocol {}", other.0),
    }
    Ok(())
}

/// What an independent decoder finds in a file of frames: a line each. `None` where there is no tshark.
///
/// # Errors
/// When it cannot read the file.
pub(crate) fn elsewhere(capture: &Path) -> Result<Option<Vec<String>>> {
    const WRONG: &str = "_ws.malformed or _ws.short or ip.checksum.status == \"Bad\" or \
        tcp.checksum.status == \"Bad\" or udp.checksum.status == \"Bad\" or \
        icmp.checksum.status == \"Bad\" or icmpv6.checksum.status == \"Bad\" or \
        _ws.expert.severity == error";
    let options = [
        "ip.check_checksum:TRUE",
        "tcp.check_checksum:TRUE",
        "udp.check_checksum:TRUE",
    ];
    let mut command = Command::new("tshark");
    command.arg("-r").arg(capture).args(["-n", "-Y", WRONG]);
    for option in options {
        command.args(["-o", option]);
    }
    let Ok(output) = command.output() else {
        return Ok(None);
    };
    ensure!(
        output.status.success(),
        "tshark: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = String::from_utf8_lossy(&output.stdout);
    Ok(Some(lines.lines().map(str::to_string).collect()))
}

#[cfg(test)]
mod tests {
    use super::frame;
    use crate::lan::{ACK, PEER, Segment, packet};

    #[test]
    fn every_changed_byte_of_a_packet_is_noticed() {
        let segment = Segment {
            flags: ACK,
            options: vec![1, 1, 1, 0],
            data: b"some data".to_vec(),
            ..Segment::default()
        };
        for good in [segment.frame(), packet::udp((PEER, 5), 7, b"text")] {
            frame(&good).expect("it is as it should be");
            for at in packet::ETHERNET_BYTES..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 0x40;
                assert!(frame(&bad).is_err(), "byte {at} of {good:02x?}");
            }
            let longer = [&good[..], &[0]].concat();
            assert!(frame(&longer).is_err());
            assert!(frame(&good[..good.len() - 1]).is_err());
        }
    }
}
