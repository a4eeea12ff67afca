//! Systems that many scenarios begin with.

pub(crate) use gritos_abi::boot_info::slot;
pub(crate) use gritos_abi::method;
pub(crate) use gritos_abi::{Arrival, Kind, ObjectType, Rights, Status, method::ThreadState};
pub(crate) use gritos_kernel_core::host::{Ask, Got, Progress, Thread, World};

/// Slot of the endpoint in every client and server.
pub(crate) const ENDPOINT: u32 = 2;
/// Slot of the Reply in every server.
pub(crate) const REPLY: u32 = 3;
/// First of the empty slots of clients and servers.
pub(crate) const WINDOW: u32 = 8;
/// Slots of a thread's CNode.
pub(crate) const SLOTS: u32 = 16;

/// A server and its clients around one endpoint.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) world: World,
    pub(crate) server: Thread,
    pub(crate) clients: Vec<Thread>,
    /// Root's slot of the endpoint.
    pub(crate) endpoint: u32,
    /// Root's slot of the server's Reply.
    pub(crate) reply: u32,
}

/// Rights of the clients' endpoint capabilities.
pub(crate) const CLIENT: Rights = Rights::SEND.union(Rights::GRANT);

impl Service {
    /// An active server, and `clients` clients with badges from 1 on.
    pub(crate) fn new(clients: u32) -> Self {
        Self::with(clients, false)
    }

    /// A passive server.
    pub(crate) fn passive(clients: u32) -> Self {
        Self::with(clients, true)
    }

    fn with(clients: u32, passive: bool) -> Self {
        let mut world = World::new(64);
        let endpoint = world.make(ObjectType::Endpoint, 0, 1);
        let reply = world.make(ObjectType::Reply, 0, 1);
        let server = if passive {
            world.spawn_passive(SLOTS)
        } else {
            world.spawn(SLOTS)
        };
        let rights = Rights::RECV | Rights::GRANT;
        world.give(endpoint, server.cnode, ENDPOINT, rights, 0);
        world.give(reply, server.cnode, REPLY, Rights::AS_HELD, 0);
        let clients = (1..=clients)
            .map(|badge| {
                let client = world.spawn(SLOTS);
                world.give(endpoint, client.cnode, ENDPOINT, CLIENT, badge);
                client
            })
            .collect();
        let mut service = Self {
            world,
            server,
            clients,
            endpoint,
            reply,
        };
        if passive {
            service.start_passive();
        }
        service
    }

    /// A passive server gets as far as its first receive on a context that is
    /// then taken away.
    fn start_passive(&mut self) {
        let world = &mut self.world;
        let context = world.make(ObjectType::SchedulingContext, 0, 1);
        world.budget(context, 1_000_000, 1_000_000);
        let server = self.server;
        let bind = Ask::invoke(server.cap, method::Tcb::BindContext as u64).cap(context, 0, 0);
        world.succeed(world.root, &bind);
        world.wait(server.tcb, &Ask::recv(ENDPOINT, REPLY));
        let unbind = Ask::invoke(server.cap, method::Tcb::UnbindContext as u64);
        world.succeed(world.root, &unbind);
        let root = slot::CNODE.into();
        world.delete(root, context);
    }

    /// As when the service was made, for a server that was stopped since.
    pub(crate) fn start_passive_again(&mut self) {
        self.start_passive();
    }

    /// The server waits for a message.
    pub(crate) fn listen(&mut self) {
        let window = Ask::recv(ENDPOINT, REPLY).window(WINDOW, 4);
        self.world.wait(self.server.tcb, &window);
    }

    /// Client `i` calls and waits.
    pub(crate) fn call(&mut self, i: usize, ask: Ask) {
        self.world.wait(self.clients[i].tcb, &ask);
    }
}

/// A call of the service with these words.
pub(crate) fn call(words: &[u64]) -> Ask {
    Ask::call(ENDPOINT).tag(7).words(words)
}
