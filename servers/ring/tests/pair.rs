//! Both sides of a ring, each believing the other.
#![cfg(not(loom))]

use gritos_ring::host::HostMemory;
use gritos_ring::{Consumer, Producer, RingError, reset, ring_bytes};
use std::thread;

const ENTRY: usize = 8;

fn pair(capacity: u32) -> (Producer<HostMemory, ENTRY>, Consumer<HostMemory, ENTRY>) {
    let memory = HostMemory::new(64 + ring_bytes(capacity, ENTRY).unwrap());
    reset(&memory, 64).unwrap();
    (
        Producer::new(memory.clone(), 64, capacity).unwrap(),
        Consumer::new(memory, 64, capacity).unwrap(),
    )
}

fn entry(number: u64) -> [u8; ENTRY] {
    number.to_le_bytes()
}

#[test]
fn entries_appear_when_they_are_published_and_in_order() {
    let (mut producer, mut consumer) = pair(4);
    producer.push(&entry(1)).unwrap();
    producer.push(&entry(2)).unwrap();
    assert_eq!(consumer.refresh(), Ok(0));
    assert_eq!(producer.publish(), Ok(true), "the consumer waits at first");
    assert_eq!(consumer.refresh(), Ok(2));
    assert_eq!(consumer.pop(), Ok(Some(entry(1))));
    assert_eq!(consumer.pop(), Ok(Some(entry(2))));
    assert_eq!(consumer.pop(), Ok(None));
}

#[test]
fn a_full_ring_takes_no_more_until_room_is_released() {
    let (mut producer, mut consumer) = pair(2);
    for number in 0..2 {
        producer.push(&entry(number)).unwrap();
    }
    assert_eq!(producer.push(&entry(2)), Err(RingError::Full));
    producer.publish().unwrap();
    consumer.refresh().unwrap();
    consumer.pop().unwrap();
    assert_eq!(
        producer.push(&entry(2)),
        Err(RingError::Full),
        "not released"
    );
    consumer.release().unwrap();
    producer.push(&entry(2)).unwrap();
    assert_eq!(producer.push(&entry(3)), Err(RingError::Full));
}

#[test]
fn only_a_side_that_waits_is_signalled_and_only_once() {
    let (mut producer, mut consumer) = pair(8);
    let mut publish = |number| {
        producer.push(&entry(number)).unwrap();
        producer.publish().unwrap()
    };
    assert!(publish(0));
    assert!(
        !publish(1),
        "it was woken and has not said that it waits again"
    );
    consumer.refresh().unwrap();
    while consumer.pop().unwrap().is_some() {}
    assert!(consumer.arm(1).unwrap());
    assert!(publish(2));
    assert_eq!(consumer.arm(1), Ok(false), "there is one, do not wait");
    assert_eq!(consumer.arm(3), Ok(true));
    assert!(!publish(3), "two of three");
    assert!(publish(4), "three of three");
}

#[test]
fn a_producer_is_signalled_when_the_room_it_wants_is_there() {
    let (mut producer, mut consumer) = pair(4);
    for number in 0..4 {
        producer.push(&entry(number)).unwrap();
    }
    producer.publish().unwrap();
    assert_eq!(producer.arm(2), Ok(true));
    consumer.refresh().unwrap();
    consumer.pop().unwrap();
    assert_eq!(consumer.release(), Ok(false), "one of two");
    consumer.pop().unwrap();
    assert_eq!(consumer.release(), Ok(true), "two of two");
    assert_eq!(producer.arm(2), Ok(false));
}

#[test]
fn a_ring_that_does_not_fit_is_refused() {
    let memory = HostMemory::new(256);
    let make = |offset, capacity| {
        Producer::<_, ENTRY>::new(&memory, offset, capacity)
            .map(|_| ())
            .err()
    };
    assert_eq!(make(0, 16), None);
    for (offset, capacity) in [
        (0, 32),
        (64, 16),
        (4, 2),
        (0, 3),
        (0, 0),
        (usize::MAX - 63, 2),
    ] {
        assert_eq!(
            make(offset, capacity),
            Some(RingError::Layout),
            "{offset} {capacity}"
        );
    }
}

#[test]
fn memory_that_goes_away_is_an_error() {
    let memory = HostMemory::new(ring_bytes(2, ENTRY).unwrap());
    let mut producer = Producer::<_, ENTRY>::new(memory.clone(), 0, 2).unwrap();
    let mut consumer = Consumer::<_, ENTRY>::new(memory.clone(), 0, 2).unwrap();
    producer.push(&entry(0)).unwrap();
    memory.take_away();
    assert_eq!(producer.publish(), Err(RingError::Gone));
    assert_eq!(consumer.refresh(), Err(RingError::Gone));
}

#[test]
fn threads_exchange_everything_whatever_the_timing() {
    const COUNT: u64 = if cfg!(miri) { 200 } else { 100_000 };
    let (mut producer, mut consumer) = pair(16);
    let sender = thread::spawn(move || {
        let mut sent = 0;
        while sent < COUNT {
            match producer.push(&entry(sent)) {
                Ok(()) => sent += 1,
                Err(RingError::Full) => thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
            if sent % 5 == 0 || sent == COUNT || producer.used() == 16 {
                producer.publish().unwrap();
            }
        }
    });
    let mut expected = 0;
    while expected < COUNT {
        if consumer.refresh().unwrap() == 0 {
            thread::yield_now();
        }
        while let Some(bytes) = consumer.pop().unwrap() {
            assert_eq!(bytes, entry(expected));
            expected += 1;
        }
        consumer.release().unwrap();
    }
    sender.join().unwrap();
}

#[test]
fn a_side_that_does_not_wait_any_more_is_not_signalled() {
    for taken in [0, 3] {
        let (mut producer, mut consumer) = pair(4);
        for number in 0..taken {
            producer.push(&entry(number)).unwrap();
            producer.publish().unwrap();
            consumer.refresh().unwrap();
            consumer.pop().unwrap();
        }
        consumer.release().unwrap();
        assert_eq!(consumer.arm(1), Ok(true));
        consumer.disarm().unwrap();
        for number in 0..4 {
            producer.push(&entry(number)).unwrap();
            assert_eq!(producer.publish(), Ok(false), "{taken} {number}");
        }
        assert_eq!(consumer.arm(1), Ok(false), "they are there");
    }
}
