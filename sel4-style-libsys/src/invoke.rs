//! Methods of kernel objects, one module per object.
//!
//! A method is a `Call` on a capability to anything but an endpoint: the tag
//! is the method, words and capability addresses are its arguments, words come
//! back. `gritos_abi::method` is the list; each function here is one line of
//! it with types.

use gritos_abi::message::DATA_WORDS;
use gritos_abi::{Address, CapsIn, Control, Syscall};

use crate::cap::{Cap, Mask, Object};
use crate::error::{Error, Operation};
use crate::raw::{RawCalls, Request, kernel};

mod address_space;
mod cnode;
mod irq;
mod memory_object;
mod notification;
mod platform;
mod scheduling;
mod tcb;
mod untyped;

pub use address_space::AddressSpaceInfo;
pub use cnode::Inspection;
pub use memory_object::{Mapping, MemoryInfo, Permissions};
pub use platform::LogText;
pub use scheduling::ContextInfo;
pub use tcb::ThreadInfo;
pub use untyped::{UntypedInfo, Wanted};

/// A capability as the argument of a method.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Argument {
    source: Address,
    mask: Mask,
    badge: u32,
}

impl Argument {
    #[inline(always)]
    pub(crate) const fn new<T, const R: u32>(cap: Cap<T, R>) -> Self {
        Self::derived(cap, Mask::AS_HELD, 0)
    }

    #[inline(always)]
    pub(crate) const fn derived<T, const R: u32>(cap: Cap<T, R>, mask: Mask, badge: u32) -> Self {
        Self {
            source: cap.address(),
            mask,
            badge,
        }
    }
}

impl<T: Object, const R: u32> Cap<T, R> {
    /// Invokes the method `tag` with these words and no capabilities.
    ///
    /// # Errors
    /// What the kernel answers; see the method.
    #[inline(always)]
    pub fn invoke<const N: usize>(
        self,
        tag: u64,
        words: [u64; N],
    ) -> Result<[u64; DATA_WORDS], Error> {
        self.invoke_with(tag, words, [])
    }

    #[inline(always)]
    pub(crate) fn invoke_with<const N: usize, const C: usize>(
        self,
        tag: u64,
        words: [u64; N],
        arguments: [Argument; C],
    ) -> Result<[u64; DATA_WORDS], Error> {
        const { assert!(N <= DATA_WORDS && C <= gritos_abi::message::CAP_SLOTS) };
        let control = Control::words(N as u32).with_caps(C as u32, 0);
        let request = Request::new(self.address(), tag, padded(words), control);
        let returned = if C == 0 {
            kernel().short(Syscall::Call, request)
        } else {
            let mut caps = CapsIn::default();
            for (i, argument) in arguments.iter().enumerate() {
                caps = caps.with(i, argument.source, argument.mask.bits(), argument.badge);
            }
            kernel().full(Syscall::Call, request, caps, 0)
        };
        if returned.outcome.is_ok() {
            Ok(returned.words)
        } else {
            let operation = Operation::Method(T::TYPE, tag);
            Err(Error::new(returned.outcome, operation))
        }
    }
}

/// `words` with zeros behind: registers that a call does not use carry nothing
/// of the caller.
#[inline(always)]
pub(crate) const fn padded<const N: usize>(words: [u64; N]) -> [u64; DATA_WORDS] {
    let mut all = [0; DATA_WORDS];
    let mut i = 0;
    while i < N {
        all[i] = words[i];
        i += 1;
    }
    all
}
