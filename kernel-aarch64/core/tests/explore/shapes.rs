//! The systems that are explored.

use gritos_abi::boot_info::slot;
use gritos_abi::{ObjectType, Rights, method};
use gritos_kernel_core::host::{Ask, Thread, World};

use crate::search::{RELATIVE, Shape, explore};

/// What a shape is larger by in `soak`.
fn more() -> u32 {
    u32::from(std::env::var_os("GRITOS_SOAK").is_some())
}

/// Runs a shape to its end and compares the number of states, or with
/// `GRITOS_SOAK` to that many states.
fn run(shape: &Shape, expected: usize) {
    let limit = std::env::var("GRITOS_SOAK").ok();
    let limit = limit.and_then(|l| l.parse().ok());
    let found = explore(shape, limit.unwrap_or(usize::MAX));
    if limit.is_none() {
        assert_eq!(found, expected, "reachable states");
    }
}

fn cnode(method: method::CNode, index: u32) -> Ask {
    Ask::invoke(1, method as u64).words(&[index.into()])
}

fn is_long(ask: &Ask) -> bool {
    let delete = method::CNode::Delete as u64;
    ask.number == 0 && ask.x[8] == 1 && (ask.x[9] == delete || ask.x[9] == delete + 1)
}

/// One thread that copies, mints, moves, deletes and revokes an endpoint
/// capability in a few slots.
#[test]
fn tree() {
    use method::CNode as C;
    let mut world = World::new(32);
    let endpoint = world.make(ObjectType::Endpoint, 0, 1);
    let thread = world.spawn(8);
    let all = Rights::SEND | Rights::RECV | Rights::GRANT;
    world.give(endpoint, thread.cnode, 2, all, 0);
    let slots = 2..=6 + more();
    let mut asks = Vec::new();
    for to in slots.clone() {
        asks.push(cnode(C::Delete, to));
        asks.push(cnode(C::Revoke, to));
        for from in slots.clone().filter(|from| *from != to) {
            asks.push(cnode(C::Copy, to).cap(from, 0, 0));
            asks.push(cnode(C::Mint, to).cap(from, Rights::SEND.bits(), 1));
            asks.push(cnode(C::Move, to).cap(from, 0, 0));
        }
    }
    // What must be refused.
    asks.push(cnode(C::Copy, 6).cap(2, Rights::WRITE.bits(), 0));
    asks.push(cnode(C::Copy, 6).cap(9, 0, 0));
    asks.push(cnode(C::Copy, 9).cap(2, 0, 0));
    asks.push(cnode(C::Copy, 6).cap(2, 0, 5));
    asks.push(cnode(C::Move, 6).cap(2, Rights::SEND.bits(), 0));
    let mut shape = Shape::new(world.without_root(), asks);
    shape.long = is_long;
    run(&shape, 448_976);
}

const E1: u32 = 2;
const E2: u32 = 3;
const R1: u32 = 4;
const R2: u32 = 5;
/// Capabilities that only some shapes give.
const EXTRA: u32 = 6;

/// What threads meet at.
struct Meeting {
    world: World,
    threads: Vec<Thread>,
    /// Root's slots of the endpoints and of the Replies.
    endpoints: u32,
    replies: u32,
}

/// Threads around two endpoints and two Replies; those behind the first
/// `active` are passive and wait for calls, each on its own endpoint.
fn meeting(active: usize, passive: u32) -> Meeting {
    let mut world = World::new(64);
    let endpoints = world.make(ObjectType::Endpoint, 0, 2);
    let replies = world.make(ObjectType::Reply, 0, 2);
    let mut threads = Vec::new();
    for i in 0..active + passive as usize {
        let thread = world.spawn(12);
        let all = Rights::SEND | Rights::RECV;
        world.give(endpoints, thread.cnode, E1, all, 0);
        world.give(endpoints + 1, thread.cnode, E2, all, 0);
        world.give(replies, thread.cnode, R1, Rights::AS_HELD, 0);
        world.give(replies + 1, thread.cnode, R2, Rights::AS_HELD, 0);
        if let Some(which) = i.checked_sub(active) {
            let which = which as u32;
            world.wait(thread.tcb, &Ask::recv(E1 + which, R1 + which));
            let unbind = Ask::invoke(thread.cap, method::Tcb::UnbindContext as u64);
            world.succeed(world.root, &unbind);
            world.delete(slot::CNODE.into(), thread.context);
        }
        threads.push(thread);
    }
    Meeting {
        world,
        threads,
        endpoints,
        replies,
    }
}

/// Three active threads that call, receive and answer in every way.
#[test]
fn messages() {
    let meeting = meeting(3 + more() as usize, 0);
    let asks = vec![
        Ask::call(E1),
        Ask::call(E1).deadline(RELATIVE),
        Ask::call(E2).deadline(RELATIVE),
        Ask::recv(E1, R1),
        Ask::recv(E1, R2),
        Ask::recv(E1, 0).deadline(RELATIVE),
        Ask::recv(E2, R2),
        Ask::reply(R1),
        Ask::reply(R2),
        Ask::reply_recv(E1, R1),
        Ask::reply_recv(E2, R1),
        Ask::reply_recv(E1, R2),
        Ask::poll(E2, R2),
        Ask::send(E1),
        Ask::send(E2),
        Ask::recv(0, 0).deadline(RELATIVE),
    ];
    run(&Shape::new(meeting.world.without_root(), asks), 2_676);
}

/// Two clients and two passive servers that lend to each other, and are
/// stopped, unbound and bound meanwhile.
#[test]
fn loans() {
    let mut m = meeting(2 + more() as usize, 2);
    let managed = [m.threads[0], m.threads[2]];
    for thread in &m.threads {
        for (i, other) in (0..).zip(managed) {
            m.world
                .give(other.cap, thread.cnode, EXTRA + i, Rights::AS_HELD, 0);
        }
        let context = managed[0].context;
        m.world
            .give(context, thread.cnode, EXTRA + 2, Rights::AS_HELD, 0);
    }
    let tcb = |i: u32, method: method::Tcb| Ask::invoke(EXTRA + i, method as u64);
    let asks = vec![
        Ask::call(E1),
        Ask::call(E2),
        Ask::call(E2).deadline(RELATIVE),
        Ask::recv(E1, R1),
        Ask::recv(E2, R2),
        Ask::reply(R1),
        Ask::reply_recv(E1, R1),
        Ask::reply_recv(E2, R2),
        Ask::send(E1),
        tcb(0, method::Tcb::Suspend),
        tcb(0, method::Tcb::Resume),
        tcb(0, method::Tcb::UnbindContext),
        tcb(0, method::Tcb::BindContext).cap(EXTRA + 2, 0, 0),
        tcb(1, method::Tcb::Suspend),
        tcb(1, method::Tcb::Resume),
    ];
    let mut shape = Shape::new(m.world.without_root(), asks);
    shape.long = |ask| ask.x[9] == method::Tcb::UnbindContext as u64;
    run(&shape, 20_174);
}

/// Threads that meet while one of them takes away, piece by piece, what the
/// others wait on, and the others themselves.
#[test]
fn deaths() {
    let mut m = meeting(2, 1);
    let root = slot::CNODE.into();
    m.world
        .give(root, m.threads[0].cnode, EXTRA, Rights::AS_HELD, 0);
    let gone = [
        m.endpoints,
        m.replies,
        m.threads[1].cap,
        m.threads[1].context,
        m.threads[2].cap,
        m.threads[2].cnode,
    ];
    let mut asks = vec![
        Ask::call(E1),
        Ask::call(E1).deadline(RELATIVE),
        Ask::recv(E1, R1),
        Ask::reply_recv(E1, R1),
        Ask::reply(R1),
        Ask::recv(E2, 0).deadline(RELATIVE),
    ];
    for index in gone {
        for method in [method::CNode::Delete, method::CNode::Revoke] {
            asks.push(Ask::invoke(EXTRA, method as u64).words(&[index.into()]));
        }
    }
    let mut shape = Shape::new(m.world.without_root(), asks);
    shape.long = |ask| ask.number == 0 && ask.x[8] == EXTRA.into();
    run(&shape, 64_682);
}

/// Two threads that send each other capabilities, whole and refused.
#[test]
fn transfers() {
    let mut world = World::new(48);
    let endpoint = world.make(ObjectType::Endpoint, 0, 1);
    let other = world.make(ObjectType::Notification, 0, 1);
    let reply = world.make(ObjectType::Reply, 0, 1);
    for _ in 0..2 {
        let thread = world.spawn(8);
        let all = Rights::SEND | Rights::RECV | Rights::GRANT;
        world.give(endpoint, thread.cnode, E1, all, 0);
        world.give(endpoint, thread.cnode, E2, Rights::SEND, 3);
        world.give(reply, thread.cnode, R1, Rights::AS_HELD, 0);
        world.give(other, thread.cnode, 5, Rights::SEND | Rights::GRANT, 0);
    }
    let send = Rights::SEND.bits();
    let asks = vec![
        Ask::recv(E1, R1),
        Ask::recv(E1, R1).window(6, 2),
        Ask::reply_recv(E1, R1).cap(5, send, 0).window(6, 2),
        Ask::reply(R1).moved(6),
        Ask::call(E1).cap(5, send, 7),
        Ask::call(E1).moved(5).window(5, 1),
        Ask::call(E1).cap(6, 0, 0).cap(E2, 0, 0),
        Ask::call(E1).cap(5, 0, 0).moved(5).window(7, 1),
        // Three that are refused, each in another slot.
        Ask::call(E2).cap(5, 0, 0),
        Ask::call(E1).cap(E2, 0, 0).cap(7, Rights::WRITE.bits(), 0),
        Ask::call(E1).cap(5, 0, 0).cap(5, 0, 0).cap(9, 0, 0),
        cnode(method::CNode::Delete, 6),
        cnode(method::CNode::Delete, 7),
        cnode(method::CNode::Move, 5).cap(6, 0, 0),
    ];
    let mut shape = Shape::new(world.without_root(), asks);
    shape.long = is_long;
    run(&shape, 2_350);
}

/// Two threads that share eight lines of memory, make objects in them, and
/// take them away again.
#[test]
fn memory() {
    let mut world = World::new(48);
    let untyped = world.make(ObjectType::Untyped, 512 << more(), 1);
    let shared = world.make(ObjectType::CNode, 6, 1);
    for _ in 0..2 {
        let thread = world.spawn(4);
        world.give(shared, thread.cnode, 2, Rights::AS_HELD, 0);
    }
    let root = world.root;
    let place = Ask::invoke(shared, method::CNode::Move as u64);
    world.succeed(root, &place.words(&[0]).cap(untyped, 0, 0));
    let at = |index: u32| 2 << 16 | index;
    let retype = |from: u32, object: ObjectType, size: u64, count: u64, to: u64| {
        Ask::invoke(at(from), method::Untyped::Retype as u64)
            .words(&[object as u64, size, count, to, 0, 0])
            .cap(2, 0, 0)
    };
    let shared = |method: method::CNode, index: u64| Ask::invoke(2, method as u64).words(&[index]);
    let mut asks = vec![
        retype(0, ObjectType::Untyped, 256, 1, 1),
        retype(0, ObjectType::Endpoint, 0, 2, 2),
        retype(0, ObjectType::CNode, 2, 1, 4),
        retype(1, ObjectType::Reply, 0, 1, 3),
        retype(1, ObjectType::Untyped, 128, 1, 5),
        retype(5, ObjectType::Notification, 0, 1, 2),
        // Too large, no such slot, no such size.
        retype(0, ObjectType::Tcb, 0, 1, 2),
        retype(0, ObjectType::Endpoint, 0, 2, 5),
        retype(0, ObjectType::Untyped, 100, 1, 2),
        shared(method::CNode::Copy, 3).cap(at(2), 0, 0),
        shared(method::CNode::Move, 5).cap(at(1), 0, 0),
    ];
    for index in 1..6 {
        asks.push(shared(method::CNode::Delete, index));
    }
    for index in [0, 1, 2] {
        asks.push(shared(method::CNode::Revoke, index));
    }
    let mut shape = Shape::new(world.without_root(), asks);
    shape.long = |ask| ask.number == 0 && (ask.x[8] != 2 || ask.x[9] > 2);
    run(&shape, 1_066_240);
}

/// Two clients with small budgets and a passive server, as time passes.
#[test]
fn budgets() {
    let mut m = meeting(2, 1);
    let units = 100;
    m.world.budget(m.threads[0].context, units, 3 * units);
    m.world.budget(m.threads[1].context, 2 * units, 3 * units);
    let asks = vec![
        Ask::call(E1),
        Ask::call(E1).deadline(RELATIVE + units),
        Ask::recv(E1, R1),
        Ask::reply_recv(E1, R1),
        Ask::reply(R1),
        Ask::recv(E2, 0).deadline(RELATIVE + units),
        Ask::send(E2),
    ];
    let mut shape = Shape::new(m.world.without_root(), asks);
    shape.pass = units;
    run(&shape, 6_792);
}

/// One thread that maps, protects and unmaps two capabilities to nine pages at
/// overlapping addresses, while their memory and their tables come and go.
#[test]
fn mappings() {
    let mut world = World::new(48);
    let space = world.make(ObjectType::AddressSpace, 0, 1);
    let pages = world.make(ObjectType::MemoryObject, 9 << 12, 1);
    let tables = world.make(ObjectType::Untyped, 2 << 12, 1);
    let thread = world.spawn(8);
    let root = world.root;
    let assign = Ask::invoke(
        slot::ASID_CONTROL.into(),
        method::AsidControl::Assign as u64,
    );
    world.succeed(root, &assign.cap(space, 0, 0));
    world.give(space, thread.cnode, 2, Rights::AS_HELD, 0);
    let held = Rights::READ | Rights::WRITE | Rights::MAP | Rights::GRANT;
    world.give(pages, thread.cnode, 3, held, 0);
    let place = Ask::invoke(thread.cnode, method::CNode::Move as u64);
    world.succeed(root, &place.words(&[4]).cap(tables, 0, 0));
    let map = |cap: u32, page: u64, pages: u64, rights: u64| {
        Ask::invoke(cap, method::MemoryObject::Map as u64)
            .words(&[page << 12, 0, pages << 12, rights])
            .cap(2, 0, 0)
    };
    let memory = |cap: u32, method: method::MemoryObject, rights: u64| {
        Ask::invoke(cap, method as u64).words(&[rights])
    };
    use method::MemoryObject as M;
    let asks = vec![
        Ask::invoke(2, method::AddressSpace::Donate as u64).cap(4, 0, 0),
        map(3, 0x1fc, 9, 3),
        map(3, 0x10, 1, 1),
        map(5, 0x1fc, 9, 1),
        map(5, 0x1ff, 1, 1),
        map(5, 0x200, 9, 1),
        map(3, 0x10, 1, 5),
        map(3, 0x10, 1, 7),
        map(3, 0x10, 10, 1),
        memory(3, M::Unmap, 0),
        memory(5, M::Unmap, 0),
        memory(3, M::Protect, 1),
        memory(3, M::Protect, 3),
        cnode(method::CNode::Copy, 5).cap(3, 0, 0),
        cnode(method::CNode::Move, 6).cap(5, 0, 0),
        cnode(method::CNode::Move, 5).cap(6, 0, 0),
        cnode(method::CNode::Delete, 5),
        cnode(method::CNode::Delete, 3),
        cnode(method::CNode::Revoke, 3),
        cnode(method::CNode::Delete, 2),
    ];
    let mut shape = Shape::new(world.without_root(), asks);
    shape.long = |ask| ask.number == 0;
    shape.leaves_tables = true;
    run(&shape, 352);
}

/// A better thread and two others that signal, wait, and are woken in a
/// receive by the bits of a bound notification.
#[test]
fn signals() {
    let mut m = meeting(3, 0);
    let root = m.world.root;
    let n = m.world.make(ObjectType::Notification, 0, 2);
    for thread in &m.threads {
        m.world.give(n, thread.cnode, EXTRA, Rights::AS_HELD, 0);
        m.world
            .give(n + 1, thread.cnode, EXTRA + 1, Rights::SEND, 2);
    }
    let better = Ask::invoke(m.threads[0].cap, method::Tcb::SetPriority as u64)
        .words(&[50, 100])
        .cap(slot::TCB.into(), 0, 0);
    m.world.succeed(root, &better);
    for thread in [0, 1] {
        let bind = method::Tcb::BindNotification as u64;
        let ask = Ask::invoke(m.threads[thread].cap, bind).cap(n + 1, 0, 0);
        m.world.act(root, &ask);
    }
    let asks = vec![
        Ask::send(EXTRA).words(&[1]),
        Ask::send(EXTRA + 1),
        Ask::recv(EXTRA, 0),
        Ask::recv(EXTRA, 0).deadline(RELATIVE),
        Ask::poll(EXTRA, 0),
        Ask::recv(EXTRA + 1, 0),
        Ask::recv(E1, R1),
        Ask::recv(E1, 0),
        Ask::call(E1),
        Ask::reply_recv(E1, R1),
        Ask::reply(R1),
    ];
    run(&Shape::new(m.world.without_root(), asks), 828);
}

/// Two threads that fault and an active or a passive handler.
fn faulting(passive: u32, expected: usize) {
    let mut m = meeting(3 - passive as usize, passive);
    let root = m.world.root;
    for thread in &m.threads[..2] {
        let tcb = |method: method::Tcb| Ask::invoke(thread.cap, method as u64);
        let handler = tcb(method::Tcb::Configure)
            .cap(0, 0, 0)
            .cap(0, 0, 0)
            .cap(m.endpoints, 0, 9);
        for ask in [tcb(method::Tcb::Suspend), handler, tcb(method::Tcb::Resume)] {
            m.world.succeed(root, &ask);
        }
    }
    let asks = vec![
        Ask::recv(E1, R1),
        Ask::recv(E2, R2),
        Ask::call(E1),
        Ask::call(E2),
        Ask::reply_recv(E1, R1),
        Ask::reply_recv(E1, R1).tag(1),
        Ask::reply_recv(E2, R1).tag(3),
        Ask::reply(R1).tag(2),
        Ask::reply(R2),
    ];
    let mut shape = Shape::new(m.world.without_root(), asks);
    shape.faults = true;
    run(&shape, expected);
}

#[test]
fn faults() {
    faulting(0, 681);
}

#[test]
fn faults_of_lenders() {
    faulting(1, 615);
}
