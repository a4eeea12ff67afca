//! What the kernel shall do, in plain maps and queues.
//!
//! Longer than most files: the whole model is to be read in one go, beside the
//! reference; it shares no code with the core that it is compared with.

use std::collections::{BTreeMap, VecDeque};

use gritos_abi::{Rights, Status};

/// Threads of the system.
pub(crate) const THREADS: usize = 3;
/// Slots of each thread's CNode; slot 1 holds the CNode itself.
pub(crate) const SLOTS: u32 = 9;
/// The slot that receivers offer.
pub(crate) const WINDOW: u32 = 8;

/// A thread and an index in its CNode.
pub(crate) type Slot = (usize, u32);

/// What a capability names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Object {
    CNode(usize),
    Endpoint(usize),
    Reply(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cap {
    pub object: Object,
    pub rights: u32,
    pub badge: u32,
    /// `None`: derived from a capability that no thread holds.
    pub parent: Option<Slot>,
}

/// A call of a thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Op {
    pub thread: usize,
    pub what: What,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Copy {
        from: u32,
        to: u32,
        mask: u32,
    },
    Mint {
        from: u32,
        to: u32,
        badge: u32,
    },
    Move {
        from: u32,
        to: u32,
    },
    Delete {
        at: u32,
    },
    Revoke {
        at: u32,
    },
    Call {
        via: u32,
        word: u64,
        gift: Option<u32>,
    },
    Send {
        via: u32,
        word: u64,
        gift: Option<u32>,
    },
    Recv {
        via: u32,
        reply: Option<u32>,
        window: bool,
    },
    Poll {
        via: u32,
        reply: Option<u32>,
        window: bool,
    },
    Reply {
        reply: u32,
        word: u64,
    },
    ReplyRecv {
        via: u32,
        reply: u32,
        word: u64,
    },
}

impl Op {
    /// Any number is an operation; sensible ones come more often.
    pub(crate) fn decode(bits: u32) -> Self {
        let mut rest = bits;
        let mut pick = |n: u32| {
            let value = rest % n;
            rest /= n;
            value
        };
        let thread = pick(THREADS as u32) as usize;
        let kind = pick(16);
        let (a, b, c) = (1 + pick(9), 1 + pick(9), pick(8));
        // Endpoints begin in slots 2 and 3, Replies in 4 and 5.
        let via = if c < 6 { 2 + (a & 1) } else { a };
        let reply = if c < 6 { 4 + (b & 1) } else { b };
        let gift = (c % 3 == 0).then_some(b);
        let some_reply = (c != 1).then_some(reply);
        let window = c % 2 == 0;
        let word = u64::from(bits);
        let what = match kind {
            0 => What::Copy {
                from: a,
                to: b,
                mask: [0, 0, Rights::SEND.bits(), Rights::WRITE.bits()][c as usize % 4],
            },
            1 => What::Mint {
                from: a,
                to: b,
                badge: c,
            },
            2 => What::Move { from: a, to: b },
            3 => What::Delete { at: a },
            4 => What::Revoke { at: a },
            5..=7 => What::Call { via, word, gift },
            8 => What::Send { via, word, gift },
            9..=11 => What::Recv {
                via,
                reply: some_reply,
                window,
            },
            12 => What::Poll {
                via,
                reply: some_reply,
                window,
            },
            13 => What::Reply { reply, word },
            _ => What::ReplyRecv { via, reply, word },
        };
        Self { thread, what }
    }

    /// A few of each kind.
    pub(crate) fn few() -> Vec<Self> {
        let mut few = Vec::new();
        for thread in 0..2 {
            for what in [
                What::Copy {
                    from: 2,
                    to: 6,
                    mask: 0,
                },
                What::Mint {
                    from: 2,
                    to: 7,
                    badge: 5,
                },
                What::Move { from: 2, to: 6 },
                What::Delete { at: 4 },
                What::Revoke { at: 2 },
                What::Call {
                    via: 2,
                    word: 1,
                    gift: None,
                },
                What::Call {
                    via: 2,
                    word: 2,
                    gift: Some(3),
                },
                What::Call {
                    via: 3,
                    word: 3,
                    gift: Some(3),
                },
                What::Send {
                    via: 2,
                    word: 4,
                    gift: Some(5),
                },
                What::Recv {
                    via: 2,
                    reply: Some(4),
                    window: true,
                },
                What::Recv {
                    via: 2,
                    reply: None,
                    window: false,
                },
                What::Poll {
                    via: 3,
                    reply: Some(5),
                    window: false,
                },
                What::Reply { reply: 4, word: 5 },
                What::ReplyRecv {
                    via: 2,
                    reply: 4,
                    word: 6,
                },
            ] {
                few.push(Self { thread, what });
            }
        }
        few
    }
}

impl What {
    fn changes_slots(self) -> bool {
        matches!(
            self,
            Self::Copy { .. }
                | Self::Mint { .. }
                | Self::Move { .. }
                | Self::Delete { .. }
                | Self::Revoke { .. }
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    No,
    Send,
    Receive,
    Answer,
}

/// What a thread finds in its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub status: Status,
    /// Badge and first word of a message.
    pub message: Option<(u32, u64)>,
}

#[derive(Clone, Debug)]
struct Sending {
    badge: u32,
    rights: u32,
    word: u64,
    gift: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bond {
    Free,
    Armed(usize),
    Owed(usize),
}

/// The whole system.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub caps: BTreeMap<Slot, Cap>,
    pub waits: [Wait; THREADS],
    pub found: [Option<Found>; THREADS],
    sending: [Option<Sending>; THREADS],
    /// Armed Reply and window of a receiver.
    receiving: [(Option<usize>, bool); THREADS],
    senders: [VecDeque<usize>; 2],
    armed: [VecDeque<usize>; 2],
    plain: [VecDeque<usize>; 2],
    replies: [Bond; 2],
}

type Refused = Result<(), Status>;

impl Spec {
    pub(crate) fn new(caps: BTreeMap<Slot, Cap>) -> Self {
        Self {
            caps,
            waits: [Wait::No; THREADS],
            found: [None; THREADS],
            sending: Default::default(),
            receiving: Default::default(),
            senders: Default::default(),
            armed: Default::default(),
            plain: Default::default(),
            replies: [Bond::Free; 2],
        }
    }

    /// Carries out the call of a thread that does not wait.
    pub(crate) fn step(&mut self, op: Op) {
        let t = op.thread;
        self.found[t] = Some(Found {
            status: Status::Ok,
            message: None,
        });
        if let Err(status) = self.perform(t, op.what) {
            self.found[t] = Some(Found {
                status,
                message: None,
            });
        }
    }

    fn perform(&mut self, t: usize, what: What) -> Refused {
        if what.changes_slots() {
            // The capability to its own CNode, unless it has given it away.
            self.cap((t, 1))?;
        }
        match what {
            What::Copy { from, to, mask } => self.derive(t, from, to, mask, 0),
            What::Mint { from, to, badge } => self.derive(t, from, to, 0, badge),
            What::Move { from, to } => {
                self.places(t, from, to)?;
                self.relocate((t, from), (t, to));
                Ok(())
            }
            What::Delete { at } => {
                index(at)?;
                self.remove((t, at));
                Ok(())
            }
            What::Revoke { at } => {
                index(at)?;
                while let Some(child) = self.child_of((t, at)) {
                    self.remove(child);
                }
                Ok(())
            }
            What::Call { via, word, gift } => self.call(t, via, word, gift),
            What::Send { via, word, gift } => self.send(t, via, word, gift),
            What::Recv { via, reply, window } => {
                let (e, r) = self.check_receive(t, via, reply, None)?;
                self.receive(t, e, r, window, true)
            }
            What::Poll { via, reply, window } => {
                let (e, r) = self.check_receive(t, via, reply, None)?;
                self.receive(t, e, r, window, false)
            }
            What::Reply { reply, word } => {
                let r = self.reply_at(t, reply)?;
                self.answer(t, r, word)
            }
            What::ReplyRecv { via, reply, word } => {
                let r = self.reply_at(t, reply)?;
                let (e, armed) = self.check_receive(t, via, Some(reply), Some(r))?;
                self.answer(t, r, word)?;
                self.receive(t, e, armed, false, true)
            }
        }
    }

    fn cap(&self, slot: Slot) -> Result<&Cap, Status> {
        index(slot.1)?;
        self.caps.get(&slot).ok_or(Status::EmptySlot)
    }

    /// Source and destination of a copy or move.
    fn places(&self, t: usize, from: u32, to: u32) -> Refused {
        index(to)?;
        self.cap((t, from))?;
        if self.caps.contains_key(&(t, to)) {
            return Err(Status::SlotOccupied);
        }
        Ok(())
    }

    fn derive(&mut self, t: usize, from: u32, to: u32, mask: u32, badge: u32) -> Refused {
        self.places(t, from, to)?;
        let source = self.cap((t, from))?;
        if mask & !source.rights != 0 {
            return Err(Status::RightsNotHeld);
        }
        let rights = if mask == 0 { source.rights } else { mask };
        let badge = match (badge, source.badge, source.object) {
            (0, held, _) => held,
            (_, _, Object::CNode(_) | Object::Reply(_)) => return Err(Status::NotBadgeable),
            (new, 0, _) => new,
            _ => return Err(Status::BadgeAlreadySet),
        };
        let cap = Cap {
            object: source.object,
            rights,
            badge,
            parent: Some((t, from)),
        };
        self.caps.insert((t, to), cap);
        Ok(())
    }

    fn relocate(&mut self, from: Slot, to: Slot) {
        if let Some(cap) = self.caps.remove(&from) {
            self.caps.insert(to, cap);
            for cap in self.caps.values_mut() {
                if cap.parent == Some(from) {
                    cap.parent = Some(to);
                }
            }
        }
    }

    fn child_of(&self, slot: Slot) -> Option<Slot> {
        let mut all = self.caps.iter();
        all.find(|(_, c)| c.parent == Some(slot)).map(|(s, _)| *s)
    }

    /// Empties a slot; the last capability takes its object along.
    fn remove(&mut self, slot: Slot) {
        let Some(gone) = self.caps.remove(&slot) else {
            return;
        };
        for cap in self.caps.values_mut() {
            if cap.parent == Some(slot) {
                cap.parent = gone.parent;
            }
        }
        if self.caps.values().any(|c| c.object == gone.object) {
            return;
        }
        match gone.object {
            Object::CNode(_) => {}
            Object::Endpoint(e) => {
                let all = [&mut self.senders, &mut self.armed, &mut self.plain];
                let waiting: Vec<_> = all.into_iter().flat_map(|q| q[e].drain(..)).collect();
                for t in waiting {
                    if let Some(r) = self.receiving[t].0.take() {
                        self.replies[r] = Bond::Free;
                    }
                    self.wake(t, Status::Deleted);
                }
            }
            Object::Reply(r) => match std::mem::replace(&mut self.replies[r], Bond::Free) {
                Bond::Free => {}
                Bond::Armed(t) => {
                    for queue in &mut self.armed {
                        queue.retain(|w| *w != t);
                    }
                    self.receiving[t].0 = None;
                    self.wake(t, Status::Deleted);
                }
                Bond::Owed(t) => self.wake(t, Status::ServerDied),
            },
        }
    }

    fn wake(&mut self, t: usize, status: Status) {
        self.waits[t] = Wait::No;
        self.sending[t] = None;
        self.found[t] = Some(Found {
            status,
            message: None,
        });
    }

    fn hear(&mut self, t: usize, badge: u32, word: u64) {
        self.waits[t] = Wait::No;
        self.found[t] = Some(Found {
            status: Status::Ok,
            message: Some((badge, word)),
        });
    }

    fn endpoint(&self, t: usize, via: u32, other: Status) -> Result<(usize, Cap), Status> {
        let cap = self.cap((t, via))?;
        match cap.object {
            Object::Endpoint(e) => Ok((e, cap.clone())),
            _ => Err(other),
        }
    }

    fn call(&mut self, t: usize, via: u32, word: u64, gift: Option<u32>) -> Refused {
        let (e, cap) = self.endpoint(t, via, Status::UnknownMethod)?;
        need(&cap, Rights::SEND)?;
        let sending = Sending {
            badge: cap.badge,
            rights: cap.rights,
            word,
            gift,
        };
        if let Some(receiver) = self.armed[e].front().copied() {
            self.check_gift(t, &sending, e, receiver)?;
            self.armed[e].pop_front();
            self.sending[t] = Some(sending);
            self.accept(t, e, receiver);
        } else {
            self.sending[t] = Some(sending);
            self.waits[t] = Wait::Send;
            self.senders[e].push_back(t);
        }
        Ok(())
    }

    /// Everything that can be wrong with what comes along.
    fn check_gift(&self, from: usize, s: &Sending, e: usize, to: usize) -> Refused {
        let Some(gift) = s.gift else { return Ok(()) };
        let cap = self.cap((from, gift))?;
        if cap.object == Object::Endpoint(e) {
            return Ok(());
        }
        if s.rights & Rights::GRANT.bits() == 0 {
            return Err(Status::EndpointNoGrant);
        }
        if cap.rights & Rights::GRANT.bits() == 0 {
            return Err(Status::NoGrant);
        }
        let open = self.receiving[to].1 && !self.caps.contains_key(&(to, WINDOW));
        if open {
            Ok(())
        } else {
            Err(Status::ReceiverWindow)
        }
    }

    fn hand(&mut self, from: usize, gift: Option<u32>, e: usize, to: usize) {
        let Some(gift) = gift else { return };
        let Some(cap) = self.caps.get(&(from, gift)).cloned() else {
            return;
        };
        if cap.object != Object::Endpoint(e) {
            let parent = Some((from, gift));
            self.caps.insert((to, WINDOW), Cap { parent, ..cap });
        }
    }

    /// The message of a caller arrives.
    fn accept(&mut self, from: usize, e: usize, to: usize) {
        let Some(s) = self.sending[from].take() else {
            return;
        };
        self.hand(from, s.gift, e, to);
        self.waits[from] = Wait::Answer;
        if let Some(r) = self.receiving[to].0.take() {
            self.replies[r] = Bond::Owed(from);
        }
        self.hear(to, s.badge, s.word);
    }

    fn send(&mut self, t: usize, via: u32, word: u64, gift: Option<u32>) -> Refused {
        let (e, cap) = self.endpoint(t, via, Status::WrongType)?;
        need(&cap, Rights::SEND)?;
        let first = self.plain[e].front().or(self.armed[e].front()).copied();
        let to = first.ok_or(Status::WouldBlock)?;
        let sending = Sending {
            badge: cap.badge,
            rights: cap.rights,
            word,
            gift,
        };
        self.check_gift(t, &sending, e, to)?;
        self.plain[e].retain(|w| *w != to);
        self.armed[e].retain(|w| *w != to);
        if let Some(r) = self.receiving[to].0.take() {
            self.replies[r] = Bond::Free;
        }
        self.hand(t, gift, e, to);
        self.hear(to, cap.badge, word);
        Ok(())
    }

    fn reply_at(&self, t: usize, reply: u32) -> Result<usize, Status> {
        let cap = self.cap((t, reply))?;
        let Object::Reply(r) = cap.object else {
            return Err(Status::WrongType);
        };
        need(cap, Rights::RECV)?;
        Ok(r)
    }

    fn check_receive(
        &self,
        t: usize,
        via: u32,
        reply: Option<u32>,
        answered: Option<usize>,
    ) -> Result<(usize, Option<usize>), Status> {
        let (e, cap) = self.endpoint(t, via, Status::WrongType)?;
        let reply = reply.map(|r| self.reply_at(t, r)).transpose()?;
        if let Some(r) = reply.filter(|r| Some(*r) != answered)
            && self.replies[r] != Bond::Free
        {
            return Err(Status::ReplyInUse);
        }
        need(&cap, Rights::RECV)?;
        Ok((e, reply))
    }

    fn receive(
        &mut self,
        t: usize,
        e: usize,
        reply: Option<usize>,
        window: bool,
        wait: bool,
    ) -> Refused {
        self.receiving[t] = (reply, window);
        if reply.is_some() {
            while let Some(from) = self.senders[e].pop_front() {
                let Some(s) = self.sending[from].clone() else {
                    continue;
                };
                match self.check_gift(from, &s, e, t) {
                    Ok(()) => {
                        self.accept(from, e, t);
                        return Ok(());
                    }
                    // Its own mistake: it alone is told.
                    Err(status) => self.wake(from, status),
                }
            }
        }
        if !wait {
            return Err(Status::WouldBlock);
        }
        self.waits[t] = Wait::Receive;
        match reply {
            Some(r) => {
                self.replies[r] = Bond::Armed(t);
                self.armed[e].push_back(t);
            }
            None => self.plain[e].push_back(t),
        }
        Ok(())
    }

    fn answer(&mut self, _: usize, r: usize, word: u64) -> Refused {
        let Bond::Owed(caller) = self.replies[r] else {
            return Err(Status::ReplySpent);
        };
        self.replies[r] = Bond::Free;
        self.hear(caller, 0, word);
        Ok(())
    }
}

fn index(at: u32) -> Refused {
    if at < SLOTS {
        Ok(())
    } else {
        Err(Status::InvalidAddress)
    }
}

fn need(cap: &Cap, right: Rights) -> Refused {
    if cap.rights & right.bits() == 0 {
        Err(Status::MissingRight)
    } else {
        Ok(())
    }
}
