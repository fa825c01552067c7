//! Property tests of the laws that every topic type keeps, and of the whole system.
//!
//! `PROPTEST_CASES=10000 cargo test --test proptests` hunts longer than the 256 cases of every run. What
//! breaks a law comes as a script, with the test that plays it again, to be kept.

mod history;
mod hunt;
mod laws;
mod scripts;
mod simulation;
mod testkit;
mod undo;
