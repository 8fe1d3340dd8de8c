//! The threads that serve client connections: one single-threaded runtime each, so that a connection's work stays on
//! one core and waking its task needs no other thread. This is the handle that accepting and volleys use.

use crate::accept::Fresh;
use crate::pid::Pid;
use crate::tls::Tls;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What reaches a worker from other threads. Both are bounded by what they stand for: connections by
/// `connections_max`, calls by the polls that are parked.
pub struct Inbox {
    /// Fresh connections.
    pub connections: UnboundedReceiver<Fresh>,
    /// Fresh connections to the TLS listener, and what they are offered.
    pub tls: UnboundedReceiver<(Fresh, Arc<Tls>)>,
    /// Sessions of a large volley whose polls are to be answered.
    pub volleys: UnboundedReceiver<Vec<Pid>>,
}

struct Outbox {
    connections: UnboundedSender<Fresh>,
    tls: UnboundedSender<(Fresh, Arc<Tls>)>,
    volleys: UnboundedSender<Vec<Pid>>,
}

/// The workers, as others see them.
pub struct Workers {
    outboxes: Box<[Outbox]>,
    next: AtomicUsize,
    /// Open client connections.
    pub connections: Arc<AtomicU64>,
}

impl Workers {
    /// Handles for so many workers, and what each of them takes.
    pub fn new(count: usize) -> (Self, Vec<Inbox>) {
        let pair = |_| {
            let (connections, connections_in) = unbounded_channel();
            let (tls, tls_in) = unbounded_channel();
            let (volleys, volleys_in) = unbounded_channel();
            (
                Outbox { connections, tls, volleys },
                Inbox { connections: connections_in, tls: tls_in, volleys: volleys_in },
            )
        };
        let (outboxes, inboxes): (Vec<_>, Vec<_>) = (0..count).map(pair).unzip();
        (Self { outboxes: outboxes.into(), next: AtomicUsize::new(0), connections: Arc::default() }, inboxes)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.outboxes.len()
    }

    /// Gives a fresh connection to the next worker in turn.
    pub fn adopt(&self, fresh: Fresh) {
        // It fails only when the server is going down; the connection is closed then.
        let _ = self.next().connections.send(fresh);
    }

    /// The same for one that is to speak TLS.
    pub fn adopt_tls(&self, fresh: Fresh, tls: Arc<Tls>) {
        let _ = self.next().tls.send((fresh, tls));
    }

    fn next(&self) -> &Outbox {
        &self.outboxes[self.next.fetch_add(1, Relaxed) % self.outboxes.len()]
    }

    /// Has a worker answer the polls of these sessions.
    pub fn fire(&self, worker: usize, pids: Vec<Pid>) {
        if !pids.is_empty() {
            let _ = self.outboxes[worker].volleys.send(pids);
        }
    }
}
