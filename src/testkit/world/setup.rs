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

/// A topic of a world.
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
    /// Topics that are there, and that every client subscribes to, from the beginning.
    pub topics: Vec<Topic>,
    /// Topics that are not there, and that nobody subscribes to, until a step says so.
    pub apart: Vec<Topic>,
    /// How long a session outlives its connection, in milliseconds.
    pub session_ms: u64,
    /// How long a connection that broke may go unnoticed, in milliseconds.
    pub unnoticed_ms: u64,
    /// From how many bytes of published changes in its queue on a connection lags.
    pub queue_bytes: usize,
    /// From how many bytes of answers in its queue on a connection handles no more messages.
    pub answer_bytes: usize,
    /// Up to how many bytes missing changes are sent without a look at whether a snapshot is shorter.
    pub missed_bytes: usize,
    /// How many versions, and commits, lie between two looks into the past.
    pub stride: usize,
}

impl Setup {
    /// Sessions that last, and connections that do not lag.
    pub fn new(clients: usize, topics: Vec<Topic>) -> Setup {
        Setup {
            clients,
            topics,
            apart: Vec::new(),
            session_ms: 60_000,
            unnoticed_ms: 1_000,
            queue_bytes: 16_384,
            answer_bytes: 1 << 20,
            missed_bytes: 64 << 10,
            stride: 1,
        }
    }

    /// All topics, those apart last.
    pub fn all_topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.iter().chain(&self.apart)
    }
}
