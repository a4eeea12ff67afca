//! All interleavings of two sides that put each other to sleep, as loom finds them:
//! `RUSTFLAGS="--cfg loom" cargo test -p gritos-ring --release --test model`.
#![cfg(loom)]

use gritos_ring::host::HostMemory;
use gritos_ring::{Consumer, Producer, RingError, ring_bytes};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

const ENTRY: usize = 4;

/// A notification: signals are kept until somebody waits.
struct Signal(Mutex<bool>, Condvar);

impl Signal {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(false), Condvar::new()))
    }

    fn signal(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_one();
    }

    fn wait(&self) {
        let mut set = self.0.lock().unwrap();
        while !*set {
            set = self.1.wait(set).unwrap();
        }
        *set = false;
    }
}

/// Every entry arrives with the value it was written with, and no side sleeps for ever: loom
/// reports a deadlock if a signal is missed.
fn exchange(capacity: u32, count: u32) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let memory = HostMemory::new(ring_bytes(capacity, ENTRY).unwrap());
        let (room, entries) = (Signal::new(), Signal::new());
        let mut producer = Producer::<_, ENTRY>::new(memory.clone(), 0, capacity).unwrap();
        let mut consumer = Consumer::<_, ENTRY>::new(memory, 0, capacity).unwrap();
        let sender = {
            let (room, entries) = (room.clone(), entries.clone());
            thread::spawn(move || {
                for number in 1..=count {
                    loop {
                        match producer.push(&number.to_le_bytes()) {
                            Ok(()) => break,
                            Err(RingError::Full) if producer.arm(1).unwrap() => room.wait(),
                            Err(RingError::Full) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                    if producer.publish().unwrap() {
                        entries.signal();
                    }
                }
            })
        };
        let mut expected = 1;
        while expected <= count {
            if consumer.refresh().unwrap() == 0 && consumer.arm(1).unwrap() {
                entries.wait();
                continue;
            }
            while let Some(bytes) = consumer.pop().unwrap() {
                assert_eq!(u32::from_le_bytes(bytes), expected);
                expected += 1;
            }
            if consumer.release().unwrap() {
                room.signal();
            }
        }
        sender.join().unwrap();
    });
}

#[test]
fn one_entry_at_a_time() {
    exchange(1, 2);
}

#[test]
fn more_entries_than_fit() {
    exchange(2, 3);
}
