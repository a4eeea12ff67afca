//! Every diagnostic has an input that provokes it and its exact output beside
//! it. `UPDATE=1 cargo test -p idlc --test diagnostics` rewrites the outputs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use idlc::codes::PAGES;
use idlc::diag::{render_all, to_json};
use idlc::driver::compile;
use idlc::load::Disk;

/// Inputs relative to the folder of this package, which is where tests run.
fn inputs() -> Vec<(PathBuf, PathBuf)> {
    let mut list: Vec<_> = fs::read_dir("tests/bad")
        .expect("the corpus is there")
        .map(|entry| entry.expect("the corpus can be read").path())
        .filter(|path| path.is_dir() || path.extension().is_some_and(|e| e == "gidl"))
        .map(|path| {
            let input = if path.is_dir() {
                path.join("main.gidl")
            } else {
                path.clone()
            };
            (input, path.with_extension("txt"))
        })
        .collect();
    list.sort();
    list
}

fn code_of(path: &Path) -> String {
    path.file_name()
        .expect("inputs are files")
        .to_string_lossy()[..5]
        .to_owned()
}

#[test]
fn each_bad_input_gives_exactly_its_messages() {
    for (input, output) in inputs() {
        let compiled = compile(&Disk, std::slice::from_ref(&input)).expect("the input can be read");
        let text = render_all(&compiled.diagnostics, &compiled.program.sources);
        assert!(
            text.contains(&format!("error[{}]", code_of(&output))),
            "{}:\n{text}",
            input.display()
        );
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&output, &text).expect("the output can be written");
        }
        let expected = fs::read_to_string(&output).unwrap_or_default();
        assert_eq!(
            text,
            expected,
            "{}; run with UPDATE=1 if this is right",
            input.display()
        );
    }
}

#[test]
fn each_code_has_an_input_and_a_page() {
    let provoked: BTreeSet<_> = inputs().iter().map(|(_, output)| code_of(output)).collect();
    let known: BTreeSet<_> = PAGES.iter().map(|page| page.code.to_string()).collect();
    assert_eq!(provoked, known);
    assert!(
        PAGES
            .iter()
            .all(|page| !page.title.is_empty() && page.text.len() > 20)
    );
}

#[test]
fn json_says_the_same_with_places() {
    let input = PathBuf::from("tests/bad/G0060_too_many_words.gidl");
    let compiled = compile(&Disk, &[input]).expect("the input can be read");
    let json = to_json(&compiled.diagnostics, &compiled.program.sources);
    let first = &json[0];
    assert_eq!(first["code"], "G0060");
    assert_eq!(first["at"]["file"], "tests/bad/G0060_too_many_words.gidl");
    assert_eq!(
        (first["at"]["line"].as_u64(), first["at"]["column"].as_u64()),
        (Some(8), Some(26))
    );
    assert!(
        first["message"]
            .as_str()
            .is_some_and(|m| m.contains("words"))
    );
    assert!(
        first["help"][0]
            .as_str()
            .is_some_and(|h| h.contains("buffer<in>"))
    );
}
