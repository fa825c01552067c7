//! The checksum that every row carries over all it says.
//!
//! SQLite notices a file that ends too early or a page that makes no sense, but not a bit that flipped
//! within a value. A sum begins with the table's name, so that no row passes for one of another table.

/// A CRC-32C over numbers and bytes, in order.
#[derive(Clone, Copy)]
pub(super) struct Sum(u32);

impl Sum {
    pub(crate) fn of(table: &str) -> Sum {
        Sum(0).bytes(table.as_bytes())
    }

    /// Eight bytes, the lowest first.
    pub(crate) fn number(self, number: u64) -> Sum {
        Sum(crc32c::crc32c_append(self.0, &number.to_le_bytes()))
    }

    /// How many, then themselves.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Sum {
        Sum(crc32c::crc32c_append(self.number(bytes.len() as u64).0, bytes))
    }

    /// As it stands in its column.
    pub(crate) fn column(self) -> i64 {
        self.0.into()
    }
}
