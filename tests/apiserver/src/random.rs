//! UIDs and the like, out of a seed.

/// SplitMix64: small, fast, and good enough for names.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

/// No vowels, so that no words come about.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// What is left of a `generateName` in front of the five letters.
const LONGEST_BASE: usize = 58;

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// A version 4 UUID.
    pub(crate) fn uid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | (low >> 50),
            low & 0xffff_ffff_ffff,
        )
    }

    /// Five letters.
    pub(crate) fn suffix(&mut self) -> String {
        let letter = |at: u64| LETTERS.get(usize::try_from(at).unwrap_or(0)).copied().unwrap_or(b'x');
        (0..5).map(|_| char::from(letter(self.below(27)))).collect()
    }

    /// A name for a `generateName`.
    pub(crate) fn name(&mut self, base: &str) -> String {
        let base = base.char_indices().nth(LONGEST_BASE).map_or(base, |(end, _)| &base[..end]);
        format!("{base}{}", self.suffix())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_look_like_uuids_and_differ() {
        let mut random = Random::new(7);
        let (one, other) = (random.uid(), random.uid());
        assert_ne!(one, other);
        assert_eq!(one.len(), 36, "{one}");
        assert_eq!(&one[14..15], "4");
        assert!("89ab".contains(&one[19..20]), "{one}");
    }

    #[test]
    fn the_same_seed_gives_the_same() {
        assert_eq!(Random::new(1).uid(), Random::new(1).uid());
        assert_ne!(Random::new(1).uid(), Random::new(2).uid());
    }
}
