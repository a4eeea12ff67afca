//! Reading the fields of a record one after the other.

/// What is left of a record. Beyond its end everything is zero; records have
/// fixed sizes, so that does not happen.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((field, rest)) = self.0.split_first_chunk() else {
            return [0; N];
        };
        self.0 = rest;
        *field
    }

    pub(crate) fn u8(&mut self) -> u8 {
        let [byte] = self.take();
        byte
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    /// A place in the strings: offset and length.
    pub(crate) fn text<'s>(&mut self, strings: &'s str) -> Option<&'s str> {
        let start = self.u32() as usize;
        let len = self.u32() as usize;
        strings.get(start..start.checked_add(len)?)
    }
}
