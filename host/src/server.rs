//! The server from start to drain: who listens, which threads there are, and how it goes down.
//!
//! Data plane: the accept threads, the workers that serve connections, the lanes that route, the thread that ends what has
//! waited long enough. Control plane: this runtime, with the admin listener and the timers; nothing that happens to
//! clients keeps operators out.

use crate::accept::{self, Acceptor, Entrance};
use crate::admin_token;
use crate::auth::Auth;
use crate::config::{Config, Data};
use crate::data::Disk;
use crate::deadlines::TICK_MS;
use crate::deploy::Deployer;
use crate::memory::{self, Counts};
use crate::node::Node;
use crate::plugin::Alarm;
use crate::protocol::admin::{self, Door, Live, Operators};
use crate::routes::Routes;
use crate::shared::Shared;
use crate::tables::{Changes, Keeping, Unwritten};
use crate::tls::renewal::Renewal;
use crate::volley::Writer;
use crate::watch::Watch;
use crate::worker;
use crate::workers::{Inbox, Workers};
use crate::write_behind::WriteBehind;
use anyhow::Context as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::RecvTimeoutError;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;

/// Connections to the admin listener at once; a further one waits.
const ADMIN_CONNECTIONS_MAX: usize = 64;
/// An admin connection that has not sent a head by then is closed.
const ADMIN_HEAD: Duration = Duration::from_secs(10);
/// A drain ends this many polls a second, so that their clients do not come back all at once.
const DRAINED_POLLS_PER_S: u64 = 10_000;

/// A server that serves.
pub struct Server {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where they connect with TLS.
    pub tls: Option<SocketAddr>,
    /// Where operators connect.
    pub admin: SocketAddr,
    /// Whether clients find the chat page.
    pub serves_demo: bool,
    /// Where operators find their token.
    pub admin_token_file: Option<PathBuf>,
    /// What changes plugins and routes.
    pub deployer: Arc<Deployer>,
    node: Arc<Node>,
    acceptors: Vec<Acceptor>,
    workers: Vec<JoinHandle<std::io::Result<()>>>,
    stop_workers: watch::Sender<bool>,
    write_behind: WriteBehind,
    live: Arc<Live>,
    _ticking: std::sync::mpsc::Sender<()>,
}

impl Server {
    /// Binds, compiles the plugins, warms their lanes and begins to serve. To be called within a local set.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let auth = Arc::new(Auth::start(&config.auth, config.limits.token_leeway_ms)?);
        let listener =
            accept::bind(config.listen, config.backlog).with_context(|| in_use("--listen", config.listen))?;
        let tls_listener = config
            .tls
            .as_ref()
            .map(|tls| accept::bind(tls.listen, config.backlog).with_context(|| in_use("--tls-listen", tls.listen)));
        let tls_listener = tls_listener.transpose()?;
        let admin_listener = TcpListener::bind(config.admin).await.with_context(|| in_use("--admin", config.admin))?;
        let admin = admin_listener.local_addr()?;
        // Before the token is written there: another server may work with the folder.
        let (disk, state) = Disk::open(&config.data, &config.limits)?;
        let disk = Arc::new(disk);
        let admin_token = admin_token::find(&config.admin_token, admin)?;

        let (workers, inboxes) = Workers::new(config.workers);
        let keeping = keeping(&config);
        let unwritten = keeping.unwritten.clone();
        let kept = disk.opened().map_or(Ok(Changes::new()), |folder| folder.tables().load(state.stage))?;
        let shared = Arc::new(Shared::new(0, config.limits.clone(), workers).keeping(keeping, kept));
        let renewal = config.tls.as_ref().map(|tls| Renewal::start(&tls.files, &shared)).transpose()?;
        let write_behind = WriteBehind::start(unwritten, disk.clone(), shared.clone())?;
        let node = Node::new(shared.clone(), Routes::default(), config.cors.clone());
        let node = node.with_doors(auth.clone(), config.trusted_proxies.clone()).with_demo(config.demo);
        let node = Arc::new(node);
        let (alarms, alarmed) = mpsc::unbounded_channel();
        let deployer = Deployer::start(node.clone(), &config, (disk, state), alarms).await?;
        let plugins = node.routes.load().plugins().len() as u64;
        let is_ephemeral = config.data == Data::Off;
        let has_tls = config.tls.is_some();
        let counts = Counts { lanes: plugins * config.lanes as u64, plugins, is_ephemeral, has_tls };
        tracing::info!("memory at most, by the limits: {}", memory::words(&memory::bounds(&shared.limits, &counts)));

        let (stop_workers, stopped) = watch::channel(false);
        let workers = start_workers(inboxes, &node, &stopped)?;
        let door = Door {
            names: config.admin_hosts.clone(),
            token: admin_token.token,
            looks_are_free: admin.ip().is_loopback(),
        };
        auth.watch()?;
        if let Some(folder) = &config.watch {
            spawn_local(Watch::over(folder)?.run(deployer.clone()));
        }
        let live = Arc::new(Live::default());
        spawn_local({
            let (live, node, deployer) = (live.clone(), node.clone(), deployer.clone());
            async move { live.run(node, deployer).await }
        });
        let operators = Operators { node: node.clone(), deployer: deployer.clone(), door, live: live.clone() };
        let operators = Rc::new(operators);
        spawn_local(serve_admin(admin_listener, operators));
        spawn_local(roll_back(deployer.clone(), alarmed));
        spawn_local(fire_timers(node.clone()));
        let ticking = start_ticking(node.clone())?;
        let entrance = Arc::new(Entrance::new(shared, config.trusted_proxies.clone()));
        let mut acceptors = vec![Acceptor::start(listener, config.accept_loops, &entrance, Workers::adopt)?];
        if let Some((listener, renewal)) = tls_listener.zip(renewal) {
            let tls = renewal.tls();
            let hand_over = move |workers: &Workers, fresh| workers.adopt_tls(fresh, tls.clone());
            acceptors.push(Acceptor::start(listener, config.accept_loops, &entrance, hand_over)?);
            spawn_local(renewal.run());
        }
        let admin_token_file = admin_token.file;
        Ok(Self {
            listen: acceptors[0].address,
            tls: acceptors.get(1).map(|acceptor| acceptor.address),
            admin,
            serves_demo: config.demo,
            admin_token_file,
            deployer,
            node,
            acceptors,
            workers,
            stop_workers,
            write_behind,
            live,
            _ticking: ticking,
        })
    }

    /// Goes down gently: nothing new is taken on, parked polls are ended one after the other, what was accepted is
    /// routed and answered. Done within `drain_ms`.
    pub async fn drain(mut self) -> anyhow::Result<()> {
        let shared = self.node.shared.clone();
        let bound = Duration::from_millis(shared.limits.drain_ms);
        let start = Instant::now();
        let left = move || bound.saturating_sub(start.elapsed());
        let polls = shared.sessions.parked();
        let spread = Duration::from_millis(polls * 1000 / DRAINED_POLLS_PER_S).min(bound / 2);
        tracing::info!(polls, connections = shared.workers.connections.load(Relaxed), "draining");
        self.node.begin_drain(1000 + spread.as_millis() as u64);
        self.acceptors.iter_mut().for_each(Acceptor::stop);
        self.live.end(&self.node).await;
        // The lanes first: what was accepted is delivered before the polls that wait for it are ended.
        let node = self.node.clone();
        let finish = tokio::task::spawn_blocking(move || {
            node.routes.load().plugins().iter().for_each(|plugin| plugin.finish());
        });
        if tokio::time::timeout(left().saturating_sub(spread) / 2, finish).await.is_err() {
            tracing::warn!("a plugin did not finish in time (drain_ms); its waiting events are lost");
        }
        self.write_behind.close();
        self.end_polls(spread).await;
        while shared.workers.connections.load(Relaxed) > 0 && !left().is_zero() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.stop_workers.send_replace(true);
        for worker in self.workers {
            worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??;
        }
        while !self.write_behind.is_finished() && !left().is_zero() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if !self.write_behind.is_finished() {
            tracing::error!("what durable tables have changed is not on the disk in time (drain_ms), and is lost");
        }
        tracing::info!(took_ms = start.elapsed().as_millis() as u64, "drained");
        Ok(())
    }

    /// Ends the parked polls and streams, spread over the time.
    async fn end_polls(&self, spread: Duration) {
        self.node.close_streams();
        let mut parked = Vec::new();
        self.node.shared.sessions.walk(0, |pid, session| {
            if session.is_parked() {
                parked.push(pid);
            }
            true
        });
        let chunks = (spread.as_millis() as usize / 10).max(1);
        for chunk in parked.chunks(parked.len().div_ceil(chunks).max(1)) {
            for pid in chunk {
                self.node.end_parked(*pid);
            }
            if !spread.is_zero() {
                tokio::time::sleep(spread / chunks as u32).await;
            }
        }
    }
}

/// What of the tables outlives a restart.
fn keeping(config: &Config) -> Keeping {
    let unwritten = match config.data {
        Data::Off => Unwritten::nowhere(),
        Data::Explicit(_) | Data::PerUser(_) => Unwritten::new(config.limits.unwritten_bytes_max),
    };
    let (durable, synchronous) = (config.durable.tables.clone(), config.durable.synchronous_commit);
    Keeping { unwritten: Arc::new(unwritten), durable, synchronous }
}

fn in_use(flag: &str, address: SocketAddr) -> String {
    format!("can't listen on {address} (choose another address with {flag}; port 0 takes a free one)")
}

fn start_workers(
    inboxes: Vec<Inbox>,
    node: &Arc<Node>,
    stopped: &watch::Receiver<bool>,
) -> std::io::Result<Vec<JoinHandle<std::io::Result<()>>>> {
    let start = |(index, inbox): (usize, Inbox)| {
        let (node, stopped) = (node.clone(), stopped.clone());
        let thread = std::thread::Builder::new().name(format!("worker-{index}"));
        thread.spawn(move || worker::run(index, &node, inbox, stopped))
    };
    inboxes.into_iter().enumerate().map(start).collect()
}

/// Ends what has waited long enough, on a thread of its own: much may come due at once. It ends with the handle.
fn start_ticking(node: Arc<Node>) -> std::io::Result<std::sync::mpsc::Sender<()>> {
    let (handle, ended) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("deadlines".into()).spawn(move || {
        let mut writer = Writer::default();
        while ended.recv_timeout(Duration::from_millis(TICK_MS)) == Err(RecvTimeoutError::Timeout) {
            node.tick(&mut writer);
        }
    })?;
    Ok(handle)
}

async fn fire_timers(node: Arc<Node>) {
    loop {
        let timer = node.shared.timers.next().await;
        node.fire(timer);
    }
}

/// Goes back to the version before where lanes say that one fails too often.
async fn roll_back(deployer: Arc<Deployer>, mut alarmed: mpsc::UnboundedReceiver<Alarm>) {
    while let Some((plugin, generation)) = alarmed.recv().await {
        deployer.roll_back_failing(&plugin, generation).await;
    }
}

async fn serve_admin(listener: TcpListener, operators: Rc<Operators>) {
    let places = Arc::new(tokio::sync::Semaphore::new(ADMIN_CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let operators = operators.clone();
                spawn_local(async move {
                    serve_admin_connection(stream, operators).await;
                    drop(place);
                });
            }
            // Out of file descriptors, most likely.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn serve_admin_connection(stream: TcpStream, operators: Rc<Operators>) {
    let service = service_fn(|request| {
        let operators = operators.clone();
        // In a task of its own: a deploy is done to its end even if whoever asked for it goes away.
        spawn_local(async move { admin::handle(&operators, request).await })
    });
    // The client may have gone; that is no error of ours.
    let _ = http1::Builder::new()
        .timer(hyper_util::rt::TokioTimer::new())
        .header_read_timeout(ADMIN_HEAD)
        .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
        .await;
}
