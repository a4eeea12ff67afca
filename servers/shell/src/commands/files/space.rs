//! File systems: `sync`, `df`, `mount`.

use alloc::string::String;
use core::fmt::Write;

use gritos_fs_client::Errno;
use gritos_shell_core::builtins::no_arguments;
use gritos_shell_core::{Context, Failure, status};

use super::{about, with};

pub(super) const SYNC: &str = "returns when everything that was written is on the disk";
pub(super) const DF: &str = "tells how full each file system is, or the one that holds a path";
pub(super) const MOUNT: &str =
    "lists what is mounted where; with ro or rw makes one readable only, or writable";

const KIB: u64 = 1 << 10;

pub(super) fn sync(_: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    no_arguments(arguments)?;
    with(|client| client.sync()).map_err(Failure::new)?;
    Ok(status::OK)
}

pub(super) fn df(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    const HEAD: &str = "type        size KiB    free KiB  used  where";
    match arguments {
        [] => {
            let mounts = with(|client| client.mounts()).map_err(Failure::new)?;
            writeln!(context, "{HEAD}")?;
            for mount in mounts {
                let (total, free) = (mount.total_bytes, mount.free_bytes);
                row(context, &mount.kind, total, free, &mount.path)?;
            }
        }
        [path] => {
            let path = context.path(path);
            let found = with(|client| client.statfs(&path)).map_err(about(&path))?;
            writeln!(context, "{HEAD}")?;
            row(
                context,
                &found.kind,
                found.total_bytes,
                found.free_bytes,
                &path,
            )?;
        }
        _ => return Err(Failure::usage("it takes one path")),
    }
    Ok(status::OK)
}

fn row(
    context: &mut Context<'_>,
    kind: &str,
    total: u64,
    free: u64,
    path: &str,
) -> Result<(), Failure> {
    if total == u64::MAX || total == 0 {
        writeln!(context, "{kind:8}{:>12}{:>12}{:>6}  {path}", "-", "-", "-")?;
        return Ok(());
    }
    let (all, rest) = (total / KIB, free / KIB);
    let used = (total - free.min(total))
        .div_ceil((total / 100).max(1))
        .min(100);
    writeln!(context, "{kind:8}{all:12}{rest:12}{used:5}%  {path}")?;
    Ok(())
}

pub(super) fn mount(context: &mut Context<'_>, arguments: &[String]) -> Result<u8, Failure> {
    match arguments {
        [] => {
            let mounts = with(|client| client.mounts()).map_err(Failure::new)?;
            for mount in mounts {
                let how = if mount.read_only { "ro" } else { "rw" };
                writeln!(context, "{:8} {how} {}", mount.kind.as_str(), mount.path)?;
            }
        }
        [how, path] if how == "ro" || how == "rw" => {
            let path = context.path(path);
            let done = with(|client| client.remount(&path, how == "ro"));
            done.map_err(|error| match error {
                Errno::INVAL => Failure::new(format_args!(
                    "{path}: nothing is mounted there; `mount` lists what is"
                )),
                Errno::BUSY => {
                    Failure::new(format_args!("{path}: files on it are open for writing"))
                }
                error => about(&path)(error),
            })?;
        }
        _ => {
            return Err(Failure::usage(
                "it takes nothing, or `ro` or `rw` and a path",
            ));
        }
    }
    Ok(status::OK)
}
