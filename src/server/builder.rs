//! How a program sets a server up: types, validators, limits.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::config::ServerConfig;
use super::host::matches;
use super::{BindError, Server};
use crate::engine::{EngineConfig, Validated};
use crate::journal::{JournalError, SqliteJournal};
use crate::topic::Durability;
use crate::types::TopicType;

/// Collects what a server is to be like. Everything has a default.
#[derive(Default)]
pub struct ServerBuilder {
    config: ServerConfig,
    engine: EngineConfig,
}

impl ServerBuilder {
    /// Where to listen; 127.0.0.1:8765 if not said. Port 0 picks a free one.
    #[must_use]
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.config.listen = address.into();
        self
    }

    /// All settings at once, the address included.
    #[must_use]
    pub fn config(mut self, config: ServerConfig) -> Self {
        self.config = config;
        self
    }

    /// Keeps topics and their histories in a folder, made if it is not there, and publishes a change once
    /// it is on disk. Without this, all is in memory, and gone with the process.
    ///
    /// # Errors
    /// The folder is another server's, or holds something else; it, or its disk, cannot be used.
    pub fn data(mut self, folder: impl AsRef<Path>) -> Result<Self, JournalError> {
        self.engine.journal = Arc::new(SqliteJournal::open(folder)?);
        self.engine.durability = Durability::Commit;
        Ok(self)
    }

    /// When a change is published, on topics that do not say.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.engine.durability = durability;
        self
    }

    /// Adds a topic type, which clients can then make topics of.
    #[must_use]
    pub fn topic_type<T: TopicType>(mut self) -> Self {
        self.engine.registry = self.engine.registry.with::<T>();
        self
    }

    /// Has every change to topics named `pattern` (all that begin with what stands before a final `*`)
    /// and of type `T` checked, by the value that it leads to: an `Err` refuses it as `invalid`, with
    /// that reason.
    ///
    /// `check` runs under the topic's lock, so it should be quick.
    #[must_use]
    pub fn validate<T: TopicType>(
        mut self,
        pattern: &str,
        check: impl Fn(&T::Value, &T::Change) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let pattern = pattern.to_owned();
        self.engine.validators.push(Arc::new(move |validated: &Validated<'_>| {
            match (validated.value.get::<T>(), validated.change.get::<T>()) {
                (Some(value), Some(change)) if matches(&pattern, validated.topic.name()) => {
                    check(value, change)
                }
                _ => Ok(()),
            }
        }));
        self
    }

    /// Binds the address. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The address cannot be bound: it is taken, say; or the journal cannot be read or written.
    pub fn bind(self) -> Result<Server, BindError> {
        Server::bind(self.config, self.engine)
    }
}
