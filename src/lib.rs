//! topicsync: an engine for shared state.

pub mod client;
pub mod engine;
pub mod protocol;
#[cfg(feature = "server")]
pub mod server;
pub mod topic;
pub mod types;
pub mod value;
