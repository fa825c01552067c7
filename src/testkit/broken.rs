//! What a check found.

use std::fmt::{self, Debug, Display};

use super::law::Law;

/// A law that does not hold, and what shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Broken {
    /// The law, where it is known: a simulated world that complains of itself names none.
    pub law: Option<Law>,
    /// What shows it.
    pub what: String,
}

/// What a check of given things found: `Err` says how they break what it checks.
pub type Found<T = ()> = Result<T, String>;

/// What a check of a world found.
pub type Checked<T = ()> = Result<T, Broken>;

impl From<String> for Broken {
    fn from(what: String) -> Broken {
        Broken { law: None, what }
    }
}

impl From<&str> for Broken {
    fn from(what: &str) -> Broken {
        what.to_owned().into()
    }
}

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.law {
            Some(law) => write!(f, "{law}, is broken: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// Says which law a finding breaks.
pub(super) trait Breaks<T> {
    /// Names the law, unless it is named already.
    fn breaks(self, law: Law) -> Checked<T>;
}

impl<T, E: Into<Broken>> Breaks<T> for Result<T, E> {
    fn breaks(self, law: Law) -> Checked<T> {
        self.map_err(|error| {
            let broken = error.into();
            Broken { law: broken.law.or(Some(law)), ..broken }
        })
    }
}

/// Fails with `what` and both sides unless they are equal.
pub fn same<T: PartialEq + Debug + ?Sized>(what: impl Display, left: &T, right: &T) -> Found {
    if left == right { Ok(()) } else { Err(format!("{what}:\n  {left:?}\n  {right:?}")) }
}
