//! How answers look to people: aligned columns, short versions, ages, sizes. Nothing that a terminal obeys gets through.

use crate::http_client::plain;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// Of a version so much is shown; commands take as little as 6.
const VERSION_DIGITS: usize = 12;
/// Of a value in a column so much is shown.
const CELL_CHARS: usize = 60;

/// Rows below their heads. The last column may be as wide as it likes.
pub(crate) struct Columns {
    rows: Vec<Vec<String>>,
}

impl Columns {
    /// With these heads.
    pub(crate) fn of<const N: usize>(heads: [&str; N]) -> Self {
        Self { rows: vec![heads.map(plain).to_vec()] }
    }

    /// One more row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into_iter().map(|cell| plain(&cell)).collect());
    }

    /// The rows as lines, or these words when there is none.
    pub(crate) fn text(&self, none: &str) -> String {
        if self.rows.len() == 1 {
            return format!("{none}\n");
        }
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.rows[0].len()).map(width).collect();
        self.rows.iter().fold(String::new(), |mut text, row| {
            let line = row.iter().zip(&widths).fold(String::new(), |mut line, (cell, width)| {
                let _ = write!(line, "{cell:<width$}  ");
                line
            });
            let _ = writeln!(text, "{}", line.trim_end());
            text
        })
    }
}

/// Writes to stdout.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    say_bytes(text.as_bytes())
}

/// Writes to stdout, to the letter but for the end of the last line.
pub(super) fn say_bytes(text: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text)?;
    if !text.is_empty() && !text.ends_with(b"\n") {
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// `sha256:0123456789ab`, without what goes without saying.
pub(crate) fn version(version: &str) -> String {
    plain(digits(version)).chars().take(VERSION_DIGITS).collect()
}

/// A version without the name of its hash.
pub(super) fn digits(version: &str) -> &str {
    version.strip_prefix("sha256:").unwrap_or(version)
}

/// The same, or a dash.
pub(super) fn version_or_none(of: Option<&String>) -> String {
    of.map_or_else(|| "-".into(), |of| version(of))
}

/// A size.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", units[unit])
}

/// A time that a call took.
pub(crate) fn micros(us: Option<f64>) -> String {
    match us {
        None => "-".into(),
        Some(us) if us < 1e3 => format!("{us:.0} us"),
        Some(us) if us < 1e6 => format!("{:.1} ms", us / 1e3),
        Some(us) => format!("{:.1} s", us / 1e6),
    }
}

/// How long ago that was.
pub(super) fn age(at_ms: u64) -> String {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let seconds = now_ms.saturating_sub(at_ms) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A point in time, in UTC.
pub(super) fn time(at_ms: u64) -> String {
    let time = i64::try_from(at_ms).ok().and_then(chrono::DateTime::from_timestamp_millis);
    time.map_or_else(|| at_ms.to_string(), |time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

/// A JSON value for a column: nothing for null, the text of a text, and a long one cut.
pub(super) fn value(value: &Value) -> String {
    let whole = match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match whole.char_indices().nth(CELL_CHARS) {
        Some((at, _)) => format!("{}...", &whole[..at]),
        None => whole,
    }
}

/// `1 row`, `2 rows`.
pub(crate) fn count(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_line_up_and_say_when_there_is_nothing() {
        let mut columns = Columns::of(["NAME", "SIZE"]);
        assert_eq!(columns.text("no rows"), "no rows\n");
        columns.row(["a".into(), "1".into()]);
        columns.row(["longer é".into(), "\u{1b}[2J".into()]);
        assert_eq!(columns.text(""), "NAME      SIZE\na         1\nlonger é  \u{fffd}[2J\n");
    }

    #[test]
    fn numbers_are_read_by_people() {
        let sizes = [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_300_000, "1.2 MiB"), (5 << 40, "5.0 TiB")];
        for (number, text) in sizes {
            assert_eq!(bytes(number), text);
        }
        let times = [(None, "-"), (Some(12.0), "12 us"), (Some(1_500.0), "1.5 ms"), (Some(2e6), "2.0 s")];
        for (us, text) in times {
            assert_eq!(micros(us), text);
        }
        assert_eq!(age(0).split(' ').next_back(), Some("d"));
        assert_eq!(age(u64::MAX), "0 s");
        assert_eq!(time(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!((count(1, "row"), count(0, "row")), ("1 row".into(), "0 rows".into()));
    }

    #[test]
    fn a_version_is_short_and_a_value_fits() {
        assert_eq!(version("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(value(&json!(null)), "-");
        assert_eq!(value(&json!("é".repeat(100))).chars().count(), CELL_CHARS + 3);
        assert_eq!(value(&json!({"a": 1})), "{\"a\":1}");
    }
}
