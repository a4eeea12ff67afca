//! The server's loop and what dispatch says to it.

use core::marker::PhantomData;

use crate::{Incoming, Kind, Outcome, Outgoing, Rights, ServerPort, Status, Ticket, WireError};
use gritos_abi::cap::BADGE_CLIENT;

/// Who calls: the badge and rights of the capability that was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// A client's number, or the number of an object of the server.
    pub badge: u32,
    /// Rights; bits 16 to 31 are the server's own.
    pub rights: Rights,
}

/// Which badges a protocol accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadgeClass {
    /// Any.
    Any,
    /// A client's session: bit 31 set.
    Session,
    /// An object of the server: bit 31 clear, not zero.
    Object,
}

impl BadgeClass {
    /// Whether `badge` is of this class.
    #[inline(always)]
    #[must_use]
    pub const fn accepts(self, badge: u32) -> bool {
        match self {
            Self::Any => true,
            Self::Session => badge & BADGE_CLIENT != 0,
            Self::Object => badge != 0 && badge & BADGE_CLIENT == 0,
        }
    }
}

/// What is to be done about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Answer with words.
    Words(Outgoing<0>),
    /// Answer with words and capabilities.
    Caps(Outgoing<4>),
    /// The message was wrong; its capabilities are to be deleted.
    Refused(WireError),
    /// The server has kept the caller's ticket.
    Kept,
    /// Nobody waits.
    Nothing,
}

impl Answer {
    /// Answers a caller that was kept waiting.
    ///
    /// # Errors
    /// What the kernel says; a caller whose capabilities could not be delivered
    /// has been told so.
    pub fn deliver<P: ServerPort>(self, port: &mut P, ticket: Ticket) -> Result<(), Status> {
        match self {
            Self::Words(reply) => port.answer(ticket, reply),
            Self::Caps(reply) => port.answer(ticket, reply).inspect_err(|status| {
                if *status != Status::ReplySpent {
                    // Whatever comes of it, the first failure is the one to report.
                    let _ = port.answer(ticket, Outgoing::refusal(WireError::CapsRefused));
                }
            }),
            Self::Refused(error) => port.answer(ticket, Outgoing::refusal(error)),
            Self::Kept | Self::Nothing => Ok(()),
        }
    }
}

/// What decodes messages, calls methods of `S` and encodes their answers.
/// Implemented by generated code for protocols and servers.
pub trait Dispatch<S> {
    /// Answers a message at once, if it is a well-formed request of a method
    /// that takes and gives nothing but numbers. `None`, without having done
    /// anything, for all others: [`dispatch`](Self::dispatch) takes them, and says what is wrong.
    ///
    /// The message stays in registers here; that is what makes the way short.
    #[inline(always)]
    fn quick(server: &mut S, incoming: &Incoming) -> Option<Outgoing<0>> {
        let _ = (server, incoming);
        None
    }

    /// Handles one message. `ticket` gives that of the current caller, if it
    /// can be kept.
    fn dispatch(
        server: &mut S,
        incoming: &Incoming,
        ticket: impl FnOnce() -> Option<Ticket>,
    ) -> Answer;
}

/// What a method that may answer later returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response<T, E> {
    /// The answer.
    Now(Result<T, E>),
    /// The answer comes through the ticket that was kept.
    Later,
}

impl<T, E> From<Result<T, E>> for Response<T, E> {
    fn from(result: Result<T, E>) -> Self {
        Self::Now(result)
    }
}

/// The possibility to answer a method later; `T` is its type of ticket.
#[derive(Debug)]
pub struct Later<'a, T> {
    ticket: Ticket,
    kept: &'a mut bool,
    method: PhantomData<T>,
}

impl<'a, T: From<Ticket>> Later<'a, T> {
    /// Made by generated code, which looks at `kept` afterwards.
    #[inline]
    #[must_use]
    pub const fn new(ticket: Ticket, kept: &'a mut bool) -> Self {
        Self {
            ticket,
            kept,
            method: PhantomData,
        }
    }

    /// Takes the ticket: from now on it is the only way to answer, and the
    /// method returns [`Response::Later`].
    #[must_use]
    pub fn keep(self) -> T {
        *self.kept = true;
        T::from(self.ticket)
    }
}

/// What a server does besides answering methods. Both default to nothing.
pub trait Hooks<P> {
    /// Bits of the notification that is bound to the server's thread.
    fn notified(&mut self, port: &mut P, bits: u64) {
        let _ = (port, bits);
    }

    /// Runs after each message has been handled, before its answer goes out,
    /// and after each wait that ended without a message, for example at the
    /// port's deadline: the place to answer callers that were kept waiting.
    fn turn(&mut self, port: &mut P) {
        let _ = port;
    }
}

/// Receives, dispatches and answers until receiving fails for a reason that
/// will not pass; returns that reason. `D` is the protocol or server that is
/// served: `serve::<Calculator, _, _>(&mut port, &mut calculator)`.
#[inline]
pub fn serve<D: Dispatch<S>, P: ServerPort, S: Hooks<P>>(port: &mut P, server: &mut S) -> Status {
    // What is handed out by reference lies in memory. It is never the message
    // in hand, which so can stay in registers.
    let mut parked = port.recv();
    loop {
        let mut incoming = parked;
        while let Some(reply) = D::quick(server, &incoming) {
            server.turn(port);
            incoming = port.reply_recv(reply);
        }
        parked = incoming;
        if let Some(status) = step::<D, P, S>(port, server, &mut parked) {
            return status;
        }
    }
}

/// A turn of [`serve`] that is not quick: handles a message and puts the next
/// in its place. A status is why there is no next.
#[inline(never)]
fn step<D: Dispatch<S>, P: ServerPort, S: Hooks<P>>(
    port: &mut P,
    server: &mut S,
    incoming: &mut Incoming,
) -> Option<Status> {
    let answer = if incoming.outcome.is_ok() {
        match incoming.outcome.kind() {
            Ok(Kind::Call | Kind::OneWay) => D::dispatch(server, incoming, || port.ticket()),
            Ok(Kind::Notification) => {
                server.notified(port, incoming.words[0]);
                Answer::Nothing
            }
            _ => Answer::Nothing,
        }
    } else if let Some(status) = lasting(incoming.outcome) {
        return Some(status);
    } else {
        // An answer that could not be delivered, or a wait without a message.
        Answer::Nothing
    };
    server.turn(port);
    finish(port, incoming, answer);
    None
}

/// The end of a turn: puts the next message in the place of the one in hand.
fn finish<P: ServerPort>(port: &mut P, incoming: &mut Incoming, answer: Answer) {
    match answer {
        Answer::Words(reply) => {
            *incoming = port.reply_recv(reply);
            return;
        }
        Answer::Caps(reply) => {
            *incoming = port.reply_recv(reply);
            if !incoming.outcome.is_ok() {
                *incoming = port.reply_recv(Outgoing::refusal(WireError::CapsRefused));
            }
            return;
        }
        Answer::Refused(error) => {
            port.discard(incoming);
            if incoming.outcome.kind() == Ok(Kind::Call) {
                *incoming = port.reply_recv(Outgoing::refusal(error));
                return;
            }
        }
        Answer::Kept => port.keep(),
        Answer::Nothing => {}
    }
    // In one place, as it is in line.
    *incoming = port.recv();
}

/// A failure to receive that will not pass.
fn lasting(outcome: Outcome) -> Option<Status> {
    match outcome.status() {
        Ok(
            status @ (Status::Deleted
            | Status::InvalidAddress
            | Status::EmptySlot
            | Status::WrongType
            | Status::MissingRight
            | Status::InvalidArgument
            | Status::InvalidSyscall),
        ) => Some(status),
        _ => None,
    }
}
