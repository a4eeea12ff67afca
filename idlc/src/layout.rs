//! How values are placed: pure arithmetic, shared by the checker and its tests.

/// `value` rounded up to a multiple of `align`, a power of two.
#[must_use]
pub const fn round_up(value: u32, align: u32) -> u32 {
    value.saturating_add(align - 1) & !(align - 1)
}

/// Size and alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Bytes.
    pub size: u32,
    /// 1, 2, 4 or 8.
    pub align: u32,
}

impl Extent {
    /// A scalar of `size` bytes.
    #[must_use]
    pub const fn scalar(size: u32) -> Self {
        Self { size, align: size }
    }

    /// Text or bytes of at most `max`: a length of one byte (two, four) that
    /// can count to `max`, then the bytes.
    #[must_use]
    pub const fn counted(max: u32) -> Self {
        let count = count_size(max);
        Self {
            size: round_up(count + max, count),
            align: count,
        }
    }

    /// A value followed by a byte that says whether it is there.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self {
            size: round_up(self.size + 1, self.align),
            align: self.align,
        }
    }
}

/// Bytes of the length of a text or byte vector.
#[must_use]
pub const fn count_size(max: u32) -> u32 {
    match max {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 4,
    }
}

/// Places fields in order, as C does. Returns offsets, size and alignment.
#[must_use]
pub fn in_order(fields: &[Extent]) -> (Vec<u32>, Extent) {
    let mut offsets = Vec::new();
    let (mut at, mut align) = (0_u32, 1);
    for field in fields {
        at = round_up(at, field.align);
        offsets.push(at);
        at = at.saturating_add(field.size);
        align = align.max(field.align);
    }
    (
        offsets,
        Extent {
            size: round_up(at, align),
            align,
        },
    )
}

/// Places the parameters of a message: by falling alignment, those of the same
/// alignment in the order given. Sizes are multiples of alignments, so nothing
/// is lost between them. Returns offsets in the order given, and bytes used.
#[must_use]
pub fn packed(params: &[Extent]) -> (Vec<u32>, u32) {
    let mut offsets = vec![0; params.len()];
    let mut at = 0_u32;
    for align in [8, 4, 2, 1] {
        for (param, offset) in params.iter().zip(&mut offsets) {
            if param.align == align {
                *offset = at;
                at = at.saturating_add(param.size);
            }
        }
    }
    (offsets, at)
}

#[cfg(test)]
mod tests {
    use super::{Extent, in_order, packed};

    #[test]
    fn messages_have_no_holes() {
        let params = [
            Extent::scalar(1),
            Extent::scalar(8),
            Extent::counted(5),
            Extent::scalar(4),
            Extent::scalar(2),
        ];
        let (offsets, used) = packed(&params);
        assert_eq!(offsets, [14, 0, 15, 8, 12]);
        assert_eq!(used, params.iter().map(|p| p.size).sum::<u32>());
    }

    #[test]
    fn structs_are_laid_out_as_in_c() {
        let (offsets, whole) = in_order(&[Extent::scalar(1), Extent::scalar(8), Extent::scalar(2)]);
        assert_eq!(
            (offsets, whole),
            (vec![0, 8, 16], Extent { size: 24, align: 8 })
        );
    }

    #[test]
    fn counts_are_as_wide_as_needed() {
        assert_eq!(
            Extent::counted(255),
            Extent {
                size: 256,
                align: 1
            }
        );
        assert_eq!(
            Extent::counted(256),
            Extent {
                size: 258,
                align: 2
            }
        );
        assert_eq!(Extent::scalar(8).optional(), Extent { size: 16, align: 8 });
    }
}
