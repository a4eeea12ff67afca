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
fn length(blob: &[u8], offset: usize) -> Result<usize, Error> {
    let value = word(blob, offset).ok_or_else(|| Problem::BadHeader.at(offset))?;
    Ok(value as usize)
}

/// Returns how many bytes the tree takes whose header is at the start of `blob`.
///
/// # Errors
///
/// [`Problem::NoMagic`], or [`Problem::BadHeader`] if the size is impossible or above [`MAX_SIZE`].
#[inline(never)]
pub fn total_size(blob: &[u8]) -> Result<usize, Error> {
    if word(blob, 0) != Some(MAGIC) {
        return Err(Problem::NoMagic.at(0));
    }
    let size = length(blob, field::TOTAL_SIZE)?;
    if !(HEADER_SIZE..=MAX_SIZE).contains(&size) {
        return Err(Problem::BadHeader.at(field::TOTAL_SIZE));
    }
    Ok(size)
}

/// Returns the NUL-terminated bytes at `offset` of `bytes`, without the NUL; empty outside.
pub(super) fn name_at(bytes: &[u8], offset: usize) -> &[u8] {
    let rest = bytes.get(offset..).unwrap_or_default();
    rest.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// A blob whose header has been checked.
pub(super) struct Tree<'a> {
    /// The blob, as long as its header says.
    blob: &'a [u8],
    /// The blob up to the end of the structure block.
    structure: &'a [u8],
    /// Offset of the structure block.
    start: usize,
    /// Strings block, which ends in NUL: a name that starts in it ends in it.
    strings: &'a [u8],
}

impl<'a> Tree<'a> {
    /// Checks the header.
    #[inline(never)]
    pub(super) fn new(blob: &'a [u8]) -> Result<Self, Error> {
        let size = total_size(blob)?;
        let blob = blob
            .get(..size)
            .ok_or_else(|| Problem::Truncated.at(blob.len()))?;
        let version = length(blob, field::LAST_COMPATIBLE_VERSION)?;
        if !(16..=17).contains(&version) {
            return Err(Problem::BadVersion.at(field::LAST_COMPATIBLE_VERSION));
        }
        // Returns the start of a block, and the blob up to its end.
        let block = |start_field, size_field| {
            let start = length(blob, start_field)?;
            let end = start.checked_add(length(blob, size_field)?);
            let until = end.and_then(|end| blob.get(..end));
            Ok::<_, Error>((
                start,
                until.ok_or_else(|| Problem::BadHeader.at(size_field))?,
            ))
        };
        let (start, structure) = block(field::OFF_STRUCT, field::SIZE_STRUCT)?;
        if !start.is_multiple_of(4) {
            return Err(Problem::BadHeader.at(field::OFF_STRUCT));
        }
        let (strings_start, strings) = block(field::OFF_STRINGS, field::SIZE_STRINGS)?;
        let strings = strings.get(strings_start..).unwrap_or_default();
        if strings.last().is_some_and(|&last| last != 0) {
            return Err(Problem::BadHeader.at(field::SIZE_STRINGS));
        }
        Ok(Self {
            blob,
            structure,
            start,
            strings,
        })
    }

    /// Returns the entries of the memory reservation block, up to the empty one that ends it.
    pub(super) fn reserved_memory(&self) -> impl Iterator<Item = Result<Region, Error>> {
        let mut next = length(self.blob, field::OFF_RESERVATIONS).unwrap_or(usize::MAX);
        core::iter::from_fn(move || {
            let at = next;
            let Some(rest) = self.blob.get(at..) else {
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
                _ => Some(Region::new(address, size).ok_or_else(|| Problem::OutOfRange.at(at))),
            }
        })
    }

    /// Returns the start of the structure block.
    pub(super) const fn reader(&self) -> Reader<'_> {
        Reader {
            tree: self,
            next: self.start,
        }
    }

    /// Returns the name at `offset`, which has been read as a [`Token::Begin`].
    pub(super) fn node_name(&self, offset: u32) -> &[u8] {
        name_at(self.structure, offset as usize)
    }
}

/// A piece of the structure block. NOPs are skipped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// A node begins whose name is at this offset.
    Begin(u32),
    /// The innermost node ends.
    End,
    /// A property of the innermost node.
    Property,
    /// The structure block ends.
    Done,
}

/// A place in the structure block.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) tree: &'a Tree<'a>,
    /// Offset of the next token.
    next: usize,
}

impl<'a> Reader<'a> {
    /// Offset of the next token.
    pub(super) const fn offset(&self) -> usize {
        self.next
    }

    /// Reads one token; a property is skipped as a whole.
    #[inline(never)]
    pub(super) fn token(&mut self) -> Result<Token, Error> {
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
    #[inline(never)]
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
    #[inline(never)]
    fn property_value(&mut self) -> Result<(&'a [u8], &'a [u8]), Error> {
        let len = self.word()? as usize;
        let offset = self.next;
        let name = self.tree.strings.get(self.word()? as usize..);
        let name = name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Problem::BadNameOffset.at(offset))?;
        Ok((name, self.take(len)?))
    }

    /// Reads a node's name and returns its offset.
    fn name(&mut self) -> Result<u32, Error> {
        let start = self.next;
        let name = name_at(self.tree.structure, start);
        self.take(name.len() + 1)?;
        let printable = name.iter().all(|byte| (b' '..=b'~').contains(byte));
        let offset = u32::try_from(start).ok().filter(|_| printable);
        offset.ok_or_else(|| Problem::BadName.at(start))
    }

    fn word(&mut self) -> Result<u32, Error> {
        let value = word(self.tree.structure, self.next);
        let value = value.ok_or_else(|| Problem::Truncated.at(self.next))?;
        self.next += 4;
        Ok(value)
    }

    /// Takes `len` bytes, and what pads them to a word.
    #[inline(never)]
    fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let end = self.next.checked_add(len);
        let bytes = end.and_then(|end| self.tree.structure.get(self.next..end));
        let padded = end.and_then(|end| end.checked_next_multiple_of(4));
        match (bytes, padded) {
            (Some(bytes), Some(padded)) if padded <= self.tree.structure.len() => {
                self.next = padded;
                Ok(bytes)
            }
            _ => Err(Problem::Truncated.at(self.next)),
        }
    }
}
