//! gritos-root.
fn main() {}
