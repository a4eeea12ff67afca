//! idlc.
