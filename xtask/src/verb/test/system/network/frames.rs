//! The guest's TCP/IP, frame by frame: the case is the network, and plays peers that lose, forge, repeat
//! and cut what they send (RFC 9293 and its neighbours).
//!
//! On the guest `nc` is the program at the other end. Everything that it sends in these cases is looked at in the
//! last of them.

use std::time::Duration;

use anyhow::{Result, ensure};
use etherparse::EtherType;

use super::{Case, Guest, Setting};
use crate::lan::{GUEST, GUEST_MAC, Lan, PEER, PEER_MAC, check, packet};

mod closes;
mod crowd;
mod damage;
mod ends;
mod hosts;
mod lossy;
mod opens;
mod order;
mod windows;

pub(super) use lossy::soak as lossy;

pub(crate) const CASES: &[Case] = &[
    Case::new("network/frames_closed_ports_refuse", opens::closed).with(WIRE),
    Case::new("network/frames_calls_out", opens::calls_out).with(WIRE),
    Case::new("network/frames_calls_in", opens::calls_in).with(WIRE),
    Case::new("network/frames_both_call_at_once", opens::both).with(WIRE),
    Case::new("network/frames_a_hundred_call_at_once", crowd::at_once).with(WIRE),
    Case::new("network/frames_that_are_lost_come_again", order::lost).with(WIRE),
    Case::new("network/frames_in_any_order_make_one_stream", order::any).with(WIRE),
    Case::new("network/frames_keep_to_small_windows", windows::small).with(WIRE),
    Case::new("network/frames_probe_a_closed_window", windows::closed).with(WIRE),
    Case::new("network/frames_close_in_every_order", closes::every_order).with(WIRE),
    Case::new("network/frames_reset_in_every_state", ends::every_state).with(WIRE),
    Case::new(
        "network/frames_that_are_damaged_are_ignored",
        damage::damaged,
    )
    .with(WIRE),
    Case::new("network/frames_in_fragments", hosts::fragments).with(WIRE),
    Case::new("network/frames_of_who_takes_an_address", hosts::conflicts).with(WIRE),
    Case::new("network/frames_of_a_lying_name_server", hosts::names).with(WIRE),
    Case::new("network/frames_of_a_lying_dhcp_server", hosts::leases).with(WIRE),
    Case::new("network/frames_lost_doubled_and_late", lossy::gate).with(WIRE),
    Case::new("network/frames_are_all_well_formed", well_formed).with(WIRE),
];

/// A guest whose network the case is.
pub(super) const WIRE: Setting = Setting {
    frames: true,
    entropy: true,
    ..Setting::SHIPPED
};

/// How long nothing must come where nothing may.
const QUIET: Duration = Duration::from_millis(300);

/// Waits until the guest has its address and knows the peer's hardware: what it has to say to somebody it does not know
/// it says once only, if it is no data, and that would be lost while it asks.
fn ready<'a>(guest: &'a mut Guest<'_>) -> Result<&'a Lan> {
    guest.succeed("ip -w")?;
    let lan = guest.lan()?;
    let question = packet::arp(1, (PEER_MAC, PEER), ([0; 6], GUEST));
    lan.send(&packet::frame(EtherType::ARP, &question));
    lan.expect("an answer to ARP", |frame| {
        (frame.get(12..14) == Some(&[8, 6]) && frame.get(20..22) == Some(&[0, 2])).then_some(())
    })?;
    lan.clear();
    Ok(lan)
}

/// Ports at which commands wait: each its own, as one that was closed may be in use for a while.
fn listening_port(lan: &Lan) -> u16 {
    // Those of peers begin at 20,000.
    lan.fresh_port() - 10_000
}

/// Runs `nc -l` with `input` while `peer`, who is told the port, is at the other end.
fn listen<T: Send>(
    guest: &mut Guest<'_>,
    input: &str,
    peer: impl FnOnce(&Lan, u16) -> Result<T> + Send,
) -> Result<(super::super::guest::Ran, T)> {
    ready(guest)?;
    let port = listening_port(guest.lan()?);
    let command = format!("{input} | nc -l {port}");
    guest.with_peer(&command, |lan| peer(lan, port))
}

/// Runs `nc` to a port of the peer's with `input`, while `peer`, who is told the port, is there.
fn call<T: Send>(
    guest: &mut Guest<'_>,
    input: &str,
    peer: impl FnOnce(&Lan, u16) -> Result<T> + Send,
) -> Result<(super::super::guest::Ran, T)> {
    ready(guest)?;
    let port = guest.lan()?.fresh_port();
    let command = format!("{input} | nc 10.0.2.2 {port}");
    guest.with_peer(&command, |lan| peer(lan, port))
}

/// All frames of the guest's so far are as the standards have them, and so another decoder says.
pub(super) fn well_formed(guest: &mut Guest<'_>) -> Result<()> {
    let path = guest.workspace().output("system-test/frames.pcap")?;
    let capture = guest.lan()?.capture();
    let mut count = 0;
    for (number, frame) in (1..).zip(capture.sent_by(GUEST_MAC)) {
        count = number;
        if let Err(error) = check::frame(frame) {
            anyhow::bail!("frame {number} of the guest's: {error:#}: {frame:02x?}");
        }
    }
    ensure!(count > 0, "the guest sent nothing");
    capture.write(&path, GUEST_MAC)?;
    match check::elsewhere(&path)? {
        None => crate::report::skipped(
            "network/frames_are_all_well_formed: the second decoder, tshark, is not here \
             (`apt-get install tshark`)",
        ),
        Some(found) => ensure!(
            found.is_empty(),
            "tshark finds in {} of {count} frames:\n{}",
            path.display(),
            found.join("\n")
        ),
    }
    Ok(())
}
