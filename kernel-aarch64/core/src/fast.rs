//! The common calls in as few instructions as possible.
