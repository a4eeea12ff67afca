//! gritos-testing.
