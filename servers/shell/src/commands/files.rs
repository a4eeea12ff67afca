//! Files: the connection with the file server, the commands about files, and what redirection and completion
//! need of them.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use gritos_fs_client::{
    ComponentClient, Errno, FileType, Mode, MountEntry, OpenFile, OpenFlags, connect,
};
use gritos_shell_core::{Command, Completes, Context, Failure};
use spin::Mutex;

mod change;
mod copy;
mod list;
mod place;
mod show;
mod space;

/// The table.
pub(crate) const COMMANDS: &[Command] = &[
    command("cd", place::CD, "[FOLDER]", "cd /data", place::cd),
    command("pwd", place::PWD, "", "pwd", place::pwd),
    command("ls", list::LS, "[-l] [PATH]...", "ls -l /data", list::ls),
    command("tree", list::TREE, "[PATH]", "tree /data", list::tree),
    command("stat", list::STAT, "PATH...", "stat /data/www", list::stat),
    command("cat", show::CAT, "[FILE]...", "cat /data/notes", show::cat),
    command(
        "hexdump",
        show::HEXDUMP,
        "[FILE]",
        "hexdump /data/notes",
        show::hexdump,
    ),
    command(
        "sha256",
        show::SHA256,
        "[FILE]...",
        "sha256 /boot/kernel8.img",
        show::sha256,
    ),
    command(
        "write",
        change::WRITE,
        "FILE TEXT...",
        "write /data/notes hello",
        change::write,
    ),
    command(
        "append",
        change::APPEND,
        "FILE TEXT...",
        "append /data/notes 'and more'",
        change::append,
    ),
    command(
        "touch",
        change::TOUCH,
        "FILE...",
        "touch /data/notes",
        change::touch,
    ),
    command(
        "mkdir",
        change::MKDIR,
        "[-p] FOLDER...",
        "mkdir -p /data/a/b",
        change::mkdir,
    ),
    command(
        "rmdir",
        change::RMDIR,
        "FOLDER...",
        "rmdir /data/a/b",
        change::rmdir,
    ),
    command(
        "rm",
        change::RM,
        "[-r] [-f] PATH...",
        "rm -r /data/a",
        change::rm,
    ),
    command(
        "mv",
        copy::MV,
        "FROM... TO",
        "mv /data/notes /data/old",
        copy::mv,
    ),
    command(
        "cp",
        copy::CP,
        "[-r] FROM... TO",
        "cp /boot/config.txt /data",
        copy::cp,
    ),
    command(
        "ln",
        copy::LN,
        "[-s] TARGET NAME",
        "ln -s /data/www /tmp/www",
        copy::ln,
    ),
    command(
        "readlink",
        list::READLINK,
        "LINK...",
        "readlink /tmp/www",
        list::readlink,
    ),
    command("sync", space::SYNC, "", "sync", space::sync),
    command("df", space::DF, "[PATH]", "df /data", space::df),
    command(
        "mount",
        space::MOUNT,
        "[ro|rw PATH]",
        "mount rw /boot",
        space::mount,
    ),
];

const fn command(
    name: &'static str,
    summary: &'static str,
    arguments: &'static str,
    example: &'static str,
    run: fn(&mut Context<'_>, &[String]) -> Result<u8, Failure>,
) -> Command {
    Command {
        name,
        summary,
        arguments,
        example,
        completes: Completes::Paths,
        run,
    }
}

/// The component that serves files.
pub(crate) const COMPONENT: &str = "fs";
/// Bytes that are read or written in one step.
const PIECE: usize = 64 << 10;
/// Permissions of files that are made.
const NEW_FILE: Mode = Mode::from_bits_retain(0o644);
/// Permissions of folders that are made.
const NEW_FOLDER: Mode = Mode::from_bits_retain(0o755);

/// The one connection of the shell, with its memory; made when it is first needed.
static CLIENT: Mutex<Option<ComponentClient>> = Mutex::new(None);

/// Uses the connection. Nothing that writes to a terminal or a file belongs into `action`.
pub(super) fn with<R>(
    action: impl FnOnce(&mut ComponentClient) -> Result<R, Errno>,
) -> Result<R, Errno> {
    let mut place = CLIENT.try_lock().ok_or(Errno::BUSY)?;
    let client = match place.as_mut() {
        Some(client) => client,
        None => place.insert(connect("files")?),
    };
    action(client)
}

/// A failure about a path.
fn about(path: &str) -> impl Fn(Errno) -> Failure {
    move |error| Failure::new(format_args!("{path}: {error}"))
}

/// An open file that closes itself.
struct Open {
    file: OpenFile,
    position: u64,
}

impl Open {
    fn new(path: &str, flags: OpenFlags) -> Result<Self, Errno> {
        let file = with(|client| client.open(path, flags, NEW_FILE))?;
        Ok(Self { file, position: 0 })
    }

    /// For reading.
    fn read_only(path: &str) -> Result<Self, Errno> {
        Self::new(path, OpenFlags::READ)
    }

    /// For writing, made if it is not there; what it has stays if `append`.
    fn write_only(path: &str, append: bool) -> Result<Self, Errno> {
        let how = if append {
            OpenFlags::APPEND
        } else {
            OpenFlags::TRUNCATE
        };
        Self::new(path, OpenFlags::WRITE | OpenFlags::CREATE | how)
    }

    /// The next bytes; none at the end.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        let count = with(|client| client.read(self.file, self.position, into))?;
        self.position += count as u64;
        Ok(count)
    }

    fn write(&mut self, mut from: &[u8]) -> Result<(), Errno> {
        while !from.is_empty() {
            let count = with(|client| client.write(self.file, self.position, from))?;
            if count == 0 {
                return Err(Errno::NOSPC);
            }
            self.position += count as u64;
            from = from.get(count..).unwrap_or(&[]);
        }
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // What matters was written and answered; nobody is left to be told.
        let _ = with(|client| client.close(self.file));
    }
}

/// Gives `each` a file piece by piece; of no file what a pipe or a redirection brings.
fn pieces(
    context: &mut Context<'_>,
    path: Option<&str>,
    mut each: impl FnMut(&mut Context<'_>, &[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Some(path) = path else {
        let input = context.input;
        return each(context, input);
    };
    let path = context.path(path);
    let mut file = Open::read_only(&path).map_err(about(&path))?;
    let mut piece = vec![0; PIECE];
    loop {
        context.check()?;
        let count = file.read(&mut piece).map_err(about(&path))?;
        if count == 0 {
            return Ok(());
        }
        each(context, piece.get(..count).unwrap_or(&[]))?;
    }
}

/// An entry of a folder.
struct Listed {
    name: String,
    kind: FileType,
}

/// The entries of a folder, by name.
fn entries(path: &str) -> Result<Vec<Listed>, Errno> {
    let folder = Open::new(path, OpenFlags::READ | OpenFlags::DIRECTORY)?;
    let mut found = Vec::new();
    let mut position = 0;
    loop {
        let (batch, next) = with(|client| client.read_dir(folder.file, position))?;
        if batch.is_empty() {
            break;
        }
        found.extend(batch.iter().map(|entry| Listed {
            name: entry.name.to_string(),
            kind: entry.file_type,
        }));
        position = next;
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The path of an entry.
pub(super) fn join(folder: &str, name: &str) -> String {
    let slash = if folder.ends_with('/') { "" } else { "/" };
    alloc::format!("{folder}{slash}{name}")
}

/// The last part of a path; empty for the root.
fn last(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or("")
}

/// Splits arguments into the letters of options, of which `known` are allowed, and the rest.
fn options<'a>(arguments: &'a [String], known: &str) -> Result<(String, Vec<&'a str>), Failure> {
    let mut letters = String::new();
    let mut rest = Vec::new();
    let mut only_names = false;
    for argument in arguments {
        match argument.strip_prefix('-') {
            Some("-") if !only_names => only_names = true,
            Some(option) if !only_names && !option.is_empty() => {
                if let Some(odd) = option.chars().find(|c| !known.contains(*c)) {
                    return Err(Failure::usage(format_args!("there is no option -{odd}")));
                }
                letters.push_str(option);
            }
            _ => rest.push(argument.as_str()),
        }
    }
    Ok((letters, rest))
}

/// Refuses a command without arguments.
fn some<'a>(arguments: Vec<&'a str>, what: &str) -> Result<Vec<&'a str>, Failure> {
    if arguments.is_empty() {
        return Err(Failure::usage(format_args!("it needs {what}")));
    }
    Ok(arguments)
}

/// Does something for each argument; those that fail are complained about, and the rest is done all the same.
fn for_each(
    context: &mut Context<'_>,
    name: &str,
    arguments: &[&str],
    mut action: impl FnMut(&mut Context<'_>, &str) -> Result<(), Failure>,
) -> Result<u8, Failure> {
    let mut status = gritos_shell_core::status::OK;
    for argument in arguments {
        match action(context, argument) {
            Ok(()) => {}
            Err(Failure::Failed(why)) => {
                context.complain(format_args!("{name}: {why}"));
                status = gritos_shell_core::status::FAILED;
            }
            Err(other) => return Err(other),
        }
    }
    Ok(status)
}

fn said(error: impl fmt::Display) -> String {
    error.to_string()
}

/// Reads a file.
pub(crate) fn read(path: &str, limit: usize) -> Result<Vec<u8>, String> {
    let mut file = Open::read_only(path).map_err(said)?;
    let mut bytes = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let count = file.read(&mut piece).map_err(said)?;
        if count == 0 {
            return Ok(bytes);
        }
        if bytes.len() + count > limit {
            return Err(alloc::format!("larger than {} KiB", limit >> 10));
        }
        bytes.extend_from_slice(piece.get(..count).unwrap_or(&[]));
    }
}

/// Writes a file.
pub(crate) fn write(path: &str, append: bool, bytes: &[u8]) -> Result<(), String> {
    let mut file = Open::write_only(path, append).map_err(said)?;
    file.write(bytes).map_err(said)
}

/// Checks that there is such a folder.
pub(crate) fn check_folder(path: &str) -> Result<(), String> {
    Open::new(path, OpenFlags::READ | OpenFlags::DIRECTORY)
        .map(|_| ())
        .map_err(said)
}

/// Lists a folder.
pub(crate) fn list(path: &str) -> Vec<(String, bool)> {
    let listed = entries(path).unwrap_or_default().into_iter();
    listed
        .map(|entry| (entry.name, entry.kind == FileType::Directory))
        .collect()
}

/// Makes everything durable and leaves the disks as those who check them expect it: what can be written to becomes
/// read-only.
pub(crate) fn leave() -> Result<(), Errno> {
    let mounts = with(|client| client.mounts())?;
    match with(|client| client.sync()) {
        // What a restart took is lost; what there is now is durable.
        Ok(()) | Err(Errno::STALE) => {}
        Err(error) => return Err(error),
    }
    let on_disk = |mount: &&MountEntry| !mount.read_only && mount.kind.as_str() != "memory";
    for mount in mounts.iter().filter(on_disk) {
        match with(|client| client.remount(&mount.path, true)) {
            // Files that somebody has open stay as they are now; a journal tells the next mount.
            Ok(()) | Err(Errno::BUSY) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
