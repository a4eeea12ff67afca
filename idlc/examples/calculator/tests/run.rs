//! The example runs as the guide says.

use std::process::Command;

#[test]
fn it_calculates() {
    let output = Command::new(env!("CARGO_BIN_EXE_example-calculator"))
        .output()
        .expect("it can be run");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.stdout, b"all as it should be\n");
}
