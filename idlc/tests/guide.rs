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
    let read = |file: &str| fs::read_to_string(format!("examples/{file}")).expect("it is there");
    // Printed from the first line to the last.
    let whole = [
        "echo/echo.gidl",
        "echo/src/lib.rs",
        "echo/src/main.rs",
        "echo/client/src/main.rs",
        "echo/tests/loopback.rs",
    ];
    let parts = [
        "calculator/calculator.gidl",
        "calculator/src/server.rs",
        "calculator/client/src/main.rs",
        "system.toml",
    ]
    .map(read);
    let blocks = blocks(&guide);
    for file in whole {
        let text = read(file);
        let printed = |(_, block): &(&str, &str)| *block == text.trim_end_matches('\n');
        assert!(blocks.iter().any(printed), "not printed as it is: {file}");
    }
    let texts: Vec<_> = whole.map(read).into_iter().chain(parts).collect();
    let code = blocks
        .iter()
        .filter(|(language, _)| matches!(*language, "gidl" | "rust" | "toml"));
    assert!(code.clone().count() >= 12);
    for (language, block) in code {
        assert!(
            texts.iter().any(|text| text.contains(block)),
            "not in any example ({language}):\n{block}"
        );
    }
}

#[test]
fn the_output_that_the_guide_prints_is_what_the_system_test_waits_for() {
    let guide = fs::read_to_string("../docs/guide/write-a-server.md").expect("the guide is there");
    let test = "../xtask/src/verb/test/system/examples.rs";
    let test = fs::read_to_string(test).expect("the test is there");
    let blocks = blocks(&guide);
    let output = blocks.iter().find(|(language, _)| *language == "text");
    let (_, output) = output.expect("the guide prints output");
    for line in output.lines() {
        assert!(test.contains(&format!("\"{line}\"")), "`{line}`");
    }
}

#[test]
fn the_guide_names_commands_that_exist() {
    let guide = fs::read_to_string("../docs/guide/write-a-server.md").expect("the guide is there");
    let reference =
        fs::read_to_string("../docs/reference/gidl.md").expect("the reference is there");
    let words = [
        "build", "check", "fmt", "doc", "json", "compat", "tree", "explain", "decode",
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
