//! Decisions that a seed repeats: every step of an actor draws from a generator of its own, so that what one step needed
//! does not shift the next.

pub(super) struct Random(u64);

impl Random {
    /// Depends on all of these, and on nothing else.
    pub(super) fn of(parts: &[u64]) -> Self {
        let mut random = Self(0);
        for part in parts {
            random.0 ^= part;
            random.0 = random.next();
        }
        random
    }

    /// `SplitMix64`.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// One of these, as often as its weight says.
    pub(super) fn weighted<T: Copy>(&mut self, list: &[(usize, T)]) -> T {
        let mut left = self.below(list.iter().map(|(weight, _)| weight).sum());
        for (weight, item) in list {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *item,
            }
        }
        unreachable!("the weights have a sum")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_a_step_stands_alone() {
        let draws = |parts: &[u64]| {
            let mut random = Random::of(parts);
            (0..4).map(|_| random.next()).collect::<Vec<_>>()
        };
        assert_eq!(draws(&[7, 1, 2]), draws(&[7, 1, 2]));
        assert_ne!(draws(&[7, 1, 2]), draws(&[7, 2, 1]));
    }

    #[test]
    fn weights_are_kept() {
        let mut random = Random::of(&[1]);
        let ones = (0..10_000).filter(|_| random.weighted(&[(3, 1), (1, 2), (0, 3)]) == 1).count();
        assert!((7_300..7_700).contains(&ones), "{ones}");
    }
}
