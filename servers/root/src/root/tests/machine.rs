//! Kernel, helpers, components and users of the root task, as far as it can tell.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use gritos_service::idl::Kind;
use gritos_sys::Cap;
use gritos_sys::abi::fault::FaultReply;
use gritos_sys::abi::{Address, CapsIn, Outcome, Status, Syscall};
use gritos_sys::process::Process;
use gritos_sys::raw::{RawCalls, Request, Returned};
use gritos_sys::slots::Slot;
use gritos_system::{Provider, System};

use crate::helper::Helper;

pub(super) use self::seen::Seen;

mod events;
mod seen;

/// First slot of the ends that the root task calls services by.
pub(super) const ADMINISTRATION: u16 = 3000;
/// First slot of its Replies.
pub(super) const REPLY: u16 = 3200;

/// Methods of the service `system`.
const KILL: u64 = 5;
const RESTART: u64 = 6;

/// Who is answered through a Reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Helper(Helper),
    /// A thread that faulted.
    Faulted(u16),
    /// Who wants this of component `.1`, which had had so many lives then.
    User(u64, u16, u32),
}

/// Services by the component whose end they are to hear of.
type Owed = BTreeMap<u16, BTreeSet<u16>>;

/// What became of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// It holds nothing.
    Absent,
    /// It was made, or in part.
    Made,
    /// It can run.
    Running,
    /// Its AddressSpace is gone.
    Stopped,
}

/// What the worker does.
#[derive(Clone, Copy, Debug)]
enum Job {
    Report(u16),
    Stop(u16),
    TakeBack(u16),
    Make(u16),
    StandIn(u16),
    /// To take back what was never made.
    Nothing,
}

#[derive(Debug)]
struct State {
    chance: u64,
    /// Events before all is to end.
    left: u32,
    now: u64,
    system: System<'static>,
    /// Who waits at which Reply.
    waiting: BTreeMap<u32, Who>,
    lives: Vec<Life>,
    /// How often each was begun.
    begun: Vec<u32>,
    /// Components whose thread faulted in this life; those whose failure is yet to be reported.
    faulted: BTreeSet<u16>,
    unreported: BTreeSet<u16>,
    /// Where each component's process, memory and grants are.
    spaces: BTreeMap<u32, u16>,
    memories: BTreeMap<u32, u16>,
    /// Components that somebody stopped before they ran.
    unwanted: BTreeSet<u16>,
    /// The services that are to be told of the end of a component: those that have answered ever since.
    owed: Owed,
    /// Both as they were before a user called just now, who may be refused.
    before: Option<(BTreeSet<u16>, Owed)>,
    worker: Option<Job>,
    /// What the worker is to say next: how its last job ended.
    worker_says: Option<u64>,
    messenger: Option<u16>,
    messenger_asks: bool,
    printer_asks: bool,
    users: u32,
    looks: u32,
    seen: Seen,
}

/// The machine. One root task runs on it, on the thread that installed it.
#[derive(Debug)]
pub(super) struct Machine(RefCell<State>);

impl Machine {
    pub(super) fn new(seed: u64, events: u32, system: System<'static>) -> Rc<Self> {
        Rc::new(Self(RefCell::new(State {
            chance: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            left: events,
            now: 1,
            system,
            waiting: BTreeMap::new(),
            lives: vec![Life::Absent; usize::from(system.component_count())],
            begun: vec![0; usize::from(system.component_count())],
            faulted: BTreeSet::new(),
            unreported: BTreeSet::new(),
            spaces: BTreeMap::new(),
            memories: BTreeMap::new(),
            unwanted: BTreeSet::new(),
            owed: BTreeMap::new(),
            before: None,
            worker: None,
            worker_says: Some(0),
            messenger: None,
            messenger_asks: true,
            printer_asks: true,
            users: 0,
            looks: 0,
            seen: Seen::default(),
        })))
    }

    /// What happened; nobody who called may wait any more but the helpers.
    pub(super) fn end(&self) -> Seen {
        let state = self.0.borrow();
        let users = state
            .waiting
            .values()
            .filter(|who| matches!(who, Who::User(..)));
        assert_eq!(users.count(), 0, "{:?}", state.waiting);
        assert!(
            state.lives.iter().all(|life| *life == Life::Absent),
            "{:?}",
            state.lives
        );
        assert!(state.unreported.is_empty(), "{:?}", state.unreported);
        state.seen
    }
}

impl State {
    fn below(&mut self, limit: usize) -> usize {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance >> 16) as usize % limit.max(1)
    }

    fn life(&mut self, index: u16) -> &mut Life {
        &mut self.lives[usize::from(index)]
    }

    fn answered(&mut self, reply: u32, tag: u64, words: [u64; 8]) -> Outcome {
        let Some(who) = self.waiting.remove(&reply) else {
            return Outcome::error(Status::ReplySpent);
        };
        match who {
            Who::Helper(Helper::Worker) => self.job(tag, words),
            Who::Helper(Helper::Messenger) => self.tell(words),
            Who::Helper(Helper::Printer) => self.printer_asks = true,
            // Any other answer suspends the thread.
            Who::Faulted(index) => assert!(
                tag > FaultReply::Jump as u64,
                "component {index} goes on after its fault"
            ),
            Who::User(method, index, begun) => self.answered_user(method, index, begun, tag),
        }
        Outcome::message(Kind::Reply, 0, 0)
    }

    fn answered_user(&mut self, method: u64, index: u16, begun: u32, tag: u64) {
        self.users -= 1;
        // Somebody may have wanted something else of it since: what ran at the time is gone in any case.
        let is_another = self.begun[usize::from(index)] > begun;
        let is_gone = *self.life(index) == Life::Absent;
        if tag != 0 {
            self.seen.refused += 1;
            if let Some(before) = self.before.take() {
                (self.unwanted, self.owed) = before;
            }
            return;
        }
        assert!(is_gone || is_another, "what ran runs on");
        match method {
            KILL => self.seen.kills += 1,
            _ => self.seen.restarts += 1,
        }
    }

    /// The worker gets something to do: is it the time for it?
    fn job(&mut self, tag: u64, words: [u64; 8]) {
        assert!(self.worker.is_none());
        let slot = |half: u64| half as u32;
        let job = match tag {
            0 => {
                let index = words[0] as u16;
                assert!(
                    self.unreported.contains(&index),
                    "reported twice, or for nothing"
                );
                Job::Report(index)
            }
            1 => {
                let index = self.spaces[&slot(words[0])];
                assert!(
                    !self.unreported.contains(&index),
                    "stopped before its report"
                );
                assert!(
                    matches!(self.life(index), Life::Made | Life::Running),
                    "{index}"
                );
                Job::Stop(index)
            }
            2 => self.take_back(words),
            3 => {
                let index = words[0] as u16;
                assert_eq!(
                    *self.life(index),
                    Life::Absent,
                    "two lives of {index} at a time"
                );
                let cnode = Cap::at(Address::root(1));
                let run = Slot::new(cnode, Address(slot(words[2])));
                self.spaces
                    .insert(Process::at(run).space.address().0, index);
                self.memories.insert(slot(words[1]), index);
                *self.life(index) = Life::Made;
                self.begun[usize::from(index)] += 1;
                Job::Make(index)
            }
            4 => {
                let service = words[0] as u16;
                let index = self.provider(service).expect("the root task needs none");
                assert_ne!(*self.life(index), Life::Running, "it answers itself");
                Job::StandIn(service)
            }
            other => panic!("no task {other}"),
        };
        self.worker = Some(job);
    }

    fn take_back(&mut self, words: [u64; 8]) -> Job {
        let memory = words[2] as u32;
        if memory == 0 {
            assert_eq!((words[0], words[2]), (0, 0), "all or nothing");
            return Job::Nothing;
        }
        let index = self.memories[&memory];
        let life = *self.life(index);
        assert!(life != Life::Running, "{index} runs");
        assert!(!self.unreported.contains(&index), "gone before its report");
        let untold = self.owed.remove(&index).unwrap_or_default();
        assert!(untold.is_empty(), "{untold:?} never hear of {index}");
        Job::TakeBack(index)
    }

    /// Whether the component that offers a service answers.
    fn serves(&self, service: u16) -> bool {
        self.provider(service).is_some_and(|of| {
            let runs = self.lives[usize::from(of)] == Life::Running;
            runs && !self.faulted.contains(&of) && !self.unwanted.contains(&of)
        })
    }

    /// A component is about to end: it need not hear of others any more.
    fn ends(&mut self, index: u16) {
        let system = self.system;
        for service in system.services_of(index) {
            for owed in self.owed.values_mut() {
                owed.remove(&service);
            }
        }
    }

    fn provider(&self, service: u16) -> Option<u16> {
        match self.system.service(service)?.provider {
            Provider::Root => None,
            Provider::Component(index) => Some(index),
        }
    }

    fn tell(&mut self, words: [u64; 8]) {
        let service = (words[0] as u16) - ADMINISTRATION;
        let index = crate::component::index_of(words[1] as u32).expect("a component's badge");
        let provider = self
            .provider(service)
            .expect("the root task tells itself nothing");
        assert_eq!(
            *self.life(provider),
            Life::Running,
            "nobody serves {service}"
        );
        assert_eq!(*self.life(index), Life::Stopped, "{index} is not gone");
        // One that was started meanwhile has never heard of it, which does no harm.
        self.owed.entry(index).or_default().remove(&service);
        self.seen.told += 1;
        self.messenger = Some(index);
    }

    /// The worker has done what it was given; its status.
    fn done(&mut self, job: Job) -> u64 {
        match job {
            Job::Report(index) => {
                self.unreported.remove(&index);
            }
            Job::Stop(index) => {
                if *self.life(index) == Life::Running {
                    let system = self.system;
                    let used = system.uses_of(index).map(|used| used.service);
                    let owed = used.filter(|&service| self.serves(service)).collect();
                    self.owed.insert(index, owed);
                }
                *self.life(index) = Life::Stopped;
            }
            Job::TakeBack(index) => {
                *self.life(index) = Life::Absent;
                self.faulted.remove(&index);
                self.unwanted.remove(&index);
            }
            Job::Make(_) if self.below(16) == 0 => {
                self.seen.unmade += 1;
                return Status::NoMemory as u64;
            }
            Job::Make(index) => {
                self.seen.made += 1;
                if !self.unwanted.contains(&index) {
                    *self.life(index) = Life::Running;
                }
            }
            Job::StandIn(_) => self.seen.stand_ins += 1,
            Job::Nothing => {}
        }
        Status::Ok as u64
    }
}

impl RawCalls for Machine {
    fn short(&self, call: Syscall, request: Request) -> Returned {
        self.full(call, request, CapsIn::default(), 0)
    }

    fn full(&self, call: Syscall, request: Request, _caps: CapsIn, deadline: u64) -> Returned {
        let mut state = self.0.borrow_mut();
        let reply = (request.target >> 32) as u32;
        let deadline = request.control.has_deadline().then_some(deadline);
        match call {
            Syscall::Recv => state.next(reply, deadline),
            Syscall::ReplyRecv => {
                state.answered(reply, request.tag, request.words);
                state.next(reply, deadline)
            }
            Syscall::Reply => Returned {
                outcome: state.answered(reply, request.tag, request.words),
                ..Returned::default()
            },
            // Whether somebody waits there still.
            Syscall::Poll => Returned {
                outcome: Outcome::error(match state.waiting.contains_key(&reply) {
                    true => Status::InvalidState,
                    false => Status::WouldBlock,
                }),
                ..Returned::default()
            },
            // A method of some object: it does what it is to do. Untypeds have much left.
            _ => Returned {
                words: [0, 1 << 27, 0, 0, 0, 0, 0, 0],
                outcome: Outcome::message(Kind::Reply, 8, 0),
                ..Returned::default()
            },
        }
    }

    fn counter(&self) -> u64 {
        self.0.borrow().now
    }

    fn counter_hz(&self) -> u64 {
        1_000_000_000
    }
}
