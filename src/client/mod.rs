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
//! What a replica does is written in `docs/replica.md`, as numbered rules that the code cites (R1, R2, …).
//!
//! | module | holds |
//! |---|---|
//! | `replica` | [`Replica`]: all topics of one client, its actions, services and session |
//! | `topic_replica` | [`TopicReplica`]: one topic, confirmed and pending |
//! | `pending` | pending changes, and how they are rebased |
//! | `event` | [`Event`]: what a program is told |
//!
//! With the feature `client`, and for tokio:
//!
//! | module | holds |
//! |---|---|
//! | `connection` | one socket after the other, and the time between them |
//! | `frames` | messages as frames |
//! | `shared` | what handles and the connection share |
//! | `handle`, `topic` | [`Client`] and [`Topic`], what a program holds |
//!
//! ```no_run
//! # #[cfg(feature = "client")]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use topicsync::client::{Client, Refused};
//!
//! let client = Client::connect("ws://127.0.0.1:8765/")?;
//! let nodes = client.dict("nodes")?;
//! nodes.ready().await?;
//! nodes.on_change(|changed| println!("{:?}", changed.value)).keep();
//!
//! nodes.add("n1", 10)?; // It shows at once; nobody has to wait.
//! nodes.change_value("n1", 20)?; // It simply wins, as a drag does.
//! match nodes.change_value_if_unchanged("n1", 30)?.await {
//!     Ok(id) => println!("accepted as {id:?}"),
//!     Err(Refused::Rejected(rejection)) => println!("{}", rejection.reason),
//!     Err(other) => return Err(other.into()),
//! }
//! client.undo().await?;
//! let unfinished = client.close().await;
//! assert!(unfinished.is_empty(), "{unfinished:?}");
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs, unreachable_pub)]

#[cfg(feature = "client")]
mod connection;
mod event;
#[cfg(feature = "client")]
mod frames;
#[cfg(feature = "client")]
mod handle;
mod pending;
mod replica;
#[cfg(feature = "client")]
mod shared;
#[cfg(test)]
mod tests;
#[cfg(feature = "client")]
mod topic;
mod topic_replica;

#[cfg(feature = "client")]
pub use connection::{AddressError, ClientConfig};
#[cfg(feature = "client")]
pub use handle::{Client, Listening, Pending};
#[cfg(feature = "client")]
pub use shared::{Answer, Refused, Request, Status, WaitError};
#[cfg(feature = "client")]
pub use topic::{Changed, SubscribeError, Topic};

pub use event::{CallError, Event, Origin, Rejection, Ticket};
pub use pending::Base;
pub use replica::{CallId, LocalChange, LocalError, Replica, Unfinished, UnfinishedAction};
pub use topic_replica::TopicReplica;
