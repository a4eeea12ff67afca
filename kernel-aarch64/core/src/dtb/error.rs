//! What is wrong with a device tree, and where.

use super::{node::Property, reader::name_at};

/// A device tree that cannot be used. Small, as every step of reading may return it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub problem: Problem,
    /// Property it concerns, if any.
    property: Option<Property>,
    /// Offset in the blob: of the node's name if it is about a property, else of what is malformed.
    offset: u32,
}

/// Where something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// In the structure of the blob, at this offset.
    Offset(usize),
    /// In the node with this name, which is printable ASCII, and this property.
    Property(&'a [u8], &'static str),
    /// Nowhere: it is missing.
    Nowhere,
}

/// What can be wrong with a device tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The blob does not start with the magic number.
    NoMagic,
    /// A length or offset in the header does not fit the blob.
    BadHeader,
    /// The format version is not 16 or 17.
    BadVersion,
    /// The blob ends within a token, name or value.
    Truncated,
    /// Not one of the token numbers.
    BadToken,
    /// A node's name is not printable ASCII.
    BadName,
    /// A property's name lies outside the strings block.
    BadNameOffset,
    /// Nodes are nested deeper than 32 levels.
    TooDeep,
    /// A property follows a child node.
    PropertyAfterChild,
    /// Nodes are not closed, or there is not exactly one root.
    Unbalanced,
    /// A required property is missing.
    NoProperty,
    /// A value has another length than its kind or the cell counts around it ask for.
    BadLength,
    /// A cell count is not 1 or 2 (or 3, where it counts interrupt cells).
    BadCells,
    /// A value is none of those that are understood.
    BadValue,
    /// An address range wraps around or lies outside the windows of its bus, or a device's is empty.
    OutOfRange,
    /// More regions than there is room for.
    TooMany,
    /// No RAM.
    NoRam,
    /// No interrupt controller of a kind that is known.
    NoGic,
    /// No PL011 that may be used.
    NoUart,
    /// No generic timer.
    NoTimer,
}

impl Problem {
    /// Returns the problem in words, to be followed by its place.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoMagic => "not a device tree: no magic number d00dfeed",
            Self::BadHeader => "header field does not fit the blob",
            Self::BadVersion => "format version is not 16 or 17",
            Self::Truncated => "the blob ends in the middle of something",
            Self::BadToken => "unknown token",
            Self::BadName => "node name is not printable ASCII",
            Self::BadNameOffset => "property name outside the strings block",
            Self::TooDeep => "more than 32 levels of nodes",
            Self::PropertyAfterChild => "property after a child node",
            Self::Unbalanced => "nodes are not balanced around one root",
            Self::NoProperty => "required property is missing",
            Self::BadLength => "value of a wrong length",
            Self::BadCells => "number of cells is none that can be used here",
            Self::BadValue => "value not understood",
            Self::OutOfRange => "address range is empty, wraps around or lies outside its bus",
            Self::TooMany => "more memory regions than there is room for",
            Self::NoRam => "no memory node has a size",
            Self::NoGic => "no arm,gic-400, arm,cortex-a15-gic or arm,gic-v3 is enabled",
            Self::NoUart => "no arm,pl011 is enabled",
            Self::NoTimer => "no arm,armv8-timer is enabled",
        }
    }

    /// The problem at `offset` of the blob.
    #[cold]
    #[inline(never)]
    pub(super) fn at(self, offset: usize) -> Error {
        // Blobs are at most 2 MiB.
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        Error {
            problem: self,
            property: None,
            offset,
        }
    }

    /// The problem in `property` of the node whose name is at `offset` of the blob.
    #[cold]
    #[inline(never)]
    pub(super) fn of(self, offset: u32, property: Property) -> Error {
        Error {
            problem: self,
            property: Some(property),
            offset,
        }
    }
}

impl Error {
    /// Returns where in `blob`, the one that was read, the problem is.
    #[must_use]
    pub fn place<'a>(&self, blob: &'a [u8]) -> Place<'a> {
        let offset = self.offset as usize;
        match (self.property, self.problem) {
            (Some(property), _) => Place::Property(name_at(blob, offset), property.name()),
            (None, Problem::NoRam | Problem::NoGic | Problem::NoUart | Problem::NoTimer) => {
                Place::Nowhere
            }
            (None, _) => Place::Offset(offset),
        }
    }
}
