//! How long a large interface takes: 200 protocols of 20 methods each, from
//! text to checked interface and to formatted Rust. Processor time is measured, of which the
//! budget is a second: what else the machine does is no matter.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, criterion_group, criterion_main};
use idlc::driver::compile;
use idlc::emit::rust::{Extras, Paths, emit};
use idlc::load::Memory;

/// Time that the process has been on a processor.
struct ProcessorTime;

impl Measurement for ProcessorTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        // Linux: the first number is the time spent, in nanoseconds.
        let text = std::fs::read_to_string("/proc/thread-self/schedstat");
        let text = text.expect("the kernel counts processor time");
        let spent = text
            .split_whitespace()
            .next()
            .and_then(|ns| ns.parse().ok());
        Duration::from_nanos(spent.expect("a number of nanoseconds"))
    }

    fn end(&self, start: Duration) -> Duration {
        self.start() - start
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

fn large() -> Memory {
    let mut text =
        String::from("/// Large.\npackage large version 1;\nerror LargeError { FAILED = 1 }\n");
    for p in 0..200 {
        let _ = write!(
            text,
            "/// Structure {p}.\nstruct S{p} {{ a: u32, b: [u8; 4], c: string<7> }}\n/// Protocol {p}.\nprotocol P{p} fails LargeError {{\n"
        );
        for m in 0..20 {
            let _ = writeln!(
                text,
                "    /// Method {m}.\n    method_{p}_{m}(first: u64, second: u32, third: S{p}, data: buffer<in>) -> (x: u64, y: u16);"
            );
        }
        text.push_str("}\n");
    }
    let mut files = Memory::default();
    files.0.insert(PathBuf::from("large.gidl"), text);
    files
}

fn benchmark(criterion: &mut Criterion<ProcessorTime>) {
    let files = large();
    let roots = [PathBuf::from("large.gidl")];
    let mut group = criterion.benchmark_group("200 protocols of 20 methods");
    group.sample_size(10);
    group.bench_function("check", |b| {
        b.iter(|| {
            let compiled = compile(&files, &roots).expect("the file is there");
            assert!(!compiled.diagnostics.has_errors());
            black_box(compiled.interface.packages.len())
        });
    });
    group.bench_function("build", |b| {
        b.iter(|| {
            let compiled = compile(&files, &roots).expect("the file is there");
            let package = &compiled.interface.packages[0];
            black_box(
                emit(
                    &compiled.interface,
                    package,
                    &Paths::new(),
                    Extras::default(),
                )
                .len(),
            )
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(ProcessorTime);
    targets = benchmark
}
criterion_main!(benches);
