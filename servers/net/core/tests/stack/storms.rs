//! Machines whose programs have come to rest come to rest, too: no frames without end, no turns without a pause.

use gritos_net_api::{NetError, ShutdownHow};
use gritos_net_core::{Generator, Limits, SocketId};

use crate::sim::{B, World, address, open_rules, receive, send, tcp};

const SECOND: u64 = 1_000_000_000;
/// Most turns of both machines in a second in which nobody does anything, and frames in ten.
const TURNS: usize = 600;
const FRAMES: u64 = 120;

/// Connections between the machines and inside of A, and what programs do to them.
struct Programs {
    world: World,
    random: Generator,
    listeners: Vec<(bool, SocketId)>,
    /// Sockets, and whether they are A's.
    sockets: Vec<(bool, SocketId)>,
}

impl Programs {
    fn new(seed: u8, faults: u64) -> Self {
        let mut world = World::with(faults, Limits::default(), open_rules());
        let mut listeners = Vec::new();
        for is_a in [false, true] {
            let stack = if is_a { &mut world.a } else { &mut world.b };
            let listener = tcp(stack);
            stack.bind(listener, address("0.0.0.0:80")).unwrap();
            stack.listen(listener, 4).unwrap();
            listeners.push((is_a, listener));
        }
        Self {
            world,
            random: Generator::new(&mut [seed; 32]),
            listeners,
            sockets: Vec::new(),
        }
    }

    fn below(&mut self, end: usize) -> usize {
        (self.random.any_u64() % end as u64) as usize
    }

    fn act(&mut self) {
        let action = self.below(12);
        let size = 1 << self.below(16);
        if action == 0 && self.sockets.len() < 24 {
            let to = [B, "127.0.0.1"][self.below(2)];
            let socket = tcp(&mut self.world.a);
            let to = address(&format!("{to}:80"));
            self.world.a.connect(socket, to).unwrap();
            self.sockets.push((true, socket));
            return;
        }
        if action == 1 {
            for (is_a, listener) in self.listeners.clone() {
                let accepted = self.stack(is_a).accept(listener);
                self.sockets
                    .extend(accepted.map(|(socket, _)| (is_a, socket)));
            }
            return;
        }
        if self.sockets.is_empty() {
            return;
        }
        let at = self.below(self.sockets.len());
        let (is_a, socket) = self.sockets[at];
        let stack = self.stack(is_a);
        // Whatever comes of it.
        let _: Result<(), NetError> = match action {
            2..=5 => send(stack, socket, &vec![7; size]).map(|_| ()),
            6..=8 => receive(stack, socket, &mut vec![0; size]).map(|_| ()),
            9 => stack.shutdown(socket, ShutdownHow::Send),
            10 => stack.shutdown(socket, ShutdownHow::Receive),
            _ => {
                self.sockets.remove(at);
                self.stack(is_a).close(socket)
            }
        };
    }

    fn stack(&mut self, is_a: bool) -> &mut gritos_net_core::Stack<crate::sim::End> {
        if is_a {
            &mut self.world.a
        } else {
            &mut self.world.b
        }
    }

    fn frames(&mut self) -> u64 {
        self.world.a.counters().sent_frames + self.world.b.counters().sent_frames
    }

    /// Whether there is rest, a while after the last action.
    fn comes_to_rest(&mut self, what: &str) {
        // What is on its way arrives, or is given up soon.
        self.world.pass(20 * SECOND);
        let before = self.frames();
        for _ in 0..10 {
            let end = *self.world.now.borrow() + SECOND;
            let mut turns = 0;
            while *self.world.now.borrow() < end {
                self.world.step();
                turns += 1;
                assert!(turns < TURNS, "{what}: turns without end");
            }
        }
        let frames = self.frames() - before;
        assert!(frames < FRAMES, "{what}: {frames} frames in ten seconds");
    }
}

#[test]
fn machines_come_to_rest_when_their_programs_do() {
    let rounds = if cfg!(debug_assertions) { 4 } else { 200 };
    for seed in 0..rounds {
        for faults in [0, 30, 200] {
            let mut programs = Programs::new(seed, faults);
            for phase in 0..3 {
                for _ in 0..150 {
                    programs.act();
                    let pause = 1 << programs.below(25);
                    programs.world.pass(pause);
                }
                programs.comes_to_rest(&format!("seed {seed}, faults {faults}, phase {phase}"));
            }
        }
    }
}
