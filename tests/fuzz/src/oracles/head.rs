//! A request as hyper reads it from memory, with the options that the server gives it.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, HOST, HeaderMap, TRANSFER_ENCODING, UPGRADE};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Version};
use std::cell::RefCell;
use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// What the server looks at in a request.
#[derive(Debug)]
pub(super) struct Head {
    method: Method,
    version: Version,
    path: String,
    pub(super) query: Option<String>,
    headers: HeaderMap,
    has_body: bool,
}

impl Head {
    /// As `poll::can_leave_hyper` and what comes before it.
    pub(super) fn is_plain_poll(&self) -> bool {
        let closes = |value: &hyper::header::HeaderValue| value.to_str().is_ok_and(|text| text.contains("close"));
        self.method == Method::GET
            && self.path == "/v1/poll"
            && self.version == Version::HTTP_11
            && self.headers.contains_key(HOST)
            && !self.headers.contains_key(UPGRADE)
            && !self.headers.get_all(CONNECTION).iter().any(closes)
            && !self.has_body
    }

    /// One to that topic, with a body of that length, on a connection that stays.
    pub(super) fn is_plain_publish(&self, topic: &str, body: &[u8]) -> bool {
        let closes = |value: &hyper::header::HeaderValue| value.to_str().is_ok_and(|text| text.contains("close"));
        self.method == Method::POST
            && self.path == format!("/v1/topics/{topic}/events")
            && self.query.is_none()
            && self.version == Version::HTTP_11
            && self.headers.contains_key(HOST)
            && !self.headers.contains_key(UPGRADE)
            && !self.headers.contains_key(TRANSFER_ENCODING)
            && !self.headers.get_all(CONNECTION).iter().any(closes)
            && self.has_body != body.is_empty()
            && self.header("content-length").is_ok_and(|text| text.is_some_and(|text| text.parse() == Ok(body.len())))
    }

    /// A header that may come once and is plain ASCII.
    pub(super) fn header(&self, name: &str) -> Result<Option<&str>, String> {
        let values: Vec<_> = self.headers.get_all(name).iter().collect();
        match values[..] {
            [] => Ok(None),
            [value] => value.to_str().map(Some).map_err(|error| error.to_string()),
            _ => Err(format!("{name} is there {} times", values.len())),
        }
    }
}

/// The first request in the bytes; it must be the only one.
pub(super) fn read(bytes: &[u8]) -> Result<Head, String> {
    let seen = RefCell::new(Vec::new());
    let service = service_fn(|request: Request<Incoming>| {
        seen.borrow_mut().push(Head {
            method: request.method().clone(),
            version: request.version(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().map(str::to_owned),
            headers: request.headers().clone(),
            has_body: !request.body().is_end_stream(),
        });
        ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    });
    let connection = http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .max_buf_size(16 << 10)
        .serve_connection(Memory(Bytes::copy_from_slice(bytes)), service);
    let mut connection = pin!(connection);
    let served = connection.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    let mut seen = seen.take();
    match (served, seen.len()) {
        (Poll::Ready(Ok(())), 1) => Ok(seen.remove(0)),
        (Poll::Ready(Err(error)), _) => Err(error.to_string()),
        (served, requests) => Err(format!("{requests} requests, {served:?}")),
    }
}

/// Bytes to be read, then the end; what is written is forgotten.
struct Memory(Bytes);

impl Read for Memory {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut to: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let size = self.0.len().min(to.remaining());
        to.put_slice(&self.0.split_to(size));
        Poll::Ready(Ok(()))
    }
}

impl Write for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
