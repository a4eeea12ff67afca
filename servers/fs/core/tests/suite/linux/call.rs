//! What is called, and what is said.

use gritos_fs_client::posix::{
    O_APPEND, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_TRUNC,
    O_WRONLY, SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET,
};

use crate::support::Random;

/// Descriptors that each side has.
pub(super) const SLOTS: usize = 6;
/// Folders that each side has open, behind those.
pub(super) const FOLDERS: usize = 2;
/// Folders from the start of each side down to where it works, so that `..` stays inside.
pub(super) const ABOVE: usize = 6;

/// A path below where a side works.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Way {
    /// Relative to there.
    text: String,
    /// How long the path is in all, `.` and `/` being put before it.
    total: Option<usize>,
    /// Nothing at all.
    empty: bool,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let long = [("n".repeat(256), "<256>"), ("n".repeat(255), "<255>")];
        let text = long.iter().fold(self.text.clone(), |text, (long, short)| {
            text.replace(long, short)
        });
        match (self.empty, self.total) {
            (true, _) => write!(f, "<empty>"),
            (false, None) => write!(f, "{text:?}"),
            (false, Some(total)) => write!(f, "{text:?} of {total}"),
        }
    }
}

impl Way {
    pub(super) fn to(text: &str) -> Self {
        Self {
            text: text.to_string(),
            total: None,
            empty: false,
        }
    }

    /// The path, for a side that works at `start`.
    pub(super) fn from(&self, start: &str) -> String {
        if self.empty {
            return String::new();
        }
        let mut path = format!("{start}/");
        let total = self.total.unwrap_or(0);
        while path.len() + self.text.len() < total {
            let odd = (total - path.len() - self.text.len()) % 2 == 1;
            path.push_str(if odd { "/" } else { "./" });
        }
        path + &self.text
    }

    /// Whether its last part is `.` or `..`.
    fn is_dots(&self) -> bool {
        let last = self.text.trim_end_matches('/').rsplit('/').next();
        matches!(last, Some("." | ".."))
    }

    /// Relative, for a folder that is open.
    pub(super) fn relative(&self) -> &str {
        &self.text
    }

    /// What is put into symbolic links.
    pub(super) fn target(&self) -> String {
        match (self.empty, self.total) {
            (true, _) => String::new(),
            // One that is long, and leads to the same place.
            (false, Some(total)) => {
                "./".repeat(total.saturating_sub(self.text.len()) / 10) + &self.text
            }
            (false, None) => self.text.clone(),
        }
    }

    fn random(random: &mut Random, up: Up) -> Self {
        const NAMES: [&str; 5] = ["a", "b", "c", "dd", "große Datei"];
        let mut text = String::new();
        let parts = match random.below(20) {
            0..=9 => 1,
            10..=16 => 2,
            _ => 3,
        };
        for part in 0..parts {
            if part > 0 {
                text.push_str(if random.below(15) == 0 { "//" } else { "/" });
            }
            match random.below(60) {
                0 => text.push_str(&"n".repeat(255)),
                1 => text.push_str(&"n".repeat(256)),
                2 | 3 => text.push('.'),
                4 | 5 if up == Up::Anywhere || up == Up::First && part == 0 => {
                    text.push_str("..");
                }
                _ => text.push_str(NAMES[random.below(5) as usize]),
            }
        }
        match random.below(40) {
            0 | 1 => text.push('/'),
            2 => text.push_str("//"),
            3 => text.push_str("/."),
            _ => {}
        }
        Self {
            text,
            total: match random.below(100) {
                0 => Some(4095),
                1 => Some(4096),
                _ => None,
            },
            empty: up != Up::Never && random.below(150) == 0,
        }
    }
}

/// Where `..` may stand in a path. Behind a symbolic link it does not mean the same here as for Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Up {
    Never,
    First,
    Anywhere,
}

/// What something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Link,
    Other,
}

/// What is known of something, as far as it is the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) links: u32,
    /// Of a folder: none.
    pub(super) size: u64,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Done,
    Count(i64),
    /// Where a symbolic link leads.
    Leads(String),
    Bytes(Vec<u8>),
    Known(Known),
    /// In order.
    Listed(Vec<(String, Kind)>),
    Failed(u32),
}

/// A side that is called.
pub(super) trait Side {
    fn act(&mut self, call: &Call) -> Said;
}

/// A call. Descriptors are numbers of places, which a side fills as it likes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Open {
        slot: usize,
        path: Way,
        flags: u32,
        mode: u32,
    },
    /// A folder below which names are changed.
    Folder {
        slot: usize,
        path: Way,
    },
    OpenAt {
        slot: usize,
        folder: usize,
        path: Way,
        flags: u32,
    },
    Close {
        slot: usize,
    },
    Read {
        slot: usize,
        length: usize,
    },
    Write {
        slot: usize,
        length: usize,
        seed: u64,
    },
    ReadAt {
        slot: usize,
        offset: i64,
        length: usize,
    },
    WriteAt {
        slot: usize,
        offset: i64,
        length: usize,
        seed: u64,
    },
    Seek {
        slot: usize,
        offset: i64,
        whence: u32,
    },
    /// Data or a hole, and back to the start: where holes are is everybody's own business.
    SeekHole {
        slot: usize,
        offset: i64,
        whence: u32,
    },
    CutOpen {
        slot: usize,
        length: i64,
    },
    Sync {
        slot: usize,
    },
    StatOpen {
        slot: usize,
    },
    Cut {
        path: Way,
        length: i64,
    },
    Stat {
        path: Way,
    },
    Mkdir {
        path: Way,
        mode: u32,
    },
    Rmdir {
        path: Way,
    },
    Unlink {
        path: Way,
    },
    Rename {
        from: Way,
        to: Way,
        replace: bool,
    },
    StatAt {
        folder: usize,
        path: Way,
    },
    MkdirAt {
        folder: usize,
        path: Way,
    },
    UnlinkAt {
        folder: usize,
        path: Way,
        directory: bool,
    },
    RenameAt {
        folder: usize,
        from: Way,
        to: Way,
    },
    List {
        path: Way,
    },
    /// All that a file contains.
    Whole {
        path: Way,
    },
    Link {
        from: Way,
        to: Way,
    },
    Symlink {
        target: Way,
        path: Way,
    },
    ReadLink {
        path: Way,
    },
    StatLink {
        path: Way,
    },
    LinkAt {
        folder: usize,
        from: Way,
        to: Way,
    },
    SymlinkAt {
        folder: usize,
        target: Way,
        path: Way,
    },
    ReadLinkAt {
        folder: usize,
        path: Way,
    },
    StatLinkAt {
        folder: usize,
        path: Way,
    },
}

impl Call {
    /// Whether it takes a name away.
    pub(super) const fn removes(&self) -> bool {
        matches!(
            self,
            Self::Rmdir { .. }
                | Self::Unlink { .. }
                | Self::Rename { .. }
                | Self::UnlinkAt { .. }
                | Self::RenameAt { .. }
        )
    }

    /// Whether its paths start at a folder that is open.
    pub(super) const fn is_at(&self) -> bool {
        matches!(
            self,
            Self::OpenAt { .. }
                | Self::StatAt { .. }
                | Self::MkdirAt { .. }
                | Self::UnlinkAt { .. }
                | Self::RenameAt { .. }
                | Self::LinkAt { .. }
                | Self::SymlinkAt { .. }
                | Self::ReadLinkAt { .. }
                | Self::StatLinkAt { .. }
        )
    }

    /// Whether it makes links.
    pub(super) const fn links(&self) -> bool {
        matches!(
            self,
            Self::Link { .. } | Self::Symlink { .. } | Self::LinkAt { .. } | Self::SymlinkAt { .. }
        )
    }

    /// Whether a rename is of, or to, something without a name of its own.
    pub(super) fn names_dots(&self) -> bool {
        match self {
            Self::Rename { from, to, .. } | Self::RenameAt { from, to, .. } => {
                from.is_dots() || to.is_dots()
            }
            _ => false,
        }
    }

    pub(super) fn random(random: &mut Random, links: bool) -> Self {
        let up = if links { Up::First } else { Up::Anywhere };
        let slot = random.below(SLOTS as u64) as usize;
        let folder = SLOTS + random.below(FOLDERS as u64) as usize;
        let seed = random.next();
        let mode = [0o644, 0o600, 0o755][random.below(3) as usize];
        match random.below(if links { 118 } else { 100 }) {
            0..=15 => Self::Open {
                slot,
                path: Way::random(random, up),
                flags: flags(random),
                mode,
            },
            16..=18 => Self::Folder {
                slot: folder,
                path: Way::random(random, up),
            },
            19..=21 => Self::OpenAt {
                slot,
                folder,
                path: Way::random(random, Up::Never),
                flags: flags(random),
            },
            22 => Self::Close { slot },
            23..=27 => Self::Read {
                slot,
                length: length(random),
            },
            28..=33 => Self::Write {
                slot,
                length: length(random),
                seed,
            },
            34..=36 => Self::ReadAt {
                slot,
                offset: offset(random),
                length: length(random),
            },
            37..=40 => Self::WriteAt {
                slot,
                offset: offset(random),
                length: length(random),
                seed,
            },
            41..=43 => Self::Seek {
                slot,
                offset: offset(random) - 1_000,
                whence: [SEEK_SET, SEEK_CUR, SEEK_END, 9][random.below(4) as usize],
            },
            44 => Self::SeekHole {
                slot,
                offset: offset(random),
                whence: [SEEK_DATA, SEEK_HOLE][random.below(2) as usize],
            },
            45..=47 => Self::CutOpen {
                slot,
                length: offset(random),
            },
            48 => Self::Sync { slot },
            49..=51 => Self::StatOpen { slot },
            52..=54 => Self::Cut {
                path: Way::random(random, up),
                length: offset(random),
            },
            55..=60 => Self::Stat {
                path: Way::random(random, up),
            },
            61..=67 => Self::Mkdir {
                path: Way::random(random, up),
                mode,
            },
            68..=71 => Self::Rmdir {
                path: Way::random(random, up),
            },
            72..=76 => Self::Unlink {
                path: Way::random(random, up),
            },
            77..=88 => Self::Rename {
                from: Way::random(random, up),
                to: Way::random(random, up),
                replace: random.below(6) != 0,
            },
            89 => Self::StatAt {
                folder,
                path: Way::random(random, Up::Never),
            },
            90..=91 => Self::MkdirAt {
                folder,
                path: Way::random(random, Up::Never),
            },
            92..=93 => Self::UnlinkAt {
                folder,
                path: Way::random(random, Up::Never),
                directory: random.below(2) == 0,
            },
            94..=95 => Self::RenameAt {
                folder,
                from: Way::random(random, Up::Never),
                to: Way::random(random, Up::Never),
            },
            96..=97 => Self::List {
                path: Way::random(random, up),
            },
            98..=99 => Self::Whole {
                path: Way::random(random, up),
            },
            100..=103 => Self::Link {
                from: Way::random(random, up),
                to: Way::random(random, up),
            },
            104..=109 => Self::Symlink {
                target: Way::random(random, Up::Never),
                path: Way::random(random, up),
            },
            110 => Self::ReadLink {
                path: Way::random(random, up),
            },
            111..=113 => Self::StatLink {
                path: Way::random(random, up),
            },
            114 => Self::LinkAt {
                folder,
                from: Way::random(random, Up::Never),
                to: Way::random(random, Up::Never),
            },
            115 => Self::SymlinkAt {
                folder,
                target: Way::random(random, Up::Never),
                path: Way::random(random, Up::Never),
            },
            116 => Self::ReadLinkAt {
                folder,
                path: Way::random(random, Up::Never),
            },
            _ => Self::StatLinkAt {
                folder,
                path: Way::random(random, Up::Never),
            },
        }
    }
}

/// Flags that POSIX defines together.
fn flags(random: &mut Random) -> u32 {
    let mut flags = [O_RDONLY, O_WRONLY, O_RDWR][random.below(3) as usize];
    if flags == O_RDONLY && random.below(4) == 0 {
        return flags | O_DIRECTORY;
    }
    if random.below(2) == 0 {
        flags |= O_CREAT;
        if random.below(3) == 0 {
            flags |= O_EXCL;
        }
    }
    if flags & 3 != O_RDONLY && random.below(5) == 0 {
        flags |= O_TRUNC;
    }
    if random.below(5) == 0 {
        flags |= O_APPEND;
    }
    if random.below(6) == 0 {
        flags |= O_NOFOLLOW;
    }
    if random.below(5) == 0 {
        flags |= O_CLOEXEC;
    }
    flags
}

fn length(random: &mut Random) -> usize {
    match random.below(12) {
        0 => 0,
        1 => random.below(150_000) as usize,
        2..=4 => 512 * random.below(17) as usize,
        _ => random.below(6_000) as usize,
    }
}

fn offset(random: &mut Random) -> i64 {
    (match random.below(12) {
        0 => 0,
        1 => random.below(150_000),
        2 => return -1,
        3..=5 => 4096 * random.below(5),
        _ => random.below(9_000),
    }) as i64
}
