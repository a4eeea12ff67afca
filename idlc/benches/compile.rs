//! How long a large interface takes: 200 protocols of 20 methods each, from
//! text to checked interface and to formatted Rust. Processor time is measured, of which the
//! budget is a second: what else the machine does is no matter.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, criterion_group, criterion_main};
use idlc::driver::compile;
use idlc::emit::rust::{Extras, Paths, emit};

#[path = "../tests/speed/large.rs"]
mod large;

/// Time that the process has been on a processor.
struct ProcessorTime;

impl Measurement for ProcessorTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        large::spent().expect("the kernel counts processor time")
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

fn benchmark(criterion: &mut Criterion<ProcessorTime>) {
    let files = large::interface(200);
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
