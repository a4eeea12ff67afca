//! What is in the file of a step.

/// Files that there are; step n writes number n modulo this.
pub(crate) const PLACES: u64 = 32;
/// Most bytes of a file.
pub(crate) const MOST: usize = 24 << 10;
/// Bytes at the beginning of a file that tell the step.
const HEAD: usize = 8;

/// The next of a sequence that looks random (xorshift64*, Vigna 2016).
const fn next(state: u64) -> u64 {
    let mut x = state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    x
}

/// Bytes of the file of step `n`.
pub(crate) fn length(n: u64) -> usize {
    HEAD + (next(n.wrapping_mul(2) + 1) as usize) % (MOST - HEAD)
}

/// Fills `into`, which is as long as the file of step `n`, with its contents.
pub(crate) fn fill(n: u64, into: &mut [u8]) {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let (head, rest) = into.split_at_mut(HEAD.min(into.len()));
    let number = n.to_le_bytes();
    head.copy_from_slice(number.get(..head.len()).unwrap_or(&number));
    for bytes in rest.chunks_mut(8) {
        state = next(state);
        let word = state.to_le_bytes();
        bytes.copy_from_slice(word.get(..bytes.len()).unwrap_or(&word));
    }
}

/// The step whose file this is, if it is one to the last byte. `room` is for comparing.
pub(crate) fn step_of(bytes: &[u8], room: &mut [u8]) -> Option<u64> {
    let n = u64::from_le_bytes(*bytes.first_chunk()?);
    if bytes.len() != length(n) {
        return None;
    }
    let expected = room.get_mut(..bytes.len())?;
    fill(n, expected);
    (expected == bytes).then_some(n)
}

/// Whether a place may hold `found` when step `last` is the last that any place holds: each place was written
/// last in the step that is its turn.
pub(crate) const fn is_current(place: u64, found: u64, last: u64) -> bool {
    found % PLACES == place && found <= last && last - found < PLACES
}

#[cfg(test)]
mod tests {
    use super::{MOST, PLACES, fill, is_current, length, step_of};

    #[test]
    fn a_file_tells_its_step_and_no_other_byte_will_do() {
        let mut room = vec![0; MOST];
        for n in [0, 1, 2, 77, 1 << 40] {
            let mut bytes = vec![0; length(n)];
            fill(n, &mut bytes);
            assert_eq!(step_of(&bytes, &mut room), Some(n));
            for at in [8, bytes.len() / 2, bytes.len() - 1] {
                bytes[at] ^= 1;
                assert_eq!(step_of(&bytes, &mut room), None, "{n} {at}");
                bytes[at] ^= 1;
            }
            assert_eq!(step_of(&bytes[..bytes.len() - 1], &mut room), None);
        }
        assert_eq!(step_of(&[1, 2, 3], &mut room), None);
    }

    #[test]
    fn a_place_is_current_until_its_next_turn() {
        assert!(is_current(3, 3, 3) && is_current(3, 3, 2 + PLACES));
        assert!(!is_current(3, 3, 3 + PLACES), "its turn came again");
        assert!(!is_current(4, 3, 3) && !is_current(3, 3 + PLACES, 3));
    }
}
