//! From one name to another: `mv`, `cp`, `ln`.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use gritos_fs_client::{Errno, FileType};
use gritos_shell_core::{Context, Failure, status};

use super::{NEW_FOLDER, Open, PIECE, about, entries, for_each, join, last, options, with};

pub(super) const MV: &str = "gives a file or folder another name, or moves several into a folder";
pub(super) const CP: &str =
    "copies a file, or several into a folder; with -r folders and all that is in them";

pub(super) const LN: &str =
    "gives a file one more name; with -s makes a symbolic link, which leads to a path";

/// How deep `cp -r` goes.
const DEPTH: usize = 64;

/// The sources, and the path that each one goes to.
fn pairs(context: &Context<'_>, paths: &[&str]) -> Result<Vec<(String, String)>, Failure> {
    let Some((to, from)) = paths.split_last().filter(|(_, from)| !from.is_empty()) else {
        return Err(Failure::usage("it needs what to take and where to put it"));
    };
    let to = context.path(to);
    let is_folder =
        with(|client| client.stat(&to)).is_ok_and(|found| found.file_type == FileType::Directory);
    if from.len() > 1 && !is_folder {
        return Err(Failure::new(format_args!("{to}: not a folder")));
    }
    let pair = |path: &&str| {
        let path = context.path(path);
        let target = if is_folder {
            join(&to, last(&path))
        } else {
            to.clone()
        };
        (path, target)
    };
    Ok(from.iter().map(pair).collect())
}

pub(super) fn mv(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (_, paths) = options(arguments, "")?;
    let pairs = pairs(context, &paths)?;
    let numbers: Vec<&str> = pairs.iter().map(|(from, _)| from.as_str()).collect();
    let mut targets = pairs.iter();
    for_each(context, "mv", &numbers, |context, from| {
        let Some((_, to)) = targets.next() else {
            return Ok(());
        };
        match with(|client| client.rename(from, to, true)) {
            Err(Errno::XDEV) => {
                let found = with(|client| client.stat_link(from)).map_err(about(from))?;
                match found.file_type {
                    FileType::Directory => {
                        return Err(Failure::new(format_args!(
                            "{from}: a folder stays on its file system; use cp -r and rm -r"
                        )));
                    }
                    FileType::Symlink => copy_link(from, to)?,
                    _ => copy_file(context, from, to)?,
                }
                // What was copied is on the device before its other copy goes.
                with(|client| client.sync()).map_err(about(to))?;
                with(|client| client.unlink(from)).map_err(about(from))
            }
            result => result.map_err(about(from)),
        }
    })
}

pub(super) fn cp(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (letters, paths) = options(arguments, "r")?;
    let all = letters.contains('r');
    let pairs = pairs(context, &paths)?;
    let sources: Vec<&str> = pairs.iter().map(|(from, _)| from.as_str()).collect();
    let mut targets = pairs.iter();
    for_each(context, "cp", &sources, |context, from| {
        let Some((_, to)) = targets.next() else {
            return Ok(());
        };
        let found = with(|client| client.stat(from)).map_err(about(from))?;
        if found.file_type != FileType::Directory {
            return copy_file(context, from, to);
        }
        if !all {
            return Err(Failure::new(format_args!(
                "{from}: is a folder; with -r it and all that is in it is copied"
            )));
        }
        copy_all(context, from, to)
    })
}

pub(super) fn ln(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (letters, paths) = options(arguments, "s")?;
    let [target, name] = paths.as_slice() else {
        return Err(Failure::usage("it needs what to lead to and a name"));
    };
    let mut path = context.path(name);
    // As with `mv`, a folder is where the name comes to be.
    if with(|client| client.stat(&path)).is_ok_and(|found| found.file_type == FileType::Directory) {
        path = join(&path, last(target));
    }
    if letters.contains('s') {
        with(|client| client.symlink(target, &path)).map_err(about(&path))?;
        return Ok(status::OK);
    }
    let from = context.path(target);
    let result = with(|client| client.link(&from, &path));
    match result {
        Err(Errno::PERM) => Err(Failure::new(format_args!(
            "{from}: has one name only, as folders have and files on FAT"
        ))),
        Err(Errno::XDEV) => Err(Failure::new(format_args!(
            "{path}: lies in another file system than {from}; with -s it can lead there"
        ))),
        Err(error @ Errno::EXIST) => Err(about(&path)(error)),
        result => result.map(|()| status::OK).map_err(about(&from)),
    }
}

/// Makes a link that leads where another does.
fn copy_link(from: &str, to: &str) -> Result<(), Failure> {
    let target = with(|client| client.read_link(from)).map_err(about(from))?;
    with(|client| client.symlink(&target, to)).map_err(about(to))
}

/// Whether two paths lead to the same file; one that leads to nothing does not.
fn are_same(one: &str, other: &str) -> bool {
    let place = |path| with(|client| client.stat(path)).map(|found| (found.volume, found.inode));
    place(one).is_ok_and(|one| place(other) == Ok(one))
}

fn copy_file(context: &mut Context<'_>, from: &str, to: &str) -> Result<(), Failure> {
    // The source would be emptied first.
    if are_same(from, to) {
        return Err(Failure::new(format_args!(
            "{from}: is the same file as {to}"
        )));
    }
    let mut source = Open::read_only(from).map_err(about(from))?;
    let mut target = Open::write_only(to, false).map_err(about(to))?;
    let mut piece = vec![0; PIECE];
    loop {
        context.check()?;
        let count = source.read(&mut piece).map_err(about(from))?;
        if count == 0 {
            return Ok(());
        }
        let bytes = piece.get(..count).unwrap_or(&[]);
        target.write(bytes).map_err(about(to))?;
    }
}

fn copy_all(context: &mut Context<'_>, from: &str, to: &str) -> Result<(), Failure> {
    if to == from || to.starts_with(&join(from, "")) {
        return Err(Failure::new(format_args!("{to}: lies in what is copied")));
    }
    let mut folders = Vec::from([(String::from(from), String::from(to), 0)]);
    while let Some((from, to, depth)) = folders.pop() {
        match with(|client| client.mkdir(&to, NEW_FOLDER)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(about(&to)(error)),
        }
        for entry in entries(&from).map_err(about(&from))? {
            let (from, to) = (join(&from, &entry.name), join(&to, &entry.name));
            match entry.kind {
                FileType::Directory if depth == DEPTH => {
                    return Err(Failure::new(format_args!("{from}: lies too deep")));
                }
                FileType::Directory => folders.push((from, to, depth + 1)),
                FileType::Symlink => copy_link(&from, &to)?,
                _ => copy_file(context, &from, &to)?,
            }
        }
    }
    Ok(())
}
