//! The bounds every value keeps, and the errors that say which one was broken.

use thiserror::Error;

/// The largest whole number, 2^53 − 1: every client can hold it, JavaScript included.
pub const INT_MAX: i64 = (1 << 53) - 1;

/// How many containers (lists, dicts) nest in one topic's value at most.
pub const NESTING_MAX: usize = 100;

/// A bound that no value may break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LimitError {
    #[error("a whole number is beyond ±(2^53 − 1)")]
    IntRange,
    #[error("a number is not finite")]
    NotFinite,
    #[error("more than {NESTING_MAX} containers nest")]
    Nesting,
    #[error("binary data is not a value")]
    Binary,
    #[error("a key stands twice in one dict")]
    DuplicateKey,
}

/// Why a change or value cannot be taken where nothing came in between: it is malformed, or does not
/// fit the value it is applied to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Invalid {
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error("field {field:?} is missing")]
    MissingField { field: &'static str },
    #[error("field {field:?} must be {expected}, not {found}")]
    FieldType { field: &'static str, expected: &'static str, found: &'static str },
    #[error("the value must be {expected}, not {found}")]
    ValueType { expected: &'static str, found: &'static str },
    #[error("a {topic_type} topic has no change {change_type:?}")]
    ChangeType { topic_type: String, change_type: String },
    #[error("position {position} is out of bounds, the length is {len}")]
    OutOfBounds { position: i64, len: usize },
    #[error("key {key:?} is there already")]
    KeyExists { key: String },
    #[error("key {key:?} is not there")]
    NoSuchKey { key: String },
    #[error("the item is in the set already")]
    ItemExists,
    #[error("the item is not in the set")]
    NoSuchItem,
    #[error("the set holds an item twice")]
    DuplicateItem,
    #[error("the text at position {position} is not the one to be deleted")]
    TextDiffers { position: usize },
    #[error("position -1 goes without a base")]
    EndWithBase,
    #[error("the result is beyond the range of numbers")]
    NumberRange,
    /// A rule of the whole value would be broken, which a rebase cannot see, as it looks at two changes
    /// alone: a cycle that an edge would close, say.
    #[error("{0}")]
    Rule(String),
    /// What a host's own type has to say.
    #[error("{0}")]
    Other(String),
}

impl Invalid {
    /// Whether the whole value decides it, which a rebase does not see. A change that was carried and
    /// is refused for this is stale, and its type is right all the same.
    pub fn is_of_the_whole_value(&self) -> bool {
        matches!(self, Invalid::NumberRange | Invalid::Rule(_))
    }
}

impl From<super::list::OutOfBounds> for Invalid {
    fn from(error: super::list::OutOfBounds) -> Invalid {
        Invalid::OutOfBounds { position: error.position as i64, len: error.len }
    }
}

/// Passes `int` if every client can hold it.
///
/// # Errors
/// [`LimitError::IntRange`] beyond ±[`INT_MAX`].
pub fn check_int(int: i64) -> Result<i64, LimitError> {
    if (-INT_MAX..=INT_MAX).contains(&int) { Ok(int) } else { Err(LimitError::IntRange) }
}

/// Passes `float` if it is finite.
///
/// # Errors
/// [`LimitError::NotFinite`] for NaN and the infinities.
pub fn check_float(float: f64) -> Result<f64, LimitError> {
    if float.is_finite() { Ok(float) } else { Err(LimitError::NotFinite) }
}

/// The whole number that `float` stands for, if it has no fraction and every client can hold it.
pub fn whole(float: f64) -> Option<i64> {
    let in_range = float.abs() <= INT_MAX as f64;
    (in_range && float.fract() == 0.0).then_some(float as i64)
}
