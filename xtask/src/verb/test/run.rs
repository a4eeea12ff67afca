//! One run of the test task, as its frames tell it.
//!
//! ```text
//! start NAME        pass NAME        fail NAME REASON        skip NAME REASON
//! done PASSED FAILED
//! ```
//!
//! A run is good only if it says so itself: one that ends without `done`, loses a frame, or whose
//! counts differ from what was seen has failed, whatever passed before.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gritos_abi::frame::Channel;
use indicatif::{ProgressBar, ProgressStyle};

use super::Tally;
use crate::frames::{Item, Next, Stream};
use crate::report;

/// Longest time between two events of a test run. The test task has limits of its own, which are
/// shorter; this one is for a kernel that hangs.
pub(crate) const TEST_LIMIT: Duration = Duration::from_secs(180);

/// Lines of other text that are shown when a run ends early.
const CONTEXT_LINES: usize = 30;

/// A test run in progress.
#[derive(Debug)]
pub(crate) struct Run {
    label: String,
    verbose: bool,
    /// What is running now, for those who look on.
    progress: ProgressBar,
    pub(crate) tally: Tally,
    current: Option<String>,
    /// What the task itself counted.
    pub(crate) done: Option<Tally>,
}

impl Run {
    /// A run on the machine `label`. Tests that pass are named only if `verbose`.
    pub(crate) fn new(label: &str, verbose: bool) -> Self {
        // Draws on stderr, and only if that is a terminal.
        let progress = ProgressBar::new_spinner().with_prefix(label.to_string());
        if let Ok(style) = ProgressStyle::with_template("{prefix}: {pos} passed, now {wide_msg}") {
            progress.set_style(style);
        }
        Self {
            label: label.to_string(),
            verbose,
            progress,
            tally: Tally::default(),
            current: None,
            done: None,
        }
    }

    /// Takes the payload of a frame on the test channel.
    fn event(&mut self, payload: &str) {
        let (verb, rest) = payload.split_once(' ').unwrap_or((payload, ""));
        let (name, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        match verb {
            "start" => {
                if let Some(lost) = self.current.replace(name.to_string()) {
                    self.fail(&lost, "did not say how it ended");
                }
                self.progress.set_message(name.to_string());
                return;
            }
            "pass" if self.current.as_deref() == Some(name) => {
                self.tally.passed += 1;
                self.progress.inc(1);
                if self.verbose {
                    self.progress.suspend(|| {
                        report::verdict(true, format!("{}: {name}", self.label));
                    });
                }
            }
            "pass" => self.fail(name, "passed without having started"),
            "fail" => self.fail(
                name,
                if reason.is_empty() {
                    "no reason given"
                } else {
                    reason
                },
            ),
            "skip" => self
                .progress
                .suspend(|| report::skipped(format!("{}: {name}: {reason}", self.label))),
            "done" => match (name.parse(), reason.parse()) {
                (Ok(passed), Ok(failed)) => self.done = Some(Tally { passed, failed }),
                _ => self.fail("done", &format!("counts expected, found `{rest}`")),
            },
            _ => self.fail(verb, &format!("unknown event `{payload}`")),
        }
        self.current = None;
    }

    pub(crate) fn fail(&mut self, name: &str, reason: &str) {
        self.tally.failed += 1;
        self.progress.suspend(|| {
            report::verdict(false, format!("{}: {name}: {reason}", self.label));
        });
    }

    /// Says how the run came out, in one line.
    pub(crate) fn summarise(&self, begun: Instant) {
        self.progress.finish_and_clear();
        let seconds = begun.elapsed().as_secs_f32();
        let passed = self.tally.failed == 0;
        report::verdict(
            passed,
            format!("{}: {} ({seconds:.0} s)", self.label, self.tally),
        );
    }

    /// Follows `stream` until the task is done, nothing comes for too long, or the line ends.
    /// Everything that arrives goes to `log`.
    pub(crate) fn follow(&mut self, stream: &Stream, first: Duration, log: &Path) -> Result<()> {
        let mut log = Log::create(log)?;
        let mut limit = first;
        let mut deadline = Instant::now() + limit;
        while self.done.is_none() {
            match stream.next(deadline) {
                Next::Item(Item::Frame(Channel::Test, payload)) => {
                    log.write(&Item::Frame(Channel::Test, payload.clone()))?;
                    self.event(&payload);
                    limit = TEST_LIMIT;
                    deadline = Instant::now() + limit;
                }
                Next::Item(Item::Damaged) => {
                    let during = self.current.clone().unwrap_or_else(|| "no test".into());
                    self.fail(&during, "a frame arrived damaged");
                }
                Next::Item(item) => log.write(&item)?,
                Next::TimedOut => {
                    self.stopped(&format!("nothing came for {} s", limit.as_secs()), &log);
                    return Ok(());
                }
                Next::End => {
                    self.stopped("the machine ended before its tests did", &log);
                    return Ok(());
                }
            }
        }
        self.check_counts();
        for item in stream.drain(Duration::from_millis(200)) {
            log.write(&item)?;
        }
        Ok(())
    }

    fn stopped(&mut self, reason: &str, log: &Log) {
        let during = self
            .current
            .take()
            .unwrap_or_else(|| "between tests".into());
        self.fail(&during, reason);
        for line in log.last() {
            println!("     | {line}");
        }
    }

    /// Compares what the task counted with what was seen.
    fn check_counts(&mut self) {
        let Some(done) = self.done else { return };
        if done != self.tally {
            let Tally { passed, failed } = self.tally;
            let reason = format!(
                "the task counted {} passed, {} failed; seen were {passed} and {failed}",
                done.passed, done.failed
            );
            self.fail("done", &reason);
        } else if done == Tally::default() {
            report::skipped(format!("{}: no test matches", self.label));
        }
    }
}

/// Text of a run, kept in a file, its last lines at hand.
struct Log {
    file: BufWriter<File>,
    lines: Vec<String>,
}

impl Log {
    fn create(path: &Path) -> Result<Self> {
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self {
            file: BufWriter::new(file),
            lines: Vec::new(),
        })
    }

    fn write(&mut self, item: &Item) -> Result<()> {
        let line = match item {
            Item::Line(line) => line.clone(),
            Item::Frame(channel, payload) => format!("{channel:?}: {payload}"),
            Item::Output(bytes) => format!("Output: {}", String::from_utf8_lossy(bytes)),
            Item::Damaged => "(a damaged frame)".to_string(),
        };
        writeln!(self.file, "{line}").context("cannot write the log")?;
        self.lines.push(line);
        Ok(())
    }

    fn last(&self) -> &[String] {
        self.lines
            .get(self.lines.len().saturating_sub(CONTEXT_LINES)..)
            .unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::{Run, Tally};

    fn after(events: &[&str]) -> Run {
        let mut run = Run::new("test of xtask", false);
        for event in events {
            run.event(event);
        }
        run.check_counts();
        run
    }

    fn tally(passed: u32, failed: u32) -> Tally {
        Tally { passed, failed }
    }

    #[test]
    fn a_good_run_is_what_it_says() {
        let run = after(&[
            "start a",
            "pass a",
            "start b",
            "fail b 1 != 2",
            "skip c no EL2",
            "done 1 1",
        ]);
        assert_eq!((run.tally, run.done), (tally(1, 1), Some(tally(1, 1))));
    }

    #[test]
    fn a_test_without_an_end_has_failed() {
        let run = after(&["start a", "start b", "pass b", "done 1 0"]);
        assert_eq!(run.tally, tally(1, 2), "a, and the count");
    }

    #[test]
    fn a_pass_without_a_start_is_a_failure() {
        assert_eq!(after(&["pass a", "done 1 0"]).tally.passed, 0);
    }

    #[test]
    fn wrong_counts_are_a_failure() {
        assert_eq!(after(&["start a", "pass a", "done 2 0"]).tally, tally(1, 1));
        assert_eq!(after(&["done many"]).done, None);
    }
}
