//! How long a large interface takes: 200 protocols of 20 methods each, from
//! text to checked interface and to Rust. The budget is a second of processor time.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::PathBuf;

use criterion::{Criterion, criterion_group, criterion_main};
use idlc::driver::compile;
use idlc::emit::rust::{Extras, Paths, emit};
use idlc::load::Memory;

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

fn benchmark(criterion: &mut Criterion) {
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

criterion_group!(benches, benchmark);
criterion_main!(benches);
