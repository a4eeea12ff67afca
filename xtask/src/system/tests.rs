//! Good descriptions compile to what they say; each bad one gives exactly its messages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use gritos_system::{AUTHORITY_POWER, Board, Policy, Provider, RIGHT_GRANT, RIGHT_SEND, System};

use super::findings::KINDS;
use super::protocol::Protocols;
use super::{Described, Sources, interface, reach};

mod many;

/// Descriptions and interfaces, relative to this package, which is where tests run.
const FOLDER: &str = "tests/system";

fn sources() -> Sources {
    let folder = Path::new(FOLDER);
    let names = ["files", "log", "two"].map(|name| folder.join(format!("{name}.gidl")));
    Sources {
        binaries: ["console", "log", "net", "shell", "store"]
            .map(str::to_owned)
            .into(),
        interface: interface(&names).expect("good interfaces"),
    }
}

fn described(path: &Path) -> Described {
    let text = fs::read_to_string(path).expect("the description can be read");
    Described::parse(path, text)
}

fn bad() -> Vec<PathBuf> {
    let mut list: Vec<_> = fs::read_dir(Path::new(FOLDER).join("bad"))
        .expect("the corpus is there")
        .map(|entry| entry.expect("the corpus can be read").path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    list.sort();
    list
}

/// `UPDATE=1 cargo test -p xtask each_bad` rewrites the expected messages.
#[test]
fn each_bad_description_gives_exactly_its_messages() {
    let sources = sources();
    let mut provoked = BTreeSet::new();
    for path in bad() {
        let described = described(&path);
        let (_, findings) = described.check(&sources.surroundings(None));
        let text = findings.render(&path, &described.text);
        let kind = path.file_stem().expect("a file").to_string_lossy();
        let kind = kind.split('_').next().expect("a name").to_owned();
        assert!(findings.kinds().any(|k| k == kind), "{kind}:\n{text}");
        provoked.insert(kind);
        let output = path.with_extension("txt");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&output, &text).expect("the output can be written");
        }
        let expected = fs::read_to_string(&output).unwrap_or_default();
        let name = path.display();
        assert_eq!(text, expected, "{name}; run with UPDATE=1 if this is right");
    }
    let known: BTreeSet<_> = KINDS.into_iter().map(str::to_owned).collect();
    assert_eq!(provoked, known, "each kind of finding has a description");
}

/// The good description, compiled for a board; expected messages are none.
fn compiled(board: Board) -> Vec<u8> {
    let described = described(&Path::new(FOLDER).join("good.toml"));
    let sources = sources();
    let (views, findings) = described.check(&sources.surroundings(None));
    assert_eq!(findings.render(&described.path, &described.text), "");
    let view = views.iter().find(|view| view.board == board);
    let description = view
        .expect("it is for this board")
        .describe(Protocols::new(&sources.interface));
    description.to_bytes().expect("within all limits")
}

#[test]
fn a_description_compiles_to_what_it_says() {
    let table = compiled(Board::Virt);
    let system = System::parse(&table).expect("a good table");
    assert_eq!(system.board(), Board::Virt);
    let names: Vec<_> = system.components().map(|c| c.name).collect();
    assert_eq!(names, ["console", "log", "disk", "shell"], "as written");
    let console = system.component(0).expect("the console");
    assert_eq!((console.priority, console.ceiling), (32, 30));
    assert_eq!(
        (console.budget_ns, console.period_ns),
        (2_000_000, 10_000_000)
    );
    assert_eq!(console.binary, "console");
    let restart = console.restart;
    assert_eq!((restart.policy, restart.attempts), (Policy::Always, 3));
    assert_eq!(
        (restart.window_ns, restart.backoff_ns),
        (10_000_000_000, 20_000_000)
    );
    let disk = system.component(2).expect("the disk");
    assert_eq!((disk.binary, disk.arguments), ("store", "--cache 64"));
    assert_eq!((disk.stack_bytes, disk.cnode_slots), (32_768, 128));
    assert_eq!(disk.restart.policy, Policy::Never, "unless it says so");
    let shell = system.component(3).expect("the shell");
    assert_eq!((shell.priority, shell.ceiling), (100, 100), "its own");
    assert_eq!(shell.authorities, AUTHORITY_POWER);

    let services: Vec<_> = system.services().map(|s| (s.name, s.provider)).collect();
    assert_eq!(
        services,
        [
            ("system", Provider::Root),
            ("console", Provider::Component(0)),
            ("log", Provider::Component(1)),
            ("files", Provider::Component(2)),
        ]
    );
    assert_eq!(system.service(0).expect("system").protocol, "test.two");
    let device = system.device(1).expect("the disk's");
    assert_eq!(
        (device.name, device.owner, device.dma),
        ("virtio-blk", Some(2), true)
    );
    assert_eq!(system.device(2).and_then(|rtc| rtc.owner), Some(3));
    let interrupts: Vec<_> = device
        .interrupts()
        .iter()
        .map(|i| (i.number, i.edge))
        .collect();
    assert_eq!(interrupts, [(48, true)]);
    let uses: Vec<_> = system
        .uses_of(3)
        .map(|u| (u.alias, u.service, u.rights, u.optional))
        .collect();
    assert_eq!(
        uses,
        [
            ("system", 0, RIGHT_SEND, false),
            ("terminal", 1, RIGHT_SEND, false),
            ("files", 3, RIGHT_SEND | RIGHT_GRANT | 1 << 16, true),
        ]
    );
}

#[test]
fn a_board_gets_what_it_has_and_optional_uses_of_the_rest_are_left_out() {
    let table = compiled(Board::Rpi4);
    let system = System::parse(&table).expect("a good table");
    let names: Vec<_> = system.components().map(|c| c.name).collect();
    assert_eq!(names, ["console", "log", "shell"]);
    let aliases: Vec<_> = system.uses_of(2).map(|u| u.alias).collect();
    assert_eq!(aliases, ["system", "terminal"]);
    let uart = system.device(0).expect("the UART");
    assert_eq!((uart.base, uart.owner), (0xfe20_1000, Some(0)));
}

#[test]
fn the_report_says_who_may_reach_whom() {
    let path = Path::new(FOLDER).join("good.toml");
    let described = described(&path);
    let sources = sources();
    let (views, _) = described.check(&sources.surroundings(None));
    let protocols = Protocols::new(&sources.interface);
    let text: String = views
        .iter()
        .map(|view| reach::show(view, protocols))
        .collect();
    let output = path.with_extension("txt");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&output, &text).expect("the output can be written");
    }
    let expected = fs::read_to_string(output).expect("it was written once");
    assert_eq!(text, expected, "run with UPDATE=1 if this is right");
}

#[test]
fn the_machine_says_how_much_memory_there_is() {
    let described = described(&Path::new(FOLDER).join("good.toml"));
    let sources = sources();
    let kinds = |memory| {
        let (_, findings) = described.check(&sources.surroundings(Some(memory)));
        findings.kinds().collect::<Vec<_>>()
    };
    assert_eq!(kinds(24 << 20), Vec::<&str>::new());
    assert_eq!(kinds(20 << 20), ["quota", "quota"], "on each board");
}
