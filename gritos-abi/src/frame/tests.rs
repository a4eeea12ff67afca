use std::string::String;
use std::vec::Vec;

use super::{Channel, Decoder, Event, PAYLOAD_LIMIT, START, encode};

fn encoded(channel: Channel, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(channel, payload, |byte| out.push(byte));
    out
}

#[derive(Default)]
struct Seen {
    text: String,
    frames: Vec<(Channel, Vec<u8>)>,
    damaged: usize,
}

fn decoded(bytes: &[u8]) -> Seen {
    let (mut decoder, mut seen) = (Decoder::new(), Seen::default());
    for &byte in bytes {
        match decoder.push(byte) {
            Some(Event::Text(byte)) => seen.text.push(byte.into()),
            Some(Event::Frame(channel, payload)) => seen.frames.push((channel, payload.to_vec())),
            Some(Event::Damaged) => seen.damaged += 1,
            None => {}
        }
    }
    seen
}

/// Numbers without a pattern, the same in every run (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }
}

#[test]
fn a_frame_looks_as_documented() {
    let frame = encoded(Channel::Test, b"pass 100%");
    assert_eq!(frame, b"\x1eT:00b:pass 100%25:b04b3aba\n");
}

#[test]
fn every_payload_arrives_as_it_was_on_its_channel() {
    let mut random = Random(1);
    for len in (0..300).chain([PAYLOAD_LIMIT - 1, PAYLOAD_LIMIT]) {
        for channel in Channel::ALL {
            let payload = random.bytes(len);
            let seen = decoded(&encoded(channel, &payload));
            assert_eq!(seen.frames, [(channel, payload)]);
            assert!(seen.text.is_empty() && seen.damaged == 0);
        }
    }
}

#[test]
fn a_long_payload_arrives_in_parts_that_join() {
    let payload = Random(2).bytes(3 * PAYLOAD_LIMIT + 5);
    let seen = decoded(&encoded(Channel::Output, &payload));
    assert_eq!(seen.frames.len(), 4);
    let joined: Vec<u8> = seen.frames.into_iter().flat_map(|(_, part)| part).collect();
    assert_eq!(joined, payload);
}

#[test]
fn text_around_frames_stays_text() {
    let mut bytes = b"boot\r\n".to_vec();
    bytes.extend(encoded(Channel::Status, b"ready"));
    bytes.extend(b"done\n");
    let seen = decoded(&bytes);
    assert_eq!(seen.text, "boot\r\ndone\n");
    assert_eq!(seen.frames, [(Channel::Status, b"ready".to_vec())]);
}

#[test]
fn a_carriage_return_before_the_line_feed_is_ignored() {
    let mut bytes = encoded(Channel::Log, b"x");
    bytes.pop();
    bytes.extend(b"\r\n");
    assert_eq!(decoded(&bytes).frames, [(Channel::Log, b"x".to_vec())]);
}

#[test]
fn every_single_damaged_byte_is_noticed_and_the_next_frame_arrives() {
    let good = encoded(Channel::Bench, b"signal mode=79 \xff");
    for at in 1..good.len() - 1 {
        for flip in 1..=255_u8 {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            bytes.extend(encoded(Channel::Test, b"next"));
            let seen = decoded(&bytes);
            // An escape may be written in one way only: nothing else reads the same.
            assert_eq!(
                seen.frames,
                [(Channel::Test, b"next".to_vec())],
                "byte {at} flipped by {flip:#x}"
            );
            assert!(seen.damaged >= 1);
        }
    }
}

#[test]
fn text_inside_a_frame_damages_that_frame_alone() {
    let good = encoded(Channel::Test, b"start signal");
    for at in 1..good.len() {
        let mut bytes = good[..at].to_vec();
        bytes.extend(b"kernel: note\n");
        bytes.extend(&good[at..]);
        bytes.extend(encoded(Channel::Test, b"next"));
        let seen = decoded(&bytes);
        assert_eq!(seen.frames.last(), Some(&(Channel::Test, b"next".to_vec())));
        assert_eq!(seen.frames.len(), 1, "interrupted at {at}");
    }
}

#[test]
fn noise_neither_stops_the_decoder_nor_passes_for_a_frame() {
    let mut random = Random(3);
    for _ in 0..2000 {
        let len = random.below(400);
        let mut bytes = random.bytes(len);
        for _ in 0..random.below(4) {
            let at = random.below(bytes.len() + 1);
            bytes.insert(at, START);
        }
        // Whatever state the noise left, a frame's first byte ends it.
        bytes.extend(encoded(Channel::Output, b"intact"));
        let seen = decoded(&bytes);
        assert_eq!(seen.frames, [(Channel::Output, b"intact".to_vec())]);
    }
}

#[test]
fn a_payload_longer_than_the_limit_is_refused() {
    let mut bytes = b"\x1eT:fff:".to_vec();
    bytes.extend(core::iter::repeat_n(b'a', 0xfff));
    bytes.push(b'\n');
    let seen = decoded(&bytes);
    assert!(seen.frames.is_empty() && seen.damaged == 1);
}
