//! Where relative paths start: `cd`, `pwd`.

use alloc::string::String;
use core::fmt::Write;

use gritos_fs_client::FileType;
use gritos_shell_core::builtins::no_arguments;
use gritos_shell_core::{Context, Failure, status};

use super::{about, with};

pub(super) const CD: &str =
    "goes to a folder, from which relative paths start; without one to the root";
pub(super) const PWD: &str = "tells in which folder the shell is";

pub(super) fn cd(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    let path = match arguments {
        [] => String::from("/"),
        [path] => context.path(path),
        _ => return Err(Failure::usage("it takes one folder")),
    };
    if path != "/" {
        let found = with(|client| client.stat(&path)).map_err(about(&path))?;
        if found.file_type != FileType::Directory {
            return Err(Failure::new(format_args!("{path}: not a folder")));
        }
    }
    context.shell.folder = path;
    Ok(status::OK)
}

pub(super) fn pwd(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    no_arguments(arguments)?;
    let folder = context.shell.folder.clone();
    writeln!(context, "{folder}")?;
    Ok(status::OK)
}
