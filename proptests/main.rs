//! Property tests of the laws that every topic type keeps, and of the whole system.
//!
//! `PROPTEST_CASES=10000 cargo test --test proptests` hunts longer than the 256 cases of every run. A
//! case that fails is kept in `regressions`, a file for each type and one for the simulation, and tried
//! first from then on.

mod history;
mod hunt;
mod laws;
mod simulation;
mod undo;
