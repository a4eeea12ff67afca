//! Client and driver back to back, and each against a liar.

mod honest;
mod lies;
mod wire;
