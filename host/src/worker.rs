//! One worker thread: it looks after its bare connections, has hyper serve the others, answers its share of large volleys
//! in chunks, and closes connections whose time is up.

use crate::accept::Fresh;
use crate::bare::Bare;
use crate::clock;
use crate::connection;
use crate::epoll::{READY_MAX, Ready};
use crate::node::Node;
use crate::protocol::client::Leaving;
use crate::reactor;
use crate::socket::{Home, Socket};
use crate::tls::{self, Tls};
use crate::volley::Writer;
use crate::workers::Inbox;
use bytes::Bytes;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

/// How often a worker looks for connections whose time is up.
const SWEEP: Duration = Duration::from_millis(250);
/// How many it looks at before it looks after its other work.
const SWEEP_CHUNK: usize = 4096;

/// What the tasks of a worker share.
struct Worker {
    node: Arc<Node>,
    home: Arc<Home>,
    bare: RefCell<Bare>,
    /// All connections; the gone ones are forgotten at each sweep.
    connections: RefCell<Vec<Weak<Socket>>>,
    /// Polls and streams that leave hyper. Bounded by the connections.
    left: UnboundedSender<(Arc<Socket>, Leaving)>,
}

/// Runs until the server has drained.
pub fn run(worker: usize, node: &Arc<Node>, inbox: Inbox, mut stopped: watch::Receiver<bool>) -> std::io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let home = Home::new(worker, node.shared.workers.connections.clone())?;
    let (left, leaving) = unbounded_channel();
    let worker = Rc::new(Worker {
        node: node.clone(),
        home: Arc::new(home),
        bare: RefCell::default(),
        connections: RefCell::default(),
        left,
    });
    runtime.spawn_local(adopt(worker.clone(), inbox.connections));
    runtime.spawn_local(adopt_tls(worker.clone(), inbox.tls));
    runtime.spawn_local(take_back(worker.clone(), leaving));
    runtime.spawn_local(answer(node.clone(), inbox.volleys));
    runtime.spawn_local(sweep(worker.clone()));
    let looking_after = runtime.spawn_local(look_after(worker));
    runtime.block_on(async {
        tokio::select! {
            ended = looking_after => ended.map_err(std::io::Error::other)?,
            _ = stopped.wait_for(|stopped| *stopped) => Ok(()),
        }
    })
}

async fn adopt(worker: Rc<Worker>, mut fresh: UnboundedReceiver<Fresh>) {
    while let Some(fresh) = fresh.recv().await {
        if let Some(socket) = worker.enlist(fresh) {
            worker.bare.borrow_mut().add(socket, &worker.node);
        }
    }
}

async fn adopt_tls(worker: Rc<Worker>, mut fresh: UnboundedReceiver<(Fresh, Arc<Tls>)>) {
    while let Some((fresh, tls)) = fresh.recv().await {
        if let Some(socket) = worker.enlist(fresh) {
            tokio::task::spawn_local(tls::connection::serve(socket, worker.node.clone(), tls));
        }
    }
}

/// Bare connections have their turns when they are ready, so many at a time: in between everybody else has one.
async fn look_after(worker: Rc<Worker>) -> std::io::Result<()> {
    let epoll = reactor::enter(worker.home.clone(), Interest::READABLE)?;
    let mut ready = Ready::default();
    loop {
        let mut may_be_ready = epoll.readable().await?;
        worker.home.find(&mut ready)?;
        worker.bare.borrow_mut().take_turns(&worker.node, &ready, |socket, bytes| worker.serve(socket, bytes));
        if ready.len() < READY_MAX {
            may_be_ready.clear_ready();
        } else {
            tokio::task::yield_now().await;
        }
    }
}

async fn take_back(worker: Rc<Worker>, mut left: UnboundedReceiver<(Arc<Socket>, Leaving)>) {
    while let Some((socket, leaving)) = left.recv().await {
        let mut bare = worker.bare.borrow_mut();
        match leaving {
            Leaving::Poll(poll) => bare.add_with(socket, &poll, &worker.node),
            Leaving::Stream(call) => bare.add_stream(socket, *call, &worker.node),
        }
    }
}

impl Worker {
    /// A fresh connection, which the sweep looks at from now on. None if the system will not have it.
    fn enlist(&self, fresh: Fresh) -> Option<Arc<Socket>> {
        let is_ready = fresh.stream.set_nonblocking(true).is_ok();
        let socket = Arc::new(Socket::new(fresh, self.home.clone()));
        self.connections.borrow_mut().push(Arc::downgrade(&socket));
        is_ready.then_some(socket)
    }

    /// Has hyper serve what is no plain poll.
    fn serve(&self, socket: Arc<Socket>, bytes: Bytes) {
        let (node, left) = (self.node.clone(), self.left.clone());
        tokio::spawn(async move {
            if let Some(leaving) = connection::serve(socket.clone(), &node, bytes).await {
                // It fails only when the worker ends.
                let _ = left.send((socket, leaving));
            }
        });
    }
}

/// Answers polls of large volleys, a chunk at a time: between two chunks everybody else has a turn.
async fn answer(node: Arc<Node>, mut volleys: UnboundedReceiver<Vec<crate::pid::Pid>>) {
    let shared = &node.shared;
    let mut writer = Writer::default();
    while let Some(pids) = volleys.recv().await {
        let begun = Instant::now();
        for chunk in pids.chunks(shared.limits.volley_chunk_pids_max as usize) {
            for pid in chunk {
                writer.fire(&shared.sessions, &shared.limits, *pid);
            }
            tokio::task::yield_now().await;
        }
        shared.metrics.worker_volley.add_ns(begun.elapsed().as_nanos() as u64);
    }
}

async fn sweep(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let (now_s, draining) = (clock::coarse_s(), worker.node.is_draining());
        let mut at = 0;
        while at < worker.connections.borrow().len() {
            at = sweep_chunk(&mut worker.connections.borrow_mut(), at, now_s, draining);
            tokio::task::yield_now().await;
        }
    }
}

/// From there on; where the next chunk begins.
fn sweep_chunk(connections: &mut Vec<Weak<Socket>>, from: usize, now_s: u32, draining: bool) -> usize {
    let mut at = from;
    for _ in 0..SWEEP_CHUNK.min(connections.len() - from) {
        let Some(socket) = connections[at].upgrade() else {
            // The last one takes its place and is looked at next.
            connections.swap_remove(at);
            continue;
        };
        if socket.expired(now_s) || (draining && socket.is_idle()) {
            socket.time_is_up();
        }
        at += 1;
    }
    at
}
