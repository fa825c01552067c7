//! What stands in a `data` column: bytes as they are, or compressed.
//!
//! ```text
//! | 0 | bytes                       |
//! | 1 | length of the bytes | zstd  |
//! ```

use super::bytes::{Malformed, Reader, put_number};

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

/// How hard to compress.
#[derive(Clone, Copy)]
pub(super) enum Effort {
    /// Of what will soon be packed again, with more beside it. What is short is left as it is.
    Passing,
    /// Of what stays.
    Lasting,
}

impl Effort {
    fn bytes_min(self) -> usize {
        match self {
            Effort::Passing => 1024,
            Effort::Lasting => 64,
        }
    }

    fn level(self) -> i32 {
        match self {
            Effort::Passing => 1,
            Effort::Lasting => 6,
        }
    }
}

/// The longest that bytes can be, unpacked; SQLite's own limit for what is packed.
const BYTES_MAX: usize = 1_000_000_000;

pub(super) fn pack(bytes: &[u8], effort: Effort) -> Vec<u8> {
    let compressed = (bytes.len() >= effort.bytes_min())
        .then(|| zstd::bulk::compress(bytes, effort.level()).ok())
        .flatten()
        .filter(|compressed| compressed.len() + 8 < bytes.len());
    let Some(compressed) = compressed else { return [&[PLAIN], bytes].concat() };
    let mut packed = Vec::with_capacity(compressed.len() + 8);
    packed.push(ZSTD);
    put_number(&mut packed, bytes.len() as u64);
    packed.extend(compressed);
    packed
}

/// The bytes that were packed; those which are plain are given to `read` as they lie there.
///
/// # Errors
/// They were not packed so, or what `read` says.
pub(super) fn unpack<T>(
    packed: &[u8],
    read: impl FnOnce(&[u8]) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    let mut reader = Reader(packed);
    match reader.byte()? {
        PLAIN => read(reader.0),
        ZSTD => {
            let len = usize::try_from(reader.number()?).ok().filter(|len| *len <= BYTES_MAX);
            let len = len.ok_or(Malformed("it is too long"))?;
            let bytes = zstd::bulk::decompress(reader.0, len);
            let bytes = bytes.ok().filter(|bytes| bytes.len() == len);
            read(&bytes.ok_or(Malformed("it cannot be decompressed"))?)
        }
        _ => Err(Malformed("it is packed in no known way")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive() {
        for len in [0, 1, 63, 64, 1023, 1024, 100_000] {
            let bytes: Vec<u8> = (0..len).map(|at| (at / 7) as u8).collect();
            for effort in [Effort::Passing, Effort::Lasting] {
                let packed = pack(&bytes, effort);
                assert!(packed.len() <= bytes.len() + 1);
                assert_eq!(unpack(&packed, |again| Ok(again.to_vec())), Ok(bytes.clone()));
                if len > 100 {
                    assert!(
                        unpack(&packed[..packed.len() - 1], |again| Ok(again == bytes)) != Ok(true)
                    );
                }
            }
        }
    }
}
