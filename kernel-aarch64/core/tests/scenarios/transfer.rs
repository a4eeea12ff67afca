//! Capabilities in messages.

use crate::common::*;

#[test]
fn a_capability_arrives_in_the_window() {
    let mut s = Service::new(1);
    let n = s.world.make(ObjectType::Notification, 0, 1);
    s.world.give(n, s.clients[0].cnode, 5, Rights::AS_HELD, 0);
    s.listen();
    s.call(0, call(&[]).cap(5, 0, 0x77));
    let got = s.world.woken(s.server.tcb);
    let (how, badge, rights) = got.cap(0);
    let object = ObjectType::Notification;
    assert_eq!(
        how,
        Arrival::InSlot {
            object,
            position: 0
        }
    );
    assert_eq!((badge, rights), (0x77, Rights::KERNEL.bits()));
    assert_eq!(s.world.cap_of(s.server.tcb, WINDOW).badge.get(), 0x77);
}
