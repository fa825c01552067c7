//! The names and numbers by which topics, versions and changes are known.

use std::fmt;
use std::ops::Deref;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ecow::{EcoString, eco_format};
use serde::Serialize;
use thiserror::Error;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// How many changes a topic has accepted.
    Version
}
number! {
    /// A server-wide counter of accepted actions; ascends, with gaps.
    CommitNumber
}
number! {
    /// Who made a change: one session of a client. 0 is the server itself.
    ClientId
}
number! {
    /// Milliseconds since 1970, UTC, by the wall clock.
    Timestamp
}
number! {
    /// Milliseconds since the process began. Unlike a [`Timestamp`], it never jumps.
    Uptime
}

/// A point in a topic's past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The version of this number.
    Version(Version),
    /// After the newest change that is not after this commit.
    Commit(CommitNumber),
    /// After the newest change that is not after this time.
    Time(Timestamp),
}

impl Version {
    /// The version after this one.
    pub fn next(self) -> Version {
        Version(self.0 + 1)
    }
}

impl ClientId {
    /// The server, and the program it is embedded in.
    pub const SERVER: ClientId = ClientId(0);
}

impl Uptime {
    /// The first time that is at least `duration` later for certain: an uptime is rounded down, so a
    /// millisecond more is added.
    #[must_use]
    pub fn after(self, duration: Duration) -> Uptime {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Uptime(self.0.saturating_add(ms).saturating_add(1))
    }
}

impl Timestamp {
    /// The time of the system's clock.
    pub fn now() -> Timestamp {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(since_1970.as_millis() as u64)
    }
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(EcoString);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$name> for EcoString {
            fn from(it: $name) -> EcoString {
                it.0
            }
        }
    };
}

text! {
    /// A topic's name: not empty, without control characters, at most [`TopicName::BYTES_MAX`] bytes.
    TopicName
}
text! {
    /// Names one life of a topic.
    Epoch
}
text! {
    /// A change's id, `<client id>_<counter>`: what makes a resend harmless.
    ChangeId
}
text! {
    /// An action's id, chosen by its author.
    ActionId
}

/// A name or id that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the message of each variant says what it is")]
pub enum NameError {
    #[error("the name is empty")]
    Empty,
    #[error("the name holds a control character")]
    Control,
    #[error("the {what} has {len} bytes, at most {max} are allowed")]
    TooLong { what: &'static str, len: usize, max: usize },
    #[error("the id {id:?} is not <client id>_<counter>")]
    ChangeId { id: EcoString },
}

fn check_len(what: &'static str, text: &str, max: usize) -> Result<(), NameError> {
    match text.len() {
        len if len > max => Err(NameError::TooLong { what, len, max }),
        _ => Ok(()),
    }
}

impl TopicName {
    /// How many bytes a name has at most.
    pub const BYTES_MAX: usize = 512;

    /// # Errors
    /// What is wrong with the name.
    pub fn new(name: impl Into<EcoString>) -> Result<TopicName, NameError> {
        let name = name.into();
        check_len("name", &name, TopicName::BYTES_MAX)?;
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.chars().any(char::is_control) {
            return Err(NameError::Control);
        }
        Ok(TopicName(name))
    }

    /// Whether the name is one of the server's own.
    pub fn is_special(&self) -> bool {
        self.starts_with("_topicsync/")
    }
}

impl Epoch {
    const BYTES_MAX: usize = 128;

    /// # Errors
    /// It is too long.
    pub fn new(epoch: impl Into<EcoString>) -> Result<Epoch, NameError> {
        let epoch = epoch.into();
        check_len("epoch", &epoch, Epoch::BYTES_MAX)?;
        Ok(Epoch(epoch))
    }
}

impl ChangeId {
    const BYTES_MAX: usize = 128;

    /// # Errors
    /// It is too long, or not `<client id>_<counter>`.
    pub fn new(id: impl Into<EcoString>) -> Result<ChangeId, NameError> {
        let id = ChangeId(id.into());
        check_len("id", &id, ChangeId::BYTES_MAX)?;
        match id.parts() {
            Some((_, counter)) if !counter.is_empty() => Ok(id),
            _ => Err(NameError::ChangeId { id: id.0 }),
        }
    }

    /// The id of `client`'s change with this counter.
    pub fn of(client: ClientId, counter: u64) -> ChangeId {
        ChangeId::numbered(client, "_", counter)
    }

    /// An id that the server makes in `client`'s name: with an `s`, which no counter of a client's has.
    /// Counters begin again in each life of the server, which the id names from the second on.
    pub fn of_server_for(client: ClientId, life: u64, counter: u64) -> ChangeId {
        match life {
            0 | 1 => ChangeId::numbered(client, "_s", counter),
            life => ChangeId::numbered(client, &eco_format!("_s{life}."), counter),
        }
    }

    /// What kind of counter the id has, if it is one of `client`'s.
    pub fn counter_of(&self, client: ClientId) -> Option<Counter> {
        let (of, counter) = self.parts()?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        let is_of_server = |counter: &str| match counter.split_once('.') {
            None => is_number(counter),
            Some((life, counter)) => is_number(life) && is_number(counter),
        };
        (of == client).then(|| match counter.strip_prefix('s') {
            Some(counter) if is_of_server(counter) => Counter::OfServer,
            _ => Counter::OfClient,
        })
    }

    /// Each change that comes without an id is given one: `format!` would take a tenth of its time.
    fn numbered(client: ClientId, infix: &str, counter: u64) -> ChangeId {
        let mut digits = itoa::Buffer::new();
        let mut id = EcoString::from(digits.format(client.0));
        id.push_str(infix);
        id.push_str(digits.format(counter));
        ChangeId(id)
    }

    fn parts(&self) -> Option<(ClientId, &str)> {
        let (client, counter) = self.split_once('_')?;
        // `parse` would take a plus sign.
        let digits = client.bytes().all(|byte| byte.is_ascii_digit());
        Some((ClientId(client.parse().ok().filter(|_| digits)?), counter))
    }

    /// The client whose change this is.
    pub fn client(&self) -> ClientId {
        // `new` has seen that there is one.
        self.parts().map_or(ClientId::SERVER, |(client, _)| client)
    }
}

/// Who counted the change that an id is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    OfClient,
    /// The server, in the client's name: [`ChangeId::of_server_for`].
    OfServer,
}

impl ActionId {
    const BYTES_MAX: usize = 128;

    /// # Errors
    /// It is too long.
    pub fn new(id: impl Into<EcoString>) -> Result<ActionId, NameError> {
        let id = id.into();
        check_len("action id", &id, ActionId::BYTES_MAX)?;
        Ok(ActionId(id))
    }
}

impl From<ChangeId> for ActionId {
    fn from(id: ChangeId) -> ActionId {
        ActionId(id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_wrong_with_them() {
        assert_eq!(TopicName::new(""), Err(NameError::Empty));
        assert_eq!(TopicName::new("a\nb"), Err(NameError::Control));
        assert!(TopicName::new("x".repeat(513)).is_err());
        assert!(TopicName::new("päge/1").is_ok());
    }

    #[test]
    fn a_change_id_names_its_client() {
        assert_eq!(ChangeId::new("3_17").map(|id| id.client()), Ok(ClientId(3)));
        assert_eq!(ChangeId::new("3_17"), Ok(ChangeId::of(ClientId(3), 17)));
        let of_server = ChangeId::of_server_for(ClientId(u64::MAX), u64::MAX, u64::MAX);
        assert_eq!(ChangeId::new(&*of_server), Ok(of_server));
        for life in [1, 2, u64::MAX] {
            let id = ChangeId::of_server_for(ClientId(3), life, 7);
            assert_eq!(id.counter_of(ClientId(3)), Some(Counter::OfServer));
            assert_eq!(id.counter_of(ClientId(30)), None);
        }
        for other in ["3_17", "3_s", "3_s1x", "3_s1.", "3_s.1", "3_x1", "3_s1.2.3"] {
            let counter = ChangeId::new(other).unwrap().counter_of(ClientId(3));
            assert_eq!(counter, Some(Counter::OfClient), "{other}");
        }
        for bad in ["", "3", "_1", "3_", "x_1", "+3_1", "-3_1"] {
            assert!(ChangeId::new(bad).is_err(), "{bad}");
        }
    }
}
