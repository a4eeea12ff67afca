//! gritos-kernel-core.
