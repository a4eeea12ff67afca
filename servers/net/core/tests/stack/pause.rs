//! A service whose device always says that there is something, and never has anything.

use std::cell::Cell;
use std::rc::Rc;

use gritos_base_api::{BaseError, BufferAccess};
use gritos_idl_runtime::object::{MemoryObject, Notification};
use gritos_idl_runtime::{Address, Cap, Hooks, Incoming, Outgoing, ServerPort, Status, Ticket};
use gritos_net_core::host::HostMemory;
use gritos_net_core::{
    Alarm, Clock, Config, FrameDevice, Limits, Rules, Service, ServiceLimits, Signals, Stack,
};
use gritos_service::{Buffers, MapMemory};

/// Frames that it has, and whether it says so.
#[derive(Clone, Default)]
struct Liar {
    frames: Rc<Cell<usize>>,
    lies: Rc<Cell<bool>>,
}

impl FrameDevice for Liar {
    fn mac(&self) -> [u8; 6] {
        [2, 0, 0, 0, 0, 1]
    }
    fn mtu(&self) -> usize {
        1500
    }
    fn link_up(&self) -> bool {
        true
    }
    fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        self.frames.set(self.frames.get().checked_sub(1)?);
        frame[..60].fill(0);
        Some(60)
    }
    fn can_send(&mut self) -> bool {
        true
    }
    fn send(&mut self, _frame: &[u8]) {}
    fn arm(&mut self, _send: bool) -> bool {
        !self.lies.get()
    }
}

#[derive(Clone, Default)]
struct Now(Rc<Cell<u64>>);

impl Clock for Now {
    fn now_ns(&self) -> u64 {
        self.0.get()
    }
}

struct Nothing;

impl MapMemory for Nothing {
    type Memory = HostMemory;
    fn map(
        &mut self,
        _place: usize,
        _memory: Cap<MemoryObject>,
        _access: BufferAccess,
    ) -> Result<HostMemory, BaseError> {
        Err(BaseError::Invalid)
    }
    fn unmap(&mut self, _place: usize) {}
}

impl Signals for Nothing {
    fn keep(&mut self, _notification: Cap<Notification>) -> Option<Cap<Notification>> {
        None
    }
    fn signal(&mut self, _notification: Cap<Notification>, _bits: u64) {}
    fn release(&mut self, _notification: Cap<Notification>) {}
}

/// A port that keeps when its next wait ends.
#[derive(Default)]
struct Waits(Option<u64>);

impl Alarm for Waits {
    fn set_alarm(&mut self, at_ns: Option<u64>) {
        self.0 = at_ns;
    }
}

impl ServerPort for Waits {
    fn recv(&mut self) -> Incoming {
        Incoming::failed(Status::Unsupported)
    }
    fn reply_recv<const CAPS: usize>(&mut self, _reply: Outgoing<CAPS>) -> Incoming {
        Incoming::failed(Status::Unsupported)
    }
    fn ticket(&mut self) -> Option<Ticket> {
        None
    }
    fn keep(&mut self) {}
    fn answer<const CAPS: usize>(
        &mut self,
        _caller: Ticket,
        _reply: Outgoing<CAPS>,
    ) -> Result<(), Status> {
        Err(Status::ReplySpent)
    }
    fn discard(&mut self, _incoming: &Incoming) {}
}

#[test]
fn turns_that_move_nothing_end_in_a_pause() {
    let (device, now) = (Liar::default(), Now::default());
    now.0.set(1_000_000);
    let stack = Stack::new(
        device.clone(),
        Config::default(),
        Limits::default(),
        Rules::new(),
        &mut [1; 32],
        0,
    );
    let mut service = Service::<_, _, _, _, 4>::new(
        stack,
        now.clone(),
        Buffers::new(Nothing, 4),
        Nothing,
        Address::root(1),
        1,
        ServiceLimits::default(),
    );
    let mut port = Waits::default();
    device.lies.set(true);
    let due_at_once = |port: &Waits| port.0.is_some_and(|at| at <= 1_000_000);
    let mut turns = 0;
    loop {
        service.turn(&mut port);
        if !due_at_once(&port) {
            break;
        }
        turns += 1;
        assert!(turns < 100, "it takes the processor for good");
    }
    assert!(port.0.is_some_and(|at| at <= 2_000_000), "a short pause");
    // A frame that really comes is not kept waiting.
    device.frames.set(100);
    service.turn(&mut port);
    assert!(due_at_once(&port));
}
