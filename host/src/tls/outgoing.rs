//! An answer on its way into an HTTP/2 connection: a frame at a time, so that a peer that reads slowly makes h2 keep one
//! frame of it, and so that progress is seen.

use super::streams::Stream;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A body, and the stream that it leaves by.
pub(super) struct Outgoing<B> {
    body: B,
    /// What the body has given and has not left.
    rest: Bytes,
    /// None for an answer that is none of a stream of ours.
    stream: Option<Stream>,
}

impl<B> Outgoing<B> {
    /// None of it has left.
    pub(super) fn new(body: B, mut stream: Option<Stream>) -> Self {
        if let Some(stream) = &mut stream {
            stream.answers();
        }
        Self { body, rest: Bytes::new(), stream }
    }
}

/// The bytes of one frame, and what h2 keeps of one stream.
pub(super) const FRAME_BYTES_MAX: usize = 16 << 10;

impl<B: Body<Data = Bytes> + Unpin> Body for Outgoing<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.rest.is_empty() {
            let Poll::Ready(given) = Pin::new(&mut self.body).poll_frame(context) else {
                if let Some(stream) = &mut self.stream {
                    stream.waits();
                }
                return Poll::Pending;
            };
            match given {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        if let Some(stream) = &mut self.stream {
            stream.answers();
        }
        let length = self.rest.len().min(FRAME_BYTES_MAX);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
