//! A client that is more urgent than the service: its calls end after a random time, whatever the service does just
//! then, and the memory that the call was about is changed, unmapped or revoked in the middle of it.

use alloc::format;
use alloc::string::String;

use gritos_idl_runtime::{Buffer, Cap, Error};
use gritos_net_client::api::{
    Domain, IpProtocol, MessageFlags, Socket, SocketClient, SocketType, SocketsClient,
};
use gritos_service::{call_cap, memory_cap, release};
use gritos_sys::cap::Notification;
use gritos_sys::environment::Environment;
use gritos_sys::shared::SharedBuf;
use gritos_sys::slots::own;
use gritos_sys::{ipc, time};

use gritos_base_api::{BufferAccess, SessionClient};
use gritos_idl_runtime::{Address, Wire};
use gritos_net_client::api::{SocketAddress, SocketAddressV4};

use crate::component::came_to;
use crate::memory::{RIGHTS, Region};
use crate::patient::Patient;
use crate::random::Random;

/// Bytes of the memory that is taken away.
const BYTES: u64 = 16 << 10;
/// Longest time of a call, in nanoseconds: some end before the service hears of them, most while it does what they say.
const LONGEST: u64 = 60_000;
/// Nanoseconds between two calls, in which others run.
const PAUSE: u64 = 20_000;
/// Ports that the filter leaves it.
const PORT: u16 = 4500;

struct Hasty {
    net: Cap<gritos_net_client::api::Sockets>,
    region: Region,
    buffer: Option<Address>,
    socket: Option<Cap<Socket>>,
    bell: Address,
    random: Random,
}

/// Makes as many calls as `argument` says.
pub(crate) fn run(argument: &str, environment: &Environment<'_>) -> Result<String, String> {
    let count: u32 = argument.parse().unwrap_or(1000);
    let session = environment.service("net").ok_or("no service `net`")?;
    let bell = own::take()
        .and_then(|slot| Environment::MEMORY.create::<Notification>(slot))
        .map_err(|error| came_to("making a notification", &error))?;
    let mut hasty = Hasty {
        net: call_cap(session),
        region: Region::new(0, BYTES)?,
        buffer: None,
        socket: None,
        bell: bell.address(),
        random: Random::new(environment.generation()),
    };
    let (mut ended, mut cut) = (0, 0);
    for _ in 0..count {
        match hasty.step()? {
            true => cut += 1,
            false => ended += 1,
        }
        let _ = ipc::sleep_until(time::after(PAUSE));
    }
    Ok(format!("{ended} calls ended, {cut} were cut short"))
}

impl Hasty {
    /// One call, and what is done to its memory afterwards; whether it was cut short.
    fn step(&mut self) -> Result<bool, String> {
        let (buffer, socket) = (self.buffer()?, self.socket()?);
        let shared = self.region.shared()?;
        self.scribble(shared);
        let patience = Patient(1 + self.random.below(LONGEST));
        let mut client = SocketClient::new(socket, patience);
        let flags = MessageFlags::from_bits_retain(self.random.below(8) as u32);
        let address = Buffer::registered(buffer, 0, SocketAddress::SIZE as u64);
        let length = 64 << self.random.below(8);
        let data = Buffer::registered(buffer, 4096, length);
        let raw = Buffer::memory(memory_cap(self.region.object(), RIGHTS), 4096, length);
        let result = match self.random.below(14) {
            0 => client.bind(address),
            1 => client.connect(address, flags),
            2 => client.send(data, flags).map(drop),
            3 => client.recv(data, flags).map(drop),
            4 => client.sendto(data, address, flags).map(drop),
            5 => client.recvfrom(data, address, flags).map(drop),
            6 => client.getsockname(address).map(drop),
            7 => client.sendto(raw, address, flags).map(drop),
            8 => client.recv(raw, flags).map(drop),
            9 => client.listen(self.random.below(20) as u32),
            10 => client.accept(address, flags).map(|reply| {
                let _ = release(reply.socket.address());
            }),
            11 => client.rings(
                Buffer::registered(buffer, 0, 4096),
                Buffer::registered(buffer, 4096, 8192),
                Cap::new(self.bell),
            ),
            12 => client.exchange().map(drop),
            _ => client.poll().map(drop),
        };
        // The service may be in the middle of it now.
        match self.random.below(12) {
            0 => self.take_away()?,
            1 => self.give_back(),
            2 => self.close(),
            3..6 => self.scribble(shared),
            _ => {}
        }
        match result {
            Err(Error::Call(gritos_idl_runtime::Status::TimedOut)) => Ok(true),
            Err(Error::Call(gritos_idl_runtime::Status::ServerDied)) => {
                Err(String::from("the service died"))
            }
            _ => Ok(false),
        }
    }

    /// The capability to the registered memory.
    fn buffer(&mut self) -> Result<Address, String> {
        if let Some(buffer) = self.buffer {
            return Ok(buffer);
        }
        let session = Cap::new(self.net.address());
        let access = BufferAccess::READ | BufferAccess::WRITE;
        let memory = memory_cap(self.region.object(), RIGHTS);
        let reply = SessionClient::new(session, Patient::LONG).register(memory, access);
        let reply = reply.map_err(|error| came_to("register", &error))?;
        Ok(*self.buffer.insert(reply.buffer.address()))
    }

    fn socket(&mut self) -> Result<Cap<Socket>, String> {
        if let Some(socket) = self.socket {
            return Ok(socket);
        }
        let kind = match self.random.below(2) {
            0 => SocketType::Datagram,
            _ => SocketType::Stream,
        };
        let mut net = SocketsClient::new(self.net, Patient::LONG);
        let made = net.socket(Domain::Inet, kind, IpProtocol::Any);
        let socket = made.map_err(|error| came_to("a socket", &error))?;
        Ok(*self.socket.insert(socket))
    }

    /// Writes an address that is good, or anything, and counters of rings that are good, or anything.
    fn scribble(&mut self, shared: SharedBuf) {
        let mut bytes = [0; SocketAddress::SIZE];
        let port = PORT + self.random.below(4) as u16;
        let address = [127, 0, 0, 1];
        SocketAddress::V4(SocketAddressV4 { address, port }).encode(&mut bytes);
        if self.random.below(3) == 0 {
            bytes.fill_with(|| self.random.below(256) as u8);
        }
        // Memory that is gone is made anew before it is used.
        let _ = shared.write(0, &bytes);
        for at in [64, 68, 4096, 4100, 4160, 4164] {
            let value = match self.random.below(2) {
                0 => 0,
                _ => self.random.below(1 << 32) as u32,
            };
            let _ = shared.store_release(at, value);
        }
    }

    /// Revokes the memory under the service's hands, and makes other memory.
    fn take_away(&mut self) -> Result<(), String> {
        self.region.revoke()?;
        if self.random.below(2) == 0 {
            // The service is given a moment with memory that is gone.
            let _ = ipc::sleep_until(time::after(PAUSE));
        }
        self.give_back();
        self.region.renew()
    }

    /// Has the service forget the memory.
    fn give_back(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            let session = Cap::new(self.net.address());
            let _ = SessionClient::new(session, Patient::LONG).unregister(Cap::new(buffer));
            let _ = release(buffer);
        }
    }

    fn close(&mut self) {
        if let Some(socket) = self.socket.take() {
            // It may be gone already: a ring lied.
            let _ = SocketClient::new(socket, Patient::LONG).close();
            let _ = release(socket.address());
        }
    }
}
