//! Looking up names: the resolver's messages on their way.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use gritos_net_api::{NetError, SocketType};
use smoltcp::socket::udp;

use super::Stack;
use crate::address;
use crate::filter::Action;
use crate::frame::FrameDevice;
use crate::resolver::QueryId;
use crate::sets::Handle;

/// Bytes of a message to or from a name server (RFC 1035, "Size limits").
const MESSAGE_BYTES: usize = 512;

type Udp = udp::Socket<'static>;

impl<D: FrameDevice> Stack<D> {
    /// Begins to look up a name.
    ///
    /// # Errors
    /// `INVALID` if it can be no name, `ACCESS` if no rule allows it,
    /// `CLIENT_LIMIT`, `SERVER_LIMIT`, `NETWORK_DOWN` if no name server is known.
    pub fn resolve(&mut self, client: u32, name: &[u8]) -> Result<QueryId, NetError> {
        self.permit(client, Action::Resolve, SocketAddr::from(([0; 4], 0)))?;
        self.resolver.start(client, name, self.now_ns)
    }

    /// The addresses of a name. After any other error than `WOULD_BLOCK` the question is
    /// forgotten.
    ///
    /// # Errors
    /// `WOULD_BLOCK` while it is looked up, `NAME_NOT_FOUND`,
    /// `NAME_SERVER_FAILED`; `INVALID` if there is no such question.
    pub fn resolved(&mut self, id: QueryId) -> Result<Vec<IpAddr>, NetError> {
        let (query, result) = self.resolver.finish(id)?;
        if let Some(handle) = query.socket {
            self.set.remove(handle);
        }
        result
    }

    /// Whether the answer to a question is there.
    pub(crate) fn is_resolved(&self, id: QueryId) -> bool {
        self.resolver.is_finished(id)
    }

    /// Forgets a question, or all of a client.
    pub(crate) fn forget_names(&mut self, is_unwanted: impl Fn(QueryId, u32) -> bool) {
        for query in self.resolver.forget(is_unwanted) {
            if let Some(handle) = query.socket {
                self.set.remove(handle);
            }
        }
    }

    /// Takes in answers and sends questions.
    pub(super) fn turn_resolver(&mut self) {
        if self.resolver.next_ns().is_none() {
            return;
        }
        let servers = self.resolver.servers().to_vec();
        let now_ns = self.now_ns;
        let mut asked = Vec::new();
        for query in self.resolver.queries_mut() {
            if let Some(handle) = query.socket {
                let udp = self.set.get_mut::<Udp>(handle);
                while let Ok((message, metadata)) = udp.recv() {
                    let from = address::from_wire(metadata.endpoint);
                    if query.is_from_server(&servers, from) {
                        query.hear(message, now_ns);
                    }
                }
            }
            let numbers = [self.random.any_u16(), self.random.any_u16()];
            if let Some((server, messages)) = query.attempt(&servers, now_ns, numbers) {
                asked.push((query.id, query.socket.take(), server, messages));
            }
        }
        for (id, old, server, messages) in asked {
            if let Some(old) = old {
                self.set.remove(old);
            }
            // Without a socket the attempt passes unanswered, and the next one
            // tries again.
            let socket = self.ask(server, messages.into_iter().flatten());
            if let Some(query) = self.resolver.queries_mut().find(|query| query.id == id) {
                query.socket = socket;
            }
        }
    }

    /// Sends messages to a server from a port of their own.
    fn ask(
        &mut self,
        server: SocketAddr,
        messages: impl Iterator<Item = Vec<u8>>,
    ) -> Option<Handle> {
        let source = self.source_for(server.ip()).ok()?;
        let port = self.free_port(SocketType::Datagram).ok()?;
        let buffer = || {
            udp::PacketBuffer::new(
                alloc::vec![udp::PacketMetadata::EMPTY; 4],
                alloc::vec![0; 2 * MESSAGE_BYTES],
            )
        };
        let mut udp = Udp::new(buffer(), buffer());
        udp.bind(address::to_listen(SocketAddr::new(source, port)))
            .ok()?;
        for message in messages {
            udp.send_slice(&message, address::to_wire(server)).ok()?;
        }
        Some(self.set.add(udp))
    }
}
