//! Memory that another process can see, change, or take away.
//!
//! A [`SharedBuf`] is touched by copying in and out, never by reference: its
//! bytes change under the reader. The instructions that touch it lie together
//! at the start of the program's text, behind a header that says where. A fault
//! there means that the other side revoked or unmapped the memory, and the
//! fault handler, which finds header and code in the boot image, continues the
//! thread at the error exit (see [`error_exit`]): the access answers
//! [`BufferError::Gone`]. No client can end a server by taking its memory away.

use core::sync::atomic::AtomicU8;
#[cfg(not(target_os = "none"))]
use core::sync::atomic::{AtomicU32, Ordering};

/// First byte of the addresses at which shared memory is mapped. Nothing that
/// belongs to Rust ever lies here.
pub const SHARED_BASE: u64 = 0x10_0000_0000;
/// One past the last of them.
pub const SHARED_END: u64 = 0x40_0000_0000;

/// First eight bytes of the text of a program.
pub const HEADER_MAGIC: u64 = u64::from_le_bytes(*b"gRiTOSsa");
/// Bytes of the header: the magic number, then the size of header and code,
/// then the offset of the error exit, 32 bits each.
pub const HEADER_BYTES: usize = 16;

/// Where a thread that faulted at `pc` continues, if it faulted in the
/// shared-access code of a program whose text is `text` and lies at `base`.
#[must_use]
pub fn error_exit(text: &[u8], base: u64, pc: u64) -> Option<u64> {
    let word = |at: usize| -> Option<u64> {
        let bytes = text.get(at..at + 4)?.try_into().ok()?;
        Some(u64::from(u32::from_le_bytes(bytes)))
    };
    if text.get(..8)? != HEADER_MAGIC.to_le_bytes() {
        return None;
    }
    let (size, exit) = (word(8)?, word(12)?);
    let offset = pc.checked_sub(base)?;
    (HEADER_BYTES as u64..size)
        .contains(&offset)
        .then_some(base + exit)
}

/// Why an access was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferError {
    /// The range lies outside the buffer.
    OutOfRange,
    /// A word that is accessed as one does not lie at a multiple of its size.
    Unaligned,
    /// The memory is no longer mapped.
    Gone,
}

/// A range of memory that others share.
#[derive(Clone, Copy, Debug)]
pub struct SharedBuf {
    base: usize,
    len: usize,
}

impl SharedBuf {
    /// The memory that `object` is mapped at.
    ///
    /// # Errors
    /// `NotMapped`; `OutOfRange` if it is mapped outside
    /// [`SHARED_BASE`]..[`SHARED_END`].
    #[cfg(target_os = "none")]
    pub fn of<const R: u32>(
        object: crate::Cap<crate::cap::MemoryObject, R>,
    ) -> Result<Self, crate::Error> {
        use crate::error::{Error, Operation};
        use gritos_abi::Status;
        let Some(mapping) = object.info()?.mapping else {
            return Err(Error::local(Status::NotMapped, Operation::Load));
        };
        let outside = Error::local(Status::OutOfRange, Operation::Load);
        let end = mapping.address.checked_add(mapping.length).ok_or(outside)?;
        if mapping.address < SHARED_BASE || end > SHARED_END {
            return Err(outside);
        }
        // Addresses of user space have 39 bits.
        Ok(Self {
            base: mapping.address as usize,
            len: mapping.length as usize,
        })
    }

    /// As on the target, but there is no memory behind a mapping on a host.
    ///
    /// # Errors
    /// `Unsupported`, always.
    #[cfg(not(target_os = "none"))]
    pub fn of<const R: u32>(
        _object: crate::Cap<crate::cap::MemoryObject, R>,
    ) -> Result<Self, crate::Error> {
        use crate::error::{Error, Operation};
        Err(Error::local(
            gritos_abi::Status::Unsupported,
            Operation::Load,
        ))
    }

    /// Memory of this program that several of its threads share.
    #[must_use]
    pub fn over(bytes: &'static [AtomicU8]) -> Self {
        Self {
            base: bytes.as_ptr().expose_provenance(),
            len: bytes.len(),
        }
    }

    /// Makes instructions that were written here visible to instruction fetch.
    pub fn synchronize_code(&self) {
        #[cfg(target_os = "none")]
        crate::svc::synchronize_code(self.base, self.len);
    }

    /// Bytes in the buffer.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies from `offset` into `to`.
    ///
    /// # Errors
    /// [`BufferError`]; `to` then holds anything.
    pub fn read(&self, offset: usize, to: &mut [u8]) -> Result<(), BufferError> {
        let from = self.range(offset, to.len())?;
        copy(to.as_mut_ptr(), from, to.len())
    }

    /// Copies `from` to `offset`.
    ///
    /// # Errors
    /// [`BufferError`]; part of it may have been written.
    pub fn write(&self, offset: usize, from: &[u8]) -> Result<(), BufferError> {
        let to = self.range(offset, from.len())?;
        copy(to, from.as_ptr(), from.len())
    }

    /// Loads the 32 bits at `offset` in one access: none that follows is seen
    /// before it.
    ///
    /// # Errors
    /// [`BufferError`].
    #[inline]
    pub fn load_acquire(&self, offset: usize) -> Result<u32, BufferError> {
        load(self.word(offset)?)
    }

    /// Stores 32 bits at `offset` in one access: all that precede are seen before
    /// it.
    ///
    /// # Errors
    /// [`BufferError`].
    #[inline]
    pub fn store_release(&self, offset: usize, value: u32) -> Result<(), BufferError> {
        store(self.word(offset)?, value)
    }

    fn word(&self, offset: usize) -> Result<*mut u32, BufferError> {
        let word = self.range(offset, size_of::<u32>())?.cast::<u32>();
        if word.is_aligned() {
            Ok(word)
        } else {
            Err(BufferError::Unaligned)
        }
    }

    fn range(&self, offset: usize, len: usize) -> Result<*mut u8, BufferError> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => {
                Ok(core::ptr::with_exposed_provenance_mut(self.base + offset))
            }
            _ => Err(BufferError::OutOfRange),
        }
    }
}

#[cfg(target_os = "none")]
core::arch::global_asm!(
    ".pushsection .text.shared_access, \"ax\", @progbits",
    ".balign 16",
    ".Lshared_header:",
    ".quad {magic}",
    ".word .Lshared_end - .Lshared_header",
    ".word .Lshared_exit - .Lshared_header",
    // The error exit. Every routine is a leaf without a frame, so that x30 and
    // sp are its caller's wherever it faults.
    ".Lshared_exit:",
    "    mov  x0, #1",
    "    ret",
    // gritos_shared_copy(to: x0, from: x1, bytes: x2) -> 0 done, 1 fault
    ".global gritos_shared_copy",
    ".type gritos_shared_copy, @function",
    "gritos_shared_copy:",
    "    subs x2, x2, #128",
    "    b.lo 2f",
    "1:  ldp  x5, x6, [x1, #16]",
    "    ldp  x7, x8, [x1, #32]",
    "    ldp  x9, x10, [x1, #48]",
    "    ldp  x11, x12, [x1, #64]",
    "    stp  x5, x6, [x0, #16]",
    "    stp  x7, x8, [x0, #32]",
    "    stp  x9, x10, [x0, #48]",
    "    stp  x11, x12, [x0, #64]",
    "    ldp  x5, x6, [x1, #80]",
    "    ldp  x7, x8, [x1, #96]",
    "    ldp  x9, x10, [x1, #112]",
    "    ldp  x3, x4, [x1], #128",
    "    stp  x5, x6, [x0, #80]",
    "    stp  x7, x8, [x0, #96]",
    "    stp  x9, x10, [x0, #112]",
    "    stp  x3, x4, [x0], #128",
    "    subs x2, x2, #128",
    "    b.hs 1b",
    // What is left, by the bits of its size: 128 less changes none of them.
    "2:  tbz  x2, #6, 3f",
    "    ldp  x3, x4, [x1]",
    "    ldp  x5, x6, [x1, #16]",
    "    ldp  x7, x8, [x1, #32]",
    "    ldp  x9, x10, [x1, #48]",
    "    stp  x3, x4, [x0]",
    "    stp  x5, x6, [x0, #16]",
    "    stp  x7, x8, [x0, #32]",
    "    stp  x9, x10, [x0, #48]",
    "    add  x1, x1, #64",
    "    add  x0, x0, #64",
    "3:  tst  x2, #63",
    "    b.eq 9f",
    "    tbz  x2, #5, 4f",
    "    ldp  x3, x4, [x1]",
    "    ldp  x5, x6, [x1, #16]",
    "    stp  x3, x4, [x0]",
    "    stp  x5, x6, [x0, #16]",
    "    add  x1, x1, #32",
    "    add  x0, x0, #32",
    "4:  tbz  x2, #4, 5f",
    "    ldp  x3, x4, [x1], #16",
    "    stp  x3, x4, [x0], #16",
    "5:  tbz  x2, #3, 6f",
    "    ldr  x3, [x1], #8",
    "    str  x3, [x0], #8",
    "6:  tbz  x2, #2, 7f",
    "    ldr  w3, [x1], #4",
    "    str  w3, [x0], #4",
    "7:  tbz  x2, #1, 8f",
    "    ldrh w3, [x1], #2",
    "    strh w3, [x0], #2",
    "8:  tbz  x2, #0, 9f",
    "    ldrb w3, [x1]",
    "    strb w3, [x0]",
    "9:  mov  x0, #0",
    "    ret",
    ".size gritos_shared_copy, . - gritos_shared_copy",
    // gritos_shared_load(from: x0) -> x0: 0 done, 1 fault; x1: the value
    ".global gritos_shared_load",
    ".type gritos_shared_load, @function",
    "gritos_shared_load:",
    "    ldar w1, [x0]",
    "    mov  x0, #0",
    "    ret",
    ".size gritos_shared_load, . - gritos_shared_load",
    // gritos_shared_store(to: x0, value: w1) -> 0 done, 1 fault
    ".global gritos_shared_store",
    ".type gritos_shared_store, @function",
    "gritos_shared_store:",
    "    stlr w1, [x0]",
    "    mov  x0, #0",
    "    ret",
    ".size gritos_shared_store, . - gritos_shared_store",
    ".Lshared_end:",
    ".popsection",
    magic = const HEADER_MAGIC,
);

#[cfg(target_os = "none")]
fn copy(to: *mut u8, from: *const u8, len: usize) -> Result<(), BufferError> {
    unsafe extern "C" {
        fn gritos_shared_copy(to: *mut u8, from: *const u8, bytes: usize) -> u64;
    }
    // SAFETY: one side is a slice of `len` bytes, the other a range of a
    // `SharedBuf`, which no Rust object overlaps. Others may write it at the
    // same time, which is why assembly does the copying: no compiler assumes
    // anything of the bytes. A fault ends at the error exit, which returns 1.
    match unsafe { gritos_shared_copy(to, from, len) } {
        0 => Ok(()),
        _ => Err(BufferError::Gone),
    }
}

#[cfg(target_os = "none")]
fn load(from: *const u32) -> Result<u32, BufferError> {
    #[repr(C)]
    struct Loaded {
        fault: u64,
        value: u64,
    }
    unsafe extern "C" {
        fn gritos_shared_load(from: *const u32) -> Loaded;
    }
    // SAFETY: the word lies in a `SharedBuf` and is aligned; as for `copy`.
    let loaded = unsafe { gritos_shared_load(from) };
    match loaded.fault {
        // The upper half of the register is zero.
        0 => Ok(loaded.value as u32),
        _ => Err(BufferError::Gone),
    }
}

#[cfg(target_os = "none")]
fn store(to: *mut u32, value: u32) -> Result<(), BufferError> {
    unsafe extern "C" {
        fn gritos_shared_store(to: *mut u32, value: u32) -> u64;
    }
    // SAFETY: the word lies in a `SharedBuf` and is aligned; as for `copy`.
    match unsafe { gritos_shared_store(to, value) } {
        0 => Ok(()),
        _ => Err(BufferError::Gone),
    }
}

#[cfg(not(target_os = "none"))]
fn copy(to: *mut u8, from: *const u8, len: usize) -> Result<(), BufferError> {
    // SAFETY: on a host a `SharedBuf` is made by `over` alone, so both sides
    // are live memory of `len` bytes; tests use one thread at a time.
    unsafe { core::ptr::copy(from, to, len) };
    Ok(())
}

#[cfg(not(target_os = "none"))]
fn load(from: *const u32) -> Result<u32, BufferError> {
    // SAFETY: as for `copy`; the word is aligned.
    let word = unsafe { AtomicU32::from_ptr(from.cast_mut()) };
    Ok(word.load(Ordering::Acquire))
}

#[cfg(not(target_os = "none"))]
fn store(to: *mut u32, value: u32) -> Result<(), BufferError> {
    // SAFETY: as for `copy`; the word is aligned.
    let word = unsafe { AtomicU32::from_ptr(to) };
    word.store(value, Ordering::Release);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{BufferError, HEADER_MAGIC, SharedBuf, error_exit};
    use std::boxed::Box;
    use std::sync::atomic::AtomicU8;
    use std::vec::Vec;

    #[test]
    fn copies_within_and_refuses_beyond() {
        let bytes: Vec<AtomicU8> = (0..8).map(AtomicU8::new).collect();
        let buffer = SharedBuf::over(Box::leak(bytes.into_boxed_slice()));
        let mut out = [0; 3];
        buffer.write(4, &[9, 8, 7]).unwrap();
        buffer.read(3, &mut out).unwrap();
        assert_eq!(out, [3, 9, 8]);
        assert_eq!(buffer.read(6, &mut out), Err(BufferError::OutOfRange));
        assert_eq!(buffer.write(usize::MAX, &[0]), Err(BufferError::OutOfRange));
    }

    #[test]
    fn words_are_whole_aligned_and_inside() {
        let bytes: Vec<AtomicU8> = (0..16).map(AtomicU8::new).collect();
        let buffer = SharedBuf::over(Box::leak(bytes.into_boxed_slice()));
        let skip = buffer.base.next_multiple_of(4) - buffer.base;
        buffer.store_release(skip + 4, 0x0403_0201).unwrap();
        let mut out = [0; 4];
        buffer.read(skip + 4, &mut out).unwrap();
        assert_eq!(out, [1, 2, 3, 4]);
        assert_eq!(buffer.load_acquire(skip + 4), Ok(0x0403_0201));
        assert_eq!(buffer.load_acquire(skip + 5), Err(BufferError::Unaligned));
        assert_eq!(buffer.load_acquire(13), Err(BufferError::OutOfRange));
        assert_eq!(
            buffer.store_release(usize::MAX, 0),
            Err(BufferError::OutOfRange)
        );
    }

    #[test]
    fn error_exit_only_for_faults_in_the_marked_code() {
        let mut text = HEADER_MAGIC.to_le_bytes().to_vec();
        text.extend(64u32.to_le_bytes());
        text.extend(16u32.to_le_bytes());
        assert_eq!(error_exit(&text, 0x1000, 0x1020), Some(0x1010));
        for pc in [0, 0xfff, 0x100f, 0x1040] {
            assert_eq!(error_exit(&text, 0x1000, pc), None, "{pc:#x}");
        }
        text[0] ^= 1;
        assert_eq!(error_exit(&text, 0x1000, 0x1020), None);
    }
}
