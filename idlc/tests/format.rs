//! `fmt`: what is formatted stays so, and means what it meant.

use std::path::{Path, PathBuf};

use idlc::driver::compile;
use idlc::emit::json::interface;
use idlc::fmt::format;
use idlc::load::{Disk, Files as _, Memory};
use idlc::source::SourceMap;

fn formatted(text: &str) -> String {
    let mut sources = SourceMap::default();
    let id = sources.add(PathBuf::from("a.gidl"), text.to_owned());
    format(id, sources.file(id)).expect("the text has no syntax errors")
}

/// The interface that a text means, as JSON.
fn meaning(text: &str) -> String {
    let mut files = Memory::default();
    files.0.insert(
        PathBuf::from("common.gidl"),
        std::fs::read_to_string("tests/good/common.gidl").expect("read"),
    );
    files.0.insert(
        PathBuf::from("base.gidl"),
        std::fs::read_to_string("../servers/base.gidl").expect("read"),
    );
    files.0.insert(
        PathBuf::from("a/a.gidl"),
        text.replace("\"common.gidl\"", "\"../common.gidl\""),
    );
    let compiled = compile(&files, &[PathBuf::from("a/a.gidl")]).expect("the text can be read");
    assert!(!compiled.diagnostics.has_errors(), "{text}");
    interface(&compiled.interface)
}

fn corpus() -> Vec<PathBuf> {
    let folders = [
        "tests/good",
        "../servers",
        "../servers/fs",
        "../servers/net",
        "examples/echo",
        "examples/calculator",
    ];
    folders
        .iter()
        .flat_map(|folder| Disk.folder(Path::new(folder)).expect("the folder is there"))
        .collect()
}

#[test]
fn files_of_the_tree_are_formatted() {
    let files = corpus();
    assert!(files.len() >= 7, "{files:?}");
    for path in files {
        let text = std::fs::read_to_string(&path).expect("the file can be read");
        assert_eq!(formatted(&text), text, "{}: run `idlc fmt`", path.display());
    }
}

#[test]
fn a_file_on_one_line_comes_back_with_its_meaning() {
    for path in corpus() {
        let text = std::fs::read_to_string(&path).expect("the file can be read");
        // Without docs, which end with their line, everything fits on one.
        let plain: Vec<_> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with("//"))
            .collect();
        let (squeezed, spread) = (plain.join(" "), plain.join("\n\n\n"));
        let expected = meaning(&squeezed);
        for input in [&squeezed, &spread] {
            let once = formatted(input);
            assert_eq!(formatted(&once), once, "{}", path.display());
            assert_eq!(meaning(&once), expected, "{}", path.display());
            assert!(
                once.lines().all(|line| line.chars().count() <= 100),
                "{once}"
            );
        }
    }
}

#[test]
fn comments_stay_with_what_they_are_about() {
    let text = "\
// head
package p; // behind
// before
struct   A{ // in the brace
x:u8 // of x
,
// alone

    y : [ u8 ;2 ]?,// of y
// last
}
// end";
    let expected = "\
// head
package p; // behind

// before
struct A {
    // in the brace
    // of x
    x: u8,
    // alone
    y: [u8; 2]?, // of y
    // last
}

// end
";
    assert_eq!(formatted(text), expected);
    assert_eq!(formatted(expected), expected);
}

#[test]
fn long_methods_break_where_they_must() {
    let text = "package p;\nprotocol A { short(a: u8) -> (b: u8);
    method(first_parameter: u64, second_parameter: u64) -> (first_result: u64, second_result: u64) fails E;
    documented( /// Doc.
a: u8, b: cap< MemoryObject ,READ|MAP > ); const_like(x: [u8; 1<<2 | -1 + N]);
}
error E { X=1 }";
    let expected = "\
package p;

protocol A {
    short(a: u8) -> (b: u8);
    method(first_parameter: u64, second_parameter: u64) -> (
        first_result: u64,
        second_result: u64,
    ) fails E;
    documented(
        /// Doc.
        a: u8,
        b: cap<MemoryObject, READ | MAP>,
    );
    const_like(x: [u8; 1 << 2 | -1 + N]);
}

error E {
    X = 1,
}
";
    assert_eq!(formatted(text), expected);
}
