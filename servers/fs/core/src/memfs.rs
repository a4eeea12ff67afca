//! A file system in memory, for `/tmp` and for the root folder.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry as MapEntry;
use alloc::vec::Vec;

use gritos_fs_api::{FileType, FsError};

use crate::volume::{Attributes, Entry, Found, NodeId, Now, Source, Space, Volume, VolumeInfo};

const PAGE_BYTES: usize = 4096;
/// What a node is taken to cost, besides its pages.
const NODE_BYTES: u64 = 512;
const ROOT: NodeId = 1;
/// Most bytes of a file: what an `off_t` holds.
const MAX_FILE: u64 = i64::MAX as u64;

type Page = Box<[u8; PAGE_BYTES]>;

#[derive(Debug)]
enum Body {
    File {
        size: u64,
        /// Pages that are missing read as zeros.
        pages: BTreeMap<u64, Page>,
    },
    Folder(Folder),
    Link(Vec<u8>),
}

impl Body {
    /// What a symbolic link takes for where it leads.
    const fn link_bytes(&self) -> u64 {
        match self {
            Self::Link(target) => target.len() as u64,
            _ => 0,
        }
    }
}

/// Names, and the order in which they are listed: each has a number of its own, larger
/// than that of those before it.
#[derive(Debug, Default)]
struct Folder {
    names: BTreeMap<Vec<u8>, (NodeId, u64)>,
    order: BTreeMap<u64, Vec<u8>>,
    last: u64,
    folders: u32,
}

impl Folder {
    fn insert(&mut self, name: &[u8], node: NodeId) {
        self.last += 1;
        self.names.insert(name.to_vec(), (node, self.last));
        self.order.insert(self.last, name.to_vec());
    }

    fn remove(&mut self, name: &[u8]) -> Option<NodeId> {
        let (node, place) = self.names.remove(name)?;
        self.order.remove(&place);
        Some(node)
    }
}

#[derive(Debug)]
struct Node {
    body: Body,
    mode: u32,
    links: u32,
    opens: u32,
    modified_ns: u64,
    changed_ns: u64,
    created_ns: u64,
}

impl Node {
    /// Notes that its contents changed.
    const fn touch(&mut self, now: u64) {
        self.modified_ns = now;
        self.changed_ns = now;
    }

    const fn kind(&self) -> FileType {
        match self.body {
            Body::File { .. } => FileType::Regular,
            Body::Folder(_) => FileType::Directory,
            Body::Link(_) => FileType::Symlink,
        }
    }
}

/// A file system in memory, which holds at most a given number of bytes.
#[derive(Debug)]
pub struct MemoryVolume {
    nodes: BTreeMap<NodeId, Node>,
    last: NodeId,
    used: u64,
    limit: u64,
    now: Now,
    read_only: bool,
    kind: &'static str,
}

impl MemoryVolume {
    /// An empty one for `limit` bytes, nodes and their names included.
    #[must_use]
    pub fn new(limit: u64, now: Now) -> Self {
        let mut volume = Self {
            nodes: BTreeMap::new(),
            last: ROOT,
            used: NODE_BYTES,
            limit,
            now,
            read_only: false,
            kind: "memory",
        };
        let root = volume.node(Body::Folder(Folder::default()), 0o755, 2);
        volume.nodes.insert(ROOT, root);
        volume
    }

    /// The root of all: a folder with one empty folder per name, for others to be
    /// mounted on. It can only be read.
    #[must_use]
    pub fn root_of(names: &[&str], now: Now) -> Self {
        let mut volume = Self::new(u64::MAX, now);
        for name in names {
            // A name given twice is there once.
            let _ = volume.mkdir(ROOT, name.as_bytes(), 0o755);
        }
        volume.read_only = true;
        volume.kind = "root";
        volume
    }

    fn node(&self, body: Body, mode: u32, links: u32) -> Node {
        let now = (self.now)();
        Node {
            body,
            mode,
            links,
            opens: 0,
            modified_ns: now,
            changed_ns: now,
            created_ns: now,
        }
    }

    fn get(&self, node: NodeId) -> Result<&Node, FsError> {
        self.nodes.get(&node).ok_or(FsError::NotFound)
    }

    fn get_mut(&mut self, node: NodeId) -> Result<&mut Node, FsError> {
        self.nodes.get_mut(&node).ok_or(FsError::NotFound)
    }

    fn folder(&self, dir: NodeId) -> Result<&Folder, FsError> {
        match &self.get(dir)?.body {
            Body::Folder(folder) => Ok(folder),
            _ => Err(FsError::NotDirectory),
        }
    }

    /// A folder that is about to change.
    fn touch_folder(&mut self, dir: NodeId) -> Result<&mut Folder, FsError> {
        let now = (self.now)();
        let node = self.get_mut(dir)?;
        node.touch(now);
        match &mut node.body {
            Body::Folder(folder) => Ok(folder),
            _ => Err(FsError::NotDirectory),
        }
    }

    fn take_space(&mut self, bytes: u64) -> Result<(), FsError> {
        let used = self.used.checked_add(bytes).ok_or(FsError::NoSpace)?;
        if used > self.limit {
            return Err(FsError::NoSpace);
        }
        self.used = used;
        Ok(())
    }

    fn add(&mut self, dir: NodeId, name: &[u8], body: Body, mode: u32) -> Result<NodeId, FsError> {
        let folder = self.folder(dir)?;
        if folder.names.contains_key(name) {
            return Err(FsError::Exists);
        }
        if self.get(dir)?.links == 0 {
            return Err(FsError::NotFound);
        }
        self.take_space(NODE_BYTES + name.len() as u64 + body.link_bytes())?;
        let is_folder = matches!(body, Body::Folder(_));
        let node = self.node(body, mode, if is_folder { 2 } else { 1 });
        self.last += 1;
        let number = self.last;
        self.nodes.insert(number, node);
        let folder = self.touch_folder(dir)?;
        folder.insert(name, number);
        folder.folders += u32::from(is_folder);
        Ok(number)
    }

    /// Takes a name away from what it names.
    fn drop_name(&mut self, dir: NodeId, name: &[u8]) -> Result<(), FsError> {
        let folder = self.touch_folder(dir)?;
        let number = folder.remove(name).ok_or(FsError::NotFound)?;
        self.used = self.used.saturating_sub(name.len() as u64);
        let now = (self.now)();
        let node = self.get_mut(number)?;
        node.changed_ns = now;
        let is_folder = matches!(node.body, Body::Folder(_));
        node.links = if is_folder {
            0
        } else {
            node.links.saturating_sub(1)
        };
        if is_folder {
            let folder = self.touch_folder(dir)?;
            folder.folders = folder.folders.saturating_sub(1);
        }
        self.reap(number);
        Ok(())
    }

    /// Frees a node that has neither names nor users.
    fn reap(&mut self, number: NodeId) {
        let idle = self
            .nodes
            .get(&number)
            .is_some_and(|node| node.links == 0 && node.opens == 0);
        if idle && let Some(node) = self.nodes.remove(&number) {
            let inside = match &node.body {
                Body::File { pages, .. } => (pages.len() * PAGE_BYTES) as u64,
                body => body.link_bytes(),
            };
            self.used = self.used.saturating_sub(NODE_BYTES + inside);
        }
    }
}

impl Volume for MemoryVolume {
    fn info(&self) -> VolumeInfo {
        VolumeInfo {
            kind: self.kind,
            read_only: self.read_only,
            max_name: gritos_fs_api::MAX_NAME,
            max_file: MAX_FILE,
        }
    }

    fn root(&self) -> NodeId {
        ROOT
    }

    fn lookup(&mut self, dir: NodeId, name: &[u8]) -> Result<Found, FsError> {
        let (node, _) = *self.folder(dir)?.names.get(name).ok_or(FsError::NotFound)?;
        let kind = self.get(node)?.kind();
        Ok(Found { node, kind })
    }

    fn attributes(&mut self, node: NodeId) -> Result<Attributes, FsError> {
        let node = self.get(node)?;
        let (size, blocks, folders) = match &node.body {
            Body::File { size, pages } => (*size, pages.len() as u64 * 8, 0),
            Body::Folder(folder) => (folder.names.len() as u64, 0, folder.folders),
            Body::Link(target) => (target.len() as u64, 0, 0),
        };
        Ok(Attributes {
            kind: node.kind(),
            size,
            blocks,
            links: if node.links == 0 {
                0
            } else {
                node.links + folders
            },
            mode: node.mode,
            modified_ns: node.modified_ns,
            changed_ns: node.changed_ns,
            created_ns: node.created_ns,
        })
    }

    fn open(&mut self, node: NodeId) -> Result<(), FsError> {
        let node = self.get_mut(node)?;
        node.opens = node.opens.checked_add(1).ok_or(FsError::ServerLimit)?;
        Ok(())
    }

    fn close(&mut self, node: NodeId) {
        if let Ok(open) = self.get_mut(node) {
            open.opens = open.opens.saturating_sub(1);
            self.reap(node);
        }
    }

    fn read(&mut self, node: NodeId, offset: u64, into: &mut [u8]) -> Result<usize, FsError> {
        let Body::File { size, pages } = &self.get(node)?.body else {
            return Err(FsError::IsDirectory);
        };
        let length = size.saturating_sub(offset).min(into.len() as u64) as usize;
        let mut rest = into.get_mut(..length).unwrap_or(&mut []);
        let mut at = offset;
        while !rest.is_empty() {
            let (page, low, count) = piece(at, rest.len());
            let (now, later) = rest.split_at_mut(count);
            match pages.get(&page).and_then(|page| page.get(low..low + count)) {
                Some(bytes) => now.copy_from_slice(bytes),
                None => now.fill(0),
            }
            at += count as u64;
            rest = later;
        }
        Ok(length)
    }

    fn read_with(
        &mut self,
        node: NodeId,
        offset: u64,
        length: u64,
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<u64, FsError> {
        static ZEROS: [u8; PAGE_BYTES] = [0; PAGE_BYTES];
        let Body::File { size, pages } = &self.get(node)?.body else {
            return Err(FsError::IsDirectory);
        };
        let length = size.saturating_sub(offset).min(length);
        let mut done = 0;
        while done < length {
            let rest = (length - done).min(PAGE_BYTES as u64) as usize;
            let (page, low, count) = piece(offset + done, rest);
            let page = pages.get(&page).map_or(&ZEROS, |page| &**page);
            done += count as u64;
            if !take(page.get(low..low + count).unwrap_or(&[])) {
                break;
            }
        }
        Ok(done)
    }

    fn write(&mut self, node: NodeId, offset: u64, from: &[u8]) -> Result<usize, FsError> {
        let source = |at: u64, to: &mut [u8]| {
            let from = from.get(at as usize..).and_then(|f| f.get(..to.len()));
            from.is_some_and(|from| {
                to.copy_from_slice(from);
                true
            })
        };
        let length = from.len() as u64;
        let taken = self.write_with(node, offset, length, &source, &mut [])?;
        Ok(taken as usize)
    }

    fn write_with(
        &mut self,
        node: NodeId,
        offset: u64,
        length: u64,
        source: &Source<'_>,
        _: &mut [u8],
    ) -> Result<u64, FsError> {
        let now = (self.now)();
        let mut room = self.limit.saturating_sub(self.used) / PAGE_BYTES as u64;
        let open = self.nodes.get_mut(&node).ok_or(FsError::NotFound)?;
        let Body::File { size, pages } = &mut open.body else {
            return Err(FsError::IsDirectory);
        };
        offset
            .checked_add(length)
            .filter(|end| *end <= MAX_FILE)
            .ok_or(FsError::FileTooLarge)?;
        let before = pages.len();
        let mut done = 0;
        let mut failure = FsError::NoSpace;
        while done < length {
            let rest = (length - done).min(PAGE_BYTES as u64) as usize;
            let (page, low, count) = piece(offset + done, rest);
            let page = match pages.entry(page) {
                MapEntry::Occupied(page) => page.into_mut(),
                MapEntry::Vacant(_) if room == 0 => break,
                MapEntry::Vacant(place) => {
                    room -= 1;
                    place.insert(Box::new([0; PAGE_BYTES]))
                }
            };
            let to = page.get_mut(low..low + count).unwrap_or(&mut []);
            if !source(done, to) {
                // Behind the end of the file there is nothing but zeros.
                let kept = size.saturating_sub(offset + done).min(count as u64);
                to.get_mut(kept as usize..).unwrap_or(&mut []).fill(0);
                failure = FsError::BadBuffer;
                break;
            }
            done += count as u64;
        }
        self.used += ((pages.len() - before) * PAGE_BYTES) as u64;
        if done == 0 && length > 0 {
            return Err(failure);
        }
        *size = (*size).max(offset + done);
        open.touch(now);
        Ok(done)
    }

    fn truncate(&mut self, node: NodeId, to: u64) -> Result<(), FsError> {
        if to > MAX_FILE {
            return Err(FsError::FileTooLarge);
        }
        let now = (self.now)();
        let open = self.nodes.get_mut(&node).ok_or(FsError::NotFound)?;
        let Body::File { size, pages } = &mut open.body else {
            return Err(FsError::IsDirectory);
        };
        let gone = pages.split_off(&to.div_ceil(PAGE_BYTES as u64));
        let last = pages.get_mut(&(to / PAGE_BYTES as u64));
        if let Some(tail) = last.and_then(|page| page.get_mut((to % PAGE_BYTES as u64) as usize..))
        {
            tail.fill(0);
        }
        *size = to;
        open.touch(now);
        self.used = self.used.saturating_sub((gone.len() * PAGE_BYTES) as u64);
        Ok(())
    }

    fn set_modified(&mut self, node: NodeId, modified_ns: Option<u64>) -> Result<(), FsError> {
        let now = (self.now)();
        let node = self.get_mut(node)?;
        node.modified_ns = modified_ns.unwrap_or(now);
        node.changed_ns = now;
        Ok(())
    }

    fn entries(
        &mut self,
        dir: NodeId,
        position: u64,
        take: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), FsError> {
        let folder = self.folder(dir)?;
        for (place, name) in folder.order.range(position.saturating_add(1)..) {
            let Some((node, _)) = folder.names.get(name) else {
                continue;
            };
            let entry = Entry {
                node: *node,
                kind: self.get(*node)?.kind(),
                name: name.clone(),
                next: *place,
            };
            if !take(entry) {
                break;
            }
        }
        Ok(())
    }

    fn create(&mut self, dir: NodeId, name: &[u8], mode: u32) -> Result<NodeId, FsError> {
        let body = Body::File {
            size: 0,
            pages: BTreeMap::new(),
        };
        self.add(dir, name, body, mode)
    }

    fn mkdir(&mut self, dir: NodeId, name: &[u8], mode: u32) -> Result<NodeId, FsError> {
        self.add(dir, name, Body::Folder(Folder::default()), mode)
    }

    fn unlink(&mut self, dir: NodeId, name: &[u8]) -> Result<(), FsError> {
        self.drop_name(dir, name)
    }

    fn rmdir(&mut self, dir: NodeId, name: &[u8]) -> Result<(), FsError> {
        let found = self.lookup(dir, name)?;
        if !self.folder(found.node)?.names.is_empty() {
            return Err(FsError::NotEmpty);
        }
        self.drop_name(dir, name)
    }

    fn rename(
        &mut self,
        from_dir: NodeId,
        from: &[u8],
        to_dir: NodeId,
        to: &[u8],
    ) -> Result<(), FsError> {
        let moved = self.lookup(from_dir, from)?;
        if self.get(to_dir)?.links == 0 {
            return Err(FsError::NotFound);
        }
        match self.lookup(to_dir, to) {
            Ok(replaced) => {
                if let Ok(folder) = self.folder(replaced.node)
                    && !folder.names.is_empty()
                {
                    return Err(FsError::NotEmpty);
                }
                self.drop_name(to_dir, to)?;
            }
            Err(FsError::NotFound) => {}
            Err(error) => return Err(error),
        }
        let is_folder = u32::from(moved.kind == FileType::Directory);
        let folder = self.touch_folder(from_dir)?;
        folder.remove(from);
        folder.folders = folder.folders.saturating_sub(is_folder);
        let folder = self.touch_folder(to_dir)?;
        folder.insert(to, moved.node);
        folder.folders += is_folder;
        let now = (self.now)();
        self.get_mut(moved.node)?.changed_ns = now;
        self.used = self.used.saturating_sub(from.len() as u64) + to.len() as u64;
        Ok(())
    }

    fn link(&mut self, dir: NodeId, name: &[u8], node: NodeId) -> Result<(), FsError> {
        if self.folder(dir)?.names.contains_key(name) {
            return Err(FsError::Exists);
        }
        let linked = self.get(node)?;
        if matches!(linked.body, Body::Folder(_)) {
            return Err(FsError::NotPermitted);
        }
        if self.get(dir)?.links == 0 || linked.links == 0 {
            return Err(FsError::NotFound);
        }
        let links = linked.links.checked_add(1).ok_or(FsError::TooManyLinks)?;
        self.take_space(name.len() as u64)?;
        self.touch_folder(dir)?.insert(name, node);
        let now = (self.now)();
        let linked = self.get_mut(node)?;
        linked.links = links;
        linked.changed_ns = now;
        Ok(())
    }

    fn symlink(&mut self, dir: NodeId, name: &[u8], target: &[u8]) -> Result<NodeId, FsError> {
        self.add(dir, name, Body::Link(target.to_vec()), 0o777)
    }

    fn read_link(&mut self, node: NodeId) -> Result<Vec<u8>, FsError> {
        match &self.get(node)?.body {
            Body::Link(target) => Ok(target.clone()),
            _ => Err(FsError::Invalid),
        }
    }

    fn sync(&mut self) -> Result<(), FsError> {
        Ok(())
    }

    fn space(&mut self) -> Result<Space, FsError> {
        let free_bytes = self.limit.saturating_sub(self.used);
        Ok(Space {
            total_bytes: self.limit,
            free_bytes,
            free_files: free_bytes / NODE_BYTES,
            block_bytes: PAGE_BYTES as u32,
        })
    }

    fn remount(&mut self, read_only: bool) -> Result<(), FsError> {
        if self.kind == "root" && !read_only {
            return Err(FsError::ReadOnly);
        }
        self.read_only = read_only;
        Ok(())
    }
}

/// The first part of a range that lies in one page: the page, where in it, how many
/// bytes.
fn piece(offset: u64, bytes: usize) -> (u64, usize, usize) {
    let low = (offset % PAGE_BYTES as u64) as usize;
    (offset / PAGE_BYTES as u64, low, bytes.min(PAGE_BYTES - low))
}
