//! gritos-abi.
