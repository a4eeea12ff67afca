//! Which changes break what.

use std::path::PathBuf;

use idlc::compat::{compare, render, to_json};
use idlc::driver::{Compiled, compile};
use idlc::load::Memory;

fn read(text: &str) -> Compiled {
    let mut files = Memory::default();
    files.0.insert(
        PathBuf::from("a.gidl"),
        format!("package p version 2;\n{text}"),
    );
    let compiled = compile(&files, &[PathBuf::from("a.gidl")]).expect("the file is there");
    assert!(!compiled.diagnostics.has_errors(), "{text}");
    compiled
}

/// (breaks the wire, breaks source) over all changes, and how many there are.
fn verdict(old: &str, new: &str) -> (bool, bool, usize) {
    let changes = compare(&read(old).interface, &read(new).interface);
    (
        changes.iter().any(|c| c.wire),
        changes.iter().any(|c| c.source),
        changes.len(),
    )
}

const BASE: &str =
    "protocol A { @ordinal(1) m(x: u32, y: u32) -> (a: u8, b: u8) fails E; } error E { X = 1 }";

#[test]
fn the_same_is_the_same() {
    assert_eq!(verdict(BASE, BASE), (false, false, 0));
    assert_eq!(
        verdict(BASE, &BASE.replace("; }", "; /* */ }").replace("/* */", "")),
        (false, false, 0)
    );
}

#[test]
fn each_change_is_judged() {
    let method = |from: &str, to: &str| verdict(BASE, &BASE.replace(from, to));
    // (wire, source)
    let cases = [
        (method("@ordinal(1)", "@ordinal(2)"), (true, false)),
        (method("fails E;", "fails E; n();"), (false, false)),
        (
            method("m(x: u32, y: u32)", "m(x: u32, y: u64)"),
            (true, true),
        ),
        (method("m(x: u32, y: u32)", "m(x: u32)"), (true, true)),
        (
            method("m(x: u32, y: u32)", "m(x: u32, z: u32)"),
            (false, false),
        ),
        (method("(a: u8, b: u8)", "(a: u8, c: u8)"), (false, true)),
        (
            method("m(x: u32, y: u32)", "m(y: u32, x: u32)"),
            (true, true),
        ),
        (
            method("@ordinal(1)", "@ordinal(1) @deferrable"),
            (false, true),
        ),
        (
            method("@ordinal(1)", "@ordinal(1) @idempotent"),
            (false, false),
        ),
        (
            method("@ordinal(1)", "@ordinal(1) @deprecated(\"x\")"),
            (false, false),
        ),
        (method("protocol A", "session protocol A"), (true, false)),
        (method("X = 1", "X = 1, Y = 2"), (false, false)),
        (method("X = 1", "X = 2"), (true, false)),
        (method("m(x", "n(x"), (true, true)),
        (
            verdict("enum E { X = 1 }", "enum E { X = 1, Y = 2 }"),
            (true, true),
        ),
        (
            verdict(
                "flexible enum E { X = 1 }",
                "flexible enum E { X = 1, Y = 2 }",
            ),
            (false, false),
        ),
        (
            verdict("enum E: u8 { X = 1 }", "enum E: u16 { X = 1 }"),
            (true, true),
        ),
        (
            verdict("flags F { X = 1 }", "flags F { X = 1, Y = 2 }"),
            (true, false),
        ),
        (
            verdict(
                "flexible flags F { X = 1 }",
                "flexible flags F { X = 1, Y = 2 }",
            ),
            (false, false),
        ),
        (
            verdict("struct S { x: u8 }", "struct S { x: u8, y: u8 }"),
            (true, true),
        ),
        (
            verdict("struct S { x: u8, y: u8 }", "struct S { y: u8, x: u8 }"),
            (true, false),
        ),
        (
            verdict("union U { x: u8 = 1 }", "union U { x: u8 = 2 }"),
            (true, false),
        ),
        (
            verdict("const C: u8 = 1;", "const C: u8 = 2;"),
            (true, false),
        ),
        (verdict("const C: u8 = 1;", ""), (false, true)),
        (verdict("", "struct S { x: u8 }"), (false, false)),
    ];
    for (i, ((wire, source, count), expected)) in cases.into_iter().enumerate() {
        assert_eq!((wire, source), expected, "case {i}");
        // A new name for a parameter at its old place is seen and breaks nothing.
        assert!(count > 0, "case {i} went unnoticed");
    }
}

#[test]
fn rights_narrow_and_widen() {
    let with = |requires: &str| format!("object protocol A {{ right LOOK = 16; {requires} m(); }}");
    assert_eq!(
        verdict(&with(""), &with("@requires(LOOK)")),
        (true, false, 1)
    );
    assert_eq!(
        verdict(&with("@requires(LOOK)"), &with("")),
        (false, false, 1)
    );
}

#[test]
fn changes_are_shown_in_both_files() {
    let (old, new) = (
        read(BASE),
        read(&BASE.replace("@ordinal(1)", "@ordinal(2)")),
    );
    let changes = compare(&old.interface, &new.interface);
    let expected = "\
a.gidl:2:26: breaking on the wire: method `m` has number 0x2, had 0x1
  2 | protocol A { @ordinal(1) m(x: u32, y: u32) -> (a: u8, b: u8) fails E; } error E { X = 1 }
    |                          ^ old
  2 | protocol A { @ordinal(2) m(x: u32, y: u32) -> (a: u8, b: u8) fails E; } error E { X = 1 }
    |                          ^ new
1 change, 1 breaking
";
    assert_eq!(
        render(&changes, &old.program.sources, &new.program.sources),
        expected
    );
    let json = to_json(&changes, &old.program.sources, &new.program.sources);
    assert_eq!(json[0]["breaks_wire"], true);
    assert_eq!(json[0]["old"]["line"], 2);
}
