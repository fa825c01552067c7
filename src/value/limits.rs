//! The bounds every value keeps, and the errors that say which one was broken.

use thiserror::Error;

/// The largest whole number, 2^53 − 1: every client can hold it, JavaScript included.
pub const INT_MAX: i64 = (1 << 53) - 1;

/// How many containers (lists, dicts) nest in one topic's value at most.
pub const NESTING_MAX: usize = 100;

/// A bound that no value may break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the message of each variant says what it is")]
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
#[allow(missing_docs, reason = "the message of each variant says what it is")]
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
    #[error("position {position} is out of bounds, the length is {len}{}", allowed.range(*len))]
    OutOfBounds { position: i64, len: usize, allowed: Allowed },
    #[error(
        "position {position} is out of range: a position goes from 0 to {}, or is -1 for the end",
        u32::MAX
    )]
    PositionRange { position: i64 },
    #[error("length {length} is out of range: a text has from 0 to {} code points", u32::MAX)]
    LengthRange { length: i64 },
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
    #[error("a change that names the end goes without a base")]
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

/// What a position that is out of bounds was meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// An item: one of those there.
    Item,
    /// An insert: before an item, or behind the last.
    Insert,
    /// An edit of a text, which reaches up to its end.
    Edit,
}

impl Allowed {
    /// What the length alone does not say of the range, where there are `len` items.
    pub(super) fn range(self, len: usize) -> String {
        match self {
            Allowed::Insert => format!(", an insert may go from 0 to {len}"),
            Allowed::Item | Allowed::Edit => String::new(),
        }
    }
}

impl Invalid {
    /// Whether the whole value decides it, which a rebase does not see. A change that was rebased and
    /// is refused for this is stale, and its type is right all the same.
    pub fn is_of_the_whole_value(&self) -> bool {
        matches!(self, Invalid::NumberRange | Invalid::Rule(_))
    }
}

impl From<super::list::OutOfBounds> for Invalid {
    fn from(error: super::list::OutOfBounds) -> Invalid {
        let super::list::OutOfBounds { position, len, allowed } = error;
        Invalid::OutOfBounds { position: position as i64, len, allowed }
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
