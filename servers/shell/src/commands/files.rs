//! Files, for redirection and completion.

use alloc::string::String;
use alloc::vec::Vec;

const NONE: &str = "this system has no files";

/// Reads a file.
pub(crate) fn read(_path: &str, _limit: usize) -> Result<Vec<u8>, String> {
    Err(NONE.into())
}

/// Writes a file.
pub(crate) fn write(_path: &str, _append: bool, _bytes: &[u8]) -> Result<(), String> {
    Err(NONE.into())
}

/// Lists a folder.
pub(crate) fn list(_path: &str) -> Vec<(String, bool)> {
    Vec::new()
}
