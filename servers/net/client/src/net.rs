//! The way to the network service.

use core::net::{IpAddr, SocketAddr};

use gritos_base_api::{BufferAccess, SessionClient};
use gritos_idl_runtime::object::MemoryObject;
use gritos_idl_runtime::{Address, Buffer, Cap, Wire};
use gritos_net_api::{
    Domain, InterfaceStatus, IpAddress, IpProtocol, SocketAddress, SocketStatus, SocketType,
    Sockets, SocketsClient,
};

use crate::{Error, Local, Socket, TcpListener, TcpStream, UdpSocket, address};

/// Where addresses lie in the shared memory; data follow.
const ADDRESS_AT: usize = 0;
/// Where data lie.
const DATA_AT: usize = 64;
/// Most addresses of a name that are asked for.
const NAME_ADDRESSES: usize = 16;

/// A session with the network service, and memory shared with it.
#[derive(Clone, Copy, Debug)]
pub struct Net<L> {
    pub(crate) session: Cap<Sockets>,
    buffer: Address,
    pub(crate) local: L,
}

impl<L: Local> Net<L> {
    /// Registers `memory`, which `local` reads and writes, with the service behind
    /// `session`. It should have some pages: one call moves at most what fits.
    ///
    /// # Errors
    /// [`Error::Setup`]; [`Error::Memory`] if it is smaller than 1 KiB.
    pub fn attach(
        session: Cap<Sockets>,
        memory: Cap<MemoryObject>,
        local: L,
    ) -> Result<Self, Error> {
        if local.bytes() < 1024 {
            return Err(Error::Memory);
        }
        let base = Cap::with_rights(session.address(), session.rights());
        let access = BufferAccess::READ | BufferAccess::WRITE;
        let reply = SessionClient::new(base, local.transport())
            .register(memory, access)
            .map_err(Error::Setup)?;
        Ok(Self {
            session,
            buffer: reply.buffer.address(),
            local,
        })
    }

    /// As [`attach`](Self::attach) with memory that was registered before, for a program that keeps no
    /// `Net`: `buffer` is what [`buffer`](Self::buffer) said then.
    #[must_use]
    pub const fn attached(session: Cap<Sockets>, buffer: Address, local: L) -> Self {
        Self {
            session,
            buffer,
            local,
        }
    }

    /// The slot of the capability that names the registered memory.
    #[must_use]
    pub const fn buffer(&self) -> Address {
        self.buffer
    }

    /// Makes a socket. Closed when it is dropped.
    ///
    /// # Errors
    /// What the service says.
    pub fn socket(
        &self,
        domain: Domain,
        kind: SocketType,
        protocol: IpProtocol,
    ) -> Result<Socket<L>, Error> {
        let cap = self.client().socket(domain, kind, protocol)?;
        Ok(Socket::new(*self, cap))
    }

    /// Connects to a TCP peer. Waits until it answers.
    ///
    /// # Errors
    /// What the service says.
    pub fn connect(&self, to: SocketAddr) -> Result<TcpStream<L>, Error> {
        let socket = self.socket(domain_of(to), SocketType::Stream, IpProtocol::Tcp)?;
        socket.connect(to)?;
        Ok(TcpStream::new(socket))
    }

    /// Waits for TCP connections at `at`, of which `backlog` may queue.
    ///
    /// # Errors
    /// What the service says.
    pub fn listen(&self, at: SocketAddr, backlog: u32) -> Result<TcpListener<L>, Error> {
        let socket = self.socket(domain_of(at), SocketType::Stream, IpProtocol::Tcp)?;
        socket.bind(at)?;
        socket.listen(backlog)?;
        Ok(TcpListener::new(socket))
    }

    /// A UDP socket at `at`.
    ///
    /// # Errors
    /// What the service says.
    pub fn bind_udp(&self, at: SocketAddr) -> Result<UdpSocket<L>, Error> {
        let socket = self.socket(domain_of(at), SocketType::Datagram, IpProtocol::Udp)?;
        socket.bind(at)?;
        Ok(UdpSocket::new(socket))
    }

    /// Looks up the addresses of a name; how many there are in `found`.
    /// Waits for the name server.
    ///
    /// # Errors
    /// What the service says.
    pub fn resolve(&self, name: &str, found: &mut [IpAddr]) -> Result<usize, Error> {
        let length = self.put_data(name.as_bytes())?;
        if length < name.len() {
            return Err(Error::Memory);
        }
        let answers_at = DATA_AT + length;
        let wanted = found.len().min(NAME_ADDRESSES) * IpAddress::SIZE;
        let room = wanted.min(self.local.bytes().saturating_sub(answers_at));
        let answers = self.range(answers_at, room);
        let count = self
            .client()
            .resolve(self.range(DATA_AT, length), answers)?;
        let mut read = 0;
        for (place, to) in found.iter_mut().take(count as usize).enumerate() {
            let mut bytes = [0; IpAddress::SIZE];
            self.get(answers_at + place * IpAddress::SIZE, &mut bytes)?;
            let answer = IpAddress::decode(&bytes).map_err(|_| Error::Address)?;
            *to = address::ip_from_api(&answer);
            read += 1;
        }
        Ok(read)
    }

    /// What is known of the network interface.
    ///
    /// # Errors
    /// What the service says.
    pub fn status(&self) -> Result<InterfaceStatus, Error> {
        let mut bytes = [0; InterfaceStatus::SIZE];
        self.client().interface(self.range(DATA_AT, bytes.len()))?;
        self.get(DATA_AT, &mut bytes)?;
        InterfaceStatus::decode(&bytes).map_err(|_| Error::Address)
    }

    /// Tells `each` of the sockets of all clients. Needs the right `MAY_OBSERVE`.
    ///
    /// # Errors
    /// What the service says.
    pub fn sockets(&self, mut each: impl FnMut(&SocketStatus)) -> Result<(), Error> {
        const ROOM: usize = 16;
        let mut first = 0;
        loop {
            let range = self.range(DATA_AT, ROOM * SocketStatus::SIZE);
            let answer = self.client().list(first, range)?;
            for place in 0..ROOM.min(answer.count as usize) {
                let mut bytes = [0; SocketStatus::SIZE];
                self.get(DATA_AT + place * SocketStatus::SIZE, &mut bytes)?;
                each(&SocketStatus::decode(&bytes).map_err(|_| Error::Address)?);
            }
            // Only ever forward: what the service says is not believed.
            if answer.next <= first {
                return Ok(());
            }
            first = answer.next;
        }
    }

    fn client(&self) -> SocketsClient<L::Transport> {
        SocketsClient::new(self.session, self.local.transport())
    }

    fn range(&self, offset: usize, length: usize) -> Buffer {
        Buffer::registered(self.buffer, offset as u64, length as u64)
    }

    /// Where addresses are written to and read from.
    pub(crate) fn address_range(&self) -> Buffer {
        self.range(ADDRESS_AT, SocketAddress::SIZE)
    }

    /// Where `length` bytes of data are, or as many as fit.
    pub(crate) fn data_range(&self, length: usize) -> Buffer {
        self.range(DATA_AT, length.min(self.room()))
    }

    /// Most bytes of data that one call moves.
    pub(crate) fn room(&self) -> usize {
        self.local.bytes().saturating_sub(DATA_AT)
    }

    pub(crate) fn put_address(&self, to: SocketAddr) -> Result<Buffer, Error> {
        let mut bytes = [0; SocketAddress::SIZE];
        address::to_api(to).encode(&mut bytes);
        self.put(ADDRESS_AT, &bytes)?;
        Ok(self.address_range())
    }

    pub(crate) fn get_address(&self) -> Result<SocketAddr, Error> {
        let mut bytes = [0; SocketAddress::SIZE];
        self.get(ADDRESS_AT, &mut bytes)?;
        let address = SocketAddress::decode(&bytes).map_err(|_| Error::Address)?;
        Ok(address::from_api(&address))
    }

    /// Puts as many of the bytes as fit where data lie; how many.
    pub(crate) fn put_data(&self, data: &[u8]) -> Result<usize, Error> {
        let length = data.len().min(self.room());
        self.put(DATA_AT, data.get(..length).unwrap_or(&[]))?;
        Ok(length)
    }

    /// As [`put_data`](Self::put_data) with two pieces, one behind the other.
    pub(crate) fn put_both(&self, first: &[u8], second: &[u8]) -> Result<usize, Error> {
        let length = self.put_data(first)?;
        let rest = second.len().min(self.room() - length);
        self.put(DATA_AT + length, second.get(..rest).unwrap_or(&[]))?;
        Ok(length + rest)
    }

    /// Gets received data; `count` comes from the service and is not believed.
    pub(crate) fn get_data(&self, count: u64, to: &mut [u8]) -> Result<usize, Error> {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(to.len());
        self.get(DATA_AT, to.get_mut(..count).unwrap_or(&mut []))?;
        Ok(count)
    }

    fn put(&self, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        let written = self.local.write(offset, bytes);
        written.then_some(()).ok_or(Error::Memory)
    }

    fn get(&self, offset: usize, bytes: &mut [u8]) -> Result<(), Error> {
        let read = self.local.read(offset, bytes);
        read.then_some(()).ok_or(Error::Memory)
    }
}

const fn domain_of(address: SocketAddr) -> Domain {
    match address {
        SocketAddr::V4(_) => Domain::Inet,
        SocketAddr::V6(_) => Domain::Inet6,
    }
}
