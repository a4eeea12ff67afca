//! Names to addresses: a resolver that asks recursive name servers.
//!
//! Each question is asked for IPv4 and IPv6 addresses, from a port and with
//! numbers that cannot be guessed. A server that does not answer in time, or
//! says that it cannot, is followed by the next one.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use gritos_net_api::{MAX_NAME, NetError};

use crate::sets::Handle;

mod message;

pub(crate) use message::{Kind, Verdict};

/// Port at which name servers answer.
pub(crate) const PORT: u16 = 53;
/// Most questions under way.
const QUERY_LIMIT: usize = 32;
/// Most questions of one client under way.
const CLIENT_LIMIT: usize = 8;
/// Most addresses of an answer.
const ADDRESS_LIMIT: usize = 16;
/// Nanoseconds that a server has to answer.
const PATIENCE_NS: u64 = 2_000_000_000;
/// How often servers are asked altogether.
const ATTEMPTS: usize = 4;

/// Number of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryId(u64);

/// All questions that are under way.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    servers: Vec<IpAddr>,
    queries: Vec<Query>,
    numbered: u64,
}

/// A question, asked twice: for both families.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) id: QueryId,
    client: u32,
    /// The name as it stands in messages.
    name: Vec<u8>,
    /// Numbers of the two messages.
    numbers: [u16; 2],
    answered: [bool; 2],
    addresses: Vec<IpAddr>,
    attempts: usize,
    /// When the next attempt is due, in nanoseconds.
    due_ns: u64,
    result: Option<Result<Vec<IpAddr>, NetError>>,
    /// What it is asked through.
    pub(crate) socket: Option<Handle>,
}

impl Resolver {
    pub(crate) fn set_servers(&mut self, servers: Vec<IpAddr>) {
        self.servers = servers;
    }

    pub(crate) fn servers(&self) -> &[IpAddr] {
        &self.servers
    }

    /// Begins to look up a name. Addresses and `localhost` are not asked for.
    pub(crate) fn start(
        &mut self,
        client: u32,
        name: &[u8],
        now_ns: u64,
    ) -> Result<QueryId, NetError> {
        let text = core::str::from_utf8(name).map_err(|_| NetError::Invalid)?;
        if text.is_empty() || text.len() > MAX_NAME as usize {
            return Err(NetError::Invalid);
        }
        let mine = self.queries.iter().filter(|query| query.client == client);
        if mine.count() >= CLIENT_LIMIT {
            return Err(NetError::ClientLimit);
        }
        if self.queries.len() >= QUERY_LIMIT {
            return Err(NetError::ServerLimit);
        }
        let result = known_here(text).map(Ok);
        if result.is_none() && self.servers.is_empty() {
            return Err(NetError::NetworkDown);
        }
        let name = message::encode_name(text).ok_or(NetError::Invalid)?;
        self.numbered += 1;
        let id = QueryId(self.numbered);
        self.queries.push(Query {
            id,
            client,
            name,
            numbers: [0; 2],
            answered: [false; 2],
            addresses: Vec::new(),
            attempts: 0,
            due_ns: now_ns,
            result,
            socket: None,
        });
        Ok(id)
    }

    /// The result of a question, which is forgotten then.
    pub(crate) fn finish(
        &mut self,
        id: QueryId,
    ) -> Result<(Query, Result<Vec<IpAddr>, NetError>), NetError> {
        let at = self.queries.iter().position(|query| query.id == id);
        let at = at.ok_or(NetError::Invalid)?;
        let has_result = self
            .queries
            .get(at)
            .is_some_and(|query| query.result.is_some());
        if !has_result {
            return Err(NetError::WouldBlock);
        }
        let mut query = self.queries.remove(at);
        let result = query.result.take().unwrap_or(Err(NetError::NameNotFound));
        Ok((query, result))
    }

    /// Whether [`finish`](Self::finish) would say something else than `WOULD_BLOCK`.
    pub(crate) fn is_finished(&self, id: QueryId) -> bool {
        let query = self.queries.iter().find(|query| query.id == id);
        query.is_none_or(|query| query.result.is_some())
    }

    /// Forgets the questions of a client, or one of them.
    pub(crate) fn forget(&mut self, is_unwanted: impl Fn(QueryId, u32) -> bool) -> Vec<Query> {
        self.queries
            .extract_if(.., |query| is_unwanted(query.id, query.client))
            .collect()
    }

    pub(crate) fn queries_mut(&mut self) -> impl Iterator<Item = &mut Query> {
        self.queries
            .iter_mut()
            .filter(|query| query.result.is_none())
    }

    /// When something is to be done.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        let open = self.queries.iter().filter(|query| query.result.is_none());
        open.map(|query| query.due_ns).min()
    }
}

impl Query {
    /// If an attempt is due, the server to ask and both messages. `numbers` are
    /// those of the messages.
    pub(crate) fn attempt(
        &mut self,
        servers: &[IpAddr],
        now_ns: u64,
        numbers: [u16; 2],
    ) -> Option<(SocketAddr, [Option<Vec<u8>>; 2])> {
        if self.result.is_some() || now_ns < self.due_ns {
            return None;
        }
        let server = self
            .attempts
            .checked_rem(servers.len())
            .and_then(|at| servers.get(at))
            .filter(|_| self.attempts < ATTEMPTS);
        let Some(server) = server else {
            self.give_up();
            return None;
        };
        self.attempts += 1;
        self.numbers = numbers;
        self.due_ns = now_ns.saturating_add(PATIENCE_NS);
        let [four, six] = numbers;
        let ask = |kind: Kind, number| {
            (!self.answered.get(kind as usize).copied().unwrap_or(true))
                .then(|| message::question(&self.name, kind, number))
        };
        let messages = [ask(Kind::Ipv4, four), ask(Kind::Ipv6, six)];
        Some((SocketAddr::new(*server, PORT), messages))
    }

    /// Whether `from` was asked last.
    pub(crate) fn is_from_server(&self, servers: &[IpAddr], from: SocketAddr) -> bool {
        let last = self.attempts.checked_sub(1);
        let asked = last
            .and_then(|last| last.checked_rem(servers.len()))
            .and_then(|at| servers.get(at));
        from.port() == PORT && asked == Some(&from.ip())
    }

    /// Takes in a message of the server that was asked.
    pub(crate) fn hear(&mut self, bytes: &[u8], now_ns: u64) {
        for (at, kind) in [Kind::Ipv4, Kind::Ipv6].into_iter().enumerate() {
            let number = self.numbers.get(at).copied().unwrap_or(0);
            if self.answered.get(at) == Some(&true) {
                continue;
            }
            match message::read(bytes, &self.name, kind, number) {
                Verdict::NotTheAnswer => {}
                Verdict::Addresses(found) => {
                    self.answered[at] = true;
                    let room = ADDRESS_LIMIT.saturating_sub(self.addresses.len());
                    self.addresses.extend(found.into_iter().take(room));
                }
                Verdict::Failed => self.due_ns = now_ns,
            }
        }
        if self.answered == [true; 2] {
            let addresses = core::mem::take(&mut self.addresses);
            self.result = Some(if addresses.is_empty() {
                Err(NetError::NameNotFound)
            } else {
                Ok(addresses)
            });
        }
    }

    fn give_up(&mut self) {
        let addresses = core::mem::take(&mut self.addresses);
        self.result = Some(if addresses.is_empty() {
            Err(NetError::NameServerFailed)
        } else {
            Ok(addresses)
        });
    }
}

/// Names that need no server.
fn known_here(name: &str) -> Option<Vec<IpAddr>> {
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Some(alloc::vec![ip]);
    }
    name.trim_end_matches('.')
        .eq_ignore_ascii_case("localhost")
        .then(|| alloc::vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
}
