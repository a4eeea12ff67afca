//! No input makes the compiler panic, hang or contradict itself.

use std::path::PathBuf;

use idlc::diag::{render_all, to_json};
use idlc::driver::{Compiled, compile};
use idlc::emit;
use idlc::fmt::format;
use idlc::load::Memory;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

fn run(texts: &[&str]) -> Compiled {
    let mut files = Memory::default();
    for (i, text) in texts.iter().enumerate() {
        files
            .0
            .insert(PathBuf::from(format!("{i}.gidl")), (*text).to_owned());
    }
    let compiled = compile(&files, &[PathBuf::from("0.gidl")]).expect("the file is there");
    // Printing is part of it: spans must lie in their files.
    let text = render_all(&compiled.diagnostics, &compiled.program.sources);
    let json = to_json(&compiled.diagnostics, &compiled.program.sources);
    assert_eq!(text.is_empty(), json.as_array().is_some_and(Vec::is_empty));
    compiled
}

/// Everything that can be done with a file.
fn digest(text: &str) {
    let compiled = run(&[text, "package other; struct Stamp { x: u8 }"]);
    let file = compiled.program.sources.file(idlc::source::FileId(0));
    let formatted = format(idlc::source::FileId(0), file);
    if compiled.diagnostics.has_errors() {
        return;
    }
    let formatted = formatted.expect("what is correct can be formatted");
    let again = run(&[&formatted, "package other; struct Stamp { x: u8 }"]);
    assert_eq!(
        emit::json::interface(&compiled.interface),
        emit::json::interface(&again.interface),
        "{formatted}"
    );
    let extras = emit::rust::Extras {
        mock: true,
        fuzz: true,
        table: true,
    };
    for package in compiled.interface.root_packages() {
        for output in emit::rust::emit(
            &compiled.interface,
            package,
            &emit::rust::Paths::new(),
            extras,
        ) {
            let rust = output.path.extension().is_some_and(|e| e == "rs");
            assert!(
                !rust || syn::parse_file(&output.text).is_ok(),
                "{text}\n{}",
                output.text
            );
        }
        let _ = emit::c::emit(&compiled.interface, package);
        let _ = emit::doc::emit(package);
    }
}

/// Words and marks of the language, in no order.
fn token() -> impl Strategy<Value = String> {
    let words = "package import as version const enum error flags struct union protocol server strict flexible \
        session object right event oneway fails move cap buffer string bytes bool u8 u64 i32 in out MemoryObject \
        Tcb READ SEND x y A B C p other Stamp since ordinal idempotent requires deadline true 0 1 2 16 0xff 5ms \
        99999999999999999999 \"text\" \"0.gidl\" \"1.gidl\" { } ( ) [ ] < > << -> ; : , . = | + - * ? @ /// // \n \" é";
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    proptest::sample::select(words)
}

fn ty() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("u8".to_owned()),
        Just("u64".to_owned()),
        Just("i16".to_owned()),
        Just("bool".to_owned()),
        Just("A".to_owned()),
        Just("B".to_owned()),
        Just("other.Stamp".to_owned()),
        Just("N".to_owned()),
        (0..70_u32).prop_map(|n| format!("string<{n}>")),
        Just("cap<Tcb>".to_owned()),
        Just("move cap<B, SEND>".to_owned()),
        Just("buffer<in>".to_owned()),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), 0..5_u32).prop_map(|(t, n)| format!("[{t}; {n}]")),
            inner.prop_map(|t| format!("{t}?")),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    proptest::sample::select(vec![
        "x", "y", "type", "image", "reply", "value", "caller", "words", "next", "self", "Bad",
    ])
    .prop_map(str::to_owned)
}

fn params() -> impl Strategy<Value = String> {
    proptest::collection::vec((name(), ty()).prop_map(|(n, t)| format!("{n}: {t}")), 0..4)
        .prop_map(|p| p.join(", "))
}

fn declaration() -> impl Strategy<Value = String> {
    let type_name = proptest::sample::select(vec!["A", "B", "C", "N"]);
    let attribute = proptest::sample::select(vec![
        "",
        "@idempotent ",
        "@deferrable ",
        "@ordinal(1) ",
        "@ordinal(2) ",
        "@deadline(1s) ",
        "@since(1) ",
        "@deprecated(\"x\") ",
        "/// Doc\n",
    ]);
    let method = (attribute, name(), params(), params(), any::<[bool; 3]>()).prop_map(
        |(a, n, p, r, how)| {
            let oneway = if how[0] && how[1] { "oneway " } else { "" };
            let results = if how[1] {
                format!(" -> ({r})")
            } else {
                String::new()
            };
            let fails = if how[2] { " fails C" } else { "" };
            format!("{a}{oneway}{n}({p}){results}{fails};")
        },
    );
    let methods = proptest::collection::vec(method, 0..4).prop_map(|m| m.join(" "));
    let fields =
        proptest::collection::vec((name(), ty()).prop_map(|(n, t)| format!("{n}: {t},")), 0..4)
            .prop_map(|f| f.join(" "));
    let members = proptest::collection::vec((0..3_usize, 0..400_u32), 0..4).prop_map(|m| {
        m.into_iter()
            .map(|(n, v)| format!("{} = {v},", ["X", "Y_Z", "W"][n]))
            .collect::<String>()
    });
    let kind = proptest::sample::select(vec![
        "enum",
        "flexible enum",
        "flags",
        "flexible flags",
        "error",
    ]);
    prop_oneof![
        (type_name.clone(), fields).prop_map(|(n, f)| format!("struct {n} {{ {f} }}")),
        (type_name.clone(), kind, members).prop_map(|(n, k, m)| format!("{k} {n} {{ {m} }}")),
        (
            type_name,
            proptest::sample::select(vec!["", "session ", "object "]),
            methods
        )
            .prop_map(|(n, c, m)| format!("{c}protocol {n} {{ {m} }}")),
        (0..40_u32).prop_map(|n| format!("const N: u32 = {n};")),
        Just("server S = A + B;".to_owned()),
    ]
}

proptest! {
    #[test]
    fn any_text_is_survived(text: String) {
        digest(&text);
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        digest(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_tokens_are_survived(tokens in proptest::collection::vec(token(), 0..80)) {
        digest(&format!("package p; {}", tokens.join(" ")));
    }

    #[test]
    fn any_declarations_are_survived(list in proptest::collection::vec(declaration(), 0..5)) {
        digest(&format!("package p;\nimport \"1.gidl\";\n{}", list.join("\n")));
    }

    #[test]
    fn any_cut_or_changed_file_is_survived(at: proptest::sample::Index, end: proptest::sample::Index, insert in token()) {
        let text = std::fs::read_to_string("tests/good/shapes.gidl").expect("the corpus is there");
        let text = text.replace("common.gidl", "1.gidl").replace("common.", "other.");
        let (mut from, mut to) = (at.index(text.len()), end.index(text.len()));
        while !text.is_char_boundary(from) { from -= 1; }
        while !text.is_char_boundary(to) { to -= 1; }
        digest(&format!("{} {insert} {}", &text[..from], &text[from..]));
        digest(&text[..from.min(to)]);
        digest(&format!("{}{}", &text[..from.min(to)], &text[from.max(to)..]));
    }
}

#[test]
fn deep_and_long_inputs_end_in_a_diagnostic_or_not_at_all() {
    for (open, close) in [
        ("[", "; 1]"),
        ("(", ")"),
        ("-", ""),
        ("cap<", ">"),
        ("", "?"),
    ] {
        let deep = format!(
            "package p; struct A {{ x: {}u8{} }} const B: u8 = {}1{};",
            open.repeat(50_000),
            close.repeat(50_000),
            open.repeat(50_000),
            close.repeat(50_000)
        );
        digest(&deep);
    }
    digest(&format!(
        "package p; const A: u64 = 1{};",
        " + 1".repeat(100_000)
    ));
    digest(&"{".repeat(100_000));
    digest(&"@a(".repeat(50_000));
    let chain: String = (0..5_000)
        .map(|i| format!("struct T{i} {{ x: T{} }}\n", i + 1))
        .collect();
    digest(&format!("package p;\n{chain}"));
    let chain: String = (0..5_000)
        .map(|i| format!("const C{i}: u8 = C{};\n", i + 1))
        .collect();
    digest(&format!("package p;\n{chain}"));
    let wide: String = (0..2_000)
        .map(|i| format!("x{i}: [[u8; 1000000]; 16],"))
        .collect();
    digest(&format!(
        "package p; struct A {{ {wide} }} protocol B {{ m({}); }}",
        wide.trim_end_matches(',')
    ));
}
