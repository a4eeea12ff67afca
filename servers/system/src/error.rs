//! What can be wrong with a table.

use core::fmt;

/// A kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Components.
    Component,
    /// Services.
    Service,
    /// Devices.
    Device,
    /// Uses, over all components.
    Use,
}

/// Why a table is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemError {
    /// Shorter than its header says, or than a header.
    Truncated,
    /// Does not begin with [`MAGIC`](crate::MAGIC).
    Magic,
    /// Another version of the format; the version found.
    Version(u32),
    /// No such board; the number found.
    Board(u32),
    /// More records, or bytes of strings, than there may be; the number found.
    Count(u32),
    /// The bytes that the header counts are not the sum of its parts.
    Length,
    /// The strings are not UTF-8.
    Text,
    /// A field of a record is out of range.
    Field {
        /// Which kind of record.
        part: Part,
        /// Which one.
        index: u16,
        /// Name of the field.
        field: &'static str,
    },
}

impl fmt::Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the system table is cut off"),
            Self::Magic => f.write_str("this is no system table"),
            Self::Version(found) => write!(
                f,
                "the system table has version {found}, not {}",
                crate::VERSION
            ),
            Self::Board(found) => write!(f, "the system table is for an unknown board {found}"),
            Self::Count(found) => write!(f, "the system table has too many parts: {found}"),
            Self::Length => f.write_str("the parts of the system table do not add up"),
            Self::Text => f.write_str("the names in the system table are not UTF-8"),
            Self::Field { part, index, field } => {
                let part = match part {
                    Part::Component => "component",
                    Part::Service => "service",
                    Part::Device => "device",
                    Part::Use => "use",
                };
                write!(
                    f,
                    "{part} {index} in the system table: `{field}` is out of range"
                )
            }
        }
    }
}

impl core::error::Error for SystemError {}
