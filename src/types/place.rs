//! Where in a list or text a change is meant: at a position, or at the end, wherever that is.

use crate::value::{Allowed, Invalid, Value};

/// A position from 0, or the end, which is `-1` on the wire.
///
/// For an insertion the end is behind the last item; for what takes an item, it is the last item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// So many items or code points lie before it.
    At(usize),
    /// Wherever the end is by then.
    End,
}

impl Place {
    /// Reads the wire's number.
    ///
    /// # Errors
    /// Below -1, or beyond what a position can be.
    pub fn decode(position: i64) -> Result<Place, Invalid> {
        if position == -1 {
            return Ok(Place::End);
        }
        let at = u32::try_from(position).map_err(|_| Invalid::PositionRange { position })?;
        Ok(Place::At(at as usize))
    }

    /// The wire's number.
    pub fn encode(self) -> Value {
        match self {
            Place::At(position) => Value::Int(position as i64),
            Place::End => Value::Int(-1),
        }
    }

    /// The position of the item that is meant, in a list of `len` items.
    ///
    /// # Errors
    /// There is no such item.
    pub fn item(self, len: usize) -> Result<usize, Invalid> {
        self.at_most(len.checked_sub(1), len, Allowed::Item)
    }

    /// The position of the gap that is meant, between the items of a list of `len`: where an insert goes.
    ///
    /// # Errors
    /// There is no such gap.
    pub fn gap(self, len: usize) -> Result<usize, Invalid> {
        self.at_most(Some(len), len, Allowed::Insert)
    }

    fn at_most(self, last: Option<usize>, len: usize, allowed: Allowed) -> Result<usize, Invalid> {
        let position = match (self, last) {
            (Place::At(position), Some(last)) if position <= last => return Ok(position),
            (Place::End, Some(last)) => return Ok(last),
            (Place::At(position), _) => position as i64,
            (Place::End, None) => -1,
        };
        Err(Invalid::OutOfBounds { position, len, allowed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_length_and_what_is_allowed() {
        let words = |result: Result<usize, Invalid>| result.unwrap_err().to_string();
        let insert = "position 99 is out of bounds, the length is 0, an insert may go from 0 to 0";
        assert_eq!(words(Place::At(99).gap(0)), insert);
        let item = "position 3 is out of bounds, the length is 2";
        assert_eq!(words(Place::At(3).item(2)), item);
        let none = "position -1 is out of bounds, the length is 0";
        assert_eq!(words(Place::End.item(0)), none);
        assert_eq!((Place::At(0).gap(0), Place::End.gap(2)), (Ok(0), Ok(2)));
        assert_eq!((Place::At(1).item(2), Place::End.item(2)), (Ok(1), Ok(1)));
        let below = "position -2 is out of range: a position goes from 0 to 4294967295, or is -1 for the end";
        assert_eq!(Place::decode(-2).unwrap_err().to_string(), below);
    }
}
