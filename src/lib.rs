//! topicsync: an engine for shared state.

pub mod engine;
pub mod protocol;
pub mod topic;
pub mod types;
pub mod value;
