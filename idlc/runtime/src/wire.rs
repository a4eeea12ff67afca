//! Values as bytes: the layout that `docs/reference/gidl.md` gives them, in
//! messages and in shared memory alike.

use crate::{Bytes, Text, WORDS, WireError, Words};

/// The data words of a message as bytes.
pub type Image = [u8; WORDS * 8];

/// A value with a fixed place in bytes.
pub trait Wire: Sized {
    /// Bytes it takes.
    const SIZE: usize;
    /// Its alignment: 1, 2, 4 or 8.
    const ALIGN: usize;

    /// Writes it to the first [`SIZE`](Self::SIZE) bytes of `out`; what does not
    /// fit is left out. Padding is not written.
    fn encode(&self, out: &mut [u8]);

    /// Reads it from the first [`SIZE`](Self::SIZE) bytes. Padding is ignored.
    ///
    /// # Errors
    /// What is wrong with them; [`WireError::BadLength`] if there are too few.
    fn decode(bytes: &[u8]) -> Result<Self, WireError>;
}

/// Writes `value` at `offset`.
#[inline]
pub fn put<T: Wire>(out: &mut [u8], offset: usize, value: &T) {
    if let Some(place) = out.get_mut(offset..) {
        value.encode(place);
    }
}

/// Reads a value at `offset`.
///
/// # Errors
/// Those of [`Wire::decode`].
#[inline]
pub fn get<T: Wire>(bytes: &[u8], offset: usize) -> Result<T, WireError> {
    T::decode(bytes.get(offset..).ok_or(WireError::BadLength)?)
}

/// The words that an image stands for.
#[inline]
#[must_use]
pub fn words_of(image: &Image) -> Words {
    let (chunks, _) = image.as_chunks::<8>();
    let mut words = [0; WORDS];
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u64::from_le_bytes(*chunk);
    }
    words
}

/// The image of words.
#[inline]
#[must_use]
pub fn image_of(words: &Words) -> Image {
    let mut image = [0; WORDS * 8];
    let (chunks, _) = image.as_chunks_mut::<8>();
    for (word, chunk) in words.iter().zip(chunks) {
        *chunk = word.to_le_bytes();
    }
    image
}

/// A `bool` from its byte.
///
/// # Errors
/// [`WireError::BadBool`] unless it is 0 or 1.
#[inline]
pub const fn bool_from(byte: u8) -> Result<bool, WireError> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(WireError::BadBool),
    }
}

macro_rules! integers {
    ($($int:ident)*) => {$(
        impl Wire for $int {
            const SIZE: usize = size_of::<$int>();
            const ALIGN: usize = size_of::<$int>();

            #[inline]
            fn encode(&self, out: &mut [u8]) {
                if let Some(place) = out.first_chunk_mut() {
                    *place = self.to_le_bytes();
                }
            }

            #[inline]
            fn decode(bytes: &[u8]) -> Result<Self, WireError> {
                bytes.first_chunk().map(|chunk| Self::from_le_bytes(*chunk)).ok_or(WireError::BadLength)
            }
        }
    )*};
}

integers! { u8 u16 u32 u64 i8 i16 i32 i64 }

impl Wire for bool {
    const SIZE: usize = 1;
    const ALIGN: usize = 1;

    #[inline]
    fn encode(&self, out: &mut [u8]) {
        u8::from(*self).encode(out);
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        bool_from(u8::decode(bytes)?)
    }
}

impl<T: Wire + Copy, const N: usize> Wire for [T; N] {
    const SIZE: usize = N * T::SIZE;
    const ALIGN: usize = T::ALIGN;

    fn encode(&self, out: &mut [u8]) {
        for (i, element) in self.iter().enumerate() {
            put(out, i * T::SIZE, element);
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut elements = [get::<T>(bytes, 0)?; N];
        for (i, element) in elements.iter_mut().enumerate().skip(1) {
            *element = get(bytes, i * T::SIZE)?;
        }
        Ok(elements)
    }
}

impl<T: Wire> Wire for Option<T> {
    const SIZE: usize = (T::SIZE + 1).next_multiple_of(T::ALIGN);
    const ALIGN: usize = T::ALIGN;

    fn encode(&self, out: &mut [u8]) {
        match self {
            Some(value) => value.encode(out),
            None => {
                if let Some(place) = out.get_mut(..T::SIZE) {
                    place.fill(0);
                }
            }
        }
        put(out, T::SIZE, &self.is_some());
    }

    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        if get(bytes, T::SIZE)? {
            T::decode(bytes).map(Some)
        } else {
            Ok(None)
        }
    }
}

/// Bytes of the length of a vector that holds at most `max` bytes.
const fn count_size(max: usize) -> usize {
    match max {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 4,
    }
}

impl<const N: usize> Wire for Bytes<N> {
    const SIZE: usize = (count_size(N) + N).next_multiple_of(count_size(N));
    const ALIGN: usize = count_size(N);

    fn encode(&self, out: &mut [u8]) {
        let length = self.as_slice().len() as u32;
        let count = count_size(N);
        if let Some(place) = out.get_mut(..count) {
            place.copy_from_slice(length.to_le_bytes().get(..count).unwrap_or(&[0; 4]));
        }
        if let Some(place) = out.get_mut(count..count + N) {
            place.fill(0);
            place
                .iter_mut()
                .zip(self.as_slice())
                .for_each(|(to, from)| *to = *from);
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let count = count_size(N);
        let mut length = [0; 4];
        length
            .iter_mut()
            .zip(bytes.get(..count).ok_or(WireError::BadLength)?)
            .for_each(|(to, from)| *to = *from);
        let length = u32::from_le_bytes(length) as usize;
        let data = bytes.get(count..count + N).ok_or(WireError::BadLength)?;
        Self::new(data.get(..length).ok_or(WireError::BadLength)?).map_err(|_| WireError::BadLength)
    }
}

impl<const N: usize> Wire for Text<N> {
    const SIZE: usize = Bytes::<N>::SIZE;
    const ALIGN: usize = Bytes::<N>::ALIGN;

    fn encode(&self, out: &mut [u8]) {
        if let Ok(bytes) = Bytes::<N>::new(self.as_bytes()) {
            bytes.encode(out);
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        Self::from_bytes(Bytes::decode(bytes)?).ok_or(WireError::BadText)
    }
}
