//! gritos-target-tests.
fn main() {}
