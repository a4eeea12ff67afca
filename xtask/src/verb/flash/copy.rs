//! Copying an image and comparing the copy, over anything that can be read and written.

use std::io::{ErrorKind, Read, Write};

use anyhow::{Context, Result, bail, ensure};

const BLOCK: usize = 1 << 20;

/// Copies `bytes` bytes; `progress` is told how many at a time.
///
/// # Errors
/// The first that reading or writing came to, with the place. Short reads and writes are none.
pub(super) fn write(
    from: &mut impl Read,
    to: &mut impl Write,
    bytes: u64,
    progress: impl Fn(u64),
) -> Result<()> {
    let (mut block, mut at) = (vec![0; BLOCK], 0);
    while at < bytes {
        let part = next_part(&mut block, bytes - at);
        let part = read_full(from, part).context("cannot read the image")?;
        ensure!(!part.is_empty(), "the image ends at byte {at} of {bytes}");
        to.write_all(part)
            .with_context(|| format!("writing failed near byte {at}"))?;
        at += part.len() as u64;
        progress(part.len() as u64);
    }
    Ok(())
}

/// Compares `bytes` bytes.
///
/// # Errors
/// The first difference, with its block, or what reading came to.
pub(super) fn verify(
    expected: &mut impl Read,
    found: &mut impl Read,
    bytes: u64,
    progress: impl Fn(u64),
) -> Result<()> {
    let (mut a, mut b, mut at) = (vec![0; BLOCK], vec![0; BLOCK], 0);
    while at < bytes {
        let left = bytes - at;
        let a = read_full(expected, next_part(&mut a, left)).context("cannot read the image")?;
        let b = read_full(found, next_part(&mut b, left))
            .with_context(|| format!("reading back failed near byte {at}"))?;
        ensure!(!a.is_empty(), "the image ends at byte {at} of {bytes}");
        if a != b {
            let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
            bail!("the first difference is at byte {}", at + same as u64);
        }
        at += a.len() as u64;
        progress(a.len() as u64);
    }
    Ok(())
}

/// As much of `block` as is left to do.
fn next_part(block: &mut [u8], left: u64) -> &mut [u8] {
    let len = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
    block.get_mut(..len).unwrap_or_default()
}

/// Reads until `block` is full or the source ends; returns what was read.
fn read_full<'a>(from: &mut impl Read, block: &'a mut [u8]) -> std::io::Result<&'a [u8]> {
    let mut len = 0;
    while let Some(rest) = block.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(block.get(..len).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, verify, write};
    use std::io::{Error, ErrorKind, Read, Write};

    /// A device that moves at most `step` bytes at a time, is interrupted now and then, and fails
    /// at byte `broken_at`.
    struct Flaky {
        bytes: Vec<u8>,
        at: usize,
        step: usize,
        calls: usize,
        broken_at: usize,
    }

    impl Flaky {
        fn new(bytes: Vec<u8>, step: usize) -> Self {
            let (at, calls, broken_at) = (0, 0, usize::MAX);
            Self {
                bytes,
                at,
                step,
                calls,
                broken_at,
            }
        }

        /// How many bytes this call moves.
        fn allow(&mut self, wanted: usize) -> std::io::Result<usize> {
            self.calls += 1;
            if self.calls.is_multiple_of(5) {
                return Err(ErrorKind::Interrupted.into());
            }
            if self.at >= self.broken_at {
                return Err(Error::other("input/output error"));
            }
            let left = self.bytes.len() - self.at;
            Ok(wanted
                .min(self.step)
                .min(left)
                .min(self.broken_at - self.at))
        }
    }

    impl Read for Flaky {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let len = self.allow(buffer.len())?;
            buffer[..len].copy_from_slice(&self.bytes[self.at..][..len]);
            self.at += len;
            Ok(len)
        }
    }

    impl Write for Flaky {
        fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
            let len = self.allow(buffer.len())?;
            self.bytes[self.at..][..len].copy_from_slice(&buffer[..len]);
            self.at += len;
            Ok(len)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn image() -> Vec<u8> {
        (0..2 * BLOCK + 777).map(|i| (i % 251) as u8).collect()
    }

    fn len(image: &[u8]) -> u64 {
        image.len() as u64
    }

    fn text(result: anyhow::Result<()>) -> String {
        format!("{:#}", result.expect_err("an error"))
    }

    #[test]
    fn short_and_interrupted_transfers_are_continued() {
        let image = image();
        let told = std::cell::Cell::new(0);
        let mut source = Flaky::new(image.clone(), 4_099);
        let mut device = Flaky::new(vec![0; image.len() + 10], 100_003);
        let progress = |more| told.set(told.get() + more);
        write(&mut source, &mut device, len(&image), progress).expect("all is written");
        assert!(device.bytes[..image.len()] == image);
        assert_eq!(device.bytes[image.len()..], [0; 10], "nothing behind it");
        assert_eq!(told.get(), len(&image));
        let (mut source, mut copy) = (image.as_slice(), Flaky::new(device.bytes, 8_191));
        verify(&mut source, &mut copy, len(&image), |_| {}).expect("the same");
    }

    #[test]
    fn errors_of_the_device_are_told_with_their_place() {
        let image = image();
        let mut device = Flaky::new(vec![0; image.len()], BLOCK);
        device.broken_at = BLOCK + 5;
        let told = text(write(
            &mut image.as_slice(),
            &mut device,
            len(&image),
            |_| {},
        ));
        assert_eq!(told, "writing failed near byte 1048576: input/output error");
        let mut device = Flaky::new(image.clone(), BLOCK);
        device.broken_at = 2 * BLOCK;
        let told = text(verify(
            &mut image.as_slice(),
            &mut device,
            len(&image),
            |_| {},
        ));
        assert_eq!(
            told,
            "reading back failed near byte 2097152: input/output error"
        );
    }

    #[test]
    fn a_device_that_is_full_or_short_is_told() {
        let image = image();
        let mut device = Flaky::new(vec![0; BLOCK], BLOCK);
        let told = text(write(
            &mut image.as_slice(),
            &mut device,
            len(&image),
            |_| {},
        ));
        assert!(
            told.starts_with("writing failed near byte 1048576"),
            "{told}"
        );
        let mut short = &image[..image.len() - 1];
        let told = text(verify(
            &mut image.as_slice(),
            &mut short,
            len(&image),
            |_| {},
        ));
        assert!(told.ends_with(&(image.len() - 1).to_string()), "{told}");
        let mut short = &image[..BLOCK];
        let told = text(write(&mut short, &mut Vec::new(), len(&image), |_| {}));
        assert!(told.starts_with("the image ends at byte 1048576"), "{told}");
    }

    #[test]
    fn one_bit_that_differs_is_found_and_its_place_named() {
        let image = image();
        for place in [0, BLOCK - 1, BLOCK, image.len() - 1] {
            let mut copy = image.clone();
            copy[place] ^= 0x10;
            let told = text(verify(
                &mut image.as_slice(),
                &mut copy.as_slice(),
                len(&image),
                |_| {},
            ));
            assert_eq!(told, format!("the first difference is at byte {place}"));
        }
    }
}
