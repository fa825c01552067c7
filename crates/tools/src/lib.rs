//! What the tools beside the server do, for their programs and for tests.
//!
//! | module | program | does |
//! |---|---|---|
//! | [`crash`] | `crash` | kills a server while many edit, and checks that nothing is lost |
//! | [`play`] | `play` | plays recorded editing through a server |
//! | [`sibling`] | | finds the server that was built beside the program |
//!
//! The programs `load`, `cold_start` and `converge` stand alone.

pub mod crash;
pub mod play;
pub mod sibling;
