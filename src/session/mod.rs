//! Sessions without input or output: what a server does for its clients, as plain data that is fed and
//! drained by plain calls.
//!
//! There is no socket, clock, task or randomness in this module: bytes come in and go out as [`Frame`]s,
//! the time comes in as an [`Uptime`](crate::topic::Uptime), tokens come from [`SessionConfig::tokens`], and what takes long is handed
//! to a [`Worker`]. The server pumps bytes between this module and sockets; `testkit::world` plays it
//! with simulated connections, a simulated clock and a journal that fails.
//!
//! ```text
//!   Frame ──► Connection::receive ─► inbox ─► Connection::handle ─► Peer::handle ─► Attachment ─► Engine
//!                                                                                                   │
//!   Frame ◄── Connection::poll_outgoing ◄─ Peer::write ◄─ Attachment ◄─ Outbox (bounded) ◄──────────┘
//! ```
//!
//! A *session* is one client's, and outlives its connections for a while. At any time at most one
//! connection acts for a session: each act is done under the session's lock, and only if the connection
//! is still the session's.
//!
//! | module | holds |
//! |---|---|
//! | `hub` | [`Hub`]: what all sessions share, and what happens to a session beyond one connection |
//! | `session` | [`Session`]: identity, the way to the client, the backlog of one that is away |
//! | `connection` | [`Connection`]: one connection, fed with frames and drained of them |
//! | `attachment` | [`Attachment`]: subscriptions, by the life of a topic, and what was written of each |
//! | `dispatch` | what each message of a client leads to |
//! | `outbox` | what waits for one connection, bounded in bytes |
//! | `requests` | services, and requests under way with their deadlines |
//! | `special` | topics and services under `_topicsync/` |
//! | `peer`, `native` | how items become frames: the vocabulary of `docs/protocol.md` |
//! | `frame`, `translate` | publications as bytes; the engine's data as messages, and back |
//! | `config`, `counters` | limits; what is counted |

mod attachment;
mod config;
mod connection;
mod counters;
mod dispatch;
mod frame;
mod hub;
mod native;
mod outbox;
mod peer;
mod requests;
#[allow(clippy::module_inception)]
mod session;
pub(crate) mod special;
#[cfg(test)]
mod tests;
mod translate;

pub use attachment::Attachment;
pub use config::{SessionConfig, Worker};
pub use connection::{Connection, Refused};
pub use counters::Counters;
pub use frame::{Frame, encode_items, encoded_form};
pub use hub::Hub;
pub(crate) use hub::UnlistedTopic;
pub use native::Native;
pub use outbox::{End, Outbox};
pub use peer::{Frames, Outgoing, Peer};
pub(crate) use requests::Request;
pub use requests::{Answer, HostService, Provider};
pub use session::{Session, Sessions};
pub use translate::{item_message, lost, reject_update, submitted, subscribed_message};
