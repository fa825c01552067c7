//! Topic types as objects, so that one engine holds topics of every type.
//!
//! [`TypeRef`] is a [`TopicType`] behind a pointer; [`AnyValue`] and [`AnyChange`] are its values and
//! changes, each behind a pointer too, so that clones are cheap. A topic only ever handles values and
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

macro_rules! any {
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

any! {
    /// A value of some type. A clone is a pointer.
    AnyValue
}

any! {
    /// A change of some type. A clone is a pointer.
    AnyChange
}

impl AnyValue {
    /// A value of `T`, its own type forgotten.
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
        // Unshared by now. A value of another type panics, here or in `expect` above.
        let object: &mut dyn Any = Arc::get_mut(&mut self.0).expect("unshared");
        object.downcast_mut().expect("a topic's value is of its own type")
    }
}

impl AnyChange {
    /// A change of `T`, its own type forgotten.
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

/// Makes each function of [`TopicType`] one of [`TypeRef`]: what stands in the list below is once the
/// declaration of an object-safe trait, once its implementation for every `T: TopicType`, and once the
/// method that calls it. So a function that is added to `TopicType` is one more item of the list.
///
/// In the bodies `T` is the topic type.
macro_rules! functions_of_a_type {
    ($(
        $(#[$doc:meta])*
        fn $name:ident $(<$life:lifetime>)? ($($arg:ident: $arg_type:ty),*) -> $result:ty $body:block
    )*) => {
        /// [`TopicType`] as an object.
        trait AnyType: Send + Sync {
            $(fn $name $(<$life>)? (&self, $($arg: $arg_type),*) -> $result;)*
        }

        impl<T: TopicType> AnyType for Erased<T> {
            $(fn $name $(<$life>)? (&self, $($arg: $arg_type),*) -> $result $body)*
        }

        impl TypeRef {
            $(
                $(#[$doc])*
                pub fn $name $(<$life>)? (self, $($arg: $arg_type),*) -> $result {
                    self.0.$name($($arg),*)
                }
            )*
        }
    };
}

struct Erased<T>(PhantomData<fn() -> T>);

/// A topic type, known by reference: a [`TopicType`] behind a pointer. Its functions are those of the
/// trait, on [`AnyValue`] and [`AnyChange`].
///
/// # Panics
/// A function that is given a value or change of another type.
#[derive(Clone, Copy)]
pub struct TypeRef(&'static dyn AnyType);

impl TypeRef {
    /// The topic type `T`.
    pub fn of<T: TopicType>() -> TypeRef {
        TypeRef(&Erased::<T>(PhantomData))
    }
}

functions_of_a_type! {
    /// [`TopicType::NAME`].
    fn name() -> &'static str {
        T::NAME
    }

    /// [`TopicType::STATEFUL`].
    fn stateful() -> bool {
        T::STATEFUL
    }

    /// [`TopicType::REBASES_OVER_COMPOSED`].
    fn rebases_over_composed() -> bool {
        T::REBASES_OVER_COMPOSED
    }

    /// [`TopicType::KEYED`].
    fn keyed() -> bool {
        T::KEYED
    }

    /// [`TopicType::PARTS`].
    fn parts() -> Parts {
        T::PARTS
    }

    /// [`TopicType::initial`].
    fn initial() -> AnyValue {
        AnyValue::new::<T>(T::initial())
    }

    /// [`TopicType::decode_value`].
    ///
    /// # Errors
    /// `value` is none of this type.
    fn decode_value(value: &Value) -> Result<AnyValue, Invalid> {
        T::decode_value(value).map(AnyValue::new::<T>)
    }

    /// [`TopicType::encode_value`].
    fn encode_value(value: &AnyValue) -> Value {
        T::encode_value(value.expect::<T>())
    }

    /// [`TopicType::decode_change`].
    ///
    /// # Errors
    /// The change's shape is wrong.
    fn decode_change(fields: &Fields) -> Result<AnyChange, Invalid> {
        T::decode_change(fields).map(AnyChange::new::<T>)
    }

    /// [`TopicType::encode_change`].
    fn encode_change(change: &AnyChange) -> Fields {
        T::encode_change(change.expect::<T>())
    }

    /// [`TopicType::takes_base`].
    fn takes_base(change: &AnyChange) -> bool {
        T::takes_base(change.expect::<T>())
    }

    /// The exact form of `change` on `value`, by [`TopicType::resolve`]; the change itself if it is exact
    /// already.
    ///
    /// # Errors
    /// The change does not fit `value`.
    fn resolve(change: AnyChange, value: &AnyValue) -> Result<AnyChange, Invalid> {
        let exact = T::resolve(change.expect::<T>(), value.expect::<T>())?;
        Ok(exact.map_or(change, AnyChange::new::<T>))
    }

    /// [`TopicType::apply`].
    ///
    /// # Errors
    /// The change does not fit `value`, which is then as it was.
    fn apply(value: &mut AnyValue, change: &AnyChange) -> Result<(), Invalid> {
        T::apply(value.make_mut::<T>(), change.expect::<T>())
    }

    /// [`TopicType::rebase`].
    ///
    /// # Errors
    /// `incoming` can no longer do what its author meant.
    fn rebase(incoming: &AnyChange, accepted: &AnyChange) -> Result<Rebased<AnyChange>, Conflict> {
        let (c, a) = (incoming.expect::<T>(), accepted.expect::<T>());
        let rebased = T::rebase(c, a)?;
        // A change that came out as it went in stays the same pointer.
        let keep = |new: Option<T::Change>, old: &T::Change, any: &AnyChange| {
            new.map(|new| if new == *old { any.clone() } else { AnyChange::new::<T>(new) })
        };
        Ok(Rebased {
            incoming: keep(rebased.incoming, c, incoming),
            accepted: keep(rebased.accepted, a, accepted),
        })
    }

    /// [`TopicType::invert`].
    fn invert(change: &AnyChange, before: &AnyValue) -> Option<AnyChange> {
        T::invert(change.expect::<T>(), before.expect::<T>()).map(AnyChange::new::<T>)
    }

    /// [`TopicType::compose`].
    fn compose(first: &AnyChange, second: &AnyChange) -> Composed<AnyChange> {
        match T::compose(first.expect::<T>(), second.expect::<T>()) {
            Composed::One(change) => Composed::One(AnyChange::new::<T>(change)),
            Composed::Nothing => Composed::Nothing,
            Composed::Separate => Composed::Separate,
        }
    }

    /// [`TopicType::key`].
    fn key<'a>(change: &'a AnyChange) -> Option<&'a str> {
        T::key(change.expect::<T>())
    }

    /// [`TopicType::removal`].
    fn removal(value: &AnyValue, key: &str) -> Option<AnyChange> {
        T::removal(value.expect::<T>(), key).map(AnyChange::new::<T>)
    }

    /// [`TopicType::writes`].
    fn writes(change: &AnyChange, before: &AnyValue) -> Writes {
        T::writes(change.expect::<T>(), before.expect::<T>())
    }

    /// [`TopicType::differences`].
    fn differences(from: &AnyValue, to: &AnyValue) -> Option<Vec<AnyChange>> {
        let changes = T::differences(from.expect::<T>(), to.expect::<T>())?;
        Some(changes.into_iter().map(AnyChange::new::<T>).collect())
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
