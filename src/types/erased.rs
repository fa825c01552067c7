//! Types without their type: one engine holds topics of every kind.
//!
//! [`TypeRef`] is a [`TopicType`] behind a pointer; [`AnyValue`] and [`AnyChange`] are its values and
//! changes, each behind one too, so that clones are cheap. A topic only ever handles values and
//! changes of its own type: to mix them up is a bug, and panics.

use std::any::Any;
use std::fmt::{self, Debug};
use std::marker::PhantomData;
use std::sync::Arc;

use super::{Composed, Conflict, Parts, Rebased, TopicType, Writes};
use crate::value::{Fields, Invalid, Value};

/// What any value or change can do.
trait Object: Any + Debug + Send + Sync {
    fn equals(&self, other: &dyn Object) -> bool;
}

impl<T: PartialEq + Debug + Send + Sync + 'static> Object for T {
    fn equals(&self, other: &dyn Object) -> bool {
        (other as &dyn Any).downcast_ref::<T>().is_some_and(|other| self == other)
    }
}

macro_rules! erased {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Arc<dyn Object>);

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                Arc::ptr_eq(&self.0, &other.0) || self.0.equals(&*other.0)
            }
        }

        impl Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

erased! {
    /// A value of some type. A clone is a pointer.
    AnyValue
}

erased! {
    /// A change of some type. A clone is a pointer.
    AnyChange
}

impl AnyValue {
    pub fn new<T: TopicType>(value: T::Value) -> AnyValue {
        AnyValue(Arc::new(value))
    }

    /// The value, if it is one of `T`.
    pub fn get<T: TopicType>(&self) -> Option<&T::Value> {
        (&*self.0 as &dyn Any).downcast_ref()
    }

    fn expect<T: TopicType>(&self) -> &T::Value {
        self.get::<T>().unwrap_or_else(|| mixed_up::<T>("value", self))
    }

    /// The value, to be changed in place: a copy of the outermost pointer first, if it is shared.
    fn make_mut<T: TopicType>(&mut self) -> &mut T::Value {
        if Arc::get_mut(&mut self.0).is_none() {
            *self = AnyValue::new::<T>(self.expect::<T>().clone());
        }
        // It is unshared by now, and `expect` has seen its type in either case below.
        let object: &mut dyn Any = Arc::get_mut(&mut self.0).expect("unshared");
        object.downcast_mut().expect("a topic's value is of its own type")
    }
}

impl AnyChange {
    pub fn new<T: TopicType>(change: T::Change) -> AnyChange {
        AnyChange(Arc::new(change))
    }

    /// The change, if it is one of `T`.
    pub fn get<T: TopicType>(&self) -> Option<&T::Change> {
        (&*self.0 as &dyn Any).downcast_ref()
    }

    fn expect<T: TopicType>(&self) -> &T::Change {
        self.get::<T>().unwrap_or_else(|| mixed_up::<T>("change", self))
    }
}

fn mixed_up<T: TopicType>(what: &str, it: &dyn Debug) -> ! {
    panic!("a {what} of another type came to a {} topic: {it:?}", T::NAME)
}

/// [`TopicType`] as an object.
trait AnyType: Send + Sync {
    fn name(&self) -> &'static str;
    fn stateful(&self) -> bool;
    fn rebases_over_composed(&self) -> bool;
    fn keyed(&self) -> bool;
    fn parts(&self) -> Parts;
    fn initial(&self) -> AnyValue;
    fn decode_value(&self, value: &Value) -> Result<AnyValue, Invalid>;
    fn encode_value(&self, value: &AnyValue) -> Value;
    fn decode_change(&self, fields: &Fields) -> Result<AnyChange, Invalid>;
    fn encode_change(&self, change: &AnyChange) -> Fields;
    fn takes_base(&self, change: &AnyChange) -> bool;
    fn resolve(&self, change: &AnyChange, value: &AnyValue) -> Result<Option<AnyChange>, Invalid>;
    fn apply(&self, value: &mut AnyValue, change: &AnyChange) -> Result<(), Invalid>;
    fn rebase(
        &self,
        incoming: &AnyChange,
        accepted: &AnyChange,
    ) -> Result<Rebased<AnyChange>, Conflict>;
    fn invert(&self, change: &AnyChange, before: &AnyValue) -> Option<AnyChange>;
    fn compose(&self, first: &AnyChange, second: &AnyChange) -> Composed<AnyChange>;
    fn key<'a>(&self, change: &'a AnyChange) -> Option<&'a str>;
    fn removal(&self, value: &AnyValue, key: &str) -> Option<AnyChange>;
    fn writes(&self, change: &AnyChange, before: &AnyValue) -> Writes;
    fn differences(&self, from: &AnyValue, to: &AnyValue) -> Option<Vec<AnyChange>>;
}

struct Erased<T>(PhantomData<fn() -> T>);

impl<T: TopicType> AnyType for Erased<T> {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn stateful(&self) -> bool {
        T::STATEFUL
    }

    fn rebases_over_composed(&self) -> bool {
        T::REBASES_OVER_COMPOSED
    }

    fn keyed(&self) -> bool {
        T::KEYED
    }

    fn parts(&self) -> Parts {
        T::PARTS
    }

    fn initial(&self) -> AnyValue {
        AnyValue::new::<T>(T::initial())
    }

    fn decode_value(&self, value: &Value) -> Result<AnyValue, Invalid> {
        T::decode_value(value).map(AnyValue::new::<T>)
    }

    fn encode_value(&self, value: &AnyValue) -> Value {
        T::encode_value(value.expect::<T>())
    }

    fn decode_change(&self, fields: &Fields) -> Result<AnyChange, Invalid> {
        T::decode_change(fields).map(AnyChange::new::<T>)
    }

    fn encode_change(&self, change: &AnyChange) -> Fields {
        T::encode_change(change.expect::<T>())
    }

    fn takes_base(&self, change: &AnyChange) -> bool {
        T::takes_base(change.expect::<T>())
    }

    fn resolve(&self, change: &AnyChange, value: &AnyValue) -> Result<Option<AnyChange>, Invalid> {
        let resolved = T::resolve(change.expect::<T>(), value.expect::<T>())?;
        Ok(resolved.map(AnyChange::new::<T>))
    }

    fn apply(&self, value: &mut AnyValue, change: &AnyChange) -> Result<(), Invalid> {
        T::apply(value.make_mut::<T>(), change.expect::<T>())
    }

    fn rebase(
        &self,
        incoming: &AnyChange,
        accepted: &AnyChange,
    ) -> Result<Rebased<AnyChange>, Conflict> {
        let (c, a) = (incoming.expect::<T>(), accepted.expect::<T>());
        let rebased = T::rebase(c, a)?;
        // What came out as it went in stays the same pointer.
        let keep = |new: Option<T::Change>, old: &T::Change, any: &AnyChange| {
            new.map(|new| if new == *old { any.clone() } else { AnyChange::new::<T>(new) })
        };
        Ok(Rebased {
            incoming: keep(rebased.incoming, c, incoming),
            accepted: keep(rebased.accepted, a, accepted),
        })
    }

    fn invert(&self, change: &AnyChange, before: &AnyValue) -> Option<AnyChange> {
        T::invert(change.expect::<T>(), before.expect::<T>()).map(AnyChange::new::<T>)
    }

    fn compose(&self, first: &AnyChange, second: &AnyChange) -> Composed<AnyChange> {
        match T::compose(first.expect::<T>(), second.expect::<T>()) {
            Composed::One(change) => Composed::One(AnyChange::new::<T>(change)),
            Composed::Nothing => Composed::Nothing,
            Composed::Separate => Composed::Separate,
        }
    }

    fn key<'a>(&self, change: &'a AnyChange) -> Option<&'a str> {
        T::key(change.expect::<T>())
    }

    fn removal(&self, value: &AnyValue, key: &str) -> Option<AnyChange> {
        T::removal(value.expect::<T>(), key).map(AnyChange::new::<T>)
    }

    fn writes(&self, change: &AnyChange, before: &AnyValue) -> Writes {
        T::writes(change.expect::<T>(), before.expect::<T>())
    }

    fn differences(&self, from: &AnyValue, to: &AnyValue) -> Option<Vec<AnyChange>> {
        let changes = T::differences(from.expect::<T>(), to.expect::<T>())?;
        Some(changes.into_iter().map(AnyChange::new::<T>).collect())
    }
}

/// A topic type, its own type forgotten. The functions are those of [`TopicType`].
#[derive(Clone, Copy)]
pub struct TypeRef(&'static dyn AnyType);

impl TypeRef {
    pub fn of<T: TopicType>() -> TypeRef {
        TypeRef(&Erased::<T>(PhantomData))
    }

    pub fn name(self) -> &'static str {
        self.0.name()
    }

    pub fn stateful(self) -> bool {
        self.0.stateful()
    }

    pub fn rebases_over_composed(self) -> bool {
        self.0.rebases_over_composed()
    }

    pub fn keyed(self) -> bool {
        self.0.keyed()
    }

    pub fn parts(self) -> Parts {
        self.0.parts()
    }

    pub fn initial(self) -> AnyValue {
        self.0.initial()
    }

    /// # Errors
    /// As [`TopicType::decode_value`].
    pub fn decode_value(self, value: &Value) -> Result<AnyValue, Invalid> {
        self.0.decode_value(value)
    }

    pub fn encode_value(self, value: &AnyValue) -> Value {
        self.0.encode_value(value)
    }

    /// # Errors
    /// As [`TopicType::decode_change`].
    pub fn decode_change(self, fields: &Fields) -> Result<AnyChange, Invalid> {
        self.0.decode_change(fields)
    }

    pub fn encode_change(self, change: &AnyChange) -> Fields {
        self.0.encode_change(change)
    }

    pub fn takes_base(self, change: &AnyChange) -> bool {
        self.0.takes_base(change)
    }

    /// The exact form of `change` on `value`; the change itself if it is exact already.
    ///
    /// # Errors
    /// As [`TopicType::resolve`].
    pub fn resolve(self, change: AnyChange, value: &AnyValue) -> Result<AnyChange, Invalid> {
        Ok(self.0.resolve(&change, value)?.unwrap_or(change))
    }

    /// # Errors
    /// As [`TopicType::apply`].
    pub fn apply(self, value: &mut AnyValue, change: &AnyChange) -> Result<(), Invalid> {
        self.0.apply(value, change)
    }

    /// # Errors
    /// As [`TopicType::rebase`].
    pub fn rebase(
        self,
        incoming: &AnyChange,
        accepted: &AnyChange,
    ) -> Result<Rebased<AnyChange>, Conflict> {
        self.0.rebase(incoming, accepted)
    }

    pub fn invert(self, change: &AnyChange, before: &AnyValue) -> Option<AnyChange> {
        self.0.invert(change, before)
    }

    pub fn compose(self, first: &AnyChange, second: &AnyChange) -> Composed<AnyChange> {
        self.0.compose(first, second)
    }

    pub fn key(self, change: &AnyChange) -> Option<&str> {
        self.0.key(change)
    }

    pub fn removal(self, value: &AnyValue, key: &str) -> Option<AnyChange> {
        self.0.removal(value, key)
    }

    pub fn writes(self, change: &AnyChange, before: &AnyValue) -> Writes {
        self.0.writes(change, before)
    }

    pub fn differences(self, from: &AnyValue, to: &AnyValue) -> Option<Vec<AnyChange>> {
        self.0.differences(from, to)
    }
}

impl PartialEq for TypeRef {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Debug for TypeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
