//! Where a server receives and answers.

use gritos_idl_runtime::{
    Address, Incoming, Kind, Outcome, Outgoing, ServerPort, Status, Ticket, WireError,
};
use gritos_sys::abi::{Arrival, CapsIn, Control, Syscall};
use gritos_sys::cap::{Endpoint, Reply};
use gritos_sys::environment::Environment;
use gritos_sys::raw::{RawCalls, Request, Returned, kernel};
use gritos_sys::slots::{Slot, own};
use gritos_sys::{Cap, Error};

use crate::transport::{incoming, issue};

/// In the word that tells how capabilities arrived: that one lies in a slot of
/// the window, whichever it is.
const IN_SLOT: u64 = {
    let (object, position) = (gritos_sys::abi::ObjectType::Null, 0);
    Arrival::InSlot { object, position }.encode() as u64 * 0x0001_0001_0001_0001
};

/// The endpoint of a server, with `REPLIES` Reply objects: one for the call in
/// hand, the others for callers that are kept waiting.
///
/// Capabilities that come with a message lie in a window of slots that belongs
/// to the port. A method that wants to keep one moves it out with [`adopt`];
/// what is left when the port receives again is deleted, so that no client can
/// fill a server's CNode.
#[derive(Debug)]
pub struct Port<const REPLIES: usize> {
    endpoint: Cap<Endpoint>,
    /// An endpoint that nobody sends to: receiving there tells whether a Reply
    /// is free.
    quiet: Cap<Endpoint>,
    replies: [Place; REPLIES],
    /// Which of them receives; `None` while every one owes an answer.
    current: Option<usize>,
    /// Endpoint and current Reply as the kernel takes them.
    target: u64,
    /// Whether the current Reply owes an answer.
    owes: bool,
    /// First slot and number of slots for capabilities of messages.
    window: (Address, u32),
    /// The same as the kernel takes it.
    offer: u64,
    /// Positions of the window that the last message filled.
    arrived: u32,
    deadline: Option<u64>,
    /// Whether receiving is more than a system call that answers: nobody waits
    /// for an answer, or something arrived that is to be deleted.
    attention: bool,
    /// Whether answers to callers that were kept waiting go out with the next receive.
    holds: bool,
    /// The place of a caller that was kept waiting, and the answer that it gets with the next receive.
    held: Option<(usize, Outgoing<0>)>,
}

/// A Reply and how it is used.
#[derive(Clone, Copy, Debug)]
struct Place {
    reply: Cap<Reply>,
    /// Counts the callers that it stood for.
    generation: u32,
    /// A caller waits for it, and its ticket was kept.
    kept: bool,
}

impl Port<1> {
    /// A port of a task that is no component: with a Reply of its own making, and
    /// without a window. It keeps nobody waiting.
    #[must_use]
    pub fn with_reply(endpoint: Cap<Endpoint>, reply: Cap<Reply>) -> Self {
        Self::with_replies((endpoint, Cap::at(Address::NULL)), [reply])
    }
}

impl<const REPLIES: usize> Port<REPLIES> {
    /// A port of a task that is no component, such as the root task: with Replies
    /// of its own making, and without a window. Nobody sends to the second
    /// endpoint.
    #[must_use]
    pub fn with_replies(
        (endpoint, quiet): (Cap<Endpoint>, Cap<Endpoint>),
        replies: [Cap<Reply>; REPLIES],
    ) -> Self {
        let places = replies.map(|reply| Place {
            reply,
            generation: 0,
            kept: false,
        });
        Self::of(endpoint, quiet, places, (Address::NULL, 0))
    }

    /// The same port with a window of up to four empty slots of the root CNode, from `first` on.
    #[must_use]
    pub fn with_window(mut self, first: Address, count: u32) -> Self {
        self.window = (first, count.min(4));
        self.offer = Control::words(0)
            .with_window(self.window.0, self.window.1)
            .0;
        self
    }

    /// A port at `endpoint` that accepts up to `window` (0 to 4) capabilities
    /// with a message. Makes its Replies out of the component's memory.
    ///
    /// # Errors
    /// When memory or slots are used up, or `REPLIES` is 0.
    pub fn new(endpoint: Cap<Endpoint>, window: u32) -> Result<Self, Error> {
        const { assert!(REPLIES > 0, "a server needs a Reply") };
        let mut replies = [Place {
            reply: Cap::at(Address::NULL),
            generation: 0,
            kept: false,
        }; REPLIES];
        for place in &mut replies {
            place.reply = Environment::MEMORY.create::<Reply>(own::take()?)?;
        }
        let window = match window.min(4) {
            0 => (Address::NULL, 0),
            count => (own::take_run(count)?.address(), count),
        };
        let quiet = Environment::MEMORY.create::<Endpoint>(own::take()?)?;
        Ok(Self::of(endpoint, quiet, replies, window))
    }

    fn of(
        endpoint: Cap<Endpoint>,
        quiet: Cap<Endpoint>,
        replies: [Place; REPLIES],
        window: (Address, u32),
    ) -> Self {
        let mut port = Self {
            endpoint,
            quiet,
            replies,
            current: Some(0),
            target: 0,
            owes: false,
            window,
            offer: Control::words(0).with_window(window.0, window.1).0,
            arrived: 0,
            deadline: None,
            attention: true,
            holds: false,
            held: None,
        };
        port.choose(Some(0));
        port
    }

    /// From now on the last of a turn's callers that were kept waiting is answered by the system call that
    /// receives: one entry to the kernel for two. Such an answer always counts as delivered. For servers
    /// that receive as soon as a turn is over, and that need not know who gave up waiting.
    pub const fn hold_answers(&mut self) {
        self.holds = true;
    }

    /// Makes a Reply the one that receives.
    fn choose(&mut self, current: Option<usize>) {
        self.current = current;
        let endpoint = u64::from(self.endpoint.address().0);
        self.target = endpoint | u64::from(self.current_reply().0) << 32;
    }

    /// Answers the current caller and receives nothing.
    ///
    /// # Errors
    /// What the kernel says. After [`Status::ReplySpent`] nobody waits.
    pub fn reply<const CAPS: usize>(&mut self, reply: Outgoing<CAPS>) -> Result<(), Status> {
        let current = self.current_reply();
        let returned = issue(
            Syscall::Reply,
            Address::NULL,
            current,
            &reply,
            (Address::NULL, 0),
            None,
        );
        let result = result_of(&returned);
        self.owes &= result.is_err();
        self.settle();
        result
    }

    /// The endpoint, from which capabilities to the server's objects are made.
    #[must_use]
    pub const fn endpoint(&self) -> Address {
        self.endpoint.address()
    }

    /// Ends each wait when the system counter reaches `ticks`; the server's
    /// `turn` then runs without a message. Stays until it is changed.
    pub const fn set_deadline(&mut self, ticks: Option<u64>) {
        self.deadline = ticks;
        self.settle();
    }

    /// Whether a further caller can be kept waiting.
    #[must_use]
    pub fn can_keep(&mut self) -> bool {
        self.spare().is_some() || self.reclaim()
    }

    /// Takes back the Replies of callers that stopped waiting, at a deadline or
    /// because they died. Their tickets answer nobody from now on.
    #[cold]
    fn reclaim(&mut self) -> bool {
        let nothing = Outgoing::new(0, [0; 8], 0);
        let mut found = false;
        for place in self.replies.iter_mut().filter(|place| place.kept) {
            let (quiet, reply) = (self.quiet.address(), place.reply.address());
            let none = (Address::NULL, 0);
            let returned = issue(Syscall::Poll, quiet, reply, &nothing, none, None);
            // A Reply that owes an answer is refused before anything else.
            if returned.outcome.status() == Ok(Status::WouldBlock) {
                place.kept = false;
                place.generation = place.generation.wrapping_add(1);
                found = true;
            }
        }
        found
    }

    fn spare(&self) -> Option<usize> {
        (0..REPLIES).find(|&i| Some(i) != self.current && !self.replies[i].kept)
    }

    fn current_reply(&self) -> Address {
        self.current
            .and_then(|i| self.replies.get(i))
            .map_or(Address::NULL, |place| place.reply.address())
    }

    #[inline(always)]
    fn receive<const CAPS: usize>(&mut self, call: Syscall, message: &Outgoing<CAPS>) -> Incoming {
        if CAPS > 0 || self.attention {
            let returned = self.receive_apart(call, *message);
            return incoming(&returned, self.window.0);
        }
        let control = Control(Control::words(message.word_count).0 | self.offer);
        let request = Request {
            words: message.words,
            target: self.target,
            tag: message.tag,
            control,
        };
        let returned = match self.deadline {
            None => kernel().short(call, request),
            Some(deadline) => {
                let control = control.with_deadline();
                let request = Request { control, ..request };
                kernel().full(call, request, CapsIn::default(), deadline)
            }
        };
        let incoming = incoming(&returned, self.window.0);
        let plain = Outcome::message(Kind::Call, incoming.outcome.word_count(), 0);
        // A call was answered, and another one came: nothing changes. Nor does it
        // if that one has capabilities, all of which unwrapped.
        let caps = incoming.outcome.cap_count();
        if incoming.outcome != plain
            && (incoming.outcome != Outcome::message(Kind::Call, plain.word_count(), caps)
                || incoming.arrivals & IN_SLOT != 0)
        {
            self.note(incoming.outcome, incoming.arrivals);
        }
        incoming
    }

    /// Receives where that is more than a system call.
    fn receive_with<const CAPS: usize>(
        &mut self,
        call: Syscall,
        message: Outgoing<CAPS>,
    ) -> Returned {
        self.let_go();
        self.empty_window();
        let returned = issue(
            call,
            self.endpoint.address(),
            self.current_reply(),
            &message,
            self.window,
            self.deadline,
        );
        self.note(returned.outcome, returned.arrivals);
        returned
    }

    /// Receives without an answer to the current caller, but with the one that was held back.
    #[inline(never)]
    fn receive_anew(&mut self) -> Returned {
        if self.owes {
            self.give_up();
        }
        match self.held.take() {
            Some((index, reply)) => {
                self.free(index);
                // The Reply of the caller that is answered becomes the one that receives.
                self.choose(Some(index));
                self.receive_with(Syscall::ReplyRecv, reply)
            }
            None => self.receive_with(Syscall::Recv, Outgoing::new(0, [0; 8], 0)),
        }
    }

    /// Answers through the Reply of a place whose caller was kept waiting.
    fn answer_kept<const CAPS: usize>(
        &mut self,
        index: usize,
        reply: &Outgoing<CAPS>,
    ) -> Result<(), Status> {
        let Some(place) = self.replies.get(index) else {
            return Err(Status::ReplySpent);
        };
        let returned = issue(
            Syscall::Reply,
            Address::NULL,
            place.reply.address(),
            reply,
            (Address::NULL, 0),
            None,
        );
        let result = result_of(&returned);
        if matches!(result, Ok(()) | Err(Status::ReplySpent)) {
            self.free(index);
        }
        result
    }

    /// Nobody waits at a place any more.
    fn free(&mut self, index: usize) {
        if let Some(place) = self.replies.get_mut(index) {
            place.kept = false;
            place.generation = place.generation.wrapping_add(1);
        }
    }

    /// Lets the answer go that was held back.
    fn let_go(&mut self) {
        if let Some((index, reply)) = self.held.take() {
            // Who gave up waiting is no concern of a server that has its answers held.
            let _ = self.answer_kept(index, &reply);
        }
    }

    /// The same, not in line.
    #[inline(never)]
    fn receive_apart<const CAPS: usize>(
        &mut self,
        call: Syscall,
        message: Outgoing<CAPS>,
    ) -> Returned {
        self.receive_with(call, message)
    }

    /// Keeps in mind what came.
    #[inline(never)]
    fn note(&mut self, outcome: Outcome, arrivals: u64) {
        if outcome.is_ok() {
            self.owes = matches!(outcome.kind(), Ok(Kind::Call | Kind::Fault));
            let slots = 0..outcome.cap_count() as usize;
            self.arrived = slots.fold(0, |seen, slot| match Arrival::of_slot(arrivals, slot) {
                Arrival::InSlot { position, .. } => seen | 1_u32.wrapping_shl(u32::from(position)),
                Arrival::None | Arrival::Unwrapped => seen,
            });
        } else if outcome.status() == Ok(Status::TimedOut) {
            // Only a wait times out, and the answer goes out before it begins.
            self.owes = false;
        }
        self.settle();
    }

    const fn settle(&mut self) {
        self.attention = !self.owes || self.arrived != 0;
    }

    /// Deletes what nobody took over.
    fn empty_window(&mut self) {
        if self.arrived == 0 {
            return;
        }
        for position in (0..4).filter(|position| self.arrived & 1 << position != 0) {
            // What was moved away is gone already, which is no error.
            let _ = own::at(Address(self.window.0.0 + position)).delete();
        }
        self.arrived = 0;
        self.settle();
    }

    /// Answers the current caller that nobody answered.
    #[cold]
    fn give_up(&mut self) {
        self.owes = false;
        self.settle();
        let refusal = Outgoing::refusal(WireError::Dropped);
        issue(
            Syscall::Reply,
            Address::NULL,
            self.current_reply(),
            &refusal,
            (Address::NULL, 0),
            None,
        );
    }
}

impl<const REPLIES: usize> ServerPort for Port<REPLIES> {
    // In line, lest what came be copied once more.
    #[inline(always)]
    fn recv(&mut self) -> Incoming {
        let returned = self.receive_anew();
        incoming(&returned, self.window.0)
    }

    #[inline(always)]
    fn reply_recv<const CAPS: usize>(&mut self, reply: Outgoing<CAPS>) -> Incoming {
        // After an error of the answer the caller still waits; after any other
        // the kernel has delivered it. Which it was, the next call finds out:
        // answering twice fails with `ReplySpent` and does no harm.
        self.receive(Syscall::ReplyRecv, &reply)
    }

    fn ticket(&mut self) -> Option<Ticket> {
        if !self.can_keep() {
            return None;
        }
        let place = self.replies.get(self.current?)?;
        Some(Ticket {
            reply: place.reply.address(),
            generation: place.generation,
        })
    }

    fn keep(&mut self) {
        let spare = self.spare();
        if let Some(place) = self.current.and_then(|i| self.replies.get_mut(i)) {
            place.kept = true;
        }
        self.owes = false;
        self.settle();
        self.choose(spare);
    }

    fn answer<const CAPS: usize>(
        &mut self,
        ticket: Ticket,
        reply: Outgoing<CAPS>,
    ) -> Result<(), Status> {
        // Also where it is the same caller's: then nobody waits for this one.
        self.let_go();
        let index = self.replies.iter().position(|place| {
            place.kept
                && place.reply.address() == ticket.reply
                && place.generation == ticket.generation
        });
        let Some(index) = index else {
            return Err(Status::ReplySpent);
        };
        // Whoever owes an answer receives with that one.
        if CAPS > 0 || self.owes || !self.holds {
            return self.answer_kept(index, &reply);
        }
        self.held = Some((
            index,
            Outgoing::new(reply.tag, reply.words, reply.word_count),
        ));
        Ok(())
    }

    fn discard(&mut self, _incoming: &Incoming) {
        self.empty_window();
    }
}

const fn result_of(returned: &Returned) -> Result<(), Status> {
    match returned.outcome.status() {
        Ok(Status::Ok) => Ok(()),
        Ok(status) => Err(status),
        Err(_) => Err(Status::InvalidArgument),
    }
}

/// Moves a capability that came with a message into a slot of the component's
/// own, where it stays until it is deleted.
///
/// # Errors
/// When no slot is free, or the capability is gone.
pub fn adopt(address: Address) -> Result<Slot, Error> {
    let slot = own::take()?;
    let source = Cap::<gritos_sys::cap::Any>::at(address);
    match slot.cnode().move_from(slot.index(), source) {
        Ok(()) => Ok(slot),
        Err(error) => {
            own::give_back(slot);
            Err(error)
        }
    }
}
