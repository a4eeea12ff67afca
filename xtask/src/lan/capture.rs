//! What went over a wire, and the file in which other programs look at it.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

/// Frames of both directions in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capture {
    frames: Vec<(u128, Vec<u8>)>,
}

/// `LINKTYPE_ETHERNET` of the pcap format.
const ETHERNET: u32 = 1;
/// Magic number of files whose times have microseconds.
const MAGIC: u32 = 0xa1b2_c3d4;
const SNAPSHOT: u32 = 262_144;

impl Capture {
    /// Adds a frame, now.
    pub(super) fn add(&mut self, frame: &[u8]) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let micros = since.unwrap_or_default().as_micros();
        self.frames.push((micros, frame.to_vec()));
    }

    /// The frames whose sender is `mac`.
    pub(crate) fn sent_by(&self, mac: [u8; 6]) -> impl Iterator<Item = &[u8]> {
        let frames = self.frames.iter().map(|(_, frame)| frame.as_slice());
        frames.filter(move |frame| frame.get(6..12) == Some(&mac))
    }

    /// Writes those of one sender as a pcap file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, path: &Path, mac: [u8; 6]) -> Result<()> {
        let mut bytes = Vec::new();
        for word in [MAGIC, 2 | 4 << 16, 0, 0, SNAPSHOT, ETHERNET] {
            bytes.extend(word.to_le_bytes());
        }
        for (micros, frame) in &self.frames {
            if frame.get(6..12) != Some(&mac) {
                continue;
            }
            let seconds = (micros / 1_000_000) as u32;
            let rest = (micros % 1_000_000) as u32;
            let length = frame.len() as u32;
            for word in [seconds, rest, length, length] {
                bytes.extend(word.to_le_bytes());
            }
            bytes.extend(frame);
        }
        fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }
}
