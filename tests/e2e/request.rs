//! A request, written down as it shall go over the wire.

use serde_json::Value;

/// A request that is not sent yet.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    pub(crate) fn new(method: &'static str, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), headers: Vec::new(), body: None }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("Volley-Session", token)
    }

    /// The body as it is, without a content type.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub(crate) fn json(self, value: &Value) -> Self {
        self.typed("application/json", value.to_string())
    }

    pub(crate) fn typed(self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.header("Content-Type", content_type).body(body)
    }

    /// As it goes over the wire.
    pub(crate) fn bytes(&self, host: &str) -> Vec<u8> {
        let named = |wanted: &str| self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let chunked = named("transfer-encoding");
        let length = match &self.body {
            Some(body) if !chunked => Some(body.len()),
            None if self.method == "POST" => Some(0),
            _ => None,
        };
        let mut lines = vec![format!("{} {} HTTP/1.1", self.method, self.target)];
        lines.extend((!named("host")).then(|| format!("Host: {host}")));
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        lines.extend(length.map(|length| format!("Content-Length: {length}")));
        let mut bytes = (lines.join("\r\n") + "\r\n\r\n").into_bytes();
        match &self.body {
            Some(body) if chunked => bytes.extend(chunks(body)),
            Some(body) => bytes.extend(body),
            None => {}
        }
        bytes
    }
}

/// The body in chunks of odd sizes.
fn chunks(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in body.chunks(7) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

pub(crate) fn get(target: impl Into<String>) -> Request {
    Request::new("GET", target)
}

pub(crate) fn post(target: impl Into<String>) -> Request {
    Request::new("POST", target)
}

pub(crate) fn put(target: impl Into<String>) -> Request {
    Request::new("PUT", target)
}

pub(crate) fn delete(target: impl Into<String>) -> Request {
    Request::new("DELETE", target)
}
