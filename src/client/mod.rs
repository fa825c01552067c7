//! The client: a replica of topics, and a thin connection around it.
//!
//! The replica is plain data and pure functions: it never sees a socket, a clock or chance, so every
//! run of it repeats exactly. The connection moves its messages and brings it back after a loss.
//!
//! ```text
//!   program ── handles ──► Replica::local ──► outbox ──► socket
//!      ▲                      │  view = confirmed · in flight · waiting
//!      └────── events ◄───────┴──── receive ◄──────────── socket
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`replica`] | [`Replica`]: all topics of one client, its batches, services and session |
//! | [`topic_replica`] | [`TopicReplica`]: one topic, confirmed and pending |
//! | `pending` | pending changes, and how they follow when what is below them moves |
//! | `diff` | the changes between two values, where a snapshot jumped |
//! | [`event`] | what a program is told |

mod diff;
pub mod event;
mod pending;
pub mod replica;
#[cfg(test)]
mod tests;
pub mod topic_replica;

pub use event::{Event, Origin, Rejection, Ticket};
pub use pending::Footing;
pub use replica::{CallId, LocalChange, LocalError, Replica};
pub use topic_replica::TopicReplica;
