//! The example runs as the guide says.

use std::process::Command;

#[test]
fn it_says_what_it_heard() {
    let output = Command::new(env!("CARGO_BIN_EXE_example-echo"))
        .output()
        .expect("it can be run");
    assert!(output.status.success());
    assert_eq!(output.stdout, b"hello\n");
}
