//! One worker thread: it adopts connections, answers its share of large volleys in chunks, and closes connections whose
//! time is up.

use crate::clock;
use crate::connection;
use crate::node::Node;
use crate::socket::Socket;
use crate::volley::Writer;
use crate::workers::Inbox;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

/// How often a worker looks for connections whose time is up.
const SWEEP: Duration = Duration::from_millis(250);
/// How many it looks at before it looks after its other work.
const SWEEP_CHUNK: usize = 4096;

/// All connections of this worker; the gone ones are forgotten at each sweep.
type Connections = Rc<RefCell<Vec<Weak<Socket>>>>;

/// Runs until the server has drained.
pub fn run(worker: usize, node: &Arc<Node>, inbox: Inbox, mut stopped: watch::Receiver<bool>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let connections = Connections::default();
    let local = tokio::task::LocalSet::new();
    local.spawn_local(adopt(worker, node.clone(), inbox.connections, connections.clone()));
    local.spawn_local(answer(node.clone(), inbox.volleys));
    local.spawn_local(sweep(node.clone(), connections.clone()));
    runtime.block_on(local.run_until(async {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }));
    Ok(())
}

async fn adopt(
    worker: usize,
    node: Arc<Node>,
    mut fresh: UnboundedReceiver<std::net::TcpStream>,
    connections: Connections,
) {
    while let Some(stream) = fresh.recv().await {
        let counted = Counted(node.clone());
        let adopted = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        let Ok(stream) = adopted else { continue };
        let socket = Arc::new(Socket::new(stream, worker));
        connections.borrow_mut().push(Arc::downgrade(&socket));
        // A task of the runtime itself, not of the local set: that costs less memory and no second queue.
        tokio::spawn(async move { connection::serve(&socket, &counted.0).await });
    }
}

/// An open connection; whatever ends it, it is not counted any more.
struct Counted(Arc<Node>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.shared.workers.connections.fetch_sub(1, Relaxed);
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

async fn sweep(node: Arc<Node>, connections: Connections) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let (now_s, draining) = (clock::coarse_s(), node.is_draining());
        let mut at = 0;
        while at < connections.borrow().len() {
            at = sweep_chunk(&mut connections.borrow_mut(), at, now_s, draining);
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
            socket.shut_down();
        }
        at += 1;
    }
    at
}
