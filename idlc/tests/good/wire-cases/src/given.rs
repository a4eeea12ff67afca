//! The capabilities that the cases need.

use gritos_idl_runtime::Address;

/// Slots of the client with what its name says. `thing`, `buffer` and the other
/// capabilities to the server's own endpoint unwrap on their way.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// The server's endpoint, badge [`SESSION`](Self::SESSION), with SEND and GRANT.
    pub session: Address,
    /// The same, badge [`THING`](Self::THING), with SEND, `LOOK` and `CHANGE`.
    pub thing: Address,
    /// The same without `CHANGE`.
    pub thing_to_look_at: Address,
    /// The same, badge [`BUFFER`](Self::BUFFER), with SEND and both rights of buffers.
    pub buffer: Address,
    /// The same without the right to write.
    pub buffer_to_read: Address,
    /// Another endpoint, with SEND, `CHANGE` and GRANT.
    pub foreign: Address,
    /// A notification, with SEND and GRANT.
    pub signal: Address,
    /// A memory object, with READ, WRITE, MAP and GRANT.
    pub memory: Address,
    /// A memory object, with READ, MAP and GRANT, that is moved away.
    pub to_move: Address,
}

impl Given {
    /// Badge of a client.
    pub const SESSION: u32 = 1 << 31 | 1;
    /// Number of the thing.
    pub const THING: u32 = 42;
    /// Number of the buffer.
    pub const BUFFER: u32 = 3;
}
