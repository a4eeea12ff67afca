//! What a ring needs of the memory it lies in.

/// The memory is no longer mapped, or the access lies outside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// A range of memory that another process may change or take away at any time.
///
/// Offsets are in bytes from its beginning. Implementations check them: nothing
/// outside of the range is ever touched.
pub trait Memory {
    /// Bytes in the range.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Loads 32 bits at a multiple of 4: no later access is seen before it.
    ///
    /// # Errors
    /// [`Gone`].
    fn load(&self, offset: usize) -> Result<u32, Gone>;

    /// Stores 32 bits at a multiple of 4: every earlier access is seen before
    /// it.
    ///
    /// # Errors
    /// [`Gone`].
    fn store(&self, offset: usize, value: u32) -> Result<(), Gone>;

    /// Copies out.
    ///
    /// # Errors
    /// [`Gone`]; `to` then holds anything.
    fn read(&self, offset: usize, to: &mut [u8]) -> Result<(), Gone>;

    /// Copies in.
    ///
    /// # Errors
    /// [`Gone`]; part of it may have been written.
    fn write(&self, offset: usize, from: &[u8]) -> Result<(), Gone>;

    /// Orders every earlier access before every later one, stores before loads
    /// included.
    fn fence(&self);
}

impl<M: Memory + ?Sized> Memory for &M {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn load(&self, offset: usize) -> Result<u32, Gone> {
        (**self).load(offset)
    }

    fn store(&self, offset: usize, value: u32) -> Result<(), Gone> {
        (**self).store(offset, value)
    }

    fn read(&self, offset: usize, to: &mut [u8]) -> Result<(), Gone> {
        (**self).read(offset, to)
    }

    fn write(&self, offset: usize, from: &[u8]) -> Result<(), Gone> {
        (**self).write(offset, from)
    }

    fn fence(&self) {
        (**self).fence();
    }
}
