//! Statements about single calls and their errors.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use gritos_fs_client::posix::{O_CREAT, O_TRUNC, O_WRONLY};
use gritos_fs_client::{Errno, FileType, Link};
use gritos_service::BufferMemory;

use crate::{Site, Verdict};

mod folders;
mod links;
mod open;
mod paths;
mod remove;
mod rename;
mod size;
mod times;

/// Something that holds.
struct Rule<T: Link, M: BufferMemory> {
    name: &'static str,
    test: fn(&mut Site<'_, T, M>) -> Verdict,
}

macro_rules! rules {
    ($($module:ident: $($name:ident)*;)*) => {
        [$($(Rule { name: stringify!($name), test: $module::$name },)*)*]
    };
}

/// Checks all rules, each in a folder of its own below the site's, which it leaves empty; returns how many
/// there are.
///
/// # Errors
/// The first that does not hold.
pub fn check<T: Link, M: BufferMemory>(site: &mut Site<'_, T, M>) -> Result<usize, String> {
    let rules: [Rule<T, M>; _] = rules! {
        open: new_files_are_as_was_asked flags_decide positions_and_appending what_was_not_asked_for_is_refused
            descriptors_are_the_lowest;
        paths: parts_lead_somewhere names_have_a_longest names_may_be_any_text folders_confine;
        remove: mkdir_makes_and_refuses rmdir_removes_and_refuses unlink_removes_and_refuses
            what_is_open_stays;
        rename: names_move_and_replace what_cannot_move folders_count_their_folders replaced_files_stay_while_open;
        size: cutting_and_extending holes_are_zeros_and_take_no_space limits_are_told reading_ends_at_the_end
            space_is_counted;
        folders: each_entry_once_while_others_change places_can_be_kept many_entries;
        links: files_have_many_names what_cannot_be_linked symbolic_links_are_told_and_followed
            symbolic_links_have_limits links_do_not_lead_out;
        times: changes_are_dated nothing_else_is_dated;
    };
    let above = site.folder.clone();
    for rule in &rules {
        site.folder = format!("{above}/{}", rule.name);
        let result = checked(site, rule);
        if let Err(why) = result {
            return Err(format!("{}: {why}", rule.name));
        }
    }
    site.folder = above;
    Ok(rules.len())
}

fn checked<T: Link, M: BufferMemory>(site: &mut Site<'_, T, M>, rule: &Rule<T, M>) -> Verdict {
    let folder = site.folder.clone();
    done!(site.posix.mkdir(&folder, 0o755));
    (rule.test)(site)?;
    done!(site.posix.rmdir(&folder));
    Ok(())
}

/// What the rules do again and again.
impl<T: Link, M: BufferMemory> Site<'_, T, M> {
    /// Makes a file with these contents.
    fn put(&mut self, name: &str, bytes: &[u8]) -> Verdict {
        let path = self.at(name);
        let fd = done!(self.posix.open(&path, O_WRONLY | O_CREAT | O_TRUNC, 0o644));
        same!(self.posix.write(fd, bytes), Ok(bytes.len()));
        done!(self.posix.close(fd));
        Ok(())
    }

    /// The contents of a file.
    fn get(&mut self, name: &str) -> Result<Vec<u8>, Errno> {
        let path = self.at(name);
        let fd = self.posix.open(&path, 0, 0)?;
        let size = self.posix.fstat(fd)?.size as usize;
        let mut bytes = alloc::vec![0; size];
        let read = self.posix.read(fd, &mut bytes);
        self.posix.close(fd)?;
        bytes.truncate(read?);
        Ok(bytes)
    }

    fn mkdir(&mut self, name: &str) -> Result<(), Errno> {
        let path = self.at(name);
        self.posix.mkdir(&path, 0o755)
    }

    fn rmdir(&mut self, name: &str) -> Result<(), Errno> {
        let path = self.at(name);
        self.posix.rmdir(&path)
    }

    fn unlink(&mut self, name: &str) -> Result<(), Errno> {
        let path = self.at(name);
        self.posix.unlink(&path)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), Errno> {
        let (from, to) = (self.at(from), self.at(to));
        self.posix.rename(&from, &to)
    }

    fn open(&mut self, name: &str, oflag: u32) -> Result<i32, Errno> {
        let path = self.at(name);
        self.posix.open(&path, oflag, 0o644)
    }

    fn stat(&mut self, name: &str) -> Result<gritos_fs_client::Stat, Errno> {
        let path = self.at(name);
        self.posix.stat(&path)
    }

    /// Names in a folder, in order.
    fn list(&mut self, name: &str) -> Result<Vec<String>, Errno> {
        let path = self.at(name);
        let mut dir = self.posix.opendir(&path)?;
        let mut names = Vec::new();
        while let Some(entry) = self.posix.readdir(&mut dir)? {
            names.push(String::from(entry.name.as_str()));
        }
        self.posix.closedir(dir)?;
        names.sort();
        Ok(names)
    }

    /// Whether something is a folder.
    fn is_folder(&mut self, name: &str) -> Result<bool, Errno> {
        Ok(self.stat(name)?.file_type == FileType::Directory)
    }
}
