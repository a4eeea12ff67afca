//! The command: what it prints where, and its exit codes.

use std::path::Path;
use std::process::{Command, Output};

fn idlc(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_idlc"))
        .args(arguments)
        .output()
        .expect("the command runs")
}

fn code(arguments: &[&str]) -> i32 {
    idlc(arguments).status.code().expect("it exits by itself")
}

fn stdout(arguments: &[&str]) -> String {
    String::from_utf8(idlc(arguments).stdout).expect("it prints text")
}

const GOOD: &str = "tests/good/common.gidl";
const BAD: &str = "tests/bad/G0060_too_many_words.gidl";

#[test]
fn exit_codes_tell_wrong_input_from_a_wrong_command() {
    assert_eq!(code(&["check", GOOD]), 0);
    assert_eq!(code(&["check", BAD]), 1);
    assert_eq!(code(&["check", "tests/no_such_file.gidl"]), 2);
    assert_eq!(code(&["check"]), 2);
    assert_eq!(code(&["fmt", "--check", GOOD]), 0);
    assert_eq!(
        code(&["fmt", "--check", "tests/bad/G0001_strange_character.gidl"]),
        1
    );
    assert_eq!(code(&["compat", GOOD, GOOD]), 0);
    assert_eq!(code(&["compat", "examples/echo/echo.gidl", GOOD]), 1);
    assert_eq!(code(&["compat", BAD, GOOD]), 2);
    assert_eq!(code(&["explain", "G0060"]), 0);
    assert_eq!(code(&["explain", "G9999"]), 1);
    assert_eq!(code(&["tree", "..", "--check"]), 0);
}

#[test]
fn diagnostics_go_to_standard_error_or_as_json_to_standard_output() {
    let text = idlc(&["check", BAD]);
    assert!(text.stdout.is_empty());
    assert!(String::from_utf8_lossy(&text.stderr).contains("error[G0060]"));
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&["check", "--format", "json", BAD])).expect("JSON");
    assert_eq!(json[0]["code"], "G0060");
    assert_eq!(stdout(&["check", "--format", "json", GOOD]), "[]\n");
}

#[test]
fn build_writes_what_was_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    assert_eq!(
        code(&[
            "build",
            "examples/echo/echo.gidl",
            "--out",
            &at("rust"),
            "--mock",
            "--fuzz",
            "--table"
        ]),
        0
    );
    for file in [
        "Cargo.toml",
        "decoder.json",
        "src/lib.rs",
        "src/echo_protocol.rs",
        "src/mock.rs",
        "src/fuzz.rs",
    ] {
        assert!(Path::new(&at("rust")).join(file).exists(), "{file}");
    }
    assert_eq!(
        code(&[
            "build",
            "examples/echo/echo.gidl",
            "--out",
            &at("c"),
            "--lang",
            "c"
        ]),
        0
    );
    assert!(Path::new(&at("c")).join("example.echo.h").exists());
    assert_eq!(code(&["build", BAD, "--out", &at("bad")]), 1);
    assert!(
        !Path::new(&at("bad")).exists(),
        "nothing is written for a wrong interface"
    );
    assert_eq!(
        code(&["build", GOOD, "--out", &at("rust"), "--path", "nonsense"]),
        2
    );
}

#[test]
fn fmt_rewrites_a_file_in_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.gidl");
    std::fs::write(&path, "package  p ;struct A{x:u8}").expect("written");
    let name = path.to_string_lossy();
    assert_eq!(code(&["fmt", "--check", &name]), 1);
    assert_eq!(code(&["fmt", &name]), 0);
    assert_eq!(
        std::fs::read_to_string(&path).expect("read"),
        "package p;\n\nstruct A {\n    x: u8,\n}\n"
    );
}

#[test]
fn documents_name_methods_errors_rights_and_places() {
    let text = stdout(&["doc", "../servers/fs/fs.gidl"]);
    for expected in [
        "# gritos.fs version 1",
        "## protocol File",
        "### read",
        "- number 0x3, in C `FS_METHOD_READ`",
        "- fails with `FsError`",
        "- needs right `READ_DATA`",
        "- request 3 words, 1 capability",
        "| `data` | `buffer<out>` | slot 0, bytes 8–23 |",
        "| `NOT_FOUND` | 2 | No such file or folder. |",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn each_command_has_help_with_an_example() {
    for command in [
        "build", "check", "fmt", "doc", "json", "compat", "tree", "explain",
    ] {
        assert!(
            stdout(&[command, "--help"]).contains("Example: idlc "),
            "{command}"
        );
    }
}
