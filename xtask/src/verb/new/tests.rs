use std::fs;
use std::path::Path;
use std::process::Command;

use super::server;
use crate::workspace::Workspace;

/// Copies what the source tree has to `scratch`, leaving alone what is the same there, so that
/// little is compiled anew, and removes the folder of the service of an earlier run.
fn copy_tree(root: &Path, scratch: &Path) {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .expect("git lists the files");
    let listed = String::from_utf8(listed.stdout).expect("names are text");
    assert!(listed.lines().count() > 100, "the source tree has files");
    for name in listed.lines() {
        // One that was removed and not yet committed is listed all the same.
        let Ok(bytes) = fs::read(root.join(name)) else {
            continue;
        };
        let to = scratch.join(name);
        if fs::read(&to).is_ok_and(|old| old == bytes) {
            continue;
        }
        fs::create_dir_all(to.parent().expect("a folder")).expect("it can be made");
        fs::write(to, bytes).expect("it can be written");
    }
}

#[test]
fn a_new_server_compiles_and_its_test_passes() {
    let workspace = Workspace::find().expect("the tests run in the workspace");
    let root = workspace.output("new-server/tree").expect("a folder");
    let _ = fs::remove_dir_all(root.join("servers/sample"));
    copy_tree(&workspace.root, &root);
    let written = server(&root, "sample").expect("it is made");
    assert!(
        written
            .iter()
            .any(|path| path.ends_with("sample/api/src/lib.rs"))
    );
    let table = fs::read_to_string(root.join("servers/system.toml")).expect("it is there");
    assert!(table.contains("[component.sample]"));

    let again = server(&root, "sample").expect_err("it is there already");
    assert!(again.to_string().contains("already"), "{again}");

    let target = workspace.output("new-server/target").expect("a folder");
    for arguments in [
        ["test", "--package", "gritos-sample-core"],
        ["check", "--package", "gritos-sample"],
    ] {
        let output = Command::new(env!("CARGO"))
            .args(arguments)
            .args(["--quiet", "--offline", "--target-dir"])
            .arg(&target)
            .current_dir(&root)
            .env_remove("RUSTFLAGS")
            .output()
            .expect("cargo runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        assert!(!errors.contains("warning"), "{arguments:?}: {errors}");
    }
}

#[test]
fn names_that_cannot_be_are_refused_before_anything_is_written() {
    let workspace = Workspace::find().expect("the tests run in the workspace");
    let root = workspace.output("new-server/names").expect("a folder");
    let files = ["Cargo.toml", "servers/system.toml", "servers/base.gidl"];
    fs::create_dir_all(root.join("servers/taken")).expect("it can be made");
    for folder in ["kernel-aarch64", "board"] {
        fs::create_dir_all(root.join(folder)).expect("it can be made");
        let manifest = format!("{folder}/Cargo.toml");
        let from = workspace.root.join(&manifest);
        fs::copy(from, root.join(manifest)).expect("it can be copied");
    }
    for file in files {
        fs::copy(workspace.root.join(file), root.join(file)).expect("it can be copied");
    }
    for (name, reason) in [
        ("", "is no name of a service"),
        ("Sample", "is no name of a service"),
        ("a-b", "is no name of a service"),
        ("../x", "is no name of a service"),
        ("taken", "is there already"),
        ("console", "already"),
        ("self", "cannot be called"),
        ("supervision", "base.gidl has a protocol `Supervision`"),
        (
            "kernel",
            "`gritos-kernel`, which is at kernel-aarch64 already",
        ),
        ("board", "`gritos-board`, which is at board already"),
    ] {
        let refused = server(&root, name).expect_err(name);
        assert!(refused.to_string().contains(reason), "{name}: {refused}");
        let left = root.join("servers").join(name).join("Cargo.toml");
        assert!(name.is_empty() || !left.exists(), "{name}");
    }
    for file in files {
        let (before, after) = [&workspace.root, &root]
            .map(|root| fs::read(root.join(file)).expect("it is there"))
            .into();
        assert_eq!(before, after, "{file}");
    }
}
