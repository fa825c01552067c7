//! Which places of a value a change writes: what blame goes by.
//!
//! A type says once what its values are made of ([`Parts`]), and of each change which of those parts it
//! writes ([`Writes`]). Who wrote what is then found without a look at the type itself.

use smallvec::SmallVec;

use crate::value::{Key, Value};

/// What the values of a type are made of, as far as a change can write a part alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// A value is written as a whole.
    Whole,
    /// Values under keys; the plain value is a dict.
    Keys,
    /// Distinct values without an order of their own; the plain value is a list.
    Members,
    /// Items or code points in a row; the plain value is a list or a string.
    Positions,
}

/// What one change writes.
#[derive(Debug, Clone, PartialEq)]
pub enum Writes {
    /// The whole value.
    Whole,
    /// Nothing: the value is as it was.
    Nothing,
    /// A value under a key.
    Key(Key),
    /// A key is there no longer.
    KeyGone(Key),
    /// A member.
    Member(Value),
    /// A member is there no longer.
    MemberGone(Value),
    /// Positions were taken out and put in, each splice made on what the one before leaves.
    Splices(SmallVec<[Splice; 2]>),
    /// An item was taken out at `from`, then put in again at `to`. It was not written.
    Moved {
        /// Where the item was.
        from: usize,
        /// Where it is, counted without it.
        to: usize,
    },
}

/// Positions that give way to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Splice {
    /// The first of the positions.
    pub at: usize,
    /// How many positions from there on are taken out.
    pub removed: usize,
    /// How many are then put in.
    pub inserted: usize,
}

impl Writes {
    /// The write of a single splice.
    pub fn splice(at: usize, removed: usize, inserted: usize) -> Writes {
        Writes::Splices(SmallVec::from_iter([Splice { at, removed, inserted }]))
    }

    /// Whether the value under `key` may be another after it.
    pub fn touches_key(&self, key: &str) -> bool {
        match self {
            Writes::Whole => true,
            Writes::Key(written) | Writes::KeyGone(written) => written == key,
            _ => false,
        }
    }
}
