//! Falsifies what was seen or done, so that the audit can be seen to notice.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;

use super::books::{Books, Fate, Stay};
use super::member::post;
use super::wire::Wire;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Inject {
    /// One received message is not in the books
    Lose,
    /// One is there twice
    Double,
    /// Two of them are swapped
    Reorder,
    /// A publisher is told of one recipient too many
    Miscount,
    /// An accepted publish is taken for refused
    Phantom,
    /// A session is left open
    Leak,
}

/// So many messages make a middle.
const RECEIPTS_MIN: usize = 8;

impl Inject {
    pub(super) fn falsify(self, books: &mut Books) {
        match self {
            Self::Lose => {
                let stay = busy_stay(books);
                stay.receipts.remove(stay.receipts.len() / 2);
            }
            Self::Double => {
                let stay = busy_stay(books);
                let middle = stay.receipts.len() / 2;
                let again = stay.receipts[middle];
                stay.receipts.insert(middle + 1, again);
            }
            Self::Reorder => {
                let stay = busy_stay(books);
                let middle = stay.receipts.len() / 2;
                stay.receipts.swap(middle, middle + 1);
            }
            Self::Miscount | Self::Phantom => {
                let key = {
                    let stay = busy_stay(books);
                    stay.receipts[stay.receipts.len() / 2].key
                };
                let publish = books.publishes.iter_mut().find(|publish| publish.key == key).expect("it was published");
                publish.fate = match publish.fate {
                    Fate::Accepted { event, recipients } if self == Self::Miscount => {
                        // More than all who may have been there.
                        Fate::Accepted { event, recipients: recipients + 1000 }
                    }
                    _ => Fate::Never,
                };
            }
            Self::Leak => {}
        }
    }
}

/// A session that received a lot on one topic, without gaps.
fn busy_stay(books: &mut Books) -> &mut Stay {
    let busy = |stay: &&mut Stay| !stay.witness && stay.gaps.is_empty() && stay.receipts.len() >= RECEIPTS_MIN;
    books.stays.iter_mut().find(busy).expect("somebody received something")
}

/// A session that is kept alive by somebody who has forgotten it.
pub(super) struct Leak {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Leak {
    pub(super) fn of(inject: Option<Inject>, server: SocketAddrV4) -> Result<Option<Self>> {
        if inject != Some(Inject::Leak) {
            return Ok(None);
        }
        let mut wire = Wire::open(server, 0)?;
        wire.send(&post("/v1/sessions", "", "{}"))?;
        let opened: serde_json::Value = serde_json::from_slice(&wire.answer()?.body)?;
        let token = opened["session"].as_str().unwrap_or_default();
        let request = format!("GET /v1/poll?wait=0 HTTP/1.1\r\nHost: soak\r\nVolley-Session: {token}\r\n\r\n");
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        let thread = thread::spawn(move || {
            while !told.load(Relaxed) && wire.send(request.as_bytes()).and_then(|()| wire.answer()).is_ok() {
                thread::sleep(Duration::from_millis(100));
            }
        });
        Ok(Some(Self { over, thread: Some(thread) }))
    }
}

impl Drop for Leak {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
