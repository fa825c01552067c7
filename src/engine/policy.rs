//! Who may do what: one question, asked on every way to a value.
//!
//! [`Engine::authorize`](super::Engine::authorize) asks the [`Policy`] of the engine's configuration.
//! The engine itself asks it of every change that is submitted, undone or redone; whoever stands between
//! the engine and clients asks it before a topic is read, made, removed or forked, and before a service
//! is registered or called.

use ecow::{EcoString, eco_format};

use super::cell::TopicCell;
use crate::topic::{ClientId, TopicName, TopicOptions};
use crate::types::AnyChange;

/// What names of topics and services begin with that are the server's own.
pub const SERVERS_OWN: &str = "_topicsync/";

/// What the names of topics begin with that hold messages to one client; its id follows.
pub const CLIENT_MESSAGE: &str = "_topicsync/client_message/";

/// On whose behalf something is done: a client's session, or the server and the program around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    client: ClientId,
}

impl Principal {
    /// The server, and the program that it is embedded in.
    pub fn server() -> Principal {
        Principal { client: ClientId::SERVER }
    }

    /// A client's session.
    pub fn client(client: ClientId) -> Principal {
        Principal { client }
    }

    /// The session's id; [`ClientId::SERVER`] for the server.
    pub fn id(&self) -> ClientId {
        self.client
    }

    /// Whether this is the server, or the program around it.
    pub fn is_server(&self) -> bool {
        self.client == ClientId::SERVER
    }
}

/// Something that is about to be done.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Operation<'a> {
    /// To subscribe to a topic, or to read its newest value.
    Read {
        /// The topic.
        topic: &'a TopicName,
    },
    /// To read a topic's earlier values or changes.
    ReadPast {
        /// The topic.
        topic: &'a TopicName,
    },
    /// To make a topic.
    Make {
        /// The name that the topic is to have.
        topic: &'a TopicName,
        /// The name of its type.
        type_name: &'a str,
        /// The options that the topic is to have.
        options: &'a TopicOptions,
    },
    /// To make a change of a topic; `None` if it could not even be read, of which only those are told who
    /// may change the topic.
    Change {
        /// The topic.
        topic: &'a TopicCell,
        /// The change, before it is rebased.
        change: Option<&'a AnyChange>,
    },
    /// To remove a topic.
    Remove {
        /// The topic.
        topic: &'a TopicName,
    },
    /// To make a topic that goes on from another one's past, which is asked for by itself.
    Fork {
        /// The topic whose past is gone on from.
        from: &'a TopicName,
        /// The name that the new topic is to have.
        to: &'a TopicName,
    },
    /// To provide a service.
    Register {
        /// The name of the service.
        service: &'a str,
    },
    /// To call a service.
    Call {
        /// The name of the service.
        service: &'a str,
    },
}

/// Why something may not be done, as whoever wanted to is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Denied {
    /// Why, as whoever wanted to is told.
    pub reason: EcoString,
}

impl Denied {
    /// A denial for this reason.
    pub fn new(reason: impl Into<EcoString>) -> Denied {
        Denied { reason: reason.into() }
    }
}

/// Decides who may do what.
///
/// It may be asked under a topic's lock: it must be quick, and must not call the engine. One that only
/// adds to the rules that always held asks [`Rules`] first.
pub trait Policy: Send + Sync {
    /// # Errors
    /// Why `principal` may not do that.
    fn authorize(&self, principal: &Principal, operation: &Operation<'_>) -> Result<(), Denied>;
}

/// The rules that hold where there is no other policy:
///
/// - names that begin with `_topicsync/` are the server's: clients may read such topics and call such
///   services, and that is all;
/// - `_topicsync/client_message/<id>` is read by the client of that id alone;
/// - in a presence topic a session changes only the entry under its own client id;
/// - the server may do everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules;

impl Policy for Rules {
    fn authorize(&self, principal: &Principal, operation: &Operation<'_>) -> Result<(), Denied> {
        if principal.is_server() {
            return Ok(());
        }
        match *operation {
            Operation::Read { topic } | Operation::ReadPast { topic } => read(principal, topic),
            Operation::Change { topic, change } => {
                not_the_servers(topic.name())?;
                match change {
                    Some(change) if topic.options().presence => own_entry(principal, topic, change),
                    _ => Ok(()),
                }
            }
            Operation::Make { topic, .. } | Operation::Remove { topic } => not_the_servers(topic),
            Operation::Fork { from, to } => {
                not_the_servers(from)?;
                not_the_servers(to)
            }
            Operation::Register { service } => not_the_servers(service),
            Operation::Call { .. } => Ok(()),
        }
    }
}

fn not_the_servers(name: &str) -> Result<(), Denied> {
    match name.starts_with(SERVERS_OWN) {
        true => Err(Denied::new("names that begin with _topicsync/ are the server's")),
        false => Ok(()),
    }
}

fn read(principal: &Principal, topic: &TopicName) -> Result<(), Denied> {
    let Some(of) = topic.strip_prefix(CLIENT_MESSAGE) else { return Ok(()) };
    match *of == *eco_format!("{}", principal.id()) {
        true => Ok(()),
        false => {
            let of: EcoString = of.chars().take(20).collect();
            let reason = eco_format!("topic {CLIENT_MESSAGE}{of} is for client {of} alone");
            Err(Denied::new(reason))
        }
    }
}

fn own_entry(principal: &Principal, topic: &TopicCell, change: &AnyChange) -> Result<(), Denied> {
    // Written as the server writes it: `01` would be another entry, that nobody takes out.
    let mut digits = itoa::Buffer::new();
    match topic.kind().key(change) {
        Some(key) if key == digits.format(principal.id().0) => Ok(()),
        _ => Err(Denied::new(
            "in a presence topic a session changes only the entry under its own client id",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(client: u64, operation: Operation<'_>) -> bool {
        Rules.authorize(&Principal::client(ClientId(client)), &operation).is_ok()
    }

    #[test]
    fn names_of_the_server_are_the_servers_and_messages_are_for_their_client() {
        let name = |name: &str| TopicName::new(name).unwrap();
        let (options, list) = (TopicOptions::default(), name("_topicsync/topic_list"));
        let (topic, message) = (name("a"), name("_topicsync/client_message/7"));
        assert!(may(7, Operation::Read { topic: &list }));
        assert!(may(7, Operation::Read { topic: &message }));
        for client in [0, 70, 77, 8] {
            // 0 is the server.
            let denied = client != 0;
            assert_eq!(may(client, Operation::Read { topic: &message }), !denied);
            assert_eq!(may(client, Operation::ReadPast { topic: &message }), !denied);
        }
        let make = |topic| Operation::Make { topic, type_name: "int", options: &options };
        for (topic, allowed) in [(&topic, true), (&message, false), (&list, false)] {
            assert_eq!(may(7, make(topic)), allowed);
            assert_eq!(may(7, Operation::Remove { topic }), allowed);
            assert_eq!(may(7, Operation::Fork { from: topic, to: &name("b") }), allowed);
            assert_eq!(may(7, Operation::Fork { from: &name("b"), to: topic }), allowed);
            assert!(may(0, make(topic)));
        }
        assert!(may(7, Operation::Call { service: "_topicsync/undo" }));
        assert!(may(7, Operation::Register { service: "solve" }));
        assert!(!may(7, Operation::Register { service: "_topicsync/undo" }));
    }
}
