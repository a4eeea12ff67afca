//! Making and removing: `write`, `append`, `touch`, `mkdir`, `rmdir`, `rm`.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use gritos_fs_client::{Errno, FileType, OpenFlags};
use gritos_shell_core::{Context, Failure, status};

use super::{NEW_FOLDER, Open, about, entries, for_each, join, options, some, with};

pub(super) const WRITE: &str = "makes a file of this text and a line feed, instead of what it has";
pub(super) const APPEND: &str = "adds this text and a line feed to the end of a file";
pub(super) const TOUCH: &str = "makes files that are not there, and gives those that are the time";
pub(super) const MKDIR: &str =
    "makes folders; with -p those above as well, and none may exist already";
pub(super) const RMDIR: &str = "removes empty folders";
pub(super) const RM: &str =
    "removes files; with -r folders and all that is in them; with -f what is missing is no error";

pub(super) fn write(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    put(context, arguments, false)
}

pub(super) fn append(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    put(context, arguments, true)
}

fn put(context: &mut Context<'_>, arguments: &[String], append: bool) -> Result<u8, Failure> {
    let [path, words @ ..] = arguments else {
        return Err(Failure::usage("it needs a file and what to write"));
    };
    let path = context.path(path);
    let mut text = words.join(" ");
    text.push('\n');
    let mut file = Open::write_only(&path, append).map_err(about(&path))?;
    file.write(text.as_bytes()).map_err(about(&path))?;
    Ok(status::OK)
}

pub(super) fn touch(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (_, paths) = options(arguments, "")?;
    let paths = some(paths, "a file")?;
    for_each(context, "touch", &paths, |context, argument| {
        let path = context.path(argument);
        let file = Open::new(&path, OpenFlags::WRITE | OpenFlags::CREATE).map_err(about(&path))?;
        with(|client| client.set_modified(file.file, 0)).map_err(about(&path))
    })
}

pub(super) fn mkdir(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (letters, paths) = options(arguments, "p")?;
    let paths = some(paths, "a folder")?;
    for_each(context, "mkdir", &paths, |context, argument| {
        let path = context.path(argument);
        if !letters.contains('p') {
            return with(|client| client.mkdir(&path, NEW_FOLDER)).map_err(about(&path));
        }
        let ends = path.match_indices('/').map(|(at, _)| at).skip(1);
        for end in ends.chain([path.len()]) {
            let part = path.get(..end).unwrap_or(&path);
            match with(|client| client.mkdir(part, NEW_FOLDER)) {
                Ok(()) => {}
                Err(error) => {
                    // A folder that can only be read says so before it says that it exists.
                    let found = with(|client| client.stat(part));
                    if !found.is_ok_and(|found| found.file_type == FileType::Directory) {
                        return Err(about(part)(error));
                    }
                }
            }
        }
        Ok(())
    })
}

pub(super) fn rmdir(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (_, paths) = options(arguments, "")?;
    let paths = some(paths, "a folder")?;
    for_each(context, "rmdir", &paths, |context, argument| {
        let path = context.path(argument);
        with(|client| client.rmdir(&path)).map_err(about(&path))
    })
}

pub(super) fn rm(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let (letters, paths) = options(arguments, "rf")?;
    let (all, forgiving) = (letters.contains('r'), letters.contains('f'));
    let paths = some(paths, "a path")?;
    for_each(context, "rm", &paths, |context, argument| {
        let path = context.path(argument);
        let result = with(|client| client.unlink(&path));
        match result {
            Err(Errno::NOENT) if forgiving => Ok(()),
            Err(Errno::ISDIR | Errno::PERM) if all => remove_all(context, &path),
            Err(Errno::ISDIR) => Err(Failure::new(format_args!(
                "{path}: is a folder; with -r it and all that is in it is removed"
            ))),
            result => result.map_err(about(&path)),
        }
    })
}

/// Removes a folder and everything in it.
fn remove_all(context: &mut Context<'_>, path: &str) -> Result<(), Failure> {
    // Folders that are to be removed once they are empty, the deepest last.
    let mut folders = Vec::from([path.to_string()]);
    while let Some(folder) = folders.last().cloned() {
        context.check()?;
        let mut deeper = false;
        for entry in entries(&folder).map_err(about(&folder))? {
            context.check()?;
            let path = join(&folder, &entry.name);
            if entry.kind == FileType::Directory {
                folders.push(path);
                deeper = true;
                break;
            }
            with(|client| client.unlink(&path)).map_err(about(&path))?;
        }
        if !deeper {
            with(|client| client.rmdir(&folder)).map_err(about(&folder))?;
            folders.pop();
        }
    }
    Ok(())
}
