//! What the kernel does, as sequences of system calls on the real core. After
//! every call the whole invariant is checked; a refused call is compared with
//! the state before.

mod common;

mod address_spaces;
mod boot;
mod call_and_reply;
mod cspace;
mod death;
mod donation;
mod effort;
mod fast_path;
mod faults;
mod handed_on;
mod interrupts;
mod leftovers;
mod limits;
mod memory;
mod methods;
mod objects;
mod preemption;
mod states;
mod stretches;
mod tables;
mod time;
mod transfer;
mod translations;
