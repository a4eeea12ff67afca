//! Small files, kept in memory between requests.
//!
//! What is kept is believed for [`FRESH_NS`]; after that it counts again only if the file still is what it was, by
//! its [`Stamp`]. So a file that changes is seen changed within that time, and under load the file server is asked
//! ten times a second and file, not once a request.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::Tag;

/// Nanoseconds for which what is kept is believed.
pub const FRESH_NS: u64 = 100_000_000;
/// Most bytes of a file that is kept.
pub const FILE_LIMIT: u64 = 32 << 10;
/// Most bytes of all of them, and most files.
const BYTES_LIMIT: usize = 512 << 10;
const COUNT_LIMIT: usize = 32;

/// Tells one state of a file from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Which file it is.
    pub inode: u64,
    /// Its bytes.
    pub size: u64,
    /// When it changed last.
    pub modified_ns: u64,
}

/// What is known of a path.
#[derive(Debug)]
pub enum Kept {
    /// Nothing.
    Nothing,
    /// What it was a moment ago.
    Fresh(Page),
    /// It was kept in this state, and is of use if the file still has it.
    Stale(Stamp),
}

/// A file in memory.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its contents.
    pub bytes: Rc<[u8]>,
    /// What they are.
    pub media_type: &'static str,
    /// Names its state.
    pub tag: Tag,
}

#[derive(Debug)]
struct Entry {
    path: String,
    stamp: Stamp,
    page: Page,
    /// When it was last known to be true, and when it was last asked for.
    checked_ns: u64,
    used_ns: u64,
}

/// The files that are kept.
#[derive(Debug, Default)]
pub struct Cache {
    entries: Vec<Entry>,
    bytes: usize,
}

impl Cache {
    /// What is known of `path`.
    pub fn get(&mut self, path: &str, now_ns: u64) -> Kept {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.path == path) else {
            return Kept::Nothing;
        };
        entry.used_ns = now_ns;
        if now_ns.saturating_sub(entry.checked_ns) < FRESH_NS {
            Kept::Fresh(entry.page.clone())
        } else {
            Kept::Stale(entry.stamp)
        }
    }

    /// Says that the file at `path` is in the state of `stamp`. If that is what is kept, it counts again, and is
    /// returned; else it is forgotten.
    pub fn confirm(&mut self, path: &str, stamp: Stamp, now_ns: u64) -> Option<Page> {
        let at = self.entries.iter().position(|entry| entry.path == path)?;
        let entry = self.entries.get_mut(at)?;
        if entry.stamp == stamp {
            entry.checked_ns = now_ns;
            return Some(entry.page.clone());
        }
        self.remove(at);
        None
    }

    /// Forgets what is kept of `path`.
    pub fn forget(&mut self, path: &str) {
        if let Some(at) = self.entries.iter().position(|entry| entry.path == path) {
            self.remove(at);
        }
    }

    /// Keeps the contents of a file. `stamp` was asked for before they were read, so that a change in between is
    /// noticed.
    pub fn keep(&mut self, path: &str, stamp: Stamp, page: Page, now_ns: u64) {
        self.forget(path);
        let bytes = page.bytes.len();
        if bytes as u64 > FILE_LIMIT {
            return;
        }
        while self.entries.len() >= COUNT_LIMIT || self.bytes + bytes > BYTES_LIMIT {
            let entries = self.entries.iter().enumerate();
            let Some((oldest, _)) = entries.min_by_key(|(_, entry)| entry.used_ns) else {
                break;
            };
            self.remove(oldest);
        }
        self.bytes += bytes;
        self.entries.push(Entry {
            path: String::from(path),
            stamp,
            page,
            checked_ns: now_ns,
            used_ns: now_ns,
        });
    }

    fn remove(&mut self, at: usize) {
        let entry = self.entries.swap_remove(at);
        self.bytes -= entry.page.bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES_LIMIT, COUNT_LIMIT, Cache, FILE_LIMIT, FRESH_NS, Kept, Page, Stamp};
    use crate::Tag;
    use alloc::format;
    use alloc::rc::Rc;

    const fn stamp(modified_ns: u64) -> Stamp {
        Stamp {
            inode: 1,
            size: 3,
            modified_ns,
        }
    }

    fn keep(cache: &mut Cache, path: &str, bytes: usize, now_ns: u64) {
        let page = Page {
            bytes: Rc::from(alloc::vec![7; bytes]),
            media_type: "text/plain",
            tag: Tag::of(&stamp(1)),
        };
        cache.keep(path, stamp(1), page, now_ns);
    }

    #[test]
    fn what_is_kept_is_believed_for_a_while_and_then_only_if_nothing_changed() {
        let mut cache = Cache::default();
        keep(&mut cache, "/a", 3, 0);
        assert!(matches!(cache.get("/b", 0), Kept::Nothing));
        assert!(matches!(cache.get("/a", FRESH_NS - 1), Kept::Fresh(..)));
        assert!(matches!(cache.get("/a", FRESH_NS), Kept::Stale(known) if known == stamp(1)));
        assert!(cache.confirm("/a", stamp(1), FRESH_NS).is_some());
        assert!(matches!(cache.get("/a", 2 * FRESH_NS - 1), Kept::Fresh(..)));
        assert!(cache.confirm("/a", stamp(2), 2 * FRESH_NS).is_none());
        assert!(matches!(cache.get("/a", 2 * FRESH_NS), Kept::Nothing));
        assert_eq!(cache.bytes, 0);
    }

    #[test]
    fn limits_hold_and_what_was_used_least_lately_goes_first() {
        let mut cache = Cache::default();
        for number in 0..2 * COUNT_LIMIT as u64 {
            let now_ns = 2 * number;
            keep(&mut cache, &format!("/{number}"), 3, now_ns);
            // The first one stays in use.
            assert!(matches!(cache.get("/0", now_ns + 1), Kept::Fresh(..)));
        }
        assert_eq!(cache.entries.len(), COUNT_LIMIT);
        assert!(matches!(cache.get("/1", 1), Kept::Nothing));
        for number in 0..64 {
            let path = format!("/large{number}");
            keep(&mut cache, &path, FILE_LIMIT as usize, 1000 + number);
            assert!(cache.bytes <= BYTES_LIMIT);
        }
        let held: usize = cache
            .entries
            .iter()
            .map(|entry| entry.page.bytes.len())
            .sum();
        assert_eq!(held, cache.bytes);
        keep(&mut cache, "/too large", FILE_LIMIT as usize + 1, 5000);
        assert!(matches!(cache.get("/too large", 5000), Kept::Nothing));
    }
}
