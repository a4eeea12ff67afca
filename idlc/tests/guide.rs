//! What the guide prints is in the files it prints it from.

use std::fs;

/// Code blocks of the guide: the language and the text.
fn blocks(guide: &str) -> Vec<(&str, &str)> {
    let parts: Vec<_> = guide.split("\n```").collect();
    let blocks = parts.iter().skip(1).step_by(2);
    blocks.filter_map(|block| block.split_once('\n')).collect()
}

#[test]
fn code_of_the_guide_is_code_of_the_tree() {
    let guide = fs::read_to_string("../docs/guide/write-a-server.md").expect("the guide is there");
    let files = [
        "examples/echo/echo.gidl",
        "examples/echo/src/main.rs",
        "examples/calculator/calculator.gidl",
        "examples/calculator/src/main.rs",
        "examples/calculator/src/server.rs",
    ];
    let texts = files.map(|file| fs::read_to_string(file).expect("the example is there"));
    let blocks = blocks(&guide);
    let code = blocks
        .iter()
        .filter(|(language, _)| matches!(*language, "gidl" | "rust"));
    assert!(code.clone().count() >= 9);
    for (language, block) in code {
        assert!(
            texts.iter().any(|text| text.contains(block)),
            "not in any example ({language}):\n{block}"
        );
    }
}

#[test]
fn the_guide_names_commands_that_exist() {
    let guide = fs::read_to_string("../docs/guide/write-a-server.md").expect("the guide is there");
    let reference =
        fs::read_to_string("../docs/reference/gidl.md").expect("the reference is there");
    let words = [
        "build", "check", "fmt", "doc", "json", "compat", "tree", "explain",
    ];
    for text in [&guide, &reference] {
        for (_, command) in text
            .match_indices("idlc ")
            .map(|(at, m)| (at, &text[at + m.len()..]))
        {
            let word = command
                .split(|c: char| !c.is_ascii_lowercase())
                .next()
                .unwrap_or("");
            let named = text[..text.len() - command.len()].ends_with("`idlc ")
                || text[..text.len() - command.len()].ends_with("cargo idlc ");
            assert!(!named || words.contains(&word), "`idlc {word}`");
        }
    }
}
