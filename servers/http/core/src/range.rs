//! Parts of a file: the `Range` field (RFC 9110, "Range Requests"). More than one part is answered with
//! the whole, as it may be.

/// What of a file is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// All of it.
    Whole,
    /// `length` bytes from `first` on.
    Part {
        /// The first byte.
        first: u64,
        /// How many, at least one.
        length: u64,
    },
    /// Bytes that it does not have.
    Beyond,
}

impl Range {
    /// Reads the field's value for a file of so many bytes. What makes no sense counts for nothing.
    #[must_use]
    pub fn parse(value: Option<&str>, length: u64) -> Self {
        Self::read(value, length).unwrap_or(Self::Whole)
    }

    fn read(value: Option<&str>, length: u64) -> Option<Self> {
        let spec = value?.trim().strip_prefix("bytes=")?.trim();
        let (first, last) = spec.split_once('-')?;
        let (first, last) = (first.trim(), last.trim());
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(first) || !is_number(last) {
            return None;
        }
        if first.is_empty() {
            let count = number(last)?.min(length);
            return Some(match count {
                0 => Self::Beyond,
                count => Self::Part {
                    first: length - count,
                    length: count,
                },
            });
        }
        let first = number(first)?;
        let last = match last {
            "" => u64::MAX,
            last => number(last)?,
        };
        if last < first {
            return None;
        }
        if first >= length {
            return Some(Self::Beyond);
        }
        Some(Self::Part {
            first,
            length: last.min(length - 1) - first + 1,
        })
    }
}

/// A number of digits alone; what has too many is as good as the largest.
fn number(text: &str) -> Option<u64> {
    (!text.is_empty()).then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::Range;

    #[test]
    fn parts_lie_inside() {
        let part = |first, length| Range::Part { first, length };
        for (value, range) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=2-", part(2, 8)),
            ("bytes=2-99", part(2, 8)),
            ("bytes=-3", part(7, 3)),
            ("bytes=-99", part(0, 10)),
            ("bytes=9-18446744073709551615", part(9, 1)),
            ("bytes=10-", Range::Beyond),
            ("bytes=99999999999999999999999-", Range::Beyond),
            ("bytes=-0", Range::Beyond),
            ("bytes=5-2", Range::Whole),
            ("bytes=0-1,3-4", Range::Whole),
            ("bytes=", Range::Whole),
            ("bytes=-", Range::Whole),
            ("bytes=+1-2", Range::Whole),
            ("lines=0-1", Range::Whole),
        ] {
            assert_eq!(Range::parse(Some(value), 10), range, "{value}");
        }
        assert_eq!(Range::parse(None, 10), Range::Whole);
        assert_eq!(Range::parse(Some("bytes=0-"), 0), Range::Beyond);
    }
}
