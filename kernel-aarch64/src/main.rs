//! gritos-kernel.
fn main() {}
