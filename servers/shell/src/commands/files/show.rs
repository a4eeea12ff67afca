//! What is in files: `cat`, `hexdump`, `sha256`.

use alloc::string::String;
use core::fmt::Write;

use gritos_shell_core::{Context, Failure, status};
use sha2::{Digest, Sha256};

use super::{for_each, options, pieces};

pub(super) const CAT: &str = "writes files, one after the other; without any, what a pipe brings";
pub(super) const HEXDUMP: &str = "shows the bytes of a file, or of what a pipe brings";
pub(super) const SHA256: &str = "computes the SHA-256 of files, or of what a pipe brings";

/// Bytes in a row of `hexdump`.
const ROW: usize = 16;

pub(super) fn cat(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (_, paths) = options(arguments, "")?;
    let write = |context: &mut Context<'_>, bytes: &[u8]| {
        context.write(bytes);
        Ok(())
    };
    if paths.is_empty() {
        pieces(context, None, write)?;
        return Ok(status::OK);
    }
    for_each(context, "cat", &paths, |context, path| {
        pieces(context, Some(path), write)
    })
}

pub(super) fn hexdump(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (_, paths) = options(arguments, "")?;
    let path = match paths.as_slice() {
        [] => None,
        [one] => Some(*one),
        _ => return Err(Failure::usage("it takes one file")),
    };
    let mut at = 0_u64;
    pieces(context, path, |context, bytes| {
        // Pieces are multiples of a row, but for the last.
        for row in bytes.chunks(ROW) {
            context.check()?;
            write!(context, "{at:08x} ")?;
            for position in 0..ROW {
                if position == ROW / 2 {
                    context.write(b" ");
                }
                match row.get(position) {
                    Some(byte) => write!(context, " {byte:02x}")?,
                    None => context.write(b"   "),
                }
            }
            let text = row.iter().map(|byte| match byte {
                0x20..=0x7e => char::from(*byte),
                _ => '.',
            });
            writeln!(context, "  |{}|", text.collect::<String>())?;
            at += row.len() as u64;
        }
        Ok(())
    })?;
    writeln!(context, "{at:08x}")?;
    Ok(status::OK)
}

pub(super) fn sha256(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (_, paths) = options(arguments, "")?;
    let digest = |context: &mut Context<'_>, path: Option<&str>| -> Result<(), Failure> {
        let mut hash = Sha256::new();
        pieces(context, path, |_, bytes| {
            hash.update(bytes);
            Ok(())
        })?;
        for byte in hash.finalize() {
            write!(context, "{byte:02x}")?;
        }
        writeln!(context, "  {}", path.unwrap_or("-"))?;
        Ok(())
    };
    if paths.is_empty() {
        digest(context, None)?;
        return Ok(status::OK);
    }
    for_each(context, "sha256", &paths, |context, path| {
        digest(context, Some(path))
    })
}
