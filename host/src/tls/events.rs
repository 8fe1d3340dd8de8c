//! Server-sent events over TLS: the body of a response that goes on for as long as its client listens.

use crate::bare;
use crate::consumer::{Consumer, Next};
use crate::limits::Limits;
use crate::node::Node;
use crate::protocol::stream::events_begin;
use crate::unsent::Unsent;
use bytes::Bytes;
use hyper::body::{Body, Frame};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// hyper asks for a part of it when the one before has left for the most part.
pub(super) struct Events {
    /// None once the last words were said.
    consumer: Option<Consumer>,
    has_begun: bool,
    limits: Arc<Limits>,
}

/// Too much waits for slow readers: the stream breaks off, and its messages stay in the mailbox.
#[derive(Debug, thiserror::Error)]
#[error("too much waits for slow readers (unsent_bytes_max)")]
pub(super) struct NoRoom;

impl Events {
    pub(super) fn new(consumer: Consumer, node: &Node) -> Self {
        Self { consumer: Some(consumer), has_begun: false, limits: node.shared.limits.clone() }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = NoRoom;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, NoRoom>>> {
        let Self { consumer, has_begun, limits } = &mut *self;
        let Some(listening) = consumer else { return Poll::Ready(None) };
        if !std::mem::replace(has_begun, true) {
            return Poll::Ready(Some(Ok(Frame::data(events_begin().into()))));
        }
        let (next, kept) = ready!(bare::with_answer(|answer| {
            loop {
                match ready!(listening.poll_next(answer, context)) {
                    Next::Look => {}
                    next => break Poll::Ready((next, Unsent::keep(answer.whole(), limits))),
                }
            }
        }));
        if next == Next::WriteLast {
            *consumer = None;
        }
        Poll::Ready(Some(kept.ok_or(NoRoom).map(|kept| Frame::data(Bytes::from_owner(kept)))))
    }
}
