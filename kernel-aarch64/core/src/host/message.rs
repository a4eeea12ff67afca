//! What a thread puts into its registers, and what it finds there.

use std::format;
use std::string::String;

use gritos_abi::message::CapsIn;
use gritos_abi::{Address, Arrival, Control, Kind, Outcome, Status, Syscall};

use super::HostKernel;
use crate::handle::TcbRef;

/// A system call: its number and x0–x17.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ask {
    /// Number of the system call.
    pub number: u16,
    /// Message registers.
    pub x: [u64; 18],
}

impl Ask {
    /// A system call with all registers zero.
    #[must_use]
    pub const fn new(call: Syscall) -> Self {
        Self {
            number: call as u16,
            x: [0; 18],
        }
    }

    const fn on(call: Syscall, target: u32, reply: u32) -> Self {
        let mut ask = Self::new(call);
        ask.x[8] = target as u64 | (reply as u64) << 32;
        ask
    }

    /// Call on the capability at `target`.
    #[must_use]
    pub const fn call(target: u32) -> Self {
        Self::on(Syscall::Call, target, 0)
    }

    /// Call of the method with number `tag`.
    #[must_use]
    pub const fn invoke(target: u32, tag: u64) -> Self {
        Self::call(target).tag(tag)
    }

    /// `SendAsync` on the capability at `target`.
    #[must_use]
    pub const fn send(target: u32) -> Self {
        Self::on(Syscall::SendAsync, target, 0)
    }

    /// Recv from `target` with the Reply at `reply`.
    #[must_use]
    pub const fn recv(target: u32, reply: u32) -> Self {
        Self::on(Syscall::Recv, target, reply)
    }

    /// Poll of `target` with the Reply at `reply`.
    #[must_use]
    pub const fn poll(target: u32, reply: u32) -> Self {
        Self::on(Syscall::Poll, target, reply)
    }

    /// Reply through `reply`.
    #[must_use]
    pub const fn reply(reply: u32) -> Self {
        Self::on(Syscall::Reply, 0, reply)
    }

    /// `ReplyRecv` through `reply`, then from `target`.
    #[must_use]
    pub const fn reply_recv(target: u32, reply: u32) -> Self {
        Self::on(Syscall::ReplyRecv, target, reply)
    }

    /// Yield.
    #[must_use]
    pub const fn yield_now() -> Self {
        Self::new(Syscall::Yield)
    }

    /// Sets the tag.
    #[must_use]
    pub const fn tag(mut self, tag: u64) -> Self {
        self.x[9] = tag;
        self
    }

    /// Sets the data words, at most eight.
    #[must_use]
    pub fn words(mut self, words: &[u64]) -> Self {
        self.x
            .iter_mut()
            .zip(words)
            .for_each(|(to, from)| *to = *from);
        self.x[10] = self.x[10] & !0xf | words.len() as u64;
        self
    }

    fn add_cap(mut self, source: u32, mask: u32, badge: u32, moves: bool) -> Self {
        let control = Control(self.x[10]);
        let count = control.cap_count();
        let moved = control.move_mask() | u32::from(moves) << count;
        self.x[10] = control.with_caps(count + 1, moved).0;
        let caps = CapsIn {
            slots: [self.x[11], self.x[12], self.x[13], self.x[14]],
            badges: [self.x[15], self.x[16]],
        };
        let caps = caps.with(count as usize, Address(source), mask, badge);
        [self.x[11], self.x[12], self.x[13], self.x[14]] = caps.slots;
        [self.x[15], self.x[16]] = caps.badges;
        self
    }

    /// Adds a capability to be copied: source, rights mask (0: as held), badge.
    #[must_use]
    pub fn cap(self, source: u32, mask: u32, badge: u32) -> Self {
        self.add_cap(source, mask, badge, false)
    }

    /// Adds a capability to be moved.
    #[must_use]
    pub fn moved(self, source: u32) -> Self {
        self.add_cap(source, 0, 0, true)
    }

    /// Sets the receive window.
    #[must_use]
    pub const fn window(mut self, first: u32, slots: u32) -> Self {
        self.x[10] = Control(self.x[10]).with_window(Address(first), slots).0;
        self
    }

    /// Sets the deadline.
    #[must_use]
    pub const fn deadline(mut self, at: u64) -> Self {
        self.x[10] = Control(self.x[10]).with_deadline().0;
        self.x[17] = at;
        self
    }
}

/// x0–x17 after a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Got {
    /// Message registers.
    pub x: [u64; 18],
}

impl Got {
    /// The outcome word.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome(self.x[10])
    }

    /// The kernel's status.
    ///
    /// # Panics
    /// If the number is none.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.outcome().status() {
            Ok(status) => status,
            Err(number) => panic!("status {number} does not exist"),
        }
    }

    /// What arrived.
    ///
    /// # Panics
    /// If the number is none.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.outcome().kind() {
            Ok(kind) => kind,
            Err(number) => panic!("kind {number} does not exist"),
        }
    }

    /// Data words.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        self.x.first_chunk::<8>().map_or(&[], |words| words)
    }

    /// Tag.
    #[must_use]
    pub const fn tag(&self) -> u64 {
        self.x[9]
    }

    /// Badge of the capability that the sender used.
    #[must_use]
    pub const fn badge(&self) -> u32 {
        self.x[8] as u32
    }

    /// Rights of that capability.
    #[must_use]
    pub const fn rights(&self) -> u32 {
        (self.x[8] >> 32) as u32
    }

    /// How capability `i` arrived, its badge and its rights.
    #[must_use]
    pub fn cap(&self, i: usize) -> (Arrival, u32, u32) {
        let word = self.x.get(11 + i).copied().unwrap_or(0);
        let how = Arrival::of_slot(self.x[15], i);
        (how, word as u32, (word >> 32) as u32)
    }
}

/// What differs between two kernels besides the registers of `caller`: the
/// first line of each that is not the same.
pub(super) fn difference(
    before: &HostKernel,
    after: &HostKernel,
    caller: TcbRef,
) -> Option<(String, String)> {
    let after = after.clone();
    let (b, a) = (before.tcb(caller), after.tcb(caller));
    a.frame.pc.set(b.frame.pc.get());
    a.frame.window.set(b.frame.window.get());
    for (to, from) in a.frame.x.iter().zip(&b.frame.x) {
        to.set(from.get());
    }
    // Valid only while the thread is queued as a sender.
    a.badge.set(b.badge.get());
    a.rights.set(b.rights.get());
    if *before == after {
        return None;
    }
    let (before, after) = (format!("{before:#x?}"), format!("{after:#x?}"));
    before
        .lines()
        .zip(after.lines())
        .find(|(b, a)| b != a)
        .map(|(b, a)| (b.into(), a.into()))
}
