//! What clients of the TLS listener are told where a plain connection would hear something else.

use crate::protocol::problem::Problem;
use hyper::StatusCode;

/// To one who speaks plain HTTP, or something else.
pub fn wants_tls() -> Problem {
    Problem::bad_request("this listener speaks TLS: the URL begins with https://")
}

/// In place of hyper's own answer to a head that it could not parse, which begins with its status.
pub fn complaint(answer: &[u8]) -> Problem {
    if answer.starts_with(b"HTTP/1.1 431") {
        super::head_too_long()
    } else {
        Problem::bad_request("this is not HTTP/1.1")
    }
}

/// To whoever wants a WebSocket on an HTTP/2 connection, where none was offered (RFC 8441).
pub fn not_over_http2() -> Problem {
    let words = "a WebSocket begins with HTTP/1.1: offer http/1.1 alone for its connection (ALPN), as browsers do";
    Problem::new(StatusCode::NOT_IMPLEMENTED, words)
}

/// To one whose request took longer than it may.
pub fn took_too_long() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "the request took too long (request_ms)")
}

/// To one who comes when too many are being served.
pub fn too_many_requests() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server has as many requests as it may (h2_requests_max)")
}
