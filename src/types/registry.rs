//! The topic types that a server knows, by name.

use std::collections::BTreeMap;

use super::{TopicType, TypeRef};

/// Topic types by the name that `subscribe` gives.
#[derive(Debug, Clone)]
pub struct Registry(BTreeMap<&'static str, TypeRef>);

impl Registry {
    /// No types at all.
    pub fn empty() -> Registry {
        Registry(BTreeMap::new())
    }

    /// This registry with `T` in it; a type of the same name is replaced.
    #[must_use]
    pub fn with<T: TopicType>(self) -> Registry {
        self.with_type(TypeRef::of::<T>())
    }

    /// As [`with`](Self::with), of a type that is known by reference.
    #[must_use]
    pub fn with_type(mut self, kind: TypeRef) -> Registry {
        self.0.insert(kind.name(), kind);
        self
    }

    /// The type of this name.
    pub fn get(&self, name: &str) -> Option<TypeRef> {
        self.0.get(name).copied()
    }

    /// The names, in their order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}

impl Default for Registry {
    /// The built-in types.
    fn default() -> Registry {
        Registry::empty()
            .with::<super::generic::Generic>()
            .with::<super::bool::Bool>()
            .with::<super::int::Int>()
            .with::<super::float::Float>()
            .with::<super::string::String>()
            .with::<super::list::List>()
            .with::<super::set::Set>()
            .with::<super::dict::Dict>()
            .with::<super::event::Event>()
    }
}
