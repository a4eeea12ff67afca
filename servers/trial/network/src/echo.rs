//! The honest client: sends back what it receives.

use alloc::string::String;
use alloc::vec;

use gritos_net_client::TcpStream;
use gritos_net_client::api::MessageFlags;
use gritos_net_client::{Error, Net, SharedMemory};
use gritos_sys::environment::Environment;
use gritos_sys::{ipc, time};

use crate::component::attach;

/// Where it listens, as `system.toml` allows it.
const PORT: u16 = 7;
/// Bytes that it shares with the service, and that it takes at a time.
const SHARED_BYTES: u64 = 64 << 10;
const PIECE: usize = 32 << 10;
/// Nanoseconds before the network is tried again.
const RETRY_NS: u64 = 100_000_000;

/// Serves one connection after the other, without end.
pub(crate) fn run(environment: &Environment<'_>) -> Result<String, String> {
    let net = attach(environment, SHARED_BYTES)?;
    loop {
        if let Err(error) = serve(&net) {
            log::warn!("tries again: {error}");
        }
        let _ = ipc::sleep_until(time::after(RETRY_NS));
    }
}

fn serve(net: &Net<SharedMemory>) -> Result<(), Error> {
    let listener = net.listen(([0, 0, 0, 0], PORT).into(), 4)?;
    let mut room = vec![0; PIECE];
    loop {
        let (stream, from) = listener.accept()?;
        let mut bytes = 0;
        match echo(&stream, &mut room, &mut bytes) {
            Ok(()) => log::info!("{bytes} bytes of {from} went back"),
            Err(error) => log::warn!("{from} left after {bytes} bytes: {error}"),
        }
    }
}

fn echo(stream: &TcpStream<SharedMemory>, room: &mut [u8], bytes: &mut u64) -> Result<(), Error> {
    loop {
        let count = stream.socket().recv(room, MessageFlags::empty())?;
        let mut rest = room.get(..count).unwrap_or(&[]);
        if rest.is_empty() {
            return Ok(());
        }
        while !rest.is_empty() {
            let sent = stream.socket().send(rest, MessageFlags::empty())?;
            rest = rest.get(sent..).unwrap_or(&[]);
        }
        *bytes += count as u64;
    }
}
