//! A request's query: parameters that may come once, percent-encoding, and what a poll asks with. What is wrong is told
//! in words.

/// What a poll asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The messages after this one.
    pub cursor: Option<u64>,
    /// To be answered after this time at the latest.
    pub wait_ms: Option<u64>,
}

/// Of the query and of the header `Volley-Cursor`.
pub fn asked(query: Option<&str>, cursor_header: Option<&str>) -> Result<Asked, String> {
    let cursor = cursor(parameter(query, "cursor")?, cursor_header)?;
    let wait_ms = wait_ms(parameter(query, "wait")?)?;
    Ok(Asked { cursor, wait_ms })
}

/// What a stream begins after: the header `Last-Event-ID` wins, since a browser asks with the same URL again.
pub fn stream_cursor(
    query: Option<&str>,
    cursor_header: Option<&str>,
    last: Option<&str>,
) -> Result<Option<u64>, String> {
    match last.filter(|last| !last.is_empty()) {
        Some(last) => number(last).map(Some),
        None => cursor(parameter(query, "cursor")?, cursor_header),
    }
}

fn cursor(parameter: Option<&str>, header: Option<&str>) -> Result<Option<u64>, String> {
    let Some(text) = parameter.or(header) else { return Ok(None) };
    if parameter.is_some() && header.is_some() && parameter != header {
        return Err("the cursor of the query and that of the header differ".into());
    }
    number(text).map(Some)
}

fn number(text: &str) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.ok_or_else(|| "a cursor is a whole number from 0 on".into())
}

/// Seconds, perhaps with a fraction.
fn wait_ms(text: Option<&str>) -> Result<Option<u64>, String> {
    let Some(text) = text else { return Ok(None) };
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let seconds: Option<f64> = if plain { text.parse().ok() } else { None };
    let seconds = seconds.ok_or("wait is a number of seconds from 0 on")?;
    Ok(Some((seconds * 1000.0) as u64))
}

/// A parameter's text as it stands, not decoded; twice is once too often. Unknown ones are ignored.
pub fn parameter<'a>(query: Option<&'a str>, name: &str) -> Result<Option<&'a str>, String> {
    let mut values = query.into_iter().flat_map(|query| query.split('&')).filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    });
    let value = values.next();
    if values.next().is_some() {
        return Err(format!("the parameter {name} is there more than once"));
    }
    Ok(value)
}

/// A parameter with `%XX` and `+` decoded.
pub fn decoded_parameter(query: Option<&str>, name: &str) -> Result<Option<Vec<u8>>, String> {
    let Some(text) = parameter(query, name)? else { return Ok(None) };
    percent_decoded(text).map(Some).ok_or_else(|| format!("the parameter {name} has a broken percent-encoding"))
}

/// A piece of a URL, decoded.
pub fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let hex = [bytes.next()?, bytes.next()?];
                let digits = std::str::from_utf8(&hex).ok().filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
                out.push(u8::from_str_radix(digits, 16).ok()?);
            }
            other => out.push(other),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_once() {
        assert_eq!(parameter(Some("a=1&b=2"), "b").unwrap(), Some("2"));
        assert_eq!(parameter(Some("a&ab=2"), "a").unwrap(), Some(""));
        assert_eq!(parameter(None, "a").unwrap(), None);
        assert!(parameter(Some("a=1&a=1"), "a").is_err());
    }

    #[test]
    fn percent_encoding() {
        assert_eq!(percent_decoded("a%2fb+c%00"), Some(b"a/b c\0".to_vec()));
        for broken in ["%", "%2", "%zz", "%+1"] {
            assert_eq!(percent_decoded(broken), None, "{broken}");
        }
    }

    #[test]
    fn cursors() {
        assert_eq!(cursor(Some("17"), None).unwrap(), Some(17));
        assert_eq!(cursor(None, Some("17")).unwrap(), Some(17));
        assert_eq!(cursor(Some("17"), Some("17")).unwrap(), Some(17));
        assert_eq!(cursor(None, None).unwrap(), None);
        assert!(cursor(Some("17"), Some("18")).is_err());
        for bad in ["", "-1", "+1", "1.0", "x", "18446744073709551616", "%31"] {
            assert!(cursor(Some(bad), None).is_err(), "{bad}");
        }
    }

    #[test]
    fn waits() {
        assert_eq!(wait_ms(Some("0")).unwrap(), Some(0));
        assert_eq!(wait_ms(Some("2.5")).unwrap(), Some(2500));
        assert_eq!(wait_ms(Some(&"9".repeat(400))).unwrap(), Some(u64::MAX));
        assert_eq!(wait_ms(None).unwrap(), None);
        for bad in ["", "-1", "1e3", "inf", "NaN", ".", "1.2.3"] {
            assert!(wait_ms(Some(bad)).is_err(), "{bad}");
        }
    }
}
