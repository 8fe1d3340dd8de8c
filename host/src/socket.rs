//! A client's socket. Its worker reads from it, and while a poll is parked one other thread may write the answer straight
//! into it.
//!
//! Who may write is decided elsewhere (whoever removes the parked poll from its session). The result of that write comes
//! back to the socket, never to the session (`report`). Its worker reads no further request until it is told, and finishes
//! a write that would block.

use crate::accept::Fresh;
use crate::epoll::{Epoll, Ready};
use crate::limits::Limits;
use crate::report::{Answered, Report};
use crate::sync::Mutex;
use crate::tally::Place;
use crate::unsent::Unsent;
use socket2::SockRef;
use std::cell::RefCell;
use std::io::{self, ErrorKind::WouldBlock, Read as _, Write as _};
use std::net::{IpAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Waker};

/// Time for a task to say that its connection ends, before it is ended.
const GOODBYE_MS: u64 = 1_000;
/// What one recv takes at most; heads are far smaller, large bodies take several.
pub const RECV_BYTES: usize = 16 << 10;

/// A peer that answers none of so many pings is gone.
const PINGS_UNANSWERED_MAX: u8 = 2;

thread_local! {
    /// Shared by all sockets of a thread, so that no connection keeps a buffer of its own between requests.
    static RECEIVED: RefCell<Box<[u8; RECV_BYTES]>> = RefCell::new(Box::new([0; RECV_BYTES]));
}

/// The worker of a socket, as the socket knows it.
#[derive(Debug)]
pub struct Home {
    /// Which worker.
    worker: usize,
    /// Where its bare sockets are.
    epoll: Epoll,
    /// How many connections are open, of all workers.
    open: Arc<AtomicU64>,
}

impl Home {
    /// Without sockets.
    pub fn new(worker: usize, open: Arc<AtomicU64>) -> io::Result<Self> {
        Ok(Self { worker, epoll: Epoll::new()?, open })
    }

    /// Finds which bare sockets have something to do.
    pub fn find(&self, ready: &mut Ready) -> io::Result<()> {
        self.epoll.find(ready)
    }
}

/// The socket of one connection, shared by its worker and whoever answers its parked poll.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    /// Given back with it.
    _place: Option<Box<Place<IpAddr>>>,
    home: Arc<Home>,
    /// By which the worker's epoll knows it.
    key: AtomicU64,
    /// Coarse second at which the sweep shuts the socket down; zero while its time is not bounded (a parked poll).
    expires_s: AtomicU32,
    phase: AtomicU8,
    /// The last write of hyper did not go through: something is still unflushed.
    blocked: AtomicBool,
    /// Its time was up.
    cut_off: AtomicBool,
    /// Pings that nothing came after.
    pings: AtomicU8,
    /// TLS is spoken on it.
    sealed: AtomicBool,
    report: Report,
    /// The task in which hyper serves it.
    task: Mutex<Option<Waker>>,
}

/// Where a connection is between two requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// The next byte begins a head.
    Idle,
    /// A head is coming in.
    Head,
    /// The request is being served, or a poll is parked.
    Serving,
    /// The response is on its way out.
    Responding,
    /// The response goes on for as long as its peer takes what there is of it.
    Streaming,
}

/// What a look at a readable socket shows.
#[derive(Debug, PartialEq, Eq)]
pub enum Peer {
    /// A false alarm.
    Quiet,
    /// The next request has begun.
    Sends,
    /// It will send nothing more, or is gone.
    Closed,
}

impl Socket {
    /// Of a connection that is counted as open, and that this worker serves.
    pub fn new(Fresh { stream, place }: Fresh, home: Arc<Home>) -> Self {
        Self {
            stream,
            _place: place,
            home,
            key: AtomicU64::new(0),
            expires_s: AtomicU32::new(0),
            phase: AtomicU8::new(Phase::Idle as u8),
            blocked: AtomicBool::new(false),
            cut_off: AtomicBool::new(false),
            pings: AtomicU8::new(0),
            sealed: AtomicBool::new(false),
            report: Report::default(),
            task: Mutex::default(),
        }
    }

    /// The worker thread that serves it.
    pub fn worker(&self) -> usize {
        self.home.worker
    }

    /// It is bare from now on: what happens to it is found in the worker's epoll, under this key.
    pub fn enter(&self, key: u64) -> io::Result<()> {
        self.key.store(key, Relaxed);
        self.home.epoll.add(&self.stream, key)
    }

    /// It is bare no more.
    pub fn leave(&self) {
        // It fails only for a socket that is not there.
        let _ = self.home.epoll.remove(&self.stream);
    }

    /// Has its worker look at it, at once or when it takes what is written.
    pub fn call_again(&self) {
        // It fails only for a socket that is closed or hyper's by now, which nobody calls.
        let _ = self.home.epoll.again(&self.stream, self.key.load(Relaxed));
    }

    /// No request is under way; the sweep shuts the socket down at this coarse second.
    pub fn idle_until(&self, second: u32) {
        self.is_in(Phase::Idle, second);
    }

    /// A request is being served, which shall be over by this coarse second.
    pub fn serving_until(&self, second: u32) {
        self.is_in(Phase::Serving, second);
    }

    /// A poll is parked: the socket may stay open for as long as it likes.
    pub fn never_expire(&self) {
        self.is_in(Phase::Serving, 0);
    }

    /// A stream has begun that its task writes: the socket may stay open for as long as it takes what is written (`wrote`).
    pub fn stream(&self) {
        self.is_in(Phase::Streaming, 0);
    }

    /// A task has written, and something went through or nothing: what is on its way has its time anew, or from now on.
    pub fn wrote(&self, went_through: bool, limits: &Limits) {
        let was_blocked = self.blocked.swap(!went_through, Relaxed);
        if went_through && self.is(Phase::Responding) || !went_through && !was_blocked && self.is(Phase::Streaming) {
            self.expires_s.store(Limits::second_in(limits.write_ms), Relaxed);
        } else if went_through && self.is(Phase::Streaming) {
            self.expires_s.store(0, Relaxed);
        }
    }

    /// A response is on its way, which shall be out by this coarse second.
    pub fn responding_until(&self, second: u32) {
        self.is_in(Phase::Responding, second);
    }

    /// A head is coming in, which shall be whole by this coarse second.
    pub fn receiving_until(&self, second: u32) {
        self.is_in(Phase::Head, second);
    }

    fn is_in(&self, phase: Phase, expires_s: u32) {
        self.phase.store(phase as u8, Relaxed);
        self.expires_s.store(expires_s, Relaxed);
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Relaxed) == phase as u8
    }

    /// Whether its time is up.
    pub fn expired(&self, second: u32) -> bool {
        let expires = self.expires_s.load(Relaxed);
        expires != 0 && expires <= second
    }

    /// Whether it waits for a request.
    pub fn is_idle(&self) -> bool {
        self.is(Phase::Idle)
    }

    /// Whether a response is on its way out.
    pub fn is_responding(&self) -> bool {
        self.is(Phase::Responding)
    }

    /// Tells the peer that nothing more comes.
    pub fn shut_write(&self) {
        // It fails only where the peer was faster.
        let _ = SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write);
    }

    /// TLS is spoken on it from now on: its task alone knows how to say that it ends.
    pub fn seal(&self) {
        self.sealed.store(true, Relaxed);
    }

    /// Whether TLS is spoken on it.
    pub fn is_sealed(&self) -> bool {
        self.sealed.load(Relaxed)
    }

    /// Its time is up: it is shut down. Where TLS is spoken, its task has some time to say goodbye first.
    pub fn time_is_up(&self) {
        if !self.sealed.load(Relaxed) || self.cut_off.swap(true, Relaxed) {
            return self.shut_down();
        }
        self.responding_until(Limits::second_in(GOODBYE_MS));
        let task = self.task.lock().take();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Ends the connection from outside: whoever reads finds the end of the stream, and hyper's task, which may not read, is
    /// woken.
    pub fn shut_down(&self) {
        self.cut_off.store(true, Relaxed);
        // It fails only where the peer was faster.
        let _ = SockRef::from(&self.stream).shutdown(std::net::Shutdown::Both);
        let task = self.task.lock().take();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Whether it was ended from outside; if not, the task is woken when it is.
    pub fn is_cut_off(&self, context: &Context<'_>) -> bool {
        let mut task = self.task.lock();
        if !task.as_ref().is_some_and(|noted| noted.will_wake(context.waker())) {
            *task = Some(context.waker().clone());
        }
        drop(task);
        self.cut_off.load(Relaxed)
    }

    /// The task is done with it. A waker that was kept would keep the task's memory.
    pub fn forget_task(&self) {
        self.task.lock().take();
    }

    /// The address of the peer, asked of the kernel: few need it. None when the connection is over.
    pub fn peer(&self) -> Option<IpAddr> {
        self.stream.peer_addr().ok().map(|peer| peer.ip())
    }

    /// Whether the peer has reset the connection. One that has only ended its side may still read.
    pub fn has_error(&self) -> bool {
        SockRef::from(&self.stream).take_error().is_ok_and(|error| error.is_some())
    }

    /// What the system holds of it while the peer does not receive it: about, since it books twice as much.
    pub fn hold_at_most(&self, bytes: u64) {
        // It fails only for a socket that is gone.
        let _ = SockRef::from(&self.stream).set_send_buffer_size(usize::try_from(bytes).unwrap_or(usize::MAX));
    }

    /// Whether something that hyper wrote has not left yet.
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed)
    }

    /// Takes what has come and shows it; nothing shown is the end of the stream, none a false alarm. One recv is enough: a
    /// short one has read the socket dry, and a full one is no plain poll.
    pub fn receive<R>(&self, see: impl FnOnce(&[u8]) -> R) -> io::Result<Option<R>> {
        RECEIVED.with_borrow_mut(|received| match self.recv(&mut received[..]) {
            Ok(n) => Ok(Some(see(&received[..n]))),
            Err(error) if error.kind() == WouldBlock => Ok(None),
            Err(error) => Err(error),
        })
    }

    /// One recv.
    pub fn recv(&self, space: &mut [u8]) -> io::Result<usize> {
        (&self.stream).read(space)
    }

    /// The first byte that has come, which stays; none at the end of the stream.
    pub fn peek(&self) -> io::Result<Option<u8>> {
        let mut one = [0];
        Ok((self.stream.peek(&mut one)? > 0).then_some(one[0]))
    }

    /// Whether nobody can be answered any more: it was ended from outside, or reset by the peer.
    pub fn is_lost(&self) -> bool {
        self.cut_off.load(Relaxed) || self.has_error()
    }

    /// Looks without taking anything.
    pub fn look(&self) -> Peer {
        let mut one = [std::mem::MaybeUninit::uninit()];
        match SockRef::from(&self.stream).peek(&mut one) {
            Ok(0) => Peer::Closed,
            Ok(_) => Peer::Sends,
            Err(error) if error.kind() == WouldBlock => Peer::Quiet,
            Err(_) => Peer::Closed,
        }
    }

    /// To be called before a poll of this socket is parked.
    pub fn owe(&self) {
        self.report.owe();
    }

    /// The poll was not parked after all, or its own worker took it back: nobody else will write.
    pub fn disown(&self) {
        self.report.disown();
    }

    /// Writes the whole answer of a poll that the caller removed from its session, and reports. Never blocks; what the
    /// socket does not take now its worker finishes.
    pub fn answer(&self, bytes: &[u8], limits: &Limits) {
        let call = self.report.tell(match self.write_now(bytes, limits) {
            Ok(None) => {
                self.idle_until(Limits::second_in(limits.idle_ms));
                Answered::Written
            }
            Ok(Some(rest)) => {
                self.responding_until(Limits::second_in(limits.write_ms));
                Answered::Unfinished(rest)
            }
            Err(_) => Answered::Broken,
        });
        if call {
            self.call_again();
        }
    }

    /// Writes the last words of a stream that the caller removed from its session, and reports.
    pub fn end_stream(&self, bytes: &[u8], limits: &Limits) {
        self.hand_back(self.write_now(bytes, limits).map_or(Answered::Broken, Answered::Over), limits);
    }

    /// Leaves a stream that the caller removed from its session to its worker.
    pub fn hand_back(&self, answered: Answered, limits: &Limits) {
        // The worker may not be called before the socket takes more.
        self.responding_until(Limits::second_in(limits.write_ms));
        // In any case: nothing that the client does would call it.
        let _ = self.report.tell(answered);
        self.call_again();
    }

    /// A ping goes out; false when the peer has answered none of the last two.
    pub fn expect_pong(&self) -> bool {
        self.pings.fetch_add(1, Relaxed) < PINGS_UNANSWERED_MAX
    }

    /// Something came from the peer, so it is there.
    pub fn heard(&self) {
        self.pings.store(0, Relaxed);
    }

    /// How the parked poll was answered, if it was.
    pub fn answered(&self) -> Option<Answered> {
        self.report.look()
    }

    /// The same for a worker that can only wait for the answer: if there is none yet, it is called when there is.
    pub fn await_answer(&self) -> Option<Answered> {
        self.report.wait()
    }

    /// Writes what the socket takes without blocking, and keeps the rest.
    pub fn write_now(&self, bytes: &[u8], limits: &Limits) -> io::Result<Option<Unsent>> {
        match self.write(bytes)? {
            n if n == bytes.len() => Ok(None),
            n => Unsent::keep(&bytes[n..], limits).map(Some).ok_or_else(|| io::ErrorKind::OutOfMemory.into()),
        }
    }

    /// Writes what the socket takes without blocking; how much that is.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match (&self.stream).write(bytes) {
            Err(error) if error.kind() == WouldBlock => Ok(0),
            done => done,
        }
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

impl AsRawFd for Home {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_fd().as_raw_fd()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.home.open.fetch_sub(1, Relaxed);
    }
}
