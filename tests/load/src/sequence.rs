//! Checks the numbers 1, 2, 3 … that one receiver gets from one sender: tells a double from a late one.

/// What a number was, given those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Newer than all before it. What it may have skipped is late, or lost if it never comes.
    Newest,
    /// Not seen before, but something newer was.
    Late,
    Double,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Sequence {
    newest: u32,
    /// Bit n is set when `newest - n` was seen.
    seen: u64,
    /// How many different numbers came.
    pub(crate) distinct: u32,
}

impl Sequence {
    pub(crate) fn take(&mut self, number: u32) -> Verdict {
        if number > self.newest {
            let step = number - self.newest;
            self.seen = self.seen.checked_shl(step).unwrap_or(0) | 1;
            self.newest = number;
            self.distinct += 1;
            return Verdict::Newest;
        }
        let bit = 1_u64.checked_shl(self.newest - number).unwrap_or(0);
        // Older than the window cannot be told apart; as a double it leaves the loss, if it was one, on the books.
        if bit == 0 || self.seen & bit != 0 {
            return Verdict::Double;
        }
        self.seen |= bit;
        self.distinct += 1;
        Verdict::Late
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Double, Late, Newest};

    fn verdicts(numbers: &[u32]) -> (Vec<Verdict>, u32) {
        let mut sequence = Sequence::default();
        let verdicts = numbers.iter().map(|n| sequence.take(*n)).collect();
        (verdicts, sequence.distinct)
    }

    #[test]
    fn in_order() {
        assert_eq!(verdicts(&[1, 2, 3]), (vec![Newest, Newest, Newest], 3));
    }

    #[test]
    fn a_late_one_is_not_lost_and_its_repetition_is_a_double() {
        let expected = vec![Newest, Newest, Late, Double, Double];
        assert_eq!(verdicts(&[1, 3, 2, 2, 3]), (expected, 3));
    }

    #[test]
    fn a_lost_one_is_missing_from_the_distinct() {
        assert_eq!(verdicts(&[1, 3]).1, 2);
    }

    #[test]
    fn jumps_past_the_window() {
        let expected = vec![Newest, Newest, Double, Late];
        assert_eq!(verdicts(&[1, 200, 1, 137]), (expected, 3));
    }
}
