//! Reads one HTTP/1.1 response out of a growing run of bytes. Only what the measured servers send: a status line,
//! headers, and a body of `Content-Length` bytes.

use anyhow::{Context as _, Result, bail, ensure};

/// A server that sends a longer head is broken; without a bound its bytes would pile up here.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Above the largest poll answer that Volley gives (1 MiB of messages).
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Response<'a> {
    pub(crate) status: u16,
    pub(crate) head: &'a str,
    pub(crate) body: &'a [u8],
}

impl<'a> Response<'a> {
    /// The value of a header, in the spelling in which servers write it.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        let named = |line: &&'a str| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        let line = self.head.split("\r\n").filter(named).find_map(|line| line[name.len()..].strip_prefix(':'))?;
        Some(line.trim())
    }

    /// The error that an unexpected status is, with the server's own words.
    pub(crate) fn unexpected(&self, what: &str) -> anyhow::Error {
        let shown = &self.body[..self.body.len().min(400)];
        anyhow::anyhow!("{what} was answered {}: {}", self.status, String::from_utf8_lossy(shown))
    }
}

/// What a run of bytes holds so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed<'a> {
    /// Not all of it; pointless to look again below this many bytes.
    Incomplete {
        bytes_at_least: usize,
    },
    Complete(Response<'a>),
}

/// Parses `bytes` as exactly one response. Bytes after its end are an error: nobody asked for them.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed<'_>> {
    let (parsed, rest) = parse_first(bytes, "HTTP/1.1 ")?;
    ensure!(rest.is_empty(), "{} bytes after the end of a response", rest.len());
    Ok(parsed)
}

/// Parses the first response of that version, and tells what follows it.
pub(crate) fn parse_first<'a>(bytes: &'a [u8], version: &str) -> Result<(Parsed<'a>, &'a [u8])> {
    let Some(head_length) = find(bytes, b"\r\n\r\n") else {
        ensure!(bytes.len() <= HEAD_BYTES_MAX, "a response head of over {HEAD_BYTES_MAX} bytes");
        return Ok((Parsed::Incomplete { bytes_at_least: bytes.len() + 1 }, &[]));
    };
    let head = std::str::from_utf8(&bytes[..head_length]).context("a response head that is not ASCII")?;
    let (status, body_length) = parse_head(head, version)?;
    let body_start = head_length + 4;
    let end = body_start + body_length;
    if bytes.len() < end {
        return Ok((Parsed::Incomplete { bytes_at_least: end }, &[]));
    }
    Ok((Parsed::Complete(Response { status, head, body: &bytes[body_start..end] }), &bytes[end..]))
}

fn parse_head(head: &str, version: &str) -> Result<(u16, usize)> {
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .strip_prefix(version)
        .and_then(|rest| rest.get(..3)?.parse::<u16>().ok())
        .with_context(|| format!("not a status line of {version}: {status_line:?}"))?;
    let mut body_length = None;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            bail!("not a header line: {line:?}");
        };
        if name.eq_ignore_ascii_case("content-length") {
            let length: usize = value.trim().parse().context("a bad Content-Length")?;
            ensure!(length <= BODY_BYTES_MAX, "a body of over {BODY_BYTES_MAX} bytes");
            body_length = Some(length);
        }
    }
    match body_length {
        Some(length) => Ok((status, length)),
        None if status == 204 => Ok((status, 0)),
        None => bail!("a {status} response without Content-Length"),
    }
}

/// Where `needle` starts in `bytes`. The runs searched here are a few hundred bytes, so this is not clever.
pub(crate) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nDate: x\r\ncontent-LENGTH: 5\r\n\r\nhello";

    #[test]
    fn is_complete_at_the_last_byte_and_never_before() {
        for length in 0..WHOLE.len() {
            let Parsed::Incomplete { bytes_at_least } = parse(&WHOLE[..length]).unwrap() else {
                panic!("complete after {length} bytes");
            };
            assert!(bytes_at_least > length && bytes_at_least <= WHOLE.len());
        }
        let Parsed::Complete(whole) = parse(WHOLE).unwrap() else { panic!("incomplete") };
        assert_eq!((whole.status, whole.body), (200, &b"hello"[..]));
        assert_eq!((whole.header("Content-Length"), whole.header("Dat")), (Some("5"), None));
    }

    #[test]
    fn knows_how_much_is_missing_once_it_has_the_head() {
        let head = &WHOLE[..WHOLE.len() - 5];
        let needs = Parsed::Incomplete { bytes_at_least: WHOLE.len() };
        assert_eq!(parse(head).unwrap(), needs);
    }

    #[test]
    fn takes_no_content_for_an_empty_body() {
        let empty = Response { status: 204, head: "HTTP/1.1 204 No Content", body: b"" };
        let parsed = parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        assert_eq!(parsed, Parsed::Complete(empty));
    }

    #[test]
    fn refuses_what_it_would_misread() {
        let bad: [&[u8]; 6] = [
            b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 2\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1",
        ];
        for bytes in bad {
            assert!(parse(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn tells_what_follows() {
        let both = [WHOLE, b"HTTP/1.1 204"].concat();
        let (Parsed::Complete(first), rest) = parse_first(&both, "HTTP/1.1 ").unwrap() else { panic!("incomplete") };
        assert_eq!((first.body, rest), (&b"hello"[..], &b"HTTP/1.1 204"[..]));
    }

    #[test]
    fn bounds_a_head_that_never_ends() {
        assert!(parse(&vec![b'x'; HEAD_BYTES_MAX + 1]).is_err());
    }
}
