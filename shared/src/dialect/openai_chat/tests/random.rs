//! Numbers that look random and are the same in every run.

/// `SplitMix64` (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bound = u64::try_from(bound).expect("a usize fits");
        usize::try_from((z ^ (z >> 31)) % bound).expect("smaller than a usize")
    }

    /// One of `choices`.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// `text` in pieces, some of them empty.
    pub(super) fn cut<'a>(&mut self, mut text: &'a str) -> Vec<&'a str> {
        let mut pieces = Vec::new();
        while !text.is_empty() {
            let piece: usize = text.chars().take(self.below(5)).map(char::len_utf8).sum();
            let (left, right) = text.split_at(piece);
            pieces.push(left);
            text = right;
        }
        pieces
    }
}
