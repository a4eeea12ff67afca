//! Texts and byte vectors with a limit, stored in place.

use core::fmt;

/// The value has more bytes than its type allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// Bytes found.
    pub length: usize,
    /// Bytes allowed.
    pub limit: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes where {} are allowed", self.length, self.limit)
    }
}

impl core::error::Error for TooLong {}

/// At most `N` bytes.
#[derive(Clone, Copy)]
pub struct Bytes<const N: usize> {
    length: u32,
    // Beyond `length` all zero.
    data: [u8; N],
}

impl<const N: usize> Bytes<N> {
    /// Copies bytes.
    ///
    /// # Errors
    /// If there are more than `N`.
    pub fn new(bytes: &[u8]) -> Result<Self, TooLong> {
        let mut data = [0; N];
        let Some(place) = data.get_mut(..bytes.len()) else {
            return Err(TooLong {
                length: bytes.len(),
                limit: N,
            });
        };
        place.copy_from_slice(bytes);
        Ok(Self {
            length: bytes.len() as u32,
            data,
        })
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.data.get(..self.length as usize).unwrap_or(&[])
    }
}

impl<const N: usize> Default for Bytes<N> {
    fn default() -> Self {
        Self {
            length: 0,
            data: [0; N],
        }
    }
}

impl<const N: usize> core::ops::Deref for Bytes<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl<const N: usize> PartialEq for Bytes<N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<const N: usize> Eq for Bytes<N> {}

impl<const N: usize> fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// UTF-8 text of at most `N` bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Text<const N: usize>(Bytes<N>);

impl<const N: usize> Text<N> {
    /// Copies a text.
    ///
    /// # Errors
    /// If it has more than `N` bytes.
    pub fn new(text: &str) -> Result<Self, TooLong> {
        Bytes::new(text.as_bytes()).map(Self)
    }

    /// Takes bytes that came from elsewhere; `None` if they are not UTF-8.
    #[must_use]
    pub fn from_bytes(bytes: Bytes<N>) -> Option<Self> {
        core::str::from_utf8(bytes.as_slice())
            .is_ok()
            .then_some(Self(bytes))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Checked when it was made; without `unsafe` it is checked once more.
        core::str::from_utf8(self.0.as_slice()).unwrap_or("")
    }
}

impl<const N: usize> core::ops::Deref for Text<N> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
