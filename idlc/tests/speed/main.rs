//! Compiling takes time in proportion to the interface. The figure itself is measured where the
//! compiler is optimised (`cargo bench -p idlc`): 200 protocols of 20 methods in less than a second.

use std::path::PathBuf;
use std::time::Duration;

use idlc::driver::compile;
use idlc::emit::rust::{Extras, Paths, emit};

mod large;

/// Processor time from text to formatted Rust; `None` where nobody counts it.
fn build(protocols: usize) -> Option<Duration> {
    let files = large::interface(protocols);
    let begin = large::spent()?;
    let compiled = compile(&files, &[PathBuf::from("large.gidl")]).expect("the file is there");
    assert!(!compiled.diagnostics.has_errors());
    let package = &compiled.interface.packages[0];
    let outputs = emit(
        &compiled.interface,
        package,
        &Paths::new(),
        Extras::default(),
    );
    assert!(outputs.len() > protocols);
    Some(large::spent()? - begin)
}

#[test]
fn ten_times_the_protocols_take_about_ten_times_as_long() {
    // Whatever is loaded at the first use is not counted.
    let Some(_) = build(1) else {
        eprintln!("skipped: this system does not count processor time");
        return;
    };
    let least = |protocols| (0..3).filter_map(|_| build(protocols)).min();
    let (Some(few), Some(many)) = (least(4), build(40)) else {
        return;
    };
    assert!(
        many < few * 20,
        "4 protocols take {few:?}, 40 take {many:?}"
    );
    // Not optimised the compiler takes twenty times as long, on a slow machine five times that.
    let limit = Duration::from_secs(20);
    assert!(many < limit, "40 protocols of 20 methods take {many:?}");
}
