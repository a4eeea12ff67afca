//! What the shell's commands about files do.

use anyhow::{Result, ensure};

use super::{Guest, host};

/// Bytes of the longest name.
const LONGEST_NAME: usize = 255;

pub(super) fn work(guest: &mut Guest<'_>) -> Result<()> {
    let digest = host::sha256(b"one\ntwo\nthree\n");
    for folder in ["/data", "/tmp"] {
        guest.succeed(&format!("mkdir -p {folder}/work/deep/er"))?;
        guest.succeed(&format!("cd {folder}/work"))?;
        guest.succeed("write a one")?;
        guest.succeed("append a two")?;
        guest.succeed("echo three >> a")?;
        ensure!(guest.succeed("cat a")? == "one\ntwo\nthree\n");
        ensure!(guest.succeed("cat < a")? == "one\ntwo\nthree\n");
        guest.succeed("cp a deep/b")?;
        guest.succeed("mv deep/b deep/er/c")?;
        guest.succeed("touch empty")?;
        ensure!(guest.succeed("ls")? == "a\ndeep/\nempty\n");
        ensure!(guest.succeed("ls deep")? == "er/\n");
        guest.expect("ls -l a", "-rw-r--r--")?;
        guest.expect("stat a", "14 bytes")?;
        guest.expect("tree", "2 folders, 3 files")?;
        for file in ["a", "deep/er/c"] {
            guest.expect(&format!("sha256 {file}"), &digest)?;
        }
        guest.expect("hexdump a", "6f 6e 65 0a")?;
        guest.succeed("cp -r deep copy")?;
        ensure!(guest.succeed("cat copy/er/c")? == "one\ntwo\nthree\n");
        guest.succeed("rm -r copy deep")?;
        guest.succeed("rm a empty")?;
        guest.succeed("mkdir x")?;
        guest.succeed("rmdir x")?;
        ensure!(guest.succeed("ls")?.is_empty());
        links(guest)?;
        ensure!(guest.succeed("ls")?.is_empty());
        guest.succeed("cd /")?;
        guest.succeed(&format!("rmdir {folder}/work"))?;
    }
    guest.succeed("write /tmp/moved across")?;
    guest.succeed("mv /tmp/moved /data/moved")?;
    ensure!(guest.succeed("cat /data/moved")? == "across\n");
    guest.refuse("stat /tmp/moved", 1, "no such file")?;
    guest.succeed("rm /data/moved")?;
    guest.succeed("sync")?;
    guest.expect("df", "/data")?;
    guest.expect("df /tmp", "memory")?;
    guest.expect("mount", "ext4     rw /data")?;
    Ok(())
}

/// In an empty working folder of a file system that has links; leaves it empty.
fn links(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("write a one")?;
    guest.succeed("ln a b")?;
    guest.succeed("append b two")?;
    ensure!(guest.succeed("cat a")? == "one\ntwo\n");
    guest.expect("stat a", "2 names")?;
    // Neither empties the file.
    guest.refuse("cp a b", 1, "same file")?;
    guest.refuse("ln a b", 1, "exists already")?;
    guest.succeed("rm a")?;
    ensure!(guest.succeed("cat b")? == "one\ntwo\n");
    guest.succeed("mkdir f")?;
    guest.succeed("ln -s ../b f/link")?;
    ensure!(guest.succeed("readlink f/link")? == "../b\n");
    ensure!(guest.succeed("cat f/link")? == "one\ntwo\n");
    guest.expect("ls -l f", "link -> ../b")?;
    guest.refuse("cp b f/link", 1, "same file")?;
    guest.refuse("readlink b", 1, "no symbolic link")?;
    guest.refuse("ln f g", 1, "one name only")?;
    guest.succeed("cp -r f g")?;
    ensure!(guest.succeed("readlink g/link")? == "../b\n");
    // What a link leads to stays.
    guest.succeed("ln -s /tmp f/far")?;
    guest.succeed("rm -r f g")?;
    ensure!(guest.succeed("cat b")? == "one\ntwo\n");
    guest.succeed("ln -s loop loop")?;
    guest.refuse("cat loop", 1, "link")?;
    guest.succeed("rm loop b")?;
    Ok(())
}

pub(super) fn refuse(guest: &mut Guest<'_>) -> Result<()> {
    guest.succeed("mkdir /data/no")?;
    guest.succeed("write /data/no/file text")?;
    for (command, status, text) in [
        ("cat /data/none", 1, "no such file"),
        ("cat /data/no", 1, "is a folder"),
        ("ls /data/no/file/below", 1, "not a folder"),
        ("mkdir /data/no", 1, "exists already"),
        ("rmdir /data/no", 1, "not empty"),
        ("rmdir /data/no/file", 1, "not a folder"),
        ("rm /data/no", 1, "-r"),
        ("rm", 2, "needs a path"),
        ("rm -x /data/no", 2, "-x"),
        ("mv /data/no /data/no/below", 1, "invalid"),
        ("cp /data/no /data/other", 1, "-r"),
        ("cp -r /data/no /data/no/below", 1, "lies in what is copied"),
        ("write /data/no text", 1, "is a folder"),
        ("write /new text", 1, "read-only"),
        ("rmdir /data", 1, ""),
        ("echo x > /data/none/x", 1, "no such file"),
        ("cat < /data/none", 1, "no such file"),
        ("mount rw /data/no", 1, "nothing is mounted"),
    ] {
        guest.refuse(command, status, text)?;
    }
    guest.succeed("rm -f /data/none")?;
    ensure!(guest.succeed("cat /data/no/file")? == "text\n");
    guest.succeed("rm -r /data/no")?;
    Ok(())
}

pub(super) fn names(guest: &mut Guest<'_>) -> Result<()> {
    let long = "n".repeat(LONGEST_NAME);
    guest.succeed("mkdir /data/names")?;
    guest.succeed("cd /data/names")?;
    for name in [long.as_str(), "Größe-名前-🦀", "with' blank'", "-dash"] {
        guest.succeed(&format!("write ./{name} here"))?;
        ensure!(guest.succeed(&format!("cat ./{name}"))? == "here\n");
    }
    guest.refuse(&format!("write {long}n here"), 1, "too long")?;
    guest.expect("ls", "Größe-名前-🦀")?;
    let deep = "d/".repeat(60);
    guest.succeed(&format!("mkdir -p {deep}"))?;
    guest.succeed(&format!("write {deep}bottom reached"))?;
    ensure!(guest.succeed(&format!("cat {deep}bottom"))? == "reached\n");
    guest.succeed("cd /")?;
    guest.succeed("rm -r /data/names")?;
    guest.refuse("ls /data/names", 1, "no such file")?;
    Ok(())
}
