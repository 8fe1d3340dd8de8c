//! What becomes of a request that came over TLS, by whichever HTTP. Nobody but its connection's task can write into an
//! encrypted stream: a poll that waits is held here, and a stream is served by the task.

use super::events::Events;
use crate::consumer::Consumer;
use crate::node::Node;
use crate::protocol::client::{self, Leaving, Reaction};
use crate::protocol::cors;
use crate::session::Form;
use crate::socket::Socket;
use crate::streaming::StreamCall;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// What is sent: a whole answer, or a stream of events.
pub(super) type Body = Either<Full<Bytes>, Events>;

/// A WebSocket that begins once its connection is no more HTTP's.
pub(super) struct Upgrading {
    pub(super) consumer: Consumer,
    pub(super) when: OnUpgrade,
}

/// The answer to a request, and what begins with it.
pub(super) struct Answered {
    pub(super) response: Response<Body>,
    pub(super) upgrading: Option<Upgrading>,
}

/// Serves it, within `request_ms`. Before a poll waits, `waits` is called.
pub(super) async fn react(
    node: &Arc<Node>,
    mut request: Request<Incoming>,
    socket: &Arc<Socket>,
    waits: impl FnOnce(),
) -> Answered {
    let bound = Duration::from_millis(node.shared.limits.request_ms);
    let upgrade = hyper::upgrade::on(&mut request);
    // In a box of its own, which goes with it: a poll that waits is not to carry the room that other calls need.
    let reply = match Box::pin(timeout(bound, client::handle(node, request, socket))).await {
        Ok(Reaction::Respond(reply)) => reply,
        Ok(Reaction::Hold(held)) => {
            waits();
            // hyper lets go of this when the peer is gone.
            held.answered(pending()).await
        }
        Ok(Reaction::Leave(Leaving::Stream(call))) => return begin(node, *call, upgrade),
        Ok(Reaction::Leave(Leaving::Poll(_))) => unreachable!("on a sealed socket polls are held"),
        Err(_) => client::took_too_long().response(),
    };
    Answered { response: reply.map(Either::Left), upgrading: None }
}

fn begin(node: &Arc<Node>, call: StreamCall, upgrade: OnUpgrade) -> Answered {
    let StreamCall { pid, cursor, form, head, owed, .. } = call;
    match (Consumer::begin(&node.shared, pid, cursor, form), form) {
        (Ok(consumer), Form::Events) => {
            Answered { response: head.map(|()| Either::Right(Events::new(consumer, node))), upgrading: None }
        }
        (Ok(consumer), Form::WebSocket) => Answered {
            response: head.map(|()| Either::Left(Full::default())),
            upgrading: Some(Upgrading { consumer, when: upgrade }),
        },
        (Err(why), _) => {
            let mut reply = client::not_begun(why).response();
            if let Some(allowed) = &owed.cors {
                cors::add(&mut reply, allowed);
            }
            Answered { response: reply.map(Either::Left), upgrading: None }
        }
    }
}
