//! Chance that can be played again.

/// Numbers that look random: `SplitMix64`.
pub struct Dice(u64);

impl Dice {
    /// The numbers that follow from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// The next of these, which are some.
    pub fn one_of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let chosen = self.below(items.len() as u64);
        &items[usize::try_from(chosen).expect("below a length")]
    }

    /// Other numbers, for somebody else.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self(self.below(u64::MAX))
    }
}
