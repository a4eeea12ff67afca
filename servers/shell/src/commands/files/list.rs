//! What there is: `ls`, `tree`, `stat`, `readlink`.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use gritos_fs_client::{Errno, FileType, Mode, Stat};
use gritos_shell_core::calendar::Moment;
use gritos_shell_core::{Context, Failure, status};

use super::{Listed, about, entries, for_each, join, options, some, with};

pub(super) const LS: &str = "lists folders; with -l size, time and permissions of each entry";
pub(super) const TREE: &str = "lists a folder and everything below it";
pub(super) const STAT: &str = "tells everything that is known of files and folders";

pub(super) const READLINK: &str = "tells where symbolic links lead";

/// How deep `tree` goes.
const TREE_DEPTH: usize = 32;

pub(super) fn ls(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (letters, mut paths) = options(arguments, "la")?;
    let long = letters.contains('l');
    if paths.is_empty() {
        paths.push(".");
    }
    let titles = paths.len() > 1;
    for_each(context, "ls", &paths, |context, argument| {
        let path = context.path(argument);
        let found = with(|client| client.stat(&path)).map_err(about(&path))?;
        if found.file_type != FileType::Directory {
            return line(context, long, argument, &found);
        }
        let listed = entries(&path).map_err(about(&path))?;
        if titles {
            writeln!(context, "{argument}:")?;
        }
        for Listed { name, kind } in listed {
            context.check()?;
            if long {
                let below = join(&path, &name);
                // It may be gone meanwhile.
                if let Ok(found) = with(|client| client.stat_link(&below)) {
                    let leads = (kind == FileType::Symlink)
                        .then(|| with(|client| client.read_link(&below)).ok())
                        .flatten();
                    match leads {
                        Some(to) => {
                            details(context, &found)?;
                            writeln!(context, "{name} -> {to}")?;
                        }
                        None => line(context, true, &name, &found)?,
                    }
                }
            } else {
                writeln!(context, "{name}{}", mark(kind))?;
            }
        }
        Ok(())
    })
}

fn line(context: &mut Context<'_>, long: bool, name: &str, found: &Stat) -> Result<(), Failure> {
    if long {
        details(context, found)?;
    }
    writeln!(context, "{name}{}", mark(found.file_type))?;
    Ok(())
}

/// What `ls -l` tells before the name.
fn details(context: &mut Context<'_>, found: &Stat) -> Result<(), Failure> {
    let (letters, time) = (permissions(found), minute(found.modified_ns));
    let (links, size) = (found.links, found.size);
    write!(context, "{letters} {links:3} {size:10} {time} ")?;
    Ok(())
}

pub(super) fn readlink(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (_, paths) = options(arguments, "")?;
    let paths = some(paths, "a symbolic link")?;
    for_each(context, "readlink", &paths, |context, argument| {
        let path = context.path(argument);
        match with(|client| client.read_link(&path)) {
            Ok(target) => Ok(writeln!(context, "{target}")?),
            Err(Errno::INVAL) => Err(Failure::new(format_args!("{path}: is no symbolic link"))),
            Err(error) => Err(about(&path)(error)),
        }
    })
}

/// A moment in nanoseconds since 1970, to the minute.
fn minute(ns: u64) -> String {
    let Moment {
        year,
        month,
        day,
        time: (hour, minute, _),
    } = Moment::of(ns / 1_000_000_000);
    alloc::format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

/// What is written behind a name.
const fn mark(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "/",
        FileType::Symlink => "@",
        _ => "",
    }
}

fn permissions(found: &Stat) -> String {
    let kind = match found.file_type {
        FileType::Directory => 'd',
        FileType::Symlink => 'l',
        FileType::Regular => '-',
        _ => '?',
    };
    let bits = [
        (Mode::OWNER_READ, 'r'),
        (Mode::OWNER_WRITE, 'w'),
        (Mode::OWNER_EXECUTE, 'x'),
        (Mode::GROUP_READ, 'r'),
        (Mode::GROUP_WRITE, 'w'),
        (Mode::GROUP_EXECUTE, 'x'),
        (Mode::OTHER_READ, 'r'),
        (Mode::OTHER_WRITE, 'w'),
        (Mode::OTHER_EXECUTE, 'x'),
    ];
    let letters = bits.map(|(bit, letter)| match found.mode.contains(bit) {
        true => letter,
        false => '-',
    });
    core::iter::once(kind).chain(letters).collect()
}

pub(super) fn tree(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (_, paths) = options(arguments, "")?;
    let argument = match paths.as_slice() {
        [] => ".",
        [one] => one,
        _ => return Err(Failure::usage("it takes one folder")),
    };
    let path = context.path(argument);
    writeln!(context, "{argument}")?;
    let (mut folders, mut files) = (0_u64, 0_u64);
    // Entries that are still to be listed, those of the deepest folder last.
    let mut open: Vec<(String, Vec<Listed>)> = Vec::new();
    let descend = |path: String| -> Result<(String, Vec<Listed>), Failure> {
        let mut listed = entries(&path).map_err(about(&path))?;
        listed.reverse();
        Ok((path, listed))
    };
    open.push(descend(path)?);
    while let Some((folder, listed)) = open.last_mut() {
        context.check()?;
        let Some(Listed { name, kind }) = listed.pop() else {
            open.pop();
            continue;
        };
        let path = join(folder, &name);
        let depth = open.len();
        writeln!(context, "{:1$}{name}{2}", "", 2 * depth, mark(kind))?;
        if kind == FileType::Directory {
            folders += 1;
            if depth < TREE_DEPTH {
                open.push(descend(path)?);
            }
        } else {
            files += 1;
        }
    }
    writeln!(context, "{folders} folders, {files} files")?;
    Ok(status::OK)
}

pub(super) fn stat(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (_, paths) = options(arguments, "")?;
    let paths = some(paths, "a path")?;
    for_each(context, "stat", &paths, |context, argument| {
        let path = context.path(argument);
        let found = with(|client| client.stat_link(&path)).map_err(about(&path))?;
        let kind = match found.file_type {
            FileType::Directory => "folder",
            FileType::Regular => "file",
            FileType::Symlink => "symbolic link",
            _ => "other",
        };
        writeln!(context, "{path}: {kind}")?;
        writeln!(
            context,
            "  {} bytes in {} blocks of 512, inode {} of volume {}, {} names",
            found.size, found.blocks, found.inode, found.volume, found.links
        )?;
        writeln!(
            context,
            "  {}, changed {}, made {}",
            permissions(&found),
            minute(found.modified_ns),
            minute(found.created_ns)
        )?;
        Ok(())
    })
}
