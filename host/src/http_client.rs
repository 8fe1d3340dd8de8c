//! HTTP as the command line speaks it to a server: one base URL, answers of bounded size, and what went wrong in words.

use reqwest::header::{ETAG, HeaderMap};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::time::Duration;

/// A server that is there accepts a connection within this time.
const CONNECT: Duration = Duration::from_secs(5);
/// No answer is larger: a page of a table that is full of large values, with room to spare.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Speaks to one server.
#[derive(Clone)]
pub struct HttpClient {
    http: reqwest::Client,
    base: Url,
}

/// What a server answered to a call that it did.
pub struct Answer {
    /// 2xx.
    pub status: StatusCode,
    /// What the version of the answer is called, to change only what was seen.
    pub etag: Option<String>,
    /// To the letter.
    pub body: Vec<u8>,
}

/// Why a call was not done.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody answered, or the answer broke off.
    #[error("can't reach {url}: {why}")]
    Unreachable {
        /// Whom we called.
        url: String,
        /// The innermost reason.
        why: String,
    },
    /// The server said no.
    #[error("{0}")]
    Refused(Refusal),
    /// The server is another than we think.
    #[error("{url} answers with something else than Volley does: {why}; is the address right?")]
    Strange {
        /// Whom we called.
        url: String,
        /// What is odd.
        why: String,
    },
}

/// A problem (RFC 9457) as the server told it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, in words.
    pub detail: String,
    /// In what a component does not fit the contract.
    pub mismatches: Vec<String>,
}

impl HttpClient {
    /// For the server at this address.
    pub fn new(base: Url) -> anyhow::Result<Self> {
        // One provider a process; that there is one already is no fault.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A redirect could carry the token elsewhere.
        let builder = reqwest::Client::builder().connect_timeout(CONNECT).redirect(reqwest::redirect::Policy::none());
        let builder = if is_loopback(&base) { builder.no_proxy() } else { builder };
        Ok(Self { http: builder.build()?, base })
    }

    fn name(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    /// A call, to be completed and sent.
    pub fn request(&self, method: Method, path: &[&str], query: &str) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        self.http.request(method, url)
    }

    /// Sends it; the answer is still to be read.
    pub async fn open(&self, request: RequestBuilder) -> Result<Response, CallError> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.body(response).await?;
        Err(self.refused(status, &headers, &body))
    }

    /// Sends it and reads all of the answer.
    pub async fn call(&self, request: RequestBuilder) -> Result<Answer, CallError> {
        let response = self.open(request).await?;
        let status = response.status();
        let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let body = self.body(response).await?;
        Ok(Answer { status, etag, body })
    }

    /// What an answer says, as that type.
    pub fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, CallError> {
        serde_json::from_slice(&answer.body)
            .map_err(|error| CallError::Strange { url: self.name(), why: error.to_string() })
    }

    /// The next bytes of an answer that is still coming; none at its end.
    pub async fn more(&self, response: &mut Response) -> Result<Option<bytes::Bytes>, CallError> {
        response.chunk().await.map_err(|error| self.unreachable(&error))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, CallError> {
        let mut body = Vec::new();
        while let Some(some) = self.more(&mut response).await? {
            if body.len() + some.len() > ANSWER_BYTES_MAX {
                let why = format!("an answer of more than {ANSWER_BYTES_MAX} bytes");
                return Err(CallError::Strange { url: self.name(), why });
            }
            body.extend_from_slice(&some);
        }
        Ok(body)
    }

    fn unreachable(&self, error: &reqwest::Error) -> CallError {
        let why = if error.is_timeout() { "no answer in time".into() } else { innermost(error).to_string() };
        CallError::Unreachable { url: self.name(), why }
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> CallError {
        let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        match serde_json::from_slice::<Refusal>(body) {
            Ok(mut refusal) if kind.starts_with("application/problem+json") => {
                refusal.status = status.as_u16();
                CallError::Refused(refusal)
            }
            _ => CallError::Strange { url: self.name(), why: format!("HTTP {status}, and no words") },
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&plain(&self.detail))?;
        // One that is the whole of it has been said.
        let said = |mismatch: &&String| self.mismatches.len() > 1 || **mismatch != self.detail;
        self.mismatches.iter().filter(said).try_for_each(|mismatch| write!(f, "\n  - {}", plain(mismatch)))
    }
}

impl CallError {
    /// The status with which the server refused; none when it was no refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            Self::Unreachable { .. } | Self::Strange { .. } => None,
        }
    }
}

/// The error that the others were made from, which says most.
pub fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost
}

/// A value as a part of a query.
pub fn encoded(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, b| {
        if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
            text.push(char::from(b));
        } else {
            let _ = write!(text, "%{b:02X}");
        }
        text
    })
}

/// Whether it is this machine, which no proxy has to be asked for.
pub fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

/// Text of others without what a terminal obeys or what turns the writing round: names of users and the words of rules
/// come from outside.
pub fn plain(text: &str) -> String {
    let obeyed = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if obeyed(c) { '\u{fffd}' } else { c }).collect()
}

/// The same of text that may have several lines.
pub fn plain_lines(text: &str) -> String {
    text.split('\n').map(|line| plain(&line.replace('\t', "    "))).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_segment_each_and_keeps_what_stands_before_it() {
        let client = HttpClient::new("http://localhost:1/below/".parse().unwrap()).unwrap();
        let request = client.request(Method::GET, &["a", "<0.1.2>", "x/y?"], "after=%FF").build().unwrap();
        assert_eq!(request.url().as_str(), "http://localhost:1/below/a/%3C0.1.2%3E/x%2Fy%3F?after=%FF");
    }

    proptest::proptest! {
        /// The server reads what was meant.
        #[test]
        fn a_value_of_a_query_survives(value: String) {
            let query = format!("a=b&value={}&c=d", encoded(&value));
            let read = crate::protocol::http::decoded_parameter(Some(&query), "value").expect("a query");
            proptest::prop_assert_eq!(read.unwrap_or_default(), value.into_bytes());
        }
    }

    #[test]
    fn a_terminal_is_told_nothing() {
        assert_eq!(plain("a\u{1b}[2Jb\n\u{9b}c\u{202e}"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\u{fffd}");
        assert_eq!(plain_lines("a\u{1b}[2Jb\n\tc\r"), "a\u{fffd}[2Jb\n    c\u{fffd}");
    }

    #[test]
    fn loopback_is_known_by_all_its_names() {
        for url in ["http://127.0.0.1:9090", "http://127.8.0.1", "http://localhost", "https://[::1]:9"] {
            assert!(is_loopback(&url.parse().unwrap()), "{url}");
        }
        for url in ["http://10.0.0.1", "http://localhost.example", "https://[2001:db8::1]"] {
            assert!(!is_loopback(&url.parse().unwrap()), "{url}");
        }
    }
}
