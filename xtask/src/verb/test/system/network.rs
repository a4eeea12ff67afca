//! The network, with the host's own programs as peers.

use std::net::TcpStream;

use anyhow::{Context, Result};

use super::{Case, Guest, Setting};

pub(super) const CASES: &[Case] =
    &[Case::new("network/a_connection_from_outside_harms_nobody", connection).with(HTTP)];

const HTTP: Setting = Setting {
    ports: &[80],
    ..Setting::SHIPPED
};

fn connection(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("echo")?;
    let port = guest.port(80)?;
    TcpStream::connect(("127.0.0.1", port)).context("QEMU forwards the port")?;
    guest.succeed("ps")?;
    Ok(())
}
