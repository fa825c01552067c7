//! The topic types of 0.13, and this server's types that stand behind them.
//!
//! Nothing here knows of values or changes: only of names.

use crate::types::TypeRef;

/// A type that clients of 0.13 know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Generic,
    /// Shown to clients of 0.13 as a `generic`.
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
    /// What stands for a type of this server; `None` for a host's own types, which 0.13 does not have.
    pub(super) fn of(kind: TypeRef) -> Option<Kind> {
        Kind::by_server_name(kind.name())
    }

    /// The type that this server calls `name`.
    pub(super) fn by_server_name(name: &str) -> Option<Kind> {
        ALL.into_iter().find(|kind| kind.server_name() == name)
    }

    /// The type that clients of 0.13 call `name`.
    pub(super) fn by_client_name(name: &str) -> Option<Kind> {
        ALL.into_iter().find(|kind| kind.client_name() == name)
    }

    /// The type's name in 0.13.
    pub(super) fn client_name(self) -> &'static str {
        match self {
            Kind::Bool => "generic",
            other => other.server_name(),
        }
    }

    /// The type's name on this server.
    pub(super) fn server_name(self) -> &'static str {
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
