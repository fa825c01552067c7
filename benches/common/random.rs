//! Numbers that look random.

/// Numbers that look random and are the same on every run (S. Vigna's SplitMix64).
#[allow(dead_code, reason = "not every benchmark has use for chance")]
pub struct Random(u64);

#[allow(dead_code, reason = "not every benchmark has use for chance")]
impl Random {
    pub fn new() -> Random {
        Random(1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}
