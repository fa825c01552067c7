//! The topic types of the dialect, and those of ours that stand behind them.

use crate::types::TypeRef;

/// A type that clients of the dialect know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Generic,
    /// A `generic` to them.
    Bool,
    String,
    Int,
    Float,
    Set,
    List,
    Dict,
    Event,
}

const ALL: [Kind; 9] = [
    Kind::Generic,
    Kind::Bool,
    Kind::String,
    Kind::Int,
    Kind::Float,
    Kind::Set,
    Kind::List,
    Kind::Dict,
    Kind::Event,
];

impl Kind {
    /// The dialect's type for a topic of ours; it has none for a host's own types.
    pub fn of(kind: TypeRef) -> Option<Kind> {
        Kind::of_our(kind.name())
    }

    pub fn of_our(name: &str) -> Option<Kind> {
        ALL.into_iter().find(|kind| kind.our_name() == name)
    }

    /// The type that the dialect calls `name`.
    pub fn of_their(name: &str) -> Option<Kind> {
        ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its name in the dialect.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Bool => "generic",
            other => other.our_name(),
        }
    }

    /// Its name here.
    pub fn our_name(self) -> &'static str {
        match self {
            Kind::Generic => "generic",
            Kind::Bool => "bool",
            Kind::String => "string",
            Kind::Int => "int",
            Kind::Float => "float",
            Kind::Set => "set",
            Kind::List => "list",
            Kind::Dict => "dict",
            Kind::Event => "event",
        }
    }
}
