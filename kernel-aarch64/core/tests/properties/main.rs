//! Properties of single operations over many arguments.

mod retype;
mod transfer;
