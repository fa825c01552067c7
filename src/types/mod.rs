//! Topic types: what a change is, and how it applies, rebases, inverts and composes.
//!
//! [`TopicType`] is the one door: the built-in types are written against it, a file each, and
//! registered with it like a host's own. Nothing here treats a built-in as special, and nothing knows
//! of versions, ids or clients. `erased` lets one engine hold topics of every type.
//!
//! | type | file | value | changes |
//! |---|---|---|---|
//! | `generic` | `generic` | any value | set |
//! | `bool` | `bool` | a boolean | set |
//! | `int`, `float` | `int`, `float` | a number | set, add |
//! | `string` | `string`, `edit` | text | set, insert, delete, edit |
//! | `list` | `list` | values in a row | set, insert, pop, replace, move |
//! | `set` | `set` | distinct values, sorted | set, append, remove |
//! | `dict` | `dict` | values by key | set, add, remove, change_value |
//! | `event` | `event` | none | emit |

mod alike;
pub(crate) mod bool;
pub(crate) mod dict;
pub(crate) mod edit;
pub(crate) mod erased;
pub(crate) mod event;
pub(crate) mod float;
pub(crate) mod generic;
pub(crate) mod int;
pub(crate) mod list;
pub(crate) mod place;
pub(crate) mod registry;
pub mod run;
pub(crate) mod set;
pub(crate) mod string;
pub(crate) mod writes;

use std::fmt::Debug;

use thiserror::Error;

use crate::value::{Fields, Invalid, Key, Value};

pub use bool::Bool;
pub use dict::{Dict, DictChange};
pub use edit::{Deletion, Edit, EditStep};
pub use erased::{AnyChange, AnyValue, TypeRef};
pub use event::{Emit, Event};
pub use float::{Float, FloatChange};
pub use generic::{Generic, SetTo};
pub use int::{Int, IntChange};
pub use list::{List, ListChange};
pub use place::Place;
pub use registry::Registry;
pub use set::{Set, SetChange};
pub use string::{String, StringChange};
pub use writes::{Parts, Splice, Writes};

/// A kind of topic: its values, its changes, and the algebra that lets many hands edit one value.
///
/// All functions are pure: what they return depends on their arguments alone, on every machine. They
/// never panic, whatever the network sent; what cannot be is an [`Invalid`] or a [`Conflict`].
///
/// # Laws
///
/// For every value `v` and changes `c`, `a`, `b` (`v · c` is `v` with `c` applied):
///
/// 1. *apply is a function*: the same value and change give the same result, in every encoding;
/// 2. *inverse*: `v · c · invert(c, v) = v`;
/// 3. *rebase is total*: it answers every pair;
/// 4. *the square closes*: `v · a · c' = v · c · a'` for what [`rebase`](Self::rebase) gives, and
///    what it gives applies, unless [the whole value](Invalid::is_of_the_whole_value) forbids it;
/// 5. *compose agrees*: `v · compose(a, b) = v · a · b`;
/// 6. *round trip*: decoding what was encoded gives an equal value or change.
///
/// # A type of one's own
///
/// A seat that one person at a time can take. Two who want it at once cannot both have it, and two who
/// free it at once have both got what they wanted: that is all that its rebase has to say.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use topicsync::types::{Conflict, Rebased, Registry, TopicType};
/// use topicsync::value::{Fields, Invalid, Value};
///
/// struct Seat;
///
/// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
/// #[serde(tag = "type", rename_all = "snake_case")]
/// enum SeatChange {
///     Take { by: String }, // On the wire: {"type":"take","by":"ann"}
///     Free { from: String },
/// }
/// use SeatChange::{Free, Take};
///
/// impl TopicType for Seat {
///     type Value = Option<String>;
///     type Change = SeatChange;
///     const NAME: &'static str = "seat";
///
///     fn initial() -> Option<String> {
///         None
///     }
///     // How values and changes look to clients: plain values, and fields with a `type`.
///     fn decode_value(value: &Value) -> Result<Option<String>, Invalid> {
///         value.parse()
///     }
///     fn encode_value(value: &Option<String>) -> Value {
///         Value::from_serialize(value).expect("a name is a plain value")
///     }
///     fn decode_change(fields: &Fields) -> Result<SeatChange, Invalid> {
///         fields.parse()
///     }
///     fn encode_change(change: &SeatChange) -> Fields {
///         Fields::from_serialize(change).expect("a change is a map")
///     }
///     // A change that does not fit says why, and leaves the value alone.
///     fn apply(seat: &mut Option<String>, change: &SeatChange) -> Result<(), Invalid> {
///         *seat = match (change, seat.as_deref()) {
///             (Take { by }, None) if !by.is_empty() => Some(by.clone()),
///             (Take { .. }, None) => return Err(Invalid::Other("nobody has no name".into())),
///             (Take { .. }, Some(who)) => return Err(Invalid::Other(format!("{who} sits there"))),
///             (Free { from }, Some(who)) if from == who => None,
///             (Free { from }, _) => return Err(Invalid::Other(format!("{from} sits elsewhere"))),
///         };
///         Ok(())
///     }
///     fn rebase(
///         incoming: &SeatChange,
///         accepted: &SeatChange,
///     ) -> Result<Rebased<SeatChange>, Conflict> {
///         match (incoming, accepted) {
///             (Free { .. }, Free { .. }) => Ok(Rebased { incoming: None, accepted: None }),
///             (_, Take { by }) => Err(Conflict::Other(format!("{by} took the seat"))),
///             (_, Free { from }) => Err(Conflict::Other(format!("{from} freed the seat"))),
///         }
///     }
///     // What undo does, and what takes a rejected change out of a client's view.
///     fn invert(change: &SeatChange, _before: &Option<String>) -> Option<SeatChange> {
///         Some(match change {
///             Take { by } => Free { from: by.clone() },
///             Free { from } => Take { by: from.clone() },
///         })
///     }
/// }
///
/// let registry = Registry::default().with::<Seat>(); // Or `Server::builder().topic_type::<Seat>()`.
/// assert!(registry.get("seat").is_some());
/// ```
///
/// With the feature `testkit`, `topicsync::laws!` makes tests of all laws out of it.
pub trait TopicType: Send + Sync + 'static {
    /// What a topic of this type holds. A clone should be a pointer: one is taken for each snapshot.
    type Value: Clone + PartialEq + Debug + Send + Sync + 'static;

    /// One typed operation on a value.
    type Change: Clone + PartialEq + Debug + Send + Sync + 'static;

    /// The name in `subscribe`.
    const NAME: &'static str;

    /// Whether a topic has a value to take a snapshot of. An event has none.
    const STATEFUL: bool = true;

    /// Whether rebasing over `compose(a, b)` equals rebasing over `a`, then over `b`. It lets the
    /// engine compose a long missed log first and rebase once.
    ///
    /// Two answers may differ, as a composition forgets what it went through: where `a` and `b` cancel
    /// out, a change can be rebased that conflicts with `a` (a `set`); and where `a` leaves nothing to
    /// do, a change can conflict with what `b` made of all (again a `set`).
    const REBASES_OVER_COMPOSED: bool = false;

    /// Whether a value has entries under keys, each of which can belong to a session: what a presence
    /// topic needs. Such a type has [`key`](Self::key) and [`removal`](Self::removal).
    const KEYED: bool = false;

    /// What a value is made of, as far as [`writes`](Self::writes) tells its parts apart.
    const PARTS: Parts = Parts::Whole;

    /// The value at version 0.
    fn initial() -> Self::Value;

    /// Reads a value, as `set` and snapshots carry it.
    ///
    /// # Errors
    /// `value` is none of this type.
    fn decode_value(value: &Value) -> Result<Self::Value, Invalid>;

    /// The plain form of a value: what [`decode_value`](Self::decode_value) reads.
    fn encode_value(value: &Self::Value) -> Value;

    /// Reads a change from its fields; unknown fields are ignored.
    ///
    /// # Errors
    /// The change's shape is wrong, whatever the value is that it is for.
    fn decode_change(fields: &Fields) -> Result<Self::Change, Invalid>;

    /// The fields of a change: what [`decode_change`](Self::decode_change) reads. None of them is called
    /// `id` or `base`, and no change `none`: on the wire these are the protocol's own.
    fn encode_change(change: &Self::Change) -> Fields;

    /// Whether the change may be made on a base. One that names "the end" may not: it has no place
    /// that others' changes could move.
    fn takes_base(_change: &Self::Change) -> bool {
        true
    }

    /// Makes a change exact before it is accepted on `value`: "the end" becomes a position, a length
    /// to delete becomes the text deleted. `None` if it is exact already.
    ///
    /// # Errors
    /// The change does not fit `value`.
    fn resolve(
        _change: &Self::Change,
        _value: &Self::Value,
    ) -> Result<Option<Self::Change>, Invalid> {
        Ok(None)
    }

    /// Applies a change in place, copying only what is shared with other versions.
    ///
    /// # Errors
    /// The change does not fit `value`, which is then as it was.
    fn apply(value: &mut Self::Value, change: &Self::Change) -> Result<(), Invalid>;

    /// Rebases two changes that were made on one value: `incoming` over `accepted`, which the server
    /// accepted first, and `accepted` over `incoming`. Law 4 says what that means. Of two inserts
    /// at one position, the newcomer goes to the left.
    ///
    /// # Errors
    /// A [`Conflict`] if `incoming` can no longer do what its author meant.
    fn rebase(
        incoming: &Self::Change,
        accepted: &Self::Change,
    ) -> Result<Rebased<Self::Change>, Conflict>;

    /// The change that takes `change` back, `before` being the value it was applied to. `None` if it
    /// changed nothing.
    fn invert(change: &Self::Change, before: &Self::Value) -> Option<Self::Change>;

    /// The one key that a change touches, if it touches just one.
    fn key(_change: &Self::Change) -> Option<&str> {
        None
    }

    /// The change that takes the entry under `key` out of `value`; `None` if there is none.
    fn removal(_value: &Self::Value, _key: &str) -> Option<Self::Change> {
        None
    }

    /// What a change writes when it is applied to `before`, in terms of [`PARTS`](Self::PARTS). Blame goes
    /// by it, and nothing else does.
    fn writes(_change: &Self::Change, _before: &Self::Value) -> Writes {
        Writes::Whole
    }

    /// One change that does what `first` and then `second` do.
    fn compose(_first: &Self::Change, _second: &Self::Change) -> Composed<Self::Change> {
        Composed::Separate
    }

    /// Changes that lead from `from` to `to`. Where a snapshot jumped over what others did, a replica
    /// rebases its pending changes over these: the finer they are, the more of those survive. `None`
    /// if the type has no changes that lead there.
    ///
    /// Unless a type says it better, a change `set` of the whole value, if it has one.
    fn differences(from: &Self::Value, to: &Self::Value) -> Option<Vec<Self::Change>> {
        let set = Fields::of_type("set").with("value", Self::encode_value(to));
        let change = Self::decode_change(&set).ok()?;
        let mut value = from.clone();
        Self::apply(&mut value, &change).ok()?;
        (value == *to).then(|| vec![change])
    }
}

/// Two changes, each rebased over the other. `None` means that nothing is left to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Rebased<C> {
    /// The incoming change, as it applies after the accepted one.
    pub incoming: Option<C>,
    /// The accepted change, as it applies after the incoming one.
    pub accepted: Option<C>,
}

impl<C: Clone> Rebased<C> {
    /// Neither change touches the other.
    pub fn unaffected(incoming: &C, accepted: &C) -> Rebased<C> {
        Rebased { incoming: Some(incoming.clone()), accepted: Some(accepted.clone()) }
    }
}

/// What [`TopicType::compose`] made of two changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Composed<C> {
    /// One change that does what both did.
    One(C),
    /// The second took the first back.
    Nothing,
    /// No one change does what both do.
    Separate,
}

/// Why a change cannot be rebased over another. The sentence goes on "… in version 43".
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the message of each variant says what it is")]
pub enum Conflict {
    #[error("the value was changed")]
    Changed,
    #[error("the whole value was set")]
    Overwritten,
    #[error("the item at position {position} was removed")]
    ItemRemoved { position: usize },
    #[error("the item at position {position} was replaced")]
    ItemReplaced { position: usize },
    #[error("key {key:?} was added")]
    KeyAdded { key: Key },
    #[error("key {key:?} was removed")]
    KeyRemoved { key: Key },
    #[error("key {key:?} was changed")]
    KeyChanged { key: Key },
    /// What a host's own type has to say.
    #[error("{0}")]
    Other(std::string::String),
}

/// The error for a change type that `T` does not have.
fn unknown_change<T: TopicType>(fields: &Fields) -> Invalid {
    Invalid::ChangeType {
        topic_type: T::NAME.to_owned(),
        change_type: fields.change_type().to_owned(),
    }
}

/// The nesting left for what stands in a container that is a topic's value.
const ITEM_NESTING_MAX: usize = crate::value::limits::NESTING_MAX - 1;

/// Checks an item of a list or set, or a value of a dict.
fn check_item(item: &Value) -> Result<Value, Invalid> {
    item.check_within(ITEM_NESTING_MAX)?;
    Ok(item.clone())
}
