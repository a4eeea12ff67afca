//! Messages with up to four capabilities: each slot is judged on its own, in
//! order, and either all arrive or none.

use gritos_abi::{Arrival, ObjectType, Rights, Status};
use gritos_kernel_core::host::{Ask, World};
use gritos_kernel_core::object::Slot;
use proptest::prelude::{ProptestConfig, any};
use proptest::{collection, prop_assert, prop_assert_eq, proptest};

const SLOTS: u32 = 12;

/// One capability slot of a message.
#[derive(Clone, Copy, Debug)]
struct Gift {
    from: u32,
    mask: u32,
    badge: u32,
    moves: bool,
}

fn gift((from, mask, badge, moves): (u8, u8, u8, bool)) -> Gift {
    let masks = [0, 0, 0, Rights::SEND.bits(), Rights::WRITE.bits(), 1 << 20];
    Gift {
        from: u32::from(from) % (SLOTS + 1),
        mask: masks[usize::from(mask) % masks.len()],
        badge: [0, 0, 6][usize::from(badge) % 3],
        moves,
    }
}

/// What shall become of a gift: whether it unwraps, or its error.
fn judge(
    gift: &Gift,
    cap: Option<&Slot>,
    moved: &[u32],
    endpoint: u32,
    grant: bool,
) -> Result<bool, Status> {
    let cap = cap.ok_or(Status::InvalidAddress)?;
    if cap.is_empty() || moved.contains(&gift.from) {
        return Err(Status::EmptySlot);
    }
    if gift.mask & !cap.rights.get() != 0 {
        return Err(Status::RightsNotHeld);
    }
    let is_endpoint = cap.is(ObjectType::Endpoint);
    if is_endpoint && cap.object.get() == endpoint && !gift.moves {
        return Ok(true);
    }
    if !grant {
        return Err(Status::EndpointNoGrant);
    }
    if cap.rights.get() & Rights::GRANT.bits() == 0 {
        return Err(Status::NoGrant);
    }
    if gift.moves {
        return if gift.mask == 0 && gift.badge == 0 {
            Ok(false)
        } else {
            Err(Status::InvalidArgument)
        };
    }
    let badgeable = is_endpoint || cap.is(ObjectType::Notification);
    match (cap.object_type(), gift.badge, cap.badge.get()) {
        (ObjectType::Untyped, ..) => Err(Status::NotCopyable),
        (_, 0, _) => Ok(false),
        _ if !badgeable => Err(Status::NotBadgeable),
        (_, _, 0) => Ok(false),
        _ => Err(Status::BadgeAlreadySet),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 8_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_message_arrives_whole_or_not_at_all(
        gifts in collection::vec(any::<(u8, u8, u8, bool)>(), 0..5),
        via in 0_u32..3,
        window in (0_u32..13, 0_u32..5),
    ) {
        let mut world = World::new(48);
        let endpoint = world.make(ObjectType::Endpoint, 0, 1);
        let other = world.make(ObjectType::Endpoint, 0, 1);
        let notification = world.make(ObjectType::Notification, 0, 1);
        let reply = world.make(ObjectType::Reply, 0, 1);
        let untyped = world.make(ObjectType::Untyped, 64, 1);
        let (client, server) = (world.spawn(SLOTS), world.spawn(SLOTS));
        let all = Rights::KERNEL | Rights::SERVER;
        for (index, cap, rights, badge) in [
            (2, endpoint, all, 0),
            (3, endpoint, Rights::SEND, 3),
            (4, endpoint, Rights::SEND | Rights::GRANT, 0),
            (5, other, all, 0),
            (6, other, Rights::SEND | Rights::GRANT, 7),
            (7, notification, Rights::SEND | Rights::GRANT, 0),
            (8, notification, Rights::SEND, 0),
            (9, reply, Rights::KERNEL, 0),
        ] {
            world.give(cap, client.cnode, index, rights, badge);
        }
        let root = world.root;
        let place = Ask::invoke(client.cnode, gritos_abi::method::CNode::Move as u64);
        world.succeed(root, &place.words(&[10]).cap(untyped, 0, 0));
        world.give(endpoint, server.cnode, 2, Rights::RECV, 0);
        world.give(reply, server.cnode, 3, Rights::AS_HELD, 0);
        let recv = Ask::recv(2, 3).window(window.0, window.1);
        world.wait(server.tcb, &recv);

        let gifts: Vec<_> = gifts.into_iter().map(gift).collect();
        let mut ask = Ask::call(2 + via);
        for g in &gifts {
            ask = if g.moves {
                // Mask and badge of a move must be zero; see that they are looked at.
                let mut moved = ask.cap(g.from, g.mask, g.badge);
                let place = moved.x[10] >> 4 & 7;
                moved.x[10] |= 1 << (7 + place - 1);
                moved
            } else {
                ask.cap(g.from, g.mask, g.badge)
            };
        }

        let object = world.root_cap(endpoint).object.get();
        let mut moved = Vec::new();
        let mut verdict = Ok(Vec::new());
        for (i, g) in gifts.iter().enumerate() {
            let Ok(plan) = &mut verdict else { break };
            let cap = (g.from < SLOTS).then(|| world.cap_of(client.tcb, g.from));
            // The second capability to the endpoint has no GRANT.
            let judged = judge(g, cap, &moved, object, via != 1).and_then(|unwraps| {
                let taken = plan.iter().filter(|p| **p != u32::MAX).count() as u32;
                let to = window.0 + taken;
                let free = taken < window.1 && to < SLOTS && ![1, 2, 3].contains(&to);
                match (unwraps, free) {
                    (true, _) => Ok(u32::MAX),
                    (false, true) => Ok(to),
                    (false, false) => Err(Status::ReceiverWindow),
                }
            });
            match judged {
                Ok(to) => plan.push(to),
                Err(status) => verdict = Err((status, i as u32)),
            }
            if g.moves {
                moved.push(g.from);
            }
        }
        match verdict {
            Err((status, slot)) => {
                let got = world.refuse(client.tcb, &ask);
                prop_assert_eq!(got, status);
                let outcome = world.got(client.tcb).outcome();
                prop_assert_eq!(outcome.fault_slot(), slot);
            }
            Ok(plan) => {
                let before = world.clone();
                world.wait(client.tcb, &ask);
                let got = world.woken(server.tcb);
                prop_assert_eq!(got.outcome().cap_count() as usize, gifts.len());
                for (i, (g, to)) in gifts.iter().zip(plan).enumerate() {
                    let source = before.cap_of(client.tcb, g.from);
                    let held = source.rights.get();
                    let rights = if g.mask == 0 { held } else { g.mask };
                    let (how, _, delivered) = got.cap(i);
                    prop_assert_eq!(delivered, rights);
                    if to == u32::MAX {
                        prop_assert_eq!(how, Arrival::Unwrapped);
                        continue;
                    }
                    let arrived = world.cap_of(server.tcb, to);
                    prop_assert_eq!(arrived.object.get(), source.object.get());
                    prop_assert_eq!(arrived.rights.get(), rights);
                    if g.badge != 0 {
                        prop_assert_eq!(arrived.badge.get(), g.badge);
                    }
                    let left = world.cap_of(client.tcb, g.from);
                    prop_assert!(left.is_empty() == g.moves || moved.contains(&g.from));
                }
            }
        }
    }
}
