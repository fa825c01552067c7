//! Where in a list or text a change is meant: at a position, or at the end, wherever that is.

use crate::value::{Invalid, Value};

/// A position from 0, or the end, which is `-1` on the wire.
///
/// For an insertion the end is behind the last item; for what takes an item, it is the last item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    At(usize),
    End,
}

impl Place {
    /// Reads the wire's number.
    ///
    /// # Errors
    /// Below -1, or beyond what a position can be.
    pub fn decode(position: i64) -> Result<Place, Invalid> {
        match position {
            -1 => Ok(Place::End),
            _ => u32::try_from(position)
                .map(|position| Place::At(position as usize))
                .map_err(|_| Invalid::OutOfBounds { position, len: u32::MAX as usize }),
        }
    }

    pub fn encode(self) -> Value {
        match self {
            Place::At(position) => Value::Int(position as i64),
            Place::End => Value::Int(-1),
        }
    }

    /// The position meant, `end` being the last one that is allowed; `None` stands for an empty list
    /// that has no last item.
    ///
    /// # Errors
    /// The position is beyond `end`.
    pub fn resolve(self, end: Option<usize>) -> Result<usize, Invalid> {
        let len = end.map_or(0, |end| end + 1);
        match (self, end) {
            (Place::At(position), Some(end)) if position <= end => Ok(position),
            (Place::End, Some(end)) => Ok(end),
            (Place::At(position), _) => {
                Err(Invalid::OutOfBounds { position: position as i64, len })
            }
            (Place::End, None) => Err(Invalid::OutOfBounds { position: -1, len }),
        }
    }
}
