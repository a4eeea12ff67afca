//! Rings of bytes: both sides honest, and one side that lies.
#![cfg(not(loom))]

use std::sync::mpsc;
use std::thread;

use gritos_ring::host::HostMemory;
use gritos_ring::{
    ByteConsumer, ByteProducer, Memory, RingError, byte_capacity, byte_ring_bytes, reset,
};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

const CAPACITY: u32 = 64;

fn pair() -> (HostMemory, ByteProducer, ByteConsumer) {
    let memory = HostMemory::new(64 + byte_ring_bytes(CAPACITY).unwrap());
    reset(&memory, 64).unwrap();
    let producer = ByteProducer::new(&memory, 64, CAPACITY).unwrap();
    let consumer = ByteConsumer::new(&memory, 64, CAPACITY).unwrap();
    (memory, producer, consumer)
}

#[test]
fn the_largest_ring_that_fits_is_found() {
    assert_eq!(byte_capacity(0), None);
    assert_eq!(byte_capacity(128 + 63), None);
    assert_eq!(byte_capacity(128 + 64), Some(64));
    assert_eq!(byte_capacity(128 + 127), Some(64));
    assert_eq!(byte_capacity(65_536), Some(32_768));
    assert_eq!(byte_capacity(usize::MAX), Some(1 << 23));
    assert_eq!(byte_ring_bytes(96), None);
    assert_eq!(byte_ring_bytes(1 << 24), None);
}

#[test]
fn a_ring_beyond_its_memory_or_uneven_is_refused() {
    let memory = HostMemory::new(256);
    let layout = |offset, capacity| ByteProducer::new(&memory, offset, capacity).unwrap_err();
    assert_eq!(layout(0, 256), RingError::Layout);
    assert_eq!(layout(32, 64), RingError::Layout);
    assert_eq!(layout(128, 64), RingError::Layout);
    assert_eq!(layout(usize::MAX & !63, 64), RingError::Layout);
    assert_eq!(layout(0, 96), RingError::Layout);
}

#[test]
fn bytes_appear_when_published_and_wrap_at_the_end() {
    let (memory, mut producer, mut consumer) = pair();
    for round in 0..5_u8 {
        let sent: Vec<u8> = (0..48).map(|i| i ^ round).collect();
        assert_eq!(producer.room(&memory), Ok(64));
        producer.put(&memory, 0, &sent[..20]).unwrap();
        producer.put(&memory, 20, &sent[20..]).unwrap();
        assert_eq!(consumer.filled(&memory), Ok(0));
        producer.publish(&memory, 48).unwrap();
        assert_eq!(producer.put(&memory, 0, &[0; 17]), Err(RingError::Full));
        assert_eq!(consumer.filled(&memory), Ok(48));
        let mut got = [0; 48];
        let (first, second) = got.split_at_mut(31);
        consumer.get(&memory, 0, first).unwrap();
        consumer.get(&memory, 31, second).unwrap();
        assert_eq!(consumer.get(&memory, 48, &mut [0]), Err(RingError::Full));
        assert_eq!(got.as_slice(), sent);
        consumer.release(&memory, 48).unwrap();
        assert_eq!(consumer.release(&memory, 1), Err(RingError::Full));
    }
}

#[test]
fn a_side_that_waits_is_signalled_once() {
    let (memory, mut producer, mut consumer) = pair();
    let mut publish = |count| {
        producer.put(&memory, 0, &vec![1; count as usize]).unwrap();
        producer.publish(&memory, count).unwrap()
    };
    assert!(publish(1), "the first byte of a new ring");
    assert!(!publish(1), "nobody waits");
    assert_eq!(consumer.filled(&memory), Ok(2));
    consumer.release(&memory, 2).unwrap();
    assert_eq!(consumer.arm(&memory, 10), Ok(true));
    assert!(!publish(9), "too few");
    assert!(publish(50), "enough");
    assert_eq!(consumer.arm(&memory, 10), Ok(false), "they are there");
    assert_eq!(producer.arm(&memory, 32), Ok(true));
    assert_eq!(consumer.filled(&memory), Ok(59));
    assert_eq!(consumer.release(&memory, 26), Ok(false), "room for 31");
    assert_eq!(consumer.release(&memory, 1), Ok(true));
}

#[test]
fn a_stream_between_threads_arrives_whole() {
    let (memory, mut producer, mut consumer) = pair();
    let (filled, wait_filled) = mpsc::channel();
    let (freed, wait_freed) = mpsc::channel();
    const TOTAL: usize = 100_000;
    let byte = |at: usize| (at % 251) as u8;
    let theirs = memory.clone();
    let sender = thread::spawn(move || {
        let mut at = 0;
        while at < TOTAL {
            let room = producer.room(&theirs).unwrap() as usize;
            let count = room.min(TOTAL - at).min(1 + at % 37);
            if count == 0 {
                if producer.arm(&theirs, 16).unwrap() {
                    wait_freed.recv().unwrap();
                }
                continue;
            }
            let piece: Vec<u8> = (at..at + count).map(byte).collect();
            producer.put(&theirs, 0, &piece).unwrap();
            at += count;
            if producer.publish(&theirs, count as u32).unwrap() {
                filled.send(()).unwrap();
            }
        }
    });
    let mut at = 0;
    while at < TOTAL {
        let count = consumer.filled(&memory).unwrap() as usize;
        if count == 0 {
            if consumer.arm(&memory, 1).unwrap() {
                wait_filled.recv().unwrap();
            }
            continue;
        }
        let mut piece = vec![0; count];
        consumer.get(&memory, 0, &mut piece).unwrap();
        assert!(piece.iter().enumerate().all(|(i, b)| *b == byte(at + i)));
        at += count;
        if consumer.release(&memory, count as u32).unwrap() {
            // The sender may have ended.
            let _ = freed.send(());
        }
    }
    sender.join().unwrap();
}

/// What a liar does between two steps of the honest side.
#[derive(Clone, Debug)]
enum Lie {
    Word(usize, u32),
    Nudge(usize, i8),
    Nothing,
}

fn lie() -> impl Strategy<Value = Lie> {
    let word = prop_oneof![Just(64_usize), Just(68), Just(128), Just(132)];
    prop_oneof![
        (word.clone(), any::<u32>()).prop_map(|(at, value)| Lie::Word(at, value)),
        (word, any::<i8>()).prop_map(|(at, by)| Lie::Nudge(at, by)),
        Just(Lie::Nothing),
    ]
}

fn tell(memory: &HostMemory, lie: &Lie) {
    match *lie {
        Lie::Word(at, value) => memory.store(at, value).unwrap(),
        Lie::Nudge(at, by) => {
            let old = memory.load(at).unwrap();
            memory
                .store(at, old.wrapping_add_signed(by.into()))
                .unwrap();
        }
        Lie::Nothing => {}
    }
}

proptest! {
    #[test]
    fn a_liar_gets_no_more_than_the_ring(lies in proptest::collection::vec((lie(), 0..80_u32), 0..40)) {
        let (memory, mut producer, mut consumer) = pair();
        for (lie, count) in lies {
            tell(&memory, &lie);
            if let Ok(room) = producer.room(&memory) {
                assert!(room <= CAPACITY);
                let count = count.min(room);
                producer.put(&memory, 0, &vec![7; count as usize]).unwrap();
                producer.publish(&memory, count).unwrap();
            }
            let _ = producer.arm(&memory, count);
            if let Ok(filled) = consumer.filled(&memory) {
                assert!(filled <= CAPACITY);
                let count = count.min(filled);
                consumer.get(&memory, 0, &mut vec![0; count as usize]).unwrap();
                consumer.release(&memory, count).unwrap();
            }
            let _ = consumer.arm(&memory, count);
        }
    }
}

#[test]
fn memory_that_was_taken_away_is_an_error() {
    let (memory, mut producer, mut consumer) = pair();
    memory.take_away();
    assert_eq!(producer.room(&memory), Err(RingError::Gone));
    assert_eq!(producer.put(&memory, 0, &[1]), Err(RingError::Gone));
    assert_eq!(consumer.filled(&memory), Err(RingError::Gone));
    assert_eq!(consumer.arm(&memory, 1), Err(RingError::Gone));
}
