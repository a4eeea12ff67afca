//! A terminal on a screen, without the screen.
//!
//! [`Terminal`] takes the bytes that went out on the serial line and keeps what a terminal would show; [`Terminal::draw`]
//! puts what has changed since into a [`Surface`], glyph by glyph. Parsing escape sequences is `vte`'s, glyphs are
//! those of `embedded-graphics`.
//!
//! Whatever the bytes are, nothing panics, memory is that of the first moment, a byte costs at most the time to
//! clear the screen, and drawing at most the time to draw each cell once, however far the text has scrolled.
//!
//! Deliberately not here: colours (which of red and blue comes first is up to the firmware), a way back to what
//! has scrolled away, answers to a terminal's questions: the person types at the serial line.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod font;
mod grid;
mod terminal;

pub use font::{GLYPH_ROWS, Glyph, Size};
pub use terminal::{Surface, Terminal};
