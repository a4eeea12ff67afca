//! The gRiTOS interface compiler.
//!
//! A pipeline of pure functions: [`load`] reads files and what they import,
//! [`parse`] makes syntax trees ([`ast`]), [`check`] resolves and lays out
//! ([`ir`]). Everything that is written out walks that one
//! laid-out interface. Same input, same bytes.
//!
//! `docs/reference/gidl.md` is the normative text of the language.
#![forbid(unsafe_code)]

pub mod ast;
pub mod check;
pub mod codegen;
pub mod codes;
pub mod compat;
pub mod decode;
pub mod diag;
pub mod driver;
pub mod emit;
pub mod fmt;
pub mod ir;
pub mod layout;
pub mod lex;
pub mod load;
pub mod names;
pub mod objects;
pub mod parse;
pub mod source;
pub mod suggest;
