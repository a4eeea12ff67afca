//! gritos-sys.
