use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{PIPE_LIMIT, Shell};
use crate::builtins;
use crate::command::{Command, Completes, Host, Interrupted};

/// A machine in memory.
#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) out: Vec<u8>,
    pub(crate) clock: u64,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// So many questions later the user presses Ctrl-C.
    pub(crate) patience: Option<u32>,
    pub(crate) log: Vec<String>,
}

impl Machine {
    pub(crate) fn take(&mut self) -> String {
        String::from_utf8_lossy(&core::mem::take(&mut self.out)).into_owned()
    }
}

impl Host for Machine {
    fn write(&mut self, bytes: &[u8]) {
        self.out.extend(bytes);
    }

    fn now(&mut self) -> u64 {
        self.clock
    }

    fn sleep(&mut self, nanoseconds: u64) -> Result<(), Interrupted> {
        if self.interrupted() {
            return Err(Interrupted);
        }
        self.clock += nanoseconds;
        Ok(())
    }

    fn interrupted(&mut self) -> bool {
        match &mut self.patience {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    fn read_file(&mut self, path: &str, limit: usize) -> Result<Vec<u8>, String> {
        match self.files.get(path) {
            Some(bytes) if bytes.len() <= limit => Ok(bytes.clone()),
            Some(_) => Err("too large".into()),
            None => Err("no such file".into()),
        }
    }

    fn write_file(&mut self, path: &str, append: bool, bytes: &[u8]) -> Result<(), String> {
        if path.starts_with("/full/") {
            return Err("no space left".into());
        }
        let file = self.files.entry(path.into()).or_default();
        if !append {
            file.clear();
        }
        file.extend(bytes);
        Ok(())
    }

    fn list_folder(&mut self, path: &str) -> Vec<(String, bool)> {
        if path == "/" {
            let names = [("data", true), ("date.txt", false), (".hidden", false)];
            return names.map(|(n, f)| (n.to_string(), f)).to_vec();
        }
        Vec::new()
    }

    fn check_folder(&mut self, path: &str) -> Result<(), String> {
        match path {
            "/" | "/data" => Ok(()),
            _ => Err("no such file or folder".into()),
        }
    }

    fn components(&mut self) -> Vec<String> {
        ["console", "log", "shell"].map(String::from).to_vec()
    }

    fn log_records(&mut self, record: &mut dyn FnMut(&str)) {
        for line in core::mem::take(&mut self.log) {
            record(&line);
        }
    }
}

const EXTRA: &[Command] = &[
    Command {
        name: "flood",
        summary: "writes more than a pipe takes",
        arguments: "",
        example: "flood | wc",
        completes: Completes::ComponentsAnd(&["loud", "state"]),
        run: |context, _| {
            for _ in 0..PIPE_LIMIT / 1000 + 2 {
                context.write(&[b'x'; 1000]);
            }
            Ok(0)
        },
    },
    Command {
        name: "named",
        summary: "takes one of its own words",
        arguments: "WORD",
        example: "named this",
        completes: Completes::Named(|| alloc::vec!["that", "this"]),
        run: |_, _| Ok(0),
    },
    Command {
        name: "echo",
        summary: "is hidden by the first of its name",
        arguments: "",
        example: "echo",
        completes: Completes::Nothing,
        run: |_, _| Ok(99),
    },
];

pub(crate) const TABLES: &[&[Command]] = &[builtins::COMMANDS, EXTRA];

/// What a line writes, and its status.
fn run(line: &str) -> (String, u8) {
    let (mut shell, mut machine) = (Shell::new(TABLES), Machine::default());
    let status = shell.run_line(&mut machine, line);
    (machine.take(), status)
}

#[test]
fn output_and_status_are_exact() {
    for (line, text, status) in [
        ("echo hi", "hi\n", 0),
        ("echo -n 'a  b'", "a  b", 0),
        ("false", "", 1),
        ("false; echo $?", "1\n", 0),
        ("false && echo a || echo b", "b\n", 0),
        ("true || echo a && echo b", "b\n", 0),
        ("true && false || false", "", 1),
        ("echo a; false; echo b", "a\nb\n", 0),
        ("echo one two | wc", "1 2 8\n", 0),
        ("echo x | false", "", 1),
        ("false | true", "", 0),
        ("echo 'a' | grep b", "", 1),
        ("", "", 0),
        ("# nothing", "", 0),
    ] {
        assert_eq!(run(line), (text.to_string(), status), "{line}");
    }
}

#[test]
fn mistakes_are_explained_and_have_a_status() {
    for (line, part, status) in [
        (
            "nonsense",
            "nonsense: no such command; `help` lists them",
            127,
        ),
        ("ehco", "ehco: no such command; `echo` is one, and", 127),
        ("'' x", ": no such command", 127),
        ("sleep", "sleep: the number of seconds is missing", 2),
        ("sleep soon", "`soon` is no number of seconds", 2),
        ("sleep 1 2", "unexpected argument `2`", 2),
        ("echo 'a", "shell: column 6", 2),
        ("head x", "`x` is no number of lines", 2),
        ("help nothing", "no command `nothing`; `help` lists", 1),
        ("help sleeep", "`sleep` is one", 1),
        ("wc < missing", "shell: /missing: no such file", 1),
        ("echo x > /full/file", "echo: /full/file: no space left", 1),
        ("flood | wc", "flood: too much for a pipe", 0),
        (
            "time time time time time time time time true",
            "too many commands",
            1,
        ),
    ] {
        let (text, found) = run(line);
        assert!(text.contains(part), "{line}: {text}");
        assert_eq!(found, status, "{line}: {text}");
    }
}

#[test]
fn every_command_explains_itself_with_an_example_that_runs() {
    let mut shell = Shell::new(&[builtins::COMMANDS]);
    for command in shell.commands() {
        let mut machine = Machine::default();
        let line = alloc::format!("{} --help", command.name);
        assert_eq!(shell.run_line(&mut machine, &line), 0);
        let text = machine.take();
        assert!(text.contains(command.summary) && text.contains(command.example));
        assert!(crate::parse::parse(command.example).is_ok());
        shell.run_line(&mut machine, command.example);
        assert!(
            !machine.take().contains("--help` shows"),
            "{}",
            command.example
        );
    }
}

#[test]
fn files_take_output_and_give_input() {
    let (mut shell, mut machine) = (Shell::new(TABLES), Machine::default());
    shell.folder = "/dir".into();
    shell.run_line(
        &mut machine,
        "echo one > f; echo two >> f; echo other > ../g",
    );
    assert_eq!(machine.files["/dir/f"], b"one\ntwo\n");
    assert_eq!(machine.files["/g"], b"other\n");
    shell.run_line(&mut machine, "grep two < f");
    assert_eq!(machine.take(), "two\n");
    // Long output reaches the file whole, in several pieces.
    shell.run_line(&mut machine, "flood > big");
    assert_eq!(
        machine.files["/dir/big"].len(),
        (PIPE_LIMIT / 1000 + 2) * 1000
    );
    shell.run_line(&mut machine, "false > empty");
    assert_eq!(machine.files["/dir/empty"], b"");
}

#[test]
fn an_interrupt_ends_the_whole_line() {
    let (mut shell, mut machine) = (Shell::new(TABLES), Machine::default());
    machine.patience = Some(1);
    let status = shell.run_line(&mut machine, "sleep 1; sleep 1; echo no");
    assert_eq!((status, machine.take().as_str()), (130, ""));
    assert_eq!(machine.clock, 1_000_000_000);
}

#[test]
fn time_tells_how_long_a_command_took_and_keeps_its_status() {
    assert_eq!(run("time sleep 1.25"), ("time: 1.250000 s\n".into(), 0));
    assert_eq!(run("time false").1, 1);
    assert_eq!(run("sleep 90061.5; uptime").0, "1 d 01:01:01.500\n");
}

#[test]
fn relative_paths_start_from_the_folder_that_was_gone_to() {
    assert_eq!(run("cd /data/../data/.; pwd; cd ..; pwd").0, "/data\n/\n");
    assert_eq!(run("cd data; cd; pwd").0, "/\n");
    let (said, status) = run("cd data; cd nowhere || pwd");
    assert_eq!(said, "cd: /data/nowhere: no such file or folder\n/data\n");
    assert_eq!(status, 0);
    assert_eq!(run("cd a b").1, 2);
}

#[test]
fn repeat_stops_at_the_first_failure() {
    assert_eq!(run("repeat 3 echo x | wc"), ("3 3 6\n".into(), 0));
    assert_eq!(run("repeat 0 false"), (String::new(), 0));
    assert_eq!(run("repeat 9 false").1, 1);
    assert_eq!(run("repeat -k 9 false"), (String::new(), 0));
    for wrong in ["repeat", "repeat 3", "repeat x true", "repeat -1 true"] {
        assert_eq!(run(wrong).1, 2, "{wrong}");
    }
    // Each counts as a command within a command.
    assert_eq!(
        run("repeat 2 repeat 2 repeat 2 repeat 2 repeat 2 repeat 2 repeat 2 repeat 2 true").1,
        1
    );
}

#[test]
fn an_interrupt_ends_a_repetition() {
    let (mut shell, mut machine) = (Shell::new(TABLES), Machine::default());
    machine.patience = Some(1);
    let status = shell.run_line(&mut machine, "repeat 99999999 true");
    assert_eq!(status, 130);
}

#[test]
fn seconds_are_read_exactly() {
    for (text, wanted) in [
        ("0", Some(0)),
        ("1.5", Some(1_500_000_000)),
        (".25", Some(250_000_000)),
        ("2.", Some(2_000_000_000)),
        ("0.0000000019", Some(1)),
        ("", None),
        (".", None),
        ("-1", None),
        ("1e3", None),
        ("99999999999999999999", None),
    ] {
        assert_eq!(builtins::parse_seconds(text), wanted, "{text}");
    }
}

#[test]
fn words_are_completed_by_what_their_command_takes() {
    let (shell, mut machine) = (Shell::new(TABLES), Machine::default());
    let mut texts = |line: &str| {
        let found = shell.candidates(&mut machine, line);
        found.into_iter().map(|c| c.text).collect::<Vec<_>>()
    };
    assert_eq!(texts("hea"), ["head"]);
    assert_eq!(texts("true; hi"), ["history"]);
    assert_eq!(texts("time ec"), ["echo"]);
    assert_eq!(texts("repeat 3 ec"), ["echo"]);
    assert_eq!(texts("time echo da"), ["data/", "date.txt"]);
    assert_eq!(texts("echo /da"), ["/data/", "/date.txt"]);
    assert_eq!(texts("echo .h"), [".hidden"]);
    assert_eq!(texts("wc > dat"), ["data/", "date.txt"]);
    assert_eq!(
        texts("flood "),
        ["console", "log", "loud", "shell", "state"]
    );
    assert_eq!(texts("named thi"), ["this"]);
    assert!(texts("sleep 1").is_empty() && texts("nonsense x").is_empty());
}
