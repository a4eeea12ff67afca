//! Both sides as they should be.

use crate::wire::{RECEIVE, Setup, TRANSMIT, frame};
use gritos_ethernet_core::LinkError;
use gritos_ethernet_core::api::MAX_FRAME_BYTES;

#[test]
fn frames_arrive_whole_and_in_order() {
    let mut setup = Setup::new();
    setup.run();
    let sizes = [14, 60, 1514, MAX_FRAME_BYTES as usize];
    for (number, &bytes) in sizes.iter().enumerate() {
        assert!(setup.wire.deliver(&frame(number, bytes)));
    }
    setup.run();
    let mut buffer = [0; 2048];
    for (number, &bytes) in sizes.iter().enumerate() {
        assert_eq!(setup.link.next_bytes(), Ok(Some(bytes)));
        assert_eq!(setup.link.receive(&mut buffer), Ok(Some(bytes)));
        assert_eq!(buffer[..bytes], frame(number, bytes));
    }
    assert_eq!(setup.link.receive(&mut buffer), Ok(None));
    assert_eq!(setup.counters.received_frames, 4);
}

#[test]
fn frames_leave_whole_and_in_order() {
    let mut setup = Setup::new();
    let sent: Vec<_> = (0..3).map(|number| frame(number, 100 + number)).collect();
    for frame in &sent {
        setup.link.send(frame).unwrap();
    }
    setup.run();
    assert!(setup.wire.out.is_empty(), "not submitted");
    setup.link.submit().unwrap();
    setup.run();
    assert_eq!(setup.wire.out, sent);
    assert_eq!(
        (setup.counters.sent_frames, setup.counters.sent_bytes),
        (3, 303)
    );
}

#[test]
fn slots_go_round_for_ever() {
    let mut setup = Setup::new();
    setup.run();
    let mut buffer = [0; 2048];
    for number in 0..500 {
        for i in 0..3 {
            assert!(setup.wire.deliver(&frame(number + i, 64)), "{number}");
            setup.link.send(&frame(number + i, 80)).unwrap();
        }
        setup.link.submit().unwrap();
        setup.run();
        for i in 0..3 {
            assert_eq!(setup.link.receive(&mut buffer), Ok(Some(64)));
            assert_eq!(buffer[..64], frame(number + i, 64));
        }
        setup.link.submit().unwrap();
        setup.run();
    }
    assert_eq!(setup.wire.out.len(), 1500);
}

#[test]
fn of_many_slots_a_few_wait_for_others() {
    // A batch is 16 of 256, and 8 of the 128 that the device has at a time.
    let mut setup = Setup::sized(256, 256, 128);
    setup.run();
    assert_eq!(setup.wire.empty_slots(), 128);
    let mut buffer = [0; 2048];
    let (mut fewest, mut most) = (128, 0);
    for number in 0..1000 {
        assert!(setup.wire.deliver(&frame(number, 64)), "{number}");
        setup.run();
        assert_eq!(setup.link.receive(&mut buffer), Ok(Some(64)), "{number}");
        assert_eq!(buffer[..64], frame(number, 64));
        setup.link.send(&frame(number, 80)).unwrap();
        setup.link.submit().unwrap();
        setup.run();
        fewest = fewest.min(setup.wire.empty_slots());
        most = most.max(setup.wire.unclaimed());
    }
    assert_eq!(setup.wire.out.len(), 1000);
    assert!((112..127).contains(&fewest), "{fewest}");
    assert!((2..=17).contains(&most), "{most}");
}

#[test]
fn a_few_slots_that_are_held_back_starve_nobody() {
    let mut setup = Setup::sized(256, 256, 256);
    setup.run();
    let mut buffer = [0; 2048];
    for number in 0..200 {
        // The client reads late, and as much as there is; then it sleeps.
        let mut delivered = 0;
        while setup.wire.deliver(&frame(number, 60)) {
            delivered += 1;
        }
        assert!(delivered >= 256 - 32, "{number} {delivered}");
        setup.run();
        while setup.link.receive(&mut buffer).unwrap().is_some() {
            delivered -= 1;
        }
        assert_eq!(delivered, 0);
        if setup.link.submit().unwrap() {
            setup.run();
        }
        assert_eq!(setup.link.arm(false), Ok(true));
    }
}

#[test]
fn a_full_transmitter_takes_no_more_until_frames_have_left() {
    let mut setup = Setup::new();
    for number in 0..TRANSMIT as usize {
        setup.link.send(&frame(number, 60)).unwrap();
    }
    assert_eq!(setup.link.send(&frame(9, 60)), Err(LinkError::Full));
    setup.link.submit().unwrap();
    assert_eq!(setup.link.arm(true), Ok(true));
    let before = setup.signals;
    setup.run();
    assert_eq!(setup.signals, before + 1);
    assert_eq!(setup.link.arm(true), Ok(false));
    setup.link.send(&frame(9, 60)).unwrap();
}

#[test]
fn frames_for_which_a_device_has_no_room_leave_as_soon_as_it_has() {
    // Far fewer frames than slots, as devices have it whose descriptors are few.
    for room in [1, 2] {
        let mut setup = Setup::new();
        setup.wire.room = room;
        setup.wire.busy = true;
        for number in 0..TRANSMIT as usize {
            setup.link.send(&frame(number, 60)).unwrap();
        }
        setup.link.submit().unwrap();
        setup.run();
        assert_eq!(setup.wire.out.len(), room);
        assert!(
            setup.station.waits_for_sent(),
            "nobody else wakes the driver"
        );
        setup.wire.busy = false;
        // One interrupt is all that comes.
        setup.interrupt();
        assert_eq!(setup.wire.out.len(), TRANSMIT as usize);
        assert!(!setup.station.waits_for_sent());
    }
}

#[test]
fn without_empty_slots_frames_are_lost_and_nothing_else() {
    let mut setup = Setup::new();
    setup.run();
    let mut taken = 0;
    for number in 0..20 {
        taken += usize::from(setup.wire.deliver(&frame(number, 60)));
        setup.run();
    }
    assert_eq!(taken, RECEIVE as usize);
    let mut buffer = [0; 2048];
    for number in 0..taken {
        assert_eq!(setup.link.receive(&mut buffer), Ok(Some(60)));
        assert_eq!(buffer[..60], frame(number, 60));
    }
    setup.bell.0.set(0);
    setup.link.submit().unwrap();
    assert_eq!(setup.bell.0.get(), 1, "the driver waits for slots");
    setup.run();
    assert!(setup.wire.deliver(&frame(3, 60)));
}

#[test]
fn a_client_that_is_awake_is_not_signalled() {
    let mut setup = Setup::new();
    setup.run();
    assert_eq!(setup.link.arm(false), Ok(true));
    let before = setup.signals;
    for number in 0..3 {
        setup.wire.deliver(&frame(number, 60));
        setup.run();
    }
    assert_eq!(setup.signals, before + 1, "for the first only");
    assert_eq!(setup.link.arm(false), Ok(false));
}

#[test]
fn damaged_and_impossible_frames_are_counted_and_dropped() {
    let mut setup = Setup::new();
    setup.run();
    setup.wire.deliver_damaged();
    setup.wire.deliver(&frame(1, 13));
    setup.wire.deliver(&frame(1, 60));
    setup.run();
    let mut buffer = [0; 2048];
    assert_eq!(
        setup.link.receive(&mut buffer[..59]),
        Err(LinkError::Length)
    );
    assert_eq!(setup.link.receive(&mut buffer), Ok(Some(60)));
    assert_eq!(setup.link.receive(&mut buffer), Ok(None));
    assert_eq!(setup.counters.dropped_frames, 2);
    // One that is too long for its reader can be left out.
    setup.wire.deliver(&frame(1, 70));
    setup.wire.deliver(&frame(2, 60));
    setup.run();
    assert_eq!(
        setup.link.receive(&mut buffer[..64]),
        Err(LinkError::Length)
    );
    setup.link.skip().unwrap();
    assert_eq!(setup.link.receive(&mut buffer[..64]), Ok(Some(60)));
    setup.link.skip().unwrap();
    assert_eq!(setup.link.receive(&mut buffer), Ok(None));
    for bytes in [0, 13, MAX_FRAME_BYTES as usize + 1] {
        assert_eq!(setup.link.send(&frame(0, bytes)), Err(LinkError::Length));
    }
}

#[test]
fn a_client_that_has_the_driver_look_is_awake_until_it_arms() {
    let mut setup = Setup::new();
    setup.run();
    // The first slot of all that comes back is told of without being asked.
    setup.link.send(&frame(0, 60)).unwrap();
    setup.link.submit().unwrap();
    setup.run();
    assert_eq!(setup.link.arm(false), Ok(true));
    assert_eq!(
        setup.link.submit(),
        Ok(false),
        "there is nothing to look at"
    );
    setup.link.send(&frame(1, 60)).unwrap();
    let (rings, signals) = (setup.bell.0.get(), setup.signals);
    assert_eq!(setup.link.submit(), Ok(true));
    assert_eq!(setup.bell.0.get(), rings + 1);
    assert!(setup.wire.deliver(&frame(2, 80)));
    setup.run();
    assert_eq!(setup.signals, signals, "it is awake");
    assert_eq!(setup.link.arm(false), Ok(false), "and finds the frame");
    assert_eq!(setup.link.receive(&mut [0; 2048]), Ok(Some(80)));
    assert_eq!(setup.link.arm(false), Ok(true));
    assert!(setup.wire.deliver(&frame(3, 80)));
    setup.run();
    assert_eq!(setup.signals, signals + 1);
}
