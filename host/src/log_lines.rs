//! Lines that rules cause in the server's log: so many a second, and each on one line.

use crate::clock;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Counts lines, second by second.
#[derive(Debug, Default)]
pub struct LogRate {
    second: u32,
    lines: u64,
    dropped: u64,
}

impl LogRate {
    /// Whether one more line may be written in this second; if so, how many were dropped since the last one.
    pub fn admit(&mut self, lines_per_s_max: u64) -> Option<u64> {
        self.admit_at(clock::coarse_s(), lines_per_s_max)
    }

    fn admit_at(&mut self, second: u32, lines_per_s_max: u64) -> Option<u64> {
        if second != self.second {
            (self.second, self.lines) = (second, 0);
        }
        if self.lines >= lines_per_s_max {
            self.dropped += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.dropped))
    }
}

/// What a rule says, with control characters escaped: nobody makes up a line of our log.
pub fn one_line(words: &str) -> Cow<'_, str> {
    if !words.contains(char::is_control) {
        return words.into();
    }
    let mut line = String::with_capacity(words.len() + 8);
    for character in words.chars() {
        if character.is_control() {
            let _ = write!(line, "{}", character.escape_default());
        } else {
            line.push(character);
        }
    }
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_lines_a_second_and_the_rest_is_counted() {
        let mut rate = LogRate::default();
        let admitted: Vec<_> = (0..5).map(|_| rate.admit_at(7, 2)).collect();
        assert_eq!(admitted, [Some(0), Some(0), None, None, None]);
        assert_eq!([rate.admit_at(8, 2), rate.admit_at(8, 2), rate.admit_at(8, 2)], [Some(3), Some(0), None]);
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(one_line("plain – words"), "plain – words");
        assert_eq!(one_line("two\nlines\x1b[31m"), "two\\nlines\\u{1b}[31m");
    }
}
