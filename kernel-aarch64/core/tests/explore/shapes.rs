//! The systems that are explored.

use gritos_abi::boot_info::slot;
use gritos_abi::{ObjectType, Rights, method};
use gritos_kernel_core::host::{Ask, Thread, World};

use crate::search::{RELATIVE, Shape, explore};

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
    let slots = 2..=6;
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
    run(&shape, 0);
}

const E1: u32 = 2;
const E2: u32 = 3;
const R1: u32 = 4;
const R2: u32 = 5;

/// Three threads around two endpoints and two Replies.
fn meeting(passive: bool) -> (World, [Thread; 3]) {
    let mut world = World::new(48);
    let endpoints = world.make(ObjectType::Endpoint, 0, 2);
    let replies = world.make(ObjectType::Reply, 0, 2);
    let threads = [
        world.spawn(8),
        world.spawn(8),
        if passive { world.spawn_passive(8) } else { world.spawn(8) },
    ];
    for thread in threads {
        let all = Rights::SEND | Rights::RECV;
        world.give(endpoints, thread.cnode, E1, all, 0);
        world.give(endpoints + 1, thread.cnode, E2, all, 0);
        world.give(replies, thread.cnode, R1, Rights::AS_HELD, 0);
        world.give(replies + 1, thread.cnode, R2, Rights::AS_HELD, 0);
    }
    (world, threads)
}

fn messages() -> Vec<Ask> {
    vec![
        Ask::call(E1),
        Ask::call(E2).deadline(RELATIVE),
        Ask::recv(E1, R1),
        Ask::recv(E1, 0).deadline(RELATIVE),
        Ask::recv(E2, R2),
        Ask::reply(R1),
        Ask::reply_recv(E1, R1),
        Ask::reply_recv(E2, R1),
        Ask::poll(E2, R2),
        Ask::send(E1),
    ]
}

/// Three active threads that call, receive and answer in every way.
#[test]
fn messages_of_active_threads() {
    let (world, _) = meeting(false);
    run(&Shape::new(world.without_root(), messages()), 0);
}
