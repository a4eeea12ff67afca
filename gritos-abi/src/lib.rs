//! The contract between the gRiTOS kernel and user space.
//!
//! Both sides read the same definitions: system-call numbers, the register
//! layout of a message, rights, object types and their methods, status codes,
//! what the root task finds at start, and the format of the boot image. The
//! crate holds data and pure bit arithmetic, nothing else: no state, no
//! `unsafe`, no type that only one side uses.
//!
//! `docs/reference/abi.md` is the normative text. The C header
//! `include/gritos.h` is generated from this crate by its module `c_header`.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

/// An enum whose variants have the numbers from 0 on.
macro_rules! numbered {
    ($(#[$doc:meta])* $Name:ident: $int:ident {
        $($(#[$vdoc:meta])* $Variant:ident = $number:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr($int)]
        pub enum $Name { $($(#[$vdoc])* $Variant = $number,)* }

        impl $Name {
            /// All of them, in the order of their numbers.
            pub const ALL: [Self; [$($number),*].len()] = [$(Self::$Variant),*];

            /// Decodes a number.
            #[must_use]
            pub const fn from_number(number: $int) -> Option<Self> {
                if (number as usize) < Self::ALL.len() {
                    Some(Self::ALL[number as usize])
                } else {
                    None
                }
            }
        }
    };
}

pub mod boot_image;
pub mod boot_info;
#[cfg(feature = "c-header")]
pub mod c_header;
pub mod cap;
pub mod fault;
#[cfg(feature = "frame")]
pub mod frame;
pub mod message;
pub mod method;
pub mod status;
pub mod syscall;

pub use cap::{Address, ObjectType, Rights};
pub use message::{Arrival, CapsIn, Control, Kind, Outcome};
pub use status::Status;
pub use syscall::Syscall;
