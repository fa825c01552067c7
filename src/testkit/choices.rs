//! Numbers to choose by, wherever they come from.

use proptest::prelude::*;

/// Where numbers come from: proptest's [`Tape`]s, a random number generator and a fuzzer's bytes all
/// serve. The choice 0 is always the simplest one, so that a shrunk tape gives a case that a person can
/// read.
pub trait Choices {
    /// The next 32 bits; 0 without end where there are no more.
    fn next(&mut self) -> u32;
}

impl dyn Choices + '_ {
    /// A number below `bound`, and 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound.max(1)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        // Not 0, which is the simplest choice.
        self.below(times) == times - 1
    }

    /// One of some items. There is at least one.
    pub fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }

    /// The next 64 bits.
    pub fn next_64(&mut self) -> u64 {
        u64::from(self.next()) << 32 | u64::from(self.next())
    }
}

/// S. Vigna's splitmix64: the same numbers for a seed, on every machine.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Choices for Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 32) as u32
    }
}

/// Numbers that proptest chose. It shrinks towards zeros and towards nothing, which reads as zeros.
#[derive(Debug, Clone)]
pub struct Tape(std::vec::IntoIter<u32>);

impl Choices for Tape {
    fn next(&mut self) -> u32 {
        self.0.next().unwrap_or(0)
    }
}

/// A tape of up to 64 numbers.
pub fn tape() -> impl Strategy<Value = Tape> + Clone + Send + Sync {
    prop::collection::vec(any::<u32>(), 0..64).prop_map(|numbers| Tape(numbers.into_iter()))
}
