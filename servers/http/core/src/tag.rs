//! Names for states of what is served (RFC 9110, section 8.8.3), so that nobody gets again what he has.
//!
//! They are weak: a file that changes twice within a tick of its time stamp, at the same length, keeps its name.

use crate::Stamp;

/// A state of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag([u8; 16]);

impl Tag {
    /// That of a file in the state of `stamp`.
    #[must_use]
    pub fn of(stamp: &Stamp) -> Self {
        // FNV-1a, word by word, with the words' high bits brought down: states of one file differ in few bits.
        let words = [stamp.inode, stamp.size, stamp.modified_ns];
        let mix =
            |hash: u64, word: u64| (hash ^ word ^ word >> 32).wrapping_mul(0x0000_0100_0000_01b3);
        let hash = words.into_iter().fold(0xcbf2_9ce4_8422_2325, mix);
        let mut digits = [0; 16];
        for (place, digit) in digits.iter_mut().enumerate() {
            let value = (hash >> (60 - 4 * place)) as usize & 15;
            *digit = b"0123456789abcdef"[value];
        }
        Self(digits)
    }

    /// As it stands in an answer.
    #[must_use]
    pub fn quoted(&self) -> [u8; 20] {
        let mut text = *b"W/\"................\"";
        text[3..19].copy_from_slice(&self.0);
        text
    }

    /// Whether the value of an `If-None-Match` field names this state, or any.
    #[must_use]
    pub fn is_among(&self, value: &str) -> bool {
        value.split(',').map(str::trim).any(|one| {
            let opaque = one.strip_prefix("W/").unwrap_or(one);
            let inner = opaque
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'));
            one == "*" || inner.is_some_and(|inner| inner.as_bytes() == self.0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Tag;
    use crate::Stamp;

    const STAMP: Stamp = Stamp {
        inode: 12,
        size: 5120,
        modified_ns: 1_700_000_000_000_000_000,
    };

    #[test]
    fn every_difference_of_two_states_shows() {
        let tag = Tag::of(&STAMP);
        for bit in 0..64 {
            let others = [
                Stamp {
                    inode: STAMP.inode ^ 1 << bit,
                    ..STAMP
                },
                Stamp {
                    size: STAMP.size ^ 1 << bit,
                    ..STAMP
                },
                Stamp {
                    modified_ns: STAMP.modified_ns ^ 1 << bit,
                    ..STAMP
                },
            ];
            for other in others {
                assert_ne!(Tag::of(&other), tag, "{bit}");
            }
        }
    }

    #[test]
    fn a_tag_is_found_among_those_that_a_peer_has() {
        let tag = Tag::of(&STAMP);
        let quoted = alloc::string::String::from_utf8(tag.quoted().to_vec()).expect("it is text");
        for (value, found) in [
            (quoted.clone(), true),
            (quoted[2..].into(), true),
            (alloc::format!("\"a\", {quoted} ,W/\"b\""), true),
            ("*".into(), true),
            (quoted[3..19].into(), false),
            ("\"a\"".into(), false),
            ("\"".into(), false),
            ("".into(), false),
        ] {
            assert_eq!(tag.is_among(&value), found, "{value}");
        }
    }
}
