//! Headers are C and C++, and a C client writes the words that a Rust client
//! writes. Needs a C compiler on the host; says so and passes if there is none.

use std::path::{Path, PathBuf};
use std::process::Command;

use gritos_idl_runtime::loopback::Loopback;
use gritos_idl_runtime::{Address, Answer, Cap, Dispatch, Incoming, Text, Ticket};
use gritos_test_common_api::Stamp;
use gritos_test_shapes_api::{Colour, Hints, Level, Mode, Point, Record, Shape, ShapesClient};
use idlc::driver::compile;
use idlc::emit::c::emit;
use idlc::load::Disk;

fn compiler() -> Option<&'static str> {
    let found = ["cc", "gcc", "clang"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok());
    if found.is_none() {
        eprintln!("skipped: there is no C compiler");
    }
    found
}

fn headers(folder: &Path) -> Vec<PathBuf> {
    let roots = [
        "tests/good",
        "../servers/base.gidl",
        "../servers/fs/fs.gidl",
        "../servers/net/net.gidl",
    ];
    let compiled = compile(&Disk, &roots.map(PathBuf::from)).expect("the files are there");
    assert!(!compiled.diagnostics.has_errors());
    let outputs = compiled
        .interface
        .root_packages()
        .map(|package| emit(&compiled.interface, package));
    outputs
        .map(|output| {
            let path = folder.join(output.path);
            std::fs::write(&path, output.text).expect("the header can be written");
            path
        })
        .collect()
}

#[test]
fn headers_compile_without_a_warning() {
    let Some(cc) = compiler() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    for header in headers(folder.path()) {
        for language in [["-xc", "-std=c11"], ["-xc++", "-std=c++17"]] {
            let output = Command::new(cc)
                .args(language)
                .args(["-Wall", "-Wextra", "-Werror", "-fsyntax-only"])
                .arg(&header)
                .output();
            let output = output.expect("the compiler runs");
            let errors = String::from_utf8_lossy(&output.stderr);
            // A C compiler without C++ is no mistake of the header.
            let no_language = errors.contains("cc1plus") || errors.contains("not recognized");
            assert!(
                output.status.success() || no_language,
                "{}: {errors}",
                header.display()
            );
        }
    }
}

#[test]
fn headers_have_the_names_of_the_services() {
    let folder = tempfile::tempdir().expect("a folder");
    let text: String = headers(folder.path())
        .iter()
        .map(|path| std::fs::read_to_string(path).expect("read"))
        .collect();
    let fs = [
        "OPEN", "CLOSE", "READ", "WRITE", "STAT", "MKDIR", "RMDIR", "UNLINK",
    ];
    let net = [
        "SOCKET",
        "BIND",
        "LISTEN",
        "ACCEPT",
        "CONNECT",
        "SEND",
        "RECV",
        "CLOSE",
        "GETSOCKOPT",
        "SETSOCKOPT",
    ];
    for name in fs
        .map(|m| format!("FS_METHOD_{m} "))
        .iter()
        .chain(&net.map(|m| format!("NET_METHOD_{m} ")))
    {
        assert!(text.contains(&format!("#define {name}")), "{name}");
    }
}

/// Notes requests and drops them.
enum Nothing {}

impl Dispatch<Vec<Incoming>> for Nothing {
    fn dispatch(
        seen: &mut Vec<Incoming>,
        incoming: &Incoming,
        _: impl FnOnce() -> Option<Ticket>,
    ) -> Answer {
        seen.push(*incoming);
        Answer::Nothing
    }
}

#[test]
fn c_and_rust_write_the_same_words() {
    let Some(cc) = compiler() else { return };
    let mut wire = Loopback::<_, Nothing>::new(Vec::new());
    let mut client = ShapesClient::new(Cap::new(Address::root(1)), &mut wire);
    let point = Point {
        x: -2,
        y: 300,
        colour: Colour::Green,
    };
    let _ = client.scalars(
        1,
        -2,
        3,
        -4,
        true,
        Colour::Red,
        Level::High,
        Mode::BOTH,
        Hints::FAST,
        -5,
    );
    let _ = client.shape(Shape::Dot(point), Some(9));
    let tail = gritos_idl_runtime::Bytes::new(&[1, 2]).expect("fits");
    let _ = client.record(Record {
        name: Text::new("name").expect("fits"),
        points: [point; 2],
        mode: Some(Mode::READ),
        tail,
    });
    let _ = client.imported(Stamp {
        seconds: 7,
        nanos: 8,
    });
    let expected: Vec<String> = wire
        .server
        .iter()
        .map(|message| {
            let words = message.words.map(|word| format!("{word:016x}")).join(" ");
            format!("{:x} {} {words}", message.tag, message.outcome.word_count())
        })
        .collect();

    let folder = tempfile::tempdir().expect("a folder");
    headers(folder.path());
    let program = folder.path().join("client");
    let output = Command::new(cc)
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(folder.path())
        .args(["tests/client.c", "-o"])
        .arg(&program)
        .output()
        .expect("the compiler runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let output = Command::new(&program).output().expect("the program runs");
    let written = String::from_utf8(output.stdout).expect("it prints text");
    assert_eq!(written.lines().collect::<Vec<_>>(), expected);
}
