//! Every state that a small system can get into.
//!
//! A breadth-first search over the states of the real core, in several shapes.
//! After every step the whole invariant is checked; a refused call must have
//! changed nothing; no thread may have gained authority that it could not
//! derive; the fast path must lead where the general path leads. Being
//! preempted after any step of long work is among the choices, and so are
//! arguments that must be refused.
//!
//! The number of reachable states of each shape is pinned: a call that silently
//! does nothing keeps every invariant and changes the number. With
//! `GRITOS_SOAK` set to a number of states, larger versions of the shapes run
//! up to that number.

mod confinement;
mod search;
mod shapes;
