//! Hashes of names, by which indexed folders are ordered.
//! Source: Linux, `Documentation/filesystems/ext4/directory.rst`, and for the exact
//! functions `fs/ext4/hash.c`; agreement is tested against `debugfs`.

/// How a file system, or a folder, hashes names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hasher {
    /// 0 legacy, 1 half MD4, 2 TEA.
    pub(super) version: u8,
    /// Bytes of names count as unsigned.
    pub(super) unsigned: bool,
    pub(super) seed: [u32; 4],
}

/// Not a hash: marks the end of a folder.
const END: u32 = 0xffff_fffe;

impl Hasher {
    /// The two hashes of a name; the first one is even.
    pub(super) fn hash(&self, name: &[u8]) -> (u32, u32) {
        let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
        if self.seed != [0; 4] {
            state = self.seed;
        }
        let (major, minor) = match self.version {
            1 => {
                for at in (0..name.len()).step_by(32) {
                    half_md4(&mut state, &self.words(name.get(at..).unwrap_or(&[])));
                }
                (state[1], state[2])
            }
            2 => {
                for at in (0..name.len()).step_by(16) {
                    tea(&mut state, &self.words(name.get(at..).unwrap_or(&[])));
                }
                (state[0], state[1])
            }
            // There is no second hash: one of ours keeps positions in listings apart.
            _ => (self.legacy(name), fnv(name)),
        };
        match major & !1 {
            END => (END - 2, minor),
            major => (major, minor),
        }
    }

    fn signed(&self, byte: u8) -> u32 {
        if self.unsigned {
            u32::from(byte)
        } else {
            i32::from(byte.cast_signed()).cast_unsigned()
        }
    }

    /// The start of a name as numbers, filled up with its length.
    fn words<const N: usize>(&self, name: &[u8]) -> [u32; N] {
        let length = name.len() as u32 & 0xff | (name.len() as u32) << 8;
        let filler = length | length << 16;
        let mut words = [filler; N];
        for (word, bytes) in words.iter_mut().zip(name.chunks(4)) {
            for byte in bytes {
                *word = self.signed(*byte).wrapping_add(*word << 8);
            }
        }
        words
    }

    fn legacy(&self, name: &[u8]) -> u32 {
        let (mut last, mut before) = (0x12a3_fe2d_u32, 0x37ab_e8f9_u32);
        for byte in name {
            let mixed = last ^ self.signed(*byte).wrapping_mul(7_152_373);
            let mut hash = before.wrapping_add(mixed);
            if hash & 0x8000_0000 != 0 {
                hash = hash.wrapping_sub(0x7fff_ffff);
            }
            before = last;
            last = hash;
        }
        last << 1
    }
}

fn half_md4(state: &mut [u32; 4], input: &[u32; 8]) {
    type Mix = fn(u32, u32, u32) -> u32;
    const ROUNDS: [(Mix, u32, [usize; 8], [u32; 4]); 3] = [
        (
            |x, y, z| z ^ (x & (y ^ z)),
            0,
            [0, 1, 2, 3, 4, 5, 6, 7],
            [3, 7, 11, 19],
        ),
        (
            |x, y, z| (x & y).wrapping_add((x ^ y) & z),
            0x5a82_7999,
            [1, 3, 5, 7, 0, 2, 4, 6],
            [3, 5, 9, 13],
        ),
        (
            |x, y, z| x ^ y ^ z,
            0x6ed9_eba1,
            [3, 7, 2, 6, 1, 5, 0, 4],
            [3, 9, 11, 15],
        ),
    ];
    let [mut a, mut b, mut c, mut d] = *state;
    for (mix, constant, order, shifts) in ROUNDS {
        for (step, word) in order.into_iter().enumerate() {
            let sum = a
                .wrapping_add(mix(b, c, d))
                .wrapping_add(input[word])
                .wrapping_add(constant);
            (a, b, c, d) = (d, sum.rotate_left(shifts[step % 4]), b, c);
        }
    }
    for (word, more) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(more);
    }
}

fn tea(state: &mut [u32; 4], input: &[u32; 4]) {
    let [mut x, mut y] = [state[0], state[1]];
    let mix = |v: u32, k0: u32, k1: u32, sum: u32| {
        (v << 4).wrapping_add(k0) ^ v.wrapping_add(sum) ^ (v >> 5).wrapping_add(k1)
    };
    let mut sum = 0_u32;
    for _ in 0..16 {
        sum = sum.wrapping_add(0x9e37_79b9);
        x = x.wrapping_add(mix(y, input[0], input[1], sum));
        y = y.wrapping_add(mix(x, input[2], input[3], sum));
    }
    state[0] = state[0].wrapping_add(x);
    state[1] = state[1].wrapping_add(y);
}

/// FNV-1a.
pub(super) fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}
