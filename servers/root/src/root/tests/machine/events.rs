//! What the root task receives, as chance will have it.

use gritos_service::idl::Kind;
use gritos_sys::abi::fault::FaultKind;
use gritos_sys::abi::{Outcome, Status};
use gritos_sys::raw::Returned;
use gritos_sys::rt;

use super::{KILL, Life, RESTART, State, Who};
use crate::component::badge;
use crate::helper::Helper;
use crate::worker;

/// Looks for something to happen after which all must have ended.
const LOOKS: u32 = 100_000;

impl State {
    /// What the root task receives next through `reply`.
    pub(super) fn next(&mut self, reply: u32, deadline: Option<u64>) -> Returned {
        assert!(
            reply != 0 && !self.waiting.contains_key(&reply),
            "no Reply to receive with"
        );
        self.before = None;
        loop {
            self.now += 1000;
            self.looks += 1;
            assert!(self.looks < LOOKS, "it never ends");
            let choice = self.below(10);
            let index = self.below(self.lives.len()) as u16;
            if choice < 3
                && let Some(job) = self.worker.take()
            {
                self.worker_says = Some(self.done(job));
            }
            if let Some(status) = self.worker_says.take() {
                return self.call(reply, Who::Helper(Helper::Worker), worker::DONE, status);
            }
            if choice < 5 && self.messenger.take().is_some() {
                self.messenger_asks = true;
            }
            if core::mem::take(&mut self.messenger_asks) {
                return self.call(reply, Who::Helper(Helper::Messenger), 0, 0);
            }
            if core::mem::take(&mut self.printer_asks) {
                return self.call(reply, Who::Helper(Helper::Printer), 0, 0);
            }
            if choice == 9
                && let Some(deadline) = deadline
            {
                self.now = self.now.max(deadline);
                return Returned {
                    outcome: Outcome::error(Status::TimedOut),
                    ..Returned::default()
                };
            }
            let ends = self.left == 0;
            self.left = self.left.saturating_sub(1);
            if choice == 5
                && !ends
                && *self.life(index) == Life::Running
                && !self.unwanted.contains(&index)
                && self.faulted.insert(index)
            {
                return self.fault(reply, index);
            }
            if choice == 6 && self.users < 6 {
                let method = if ends || self.below(2) == 0 {
                    KILL
                } else {
                    RESTART
                };
                self.users += 1;
                self.before = Some((self.unwanted.clone(), self.owed.clone()));
                if *self.life(index) != Life::Absent {
                    self.unwanted.insert(index);
                    self.ends(index);
                }
                let begun = self.begun[usize::from(index)];
                let who = Who::User(method, index, begun);
                return self.call(reply, who, method, u64::from(index) + 1);
            }
        }
    }

    fn fault(&mut self, reply: u32, index: u16) -> Returned {
        self.ends(index);
        let returns = self.below(3) == 0;
        self.waiting.insert(reply, Who::Faulted(index));
        let (kind, syndrome) = match returns {
            true => {
                self.seen.returns += 1;
                (FaultKind::Breakpoint, u64::from(rt::EXIT))
            }
            false => {
                self.seen.faults += 1;
                self.unreported.insert(index);
                (FaultKind::DataAbort, 0)
            }
        };
        Returned {
            words: [0x1234, 0x40_0000, 0x7f_0000, syndrome, 0, 0, 0, 0],
            sender: badge(index).into(),
            tag: kind as u64,
            outcome: Outcome::message(Kind::Fault, 4, 0),
            ..Returned::default()
        }
    }

    fn call(&mut self, reply: u32, who: Who, tag: u64, word: u64) -> Returned {
        self.waiting.insert(reply, who);
        let from = match who {
            Who::Helper(helper) => helper as u32,
            // Some component that may do everything.
            _ => badge(4),
        };
        Returned {
            words: [word, 0, 0, 0, 0, 0, 0, 0],
            sender: u64::from(from) | 0xffff_0080 << 32,
            tag,
            outcome: Outcome::message(Kind::Call, 1, 0),
            ..Returned::default()
        }
    }
}
