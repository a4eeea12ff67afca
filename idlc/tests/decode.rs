//! `idlc decode` tells messages by name and field: those of the wire cases, malformed ones and errors.

use std::path::PathBuf;

use gritos_idl_runtime::WireError;
use idlc::decode::{REFUSAL_NAMES, reply, request};
use idlc::driver::{Compiled, compile};
use idlc::load::Disk;

fn shapes() -> Compiled {
    let files = [PathBuf::from("tests/good/shapes.gidl")];
    compile(&Disk, &files).expect("the corpus is there")
}

fn one(lines: Vec<String>) -> String {
    let [line] = &lines[..] else {
        panic!("one line, not {lines:?}");
    };
    line.clone()
}

#[test]
fn requests_are_told_by_name_and_field() {
    let compiled = shapes();
    let told = |tag, words: &[u64]| one(request(&compiled.interface, tag, words));
    let words = [
        0xffff_ffff_ffff_fffc,
        1 << 40,
        0xabcd_fffe_0000_0003,
        0x00fb_0301_0101,
    ];
    assert_eq!(
        told(0xec9c_2dd0, &words),
        "gritos.test.shapes.Shapes.scalars(a: 1, b: -2, c: 3, d: -4, e: true, f: RED, g: ?43981, \
        h: READ | WRITE, i: FAST, j: -5)"
    );
    let words = [
        0x0000_0065_6d61_6e04,
        0xffff_fffe_0000_0000,
        0xffff_fffe_0002_012c,
        0x0102_0101_0002_012c,
        2,
    ];
    assert_eq!(
        told(0xf96e_a533, &words),
        "gritos.test.shapes.Shapes.record(record: { name: \"name\", points: [{ x: -2, y: 300, colour: GREEN }, \
        { x: -2, y: 300, colour: GREEN }], mode: READ, tail: [01, 02] })"
    );
    let words = [1, 0x0002_012c_ffff_fffe, 0, 1 << 32 | 9];
    assert_eq!(
        told(0x8a02_b51a, &words),
        "gritos.test.shapes.Shapes.shape(shape: dot: { x: -2, y: 300, colour: GREEN }, extra: 9)"
    );
    let words = [8, 100, 0, 5, 16, 1, 7];
    assert_eq!(
        told(0xa721_ed10, &words),
        "gritos.test.shapes.Shapes.transfer(source: capability 0, 100 bytes from 8, \
        target: capability 1, 5 bytes from 0, both: capability 2, 1 bytes from 16, tag: 7)"
    );
}

#[test]
fn what_is_malformed_is_shown_as_it_is() {
    let compiled = shapes();
    let told = |tag, words: &[u64]| one(request(&compiled.interface, tag, words));
    let line = told(0xec9c_2dd0, &[0, 0, 0, 0x00ff_0763_0201]);
    for part in ["e: ?2", "f: ?99", "h: READ | WRITE | ?0x4", "i: 0"] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(told(0xb71a_91be, &[41, 0, 0, 0, 0, 0, 0]).contains("text: ?41 bytes"));
    assert!(told(0x8a02_b51a, &[3, 0, 0, 0]).contains("shape: ?3"));
    assert!(told(0x8a9e_707e, &[5, 6]).ends_with("one(value: 5) [2 words, not 1]"));
    assert!(request(&compiled.interface, 0xdead, &[]).is_empty());
}

#[test]
fn replies_are_results_errors_or_refusals() {
    let compiled = shapes();
    let told = |name, tag, words: &[u64]| one(reply(&compiled.interface, name, tag, words));
    let name = "gritos.test.shapes.Shapes.two";
    assert_eq!(
        told("Shapes.two", 0, &[4, 6]),
        format!("{name} ->(sum: 4, difference: 6)")
    );
    assert_eq!(
        told("two", 27, &[]),
        format!("{name} -> ShapeError.TOO_LARGE")
    );
    assert_eq!(told(name, 3, &[]), format!("{name} -> ShapeError.?3"));
    assert_eq!(
        told("two", WireError::Busy.tag(), &[]),
        format!("{name} -> refused: Busy")
    );
    assert!(reply(&compiled.interface, "wo", 0, &[]).is_empty());
}

#[test]
fn refusals_have_their_names() {
    for error in WireError::ALL {
        let number = (error.tag() - 0xffff_ff01) as usize;
        assert_eq!(REFUSAL_NAMES[number], format!("{error:?}"));
    }
    assert_eq!(REFUSAL_NAMES.len(), WireError::ALL.len());
}
