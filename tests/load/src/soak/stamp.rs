//! What a published text says of itself, so that a receiver can tell which publish it is and that no byte of it has
//! changed.

/// The start of every published text.
const PREFIX: &str = "soak:";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) round: u32,
    pub(super) publisher: u32,
    /// Counts the publishes of a publisher in a round.
    pub(super) number: u32,
    /// How many bytes follow.
    pub(super) padding: usize,
}

impl Stamp {
    /// Unique within a round, and growing for one publisher.
    pub(super) fn key(self) -> u64 {
        u64::from(self.publisher) << 32 | u64::from(self.number)
    }

    /// Without quotes; JSON has nothing to escape in it.
    pub(super) fn text(self) -> String {
        let Self { round, publisher, number, padding } = self;
        format!("{PREFIX}{round}:{publisher}:{number}:{padding}:{:x<padding$}", "")
    }

    /// That of a message's data: of a plain text, or of what somebody said in a chat room. What the rules say of their own
    /// has none.
    pub(super) fn read(data: &str) -> Result<Option<Self>, String> {
        if !data.starts_with("\"soak:") && !data.starts_with("{\"said\":") {
            return Ok(None);
        }
        let text = data.split('"').find(|text| text.starts_with(PREFIX));
        let stamp = text.and_then(|text| {
            let mut numbers = text[PREFIX.len()..].split(':').map_while(|number| number.parse::<u32>().ok());
            let (round, publisher) = (numbers.next()?, numbers.next()?);
            let stamp =
                Self { round, publisher, number: numbers.next()?, padding: numbers.next()? as usize % (1 << 16) };
            (text.len() < PREFIX.len() + 44 + stamp.padding && text == stamp.text()).then_some(stamp)
        });
        stamp.map(Some).ok_or_else(|| format!("data that nobody published: {data:.200}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_back_and_a_changed_byte_is_seen() {
        let stamp = Stamp { round: 3, publisher: 17, number: 4_000_000_000, padding: 9 };
        let text = stamp.text();
        assert_eq!(Stamp::read(&format!("\"{text}\"")), Ok(Some(stamp)));
        assert_eq!(Stamp::read(&format!("{{\"said\":{{\"user\":\"u1\",\"text\":\"{text}\"}}}}")), Ok(Some(stamp)));
        assert_eq!(Stamp::read("{\"welcome\":{\"backlog\":[\"soak:1:2:3:0:\"]}}"), Ok(None));
        for broken in [&text[..text.len() - 1], &text.replace("xx", "xy"), "soak:1:2:3:4294967295:x", "soak:"] {
            assert!(Stamp::read(&format!("\"{broken}\"")).is_err(), "{broken}");
        }
    }
}
