//! The streams of one HTTP/2 connection, as far as its time goes: a connection on which nothing is asked is idle, one that
//! owes an answer is to take some of it within `write_ms`, and on one whose polls wait nothing is hurried.

use crate::limits::Limits;
use crate::places::{Places, Reserved};
use crate::socket::Socket;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

/// Requests over HTTP/2. The bound is the process's, as memory is.
static REQUESTS: Places = Places::new();

/// How many requests over HTTP/2 are being served.
pub fn requests_now() -> u64 {
    REQUESTS.taken()
}

/// Those of one connection.
pub(super) struct Streams {
    socket: Arc<Socket>,
    limits: Arc<Limits>,
    open: Cell<u32>,
    /// Those of them whose answer is on its way.
    answering: Cell<u32>,
    /// A coarse second, and how many requests the peer has taken back in it.
    resets: Cell<(u32, u64)>,
}

/// One of them, until its answer is on its way altogether.
pub(super) struct Stream {
    of: Rc<Streams>,
    is_answering: bool,
    _place: Reserved<'static>,
}

impl Streams {
    /// None yet.
    pub(super) fn of(socket: Arc<Socket>, limits: Arc<Limits>) -> Rc<Self> {
        let streams =
            Self { socket, limits, open: Cell::default(), answering: Cell::default(), resets: Cell::default() };
        streams.settle();
        Rc::new(streams)
    }

    /// A further one; none when there are too many on all connections.
    pub(super) fn begin(self: &Rc<Self>) -> Option<Stream> {
        let place = REQUESTS.reserve(1, self.limits.h2_requests_max)?;
        self.open.update(|open| open + 1);
        self.settle();
        Some(Stream { of: self.clone(), is_answering: false, _place: place })
    }

    fn settle(&self) {
        if self.answering.get() > 0 {
            self.socket.responding_until(Limits::second_in(self.limits.write_ms));
        } else if self.open.get() > 0 {
            self.socket.never_expire();
        } else {
            self.socket.idle_until(Limits::second_in(self.limits.idle_ms));
        }
    }

    /// The peer has taken a request back. Each costs us more than it costs the peer, so that many are a flood.
    fn reset(&self) {
        let now = crate::clock::coarse_s();
        let (second, count) = self.resets.get();
        let count = if second == now { count + 1 } else { 1 };
        self.resets.set((now, count));
        if count > self.limits.h2_resets_per_s_max {
            self.socket.shut_down();
        }
    }
}

impl Stream {
    /// Its answer, or more of it, leaves.
    pub(super) fn answers(&mut self) {
        if !std::mem::replace(&mut self.is_answering, true) {
            self.of.answering.update(|answering| answering + 1);
        }
        self.of.settle();
    }

    /// All that there is of its answer has left for h2; the rest comes when it comes, as in a stream of events.
    pub(super) fn waits(&mut self) {
        if std::mem::replace(&mut self.is_answering, false) {
            self.of.answering.update(|answering| answering - 1);
        }
        self.of.settle();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.of.open.update(|open| open - 1);
        if self.is_answering {
            self.of.answering.update(|answering| answering - 1);
        } else {
            self.of.reset();
        }
        self.of.settle();
    }
}
