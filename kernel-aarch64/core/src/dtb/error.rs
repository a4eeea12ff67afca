//! What is wrong with a device tree, and where.

use super::node::Node;

/// A device tree that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error<'a> {
    /// What is wrong.
    pub problem: Problem,
    /// Node it concerns, or what is missing; empty if `offset` says where.
    pub node: &'a str,
    /// Property it concerns, if any.
    pub property: &'static str,
    /// Offset in the blob; 0 if node and property say where.
    pub offset: usize,
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
    /// A value has another length than its kind or the cell counts around it ask for.
    BadLength,
    /// A cell count is not 1 or 2 (or 3, where it counts interrupt cells).
    BadCells,
    /// A value is none of those that are understood.
    BadValue,
    /// An address range wraps around, or lies outside the windows of its bus.
    OutOfRange,
    /// More regions than there is room for.
    TooMany,
    /// Something that the kernel cannot do without is not there.
    Missing,
}

impl Problem {
    /// Returns the problem in words, to be followed by node and property or by the offset.
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
            Self::BadLength => "value of a wrong length",
            Self::BadCells => "unusable number of cells",
            Self::BadValue => "value not understood",
            Self::OutOfRange => "address wraps around or lies outside its bus",
            Self::TooMany => "more memory regions than there is room for",
            Self::Missing => "required, but missing or disabled",
        }
    }

    /// The problem at `offset` of the blob.
    pub(super) const fn at<'a>(self, offset: usize) -> Error<'a> {
        Error {
            problem: self,
            node: "",
            property: "",
            offset,
        }
    }

    /// The problem in `property` of `node`.
    pub(super) const fn of<'a>(self, node: &Node<'a>, property: &'static str) -> Error<'a> {
        Error {
            problem: self,
            node: node.name,
            property,
            offset: 0,
        }
    }
}
