//! topicsync: an engine for shared state.

pub mod types;
pub mod value;
