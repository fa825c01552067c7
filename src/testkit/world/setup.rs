//! What a world is made of.

use std::fmt::{self, Debug};
use std::rc::Rc;

use crate::testkit::choices::Choices;
use crate::testkit::generate::Generate;
use crate::topic::{TopicName, TopicOptions};
use crate::types::{AnyChange, AnyValue, TypeRef};

type MakeChange = Rc<dyn Fn(&mut dyn Choices, &AnyValue) -> Option<AnyChange>>;

/// A topic type, and how clients make changes of it.
#[derive(Clone)]
pub struct Kind {
    /// The type.
    pub of: TypeRef,
    change: MakeChange,
}

impl Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.of.fmt(f)
    }
}

impl Kind {
    /// A type whose changes are made by `change`: one that fits the value, or `None` if there is none.
    pub fn new(
        of: TypeRef,
        change: impl Fn(&mut dyn Choices, &AnyValue) -> Option<AnyChange> + 'static,
    ) -> Kind {
        Kind { of, change: Rc::new(change) }
    }

    /// A built-in type.
    pub fn of<T: Generate>() -> Kind {
        Kind::new(TypeRef::of::<T>(), |choices, value| {
            let value = value.get::<T>().expect("a topic's value is of its own type");
            Some(AnyChange::new::<T>(T::change(choices, value)))
        })
    }

    /// A change that fits `value`, which is one of this type.
    pub fn change(&self, choices: &mut dyn Choices, value: &AnyValue) -> Option<AnyChange> {
        (self.change)(choices, value)
    }
}

/// Every built-in type.
pub fn kinds() -> Vec<Kind> {
    use crate::types::{bool, dict, event, float, generic, int, list, set, string};
    vec![
        Kind::of::<generic::Generic>(),
        Kind::of::<bool::Bool>(),
        Kind::of::<int::Int>(),
        Kind::of::<float::Float>(),
        Kind::of::<string::String>(),
        Kind::of::<list::List>(),
        Kind::of::<set::Set>(),
        Kind::of::<dict::Dict>(),
        Kind::of::<event::Event>(),
    ]
}

/// The built-in type of this name.
pub fn kind(name: &str) -> Option<Kind> {
    kinds().into_iter().find(|kind| kind.of.name() == name)
}

/// A topic that every client subscribes to from the beginning.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// Its type.
    pub kind: Kind,
    /// Its options.
    pub options: TopicOptions,
}

impl Topic {
    /// # Panics
    /// If no topic can have this name.
    pub fn new(name: &str, kind: Kind) -> Topic {
        let name = TopicName::new(name).expect("a name that a topic can have");
        Topic { name, kind, options: TopicOptions::default() }
    }

    /// The same topic with options.
    #[must_use]
    pub fn with(self, options: TopicOptions) -> Topic {
        Topic { options, ..self }
    }
}

/// What a world is made of.
#[derive(Debug, Clone)]
pub struct Setup {
    /// How many clients there are.
    pub clients: usize,
    /// What they subscribe to.
    pub topics: Vec<Topic>,
    /// How long a session outlives its connection, in milliseconds.
    pub session_ms: u64,
    /// How long a topic remembers a change at least, whatever it keeps, in milliseconds.
    pub resumable_ms: u64,
    /// From how many publications in its queue on a connection lags.
    pub queue_max: usize,
    /// Whether messages go through JSON and MessagePack; if not, as data.
    pub encodings: bool,
    /// How many versions, and commits, lie between two looks into the past.
    pub stride: usize,
}

impl Setup {
    /// Sessions that last, connections that do not lag, and messages in every encoding.
    pub fn new(clients: usize, topics: Vec<Topic>) -> Setup {
        let (session_ms, resumable_ms) = (60_000, 61_000);
        Setup {
            clients,
            topics,
            session_ms,
            resumable_ms,
            queue_max: 64,
            encodings: true,
            stride: 1,
        }
    }
}
