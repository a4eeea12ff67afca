//! The blob's structure: header, memory reservations, and the token stream, every one checked
//! against the bounds of its block as it is read.

use super::error::{Error, Problem};
use crate::memory_map::Region;

/// Bytes of a blob that [`total_size`] needs.
pub const HEADER_SIZE: usize = 40;
/// Size of the largest blob that is accepted.
pub const MAX_SIZE: usize = 2 << 20;

const MAGIC: u32 = 0xd00d_feed;

/// Header fields after the magic number, by their offset.
mod field {
    pub(super) const TOTAL_SIZE: usize = 4;
    pub(super) const OFF_STRUCT: usize = 8;
    pub(super) const OFF_STRINGS: usize = 12;
    pub(super) const OFF_RESERVATIONS: usize = 16;
    pub(super) const LAST_COMPATIBLE_VERSION: usize = 24;
    pub(super) const SIZE_STRINGS: usize = 32;
    pub(super) const SIZE_STRUCT: usize = 36;
}

/// Returns the big-endian word at `offset` of `bytes`.
#[inline(never)]
fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u32::from_be_bytes(*bytes))
}

/// Returns the header field at `offset` as a length.
fn length(blob: &[u8], offset: usize) -> Result<usize, Error<'static>> {
    let value = word(blob, offset).and_then(|value| usize::try_from(value).ok());
    value.ok_or(Problem::BadHeader.at(offset))
}

/// Returns how many bytes the tree takes whose header is at the start of `blob`.
///
/// # Errors
///
/// [`Problem::NoMagic`], or [`Problem::BadHeader`] if the size is impossible or above [`MAX_SIZE`].
#[inline(never)]
pub fn total_size(blob: &[u8]) -> Result<usize, Error<'static>> {
    if word(blob, 0) != Some(MAGIC) {
        return Err(Problem::NoMagic.at(0));
    }
    let size = length(blob, field::TOTAL_SIZE)?;
    if !(HEADER_SIZE..=MAX_SIZE).contains(&size) {
        return Err(Problem::BadHeader.at(field::TOTAL_SIZE));
    }
    Ok(size)
}

/// A piece of the structure block. NOPs are skipped.
pub(super) enum Token<'a> {
    /// A node begins.
    Begin(&'a str),
    /// The innermost node ends.
    End,
    /// A property of the innermost node.
    Property,
    /// The structure block ends.
    Done,
}

/// A place in the structure block.
#[derive(Clone, Copy, Default)]
pub(super) struct Reader<'a> {
    /// The tree, as long as its header says.
    blob: &'a [u8],
    /// End of the structure block.
    end: usize,
    /// Strings block, which ends in NUL: a name that starts in it ends in it.
    strings: &'a [u8],
    /// Offset of the next token.
    next: usize,
}

impl<'a> Reader<'a> {
    /// Checks the header and returns the start of the structure block.
    pub(super) fn new(blob: &'a [u8]) -> Result<Self, Error<'a>> {
        let blob = blob
            .get(..total_size(blob)?)
            .ok_or(Problem::Truncated.at(blob.len()))?;
        let version = length(blob, field::LAST_COMPATIBLE_VERSION)?;
        if !(16..=17).contains(&version) {
            return Err(Problem::BadVersion.at(field::LAST_COMPATIBLE_VERSION));
        }
        let block = |offset_field, size_field| {
            let start = length(blob, offset_field)?;
            let end = start.checked_add(length(blob, size_field)?);
            let end = end.filter(|&end| end <= blob.len());
            Ok::<_, Error<'_>>((start, end.ok_or(Problem::BadHeader.at(size_field))?))
        };
        let (next, end) = block(field::OFF_STRUCT, field::SIZE_STRUCT)?;
        if !next.is_multiple_of(4) {
            return Err(Problem::BadHeader.at(field::OFF_STRUCT));
        }
        let (start, strings_end) = block(field::OFF_STRINGS, field::SIZE_STRINGS)?;
        let strings = blob.get(start..strings_end).unwrap_or_default();
        if strings.last().is_some_and(|&last| last != 0) {
            return Err(Problem::BadHeader.at(field::SIZE_STRINGS));
        }
        Ok(Self {
            blob,
            end,
            strings,
            next,
        })
    }

    /// Returns the entries of the memory reservation block, up to the empty one that ends it.
    pub(super) fn reserved_memory(&self) -> impl Iterator<Item = Result<Region, Error<'a>>> {
        let blob = self.blob;
        let mut next = length(blob, field::OFF_RESERVATIONS).unwrap_or(usize::MAX);
        core::iter::from_fn(move || {
            let at = next;
            let Some(rest) = blob.get(at..) else {
                return Some(Err(Problem::BadHeader.at(field::OFF_RESERVATIONS)));
            };
            let entry = rest.split_first_chunk().and_then(|(address, rest)| {
                Some((
                    u64::from_be_bytes(*address),
                    u64::from_be_bytes(*rest.first_chunk()?),
                ))
            });
            let Some((address, size)) = entry else {
                return Some(Err(Problem::Truncated.at(at)));
            };
            next = at.saturating_add(16);
            match (address, size) {
                (0, 0) => None,
                _ => Some(Region::new(address, size).ok_or(Problem::OutOfRange.at(at))),
            }
        })
    }

    /// Offset of the next token.
    pub(super) const fn offset(&self) -> usize {
        self.next
    }

    /// Reads one token; a property is skipped as a whole.
    pub(super) fn token(&mut self) -> Result<Token<'a>, Error<'a>> {
        loop {
            let offset = self.next;
            match self.word()? {
                1 => return self.name().map(Token::Begin),
                2 => return Ok(Token::End),
                3 => return self.property_value().map(|_| Token::Property),
                4 => {}
                9 => return Ok(Token::Done),
                _ => return Err(Problem::BadToken.at(offset)),
            }
        }
    }

    /// Finds the value of property `name` among the properties that follow.
    pub(super) fn property(mut self, name: &str) -> Option<&'a [u8]> {
        loop {
            match self.word().ok()? {
                3 => {
                    let (found, value) = self.property_value().ok()?;
                    let rest = found.strip_prefix(name.as_bytes());
                    if rest.is_some_and(|rest| rest.first() == Some(&0)) {
                        return Some(value);
                    }
                }
                4 => {}
                _ => return None,
            }
        }
    }

    /// Reads the rest of a property token: the strings block from the name on, and the value.
    fn property_value(&mut self) -> Result<(&'a [u8], &'a [u8]), Error<'a>> {
        let len = self.word()? as usize;
        let offset = self.next;
        let name = self
            .strings
            .get(self.word()? as usize..)
            .filter(|name| !name.is_empty());
        let name = name.ok_or(Problem::BadNameOffset.at(offset))?;
        Ok((name, self.take(len)?))
    }

    /// Reads a node's name.
    fn name(&mut self) -> Result<&'a str, Error<'a>> {
        let start = self.next;
        let rest = self.blob.get(start..self.end).unwrap_or_default();
        let len = rest
            .iter()
            .position(|&byte| byte == 0)
            .ok_or(Problem::Truncated.at(start))?;
        let name = self
            .take(len + 1)?
            .split_last()
            .map_or(&[][..], |(_nul, name)| name);
        let printable = name.iter().all(|byte| (b' '..=b'~').contains(byte));
        let name = core::str::from_utf8(name).ok().filter(|_| printable);
        name.ok_or(Problem::BadName.at(start))
    }

    fn word(&mut self) -> Result<u32, Error<'a>> {
        let offset = self.next;
        word(self.take(4)?, 0).ok_or(Problem::Truncated.at(offset))
    }

    /// Takes `len` bytes, and what pads them to a word.
    #[inline(never)]
    fn take(&mut self, len: usize) -> Result<&'a [u8], Error<'a>> {
        let truncated = Problem::Truncated.at(self.next);
        let end = self.next.checked_add(len).ok_or(truncated)?;
        let padded = end
            .checked_next_multiple_of(4)
            .filter(|&end| end <= self.end);
        let bytes = self.blob.get(self.next..end).ok_or(truncated)?;
        self.next = padded.ok_or(truncated)?;
        Ok(bytes)
    }
}
