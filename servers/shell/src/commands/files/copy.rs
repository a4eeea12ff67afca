//! From one name to another: `mv`, `cp`.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use gritos_fs_client::{Errno, FileType};
use gritos_shell_core::{Context, Failure};

use super::{NEW_FOLDER, Open, PIECE, about, entries, for_each, join, last, options, with};

pub(super) const MV: &str = "gives a file or folder another name, or moves several into a folder";
pub(super) const CP: &str =
    "copies a file, or several into a folder; with -r folders and all that is in them";

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
                let found = with(|client| client.stat(from)).map_err(about(from))?;
                if found.file_type == FileType::Directory {
                    return Err(Failure::new(format_args!(
                        "{from}: a folder stays on its file system; use cp -r and rm -r"
                    )));
                }
                copy_file(context, from, to)?;
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

fn copy_file(context: &mut Context<'_>, from: &str, to: &str) -> Result<(), Failure> {
    if from == to {
        return Err(Failure::new(format_args!("{from}: is the same file")));
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
                _ => copy_file(context, &from, &to)?,
            }
        }
    }
    Ok(())
}
