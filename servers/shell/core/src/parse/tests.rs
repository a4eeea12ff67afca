use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Condition, Direction, WORD_LIMIT, parse, quoted, unfinished};

/// The words of a line with one command.
fn words(line: &str) -> Vec<String> {
    let parsed = parse(line).expect(line);
    assert_eq!(parsed.len(), 1, "{line}");
    assert_eq!(parsed[0].commands.len(), 1, "{line}");
    let words = &parsed[0].commands[0].words;
    words.iter().map(|word| word.value(7)).collect()
}

#[test]
fn quotations_and_escapes_make_words() {
    for (line, wanted) in [
        ("  echo  a\tb ", &["echo", "a", "b"] as &[&str]),
        (r#"echo 'a  b'"c\"d"\ e"#, &["echo", r#"a  bc"d e"#]),
        (r#"echo "" '' x"#, &["echo", "", "", "x"]),
        (r#"echo "\n \$ \\" '\n'"#, &["echo", "\\n $ \\", "\\n"]),
        (
            "echo $? \"$?\" '$?' \\$? $ x$",
            &["echo", "7", "7", "$?", "$?", "$", "x$"],
        ),
        ("echo a#b # c", &["echo", "a#b"]),
        ("echo é;", &["echo", "é"]),
    ] {
        assert_eq!(words(line), wanted, "{line}");
    }
}

#[test]
fn pipelines_conditions_and_redirections() {
    let parsed = parse("a|b <in >out && c >>\"log\" || d; e").expect("a line");
    let conditions: Vec<_> = parsed.iter().map(|p| p.condition).collect();
    assert_eq!(
        conditions,
        [
            Condition::Always,
            Condition::Success,
            Condition::Failure,
            Condition::Always
        ]
    );
    assert_eq!(parsed[0].commands.len(), 2);
    let files: Vec<_> = parsed[0].commands[1]
        .redirections
        .iter()
        .map(|(direction, word)| (*direction, word.value(0)))
        .collect();
    assert_eq!(
        files,
        [
            (Direction::From, "in".to_string()),
            (Direction::To, "out".to_string())
        ]
    );
    assert_eq!(parsed[1].commands[0].redirections[0].0, Direction::Append);
    for nothing in ["", "   ", "# only", "\t#x"] {
        assert_eq!(parse(nothing), Ok(Vec::new()), "{nothing}");
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (line, column) in [
        ("echo 'a", 6),
        ("echo \"a", 6),
        ("echo \\", 6),
        ("a &", 3),
        ("a & b", 3),
        ("| a", 1),
        ("a | | b", 5),
        ("a |", 3),
        ("a &&", 3),
        ("a || ;", 6),
        ("; a", 1),
        ("a >", 3),
        ("a > > b", 3),
        ("> x", 4),
        ("echo $HOME", 6),
        ("échó ${x}", 6),
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.column, column, "{line}: {error}");
    }
    let many = "x ".repeat(WORD_LIMIT + 1);
    assert!(parse(&many).is_err());
}

#[test]
fn the_word_being_typed_is_found() {
    for (line, start, value, before, redirected) in [
        ("", 0, "", &[] as &[&str], false),
        ("he", 0, "he", &[], false),
        ("cat ", 4, "", &["cat"], false),
        ("cat a\\ b", 4, "a b", &["cat"], false),
        ("cat 'a b", 4, "a b", &["cat"], false),
        ("x; cat fo", 7, "fo", &["cat"], false),
        ("x | he", 4, "he", &[], false),
        ("x a > fo", 6, "fo", &["x", "a"], true),
        ("x > a b", 6, "b", &["x"], false),
    ] {
        let found = unfinished(line);
        assert_eq!(
            (found.start, found.value.as_str(), found.redirected),
            (start, value, redirected),
            "{line}"
        );
        assert_eq!(found.before, before, "{line}");
    }
}

#[test]
fn what_is_quoted_is_one_word_again() {
    for text in [
        "plain",
        "two words",
        "a'b\"c\\d$e;f&g|h<i>j#k",
        "é\u{3000}x",
    ] {
        assert_eq!(words(&alloc::format!("echo {}", quoted(text)))[1], text);
    }
}

#[test]
fn any_text_is_read_or_refused() {
    let mut seed = 42_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize
    };
    let alphabet: Vec<char> = "ab '\"\\$?;&|<>#\té\u{0}🦀".chars().collect();
    for _ in 0..20_000 {
        let line: String = (0..random() % 24)
            .map(|_| alphabet[random() % alphabet.len()])
            .collect();
        if let Ok(pipelines) = parse(&line) {
            for command in pipelines.iter().flat_map(|p| &p.commands) {
                assert!(!command.words.is_empty(), "{line}");
            }
        }
        let found = unfinished(&line);
        assert!(found.start <= line.chars().count(), "{line}");
    }
}
