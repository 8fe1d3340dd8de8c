//! The server live: server-sent events, a picture each second. All who look get the same one, rendered once; who reads
//! slowly gets the newest and misses some.

use super::{Operators, Streamed};
use crate::deploy::Deployer;
use crate::event::Unrouted;
use crate::live::{EVERY, Observer};
use crate::node::Node;
use crate::onlookers::Onlooker;
use crate::protocol::http;
use crate::protocol::problem::Problem;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// After this time a reader that has lost its stream may come back.
const RETRY: &[u8] = b"retry: 2000\n\n";
/// The last words when the server goes down.
const END: &[u8] = b"event: end\ndata: {\"reason\":\"the server is going down\"}\n\n";
/// A reader may ask for a picture every so many seconds.
const SECONDS_MAX: u64 = 60;
/// So long the last words may take.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What all who look get.
pub struct Live {
    started: Instant,
    came: Notify,
    now: watch::Sender<Now>,
}

/// The newest picture.
#[derive(Clone)]
enum Now {
    /// None yet.
    Nothing,
    /// As an event.
    Picture(Bytes),
    /// There will be no further one.
    Over,
}

impl Default for Live {
    fn default() -> Self {
        Self { started: Instant::now(), came: Notify::new(), now: watch::Sender::new(Now::Nothing) }
    }
}

impl Live {
    /// Takes pictures for as long as somebody looks; to be run beside the listener.
    pub async fn run(&self, node: Arc<Node>, deployer: Arc<Deployer>) {
        loop {
            self.came.notified().await;
            let mut observer = Observer::new(node.clone(), deployer.clone(), self.started);
            let mut next = tokio::time::Instant::now();
            while node.shared.onlookers.any() {
                let snapshot = serde_json::to_string(&observer.look().await).expect("our own types are JSON");
                let picture = Now::Picture(format!("data: {snapshot}\n\n").into());
                if !self.now.send_if_modified(|now| replace(now, picture)) {
                    return;
                }
                next = (next + EVERY).max(tokio::time::Instant::now());
                tokio::time::sleep_until(next).await;
            }
            // Whoever comes next is not shown what was a while ago.
            self.now.send_if_modified(|now| replace(now, Now::Nothing));
        }
    }

    /// Ends all streams, because the server goes down; returns when they have had their last words.
    pub async fn end(&self, node: &Node) {
        self.now.send_replace(Now::Over);
        let since = Instant::now();
        while node.shared.onlookers.any() && since.elapsed() < LAST_WORDS {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// What is over stays so.
fn replace(now: &mut Now, by: Now) -> bool {
    let goes_on = !matches!(now, Now::Over);
    if goes_on {
        *now = by;
    }
    goes_on
}

/// A reader's place in the stream.
struct Reader {
    now: watch::Receiver<Now>,
    every: u64,
    /// Pictures that are let pass before the next one is sent.
    passes: u64,
    step: Step,
    _place: Onlooker,
}

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Begins,
    Looks,
    Ends,
}

/// `?every=SECONDS`, from 1 to [`SECONDS_MAX`].
pub(super) fn live(operators: &Operators, query: Option<&str>) -> Result<Streamed, Problem> {
    let every = match http::parameter(query, "every")?.map(str::parse::<u64>) {
        None => 1,
        Some(Ok(seconds)) if (1..=SECONDS_MAX).contains(&seconds) => seconds,
        Some(_) => return Err(Problem::bad_request(format!("every is a number of seconds from 1 to {SECONDS_MAX}"))),
    };
    let Operators { node, live, .. } = operators;
    if node.is_draining() {
        return Err(Unrouted::Draining.into());
    }
    let place = node.shared.onlookers.admit(node.shared.limits.live_streams_max).ok_or_else(|| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "as many operators watch live as may (live_streams_max)")
    })?;
    let mut now = live.now.subscribe();
    // What is there already counts as new.
    now.mark_changed();
    live.came.notify_one();
    let reader = Reader { now, every, passes: 0, step: Step::Begins, _place: place };
    let body = StreamBody::new(stream::unfold(reader, async |mut reader| {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(event)), reader))
    }));
    let mut response = Response::new(body.boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

impl Reader {
    async fn next(&mut self) -> Option<Bytes> {
        match self.step {
            Step::Begins => {
                self.step = Step::Looks;
                return Some(Bytes::from_static(RETRY));
            }
            Step::Looks => {}
            Step::Ends => return None,
        }
        loop {
            self.now.changed().await.ok()?;
            let now = self.now.borrow_and_update().clone();
            match now {
                Now::Nothing => {}
                Now::Picture(_) if self.passes > 0 => self.passes -= 1,
                Now::Picture(picture) => {
                    self.passes = self.every - 1;
                    return Some(picture);
                }
                Now::Over => {
                    self.step = Step::Ends;
                    return Some(Bytes::from_static(END));
                }
            }
        }
    }
}
