//! The server from start to drain: who listens, which threads there are, and how it goes down.
//!
//! Data plane: the accept thread, the workers that serve connections, the lanes that route, the thread that ends what has
//! waited long enough. Control plane: this runtime, with the admin listener and the timers; nothing that happens to
//! clients keeps operators out.

use crate::accept::{self, Acceptor};
use crate::admin_token;
use crate::bundled;
use crate::config::{Config, Source};
use crate::deadlines::TICK_MS;
use crate::memory::{self, Counts};
use crate::mount::Mount;
use crate::node::Node;
use crate::protocol::admin::{self, Door};
use crate::router::{Engine, Mounted, Rule};
use crate::routes::{Route, Routes};
use crate::shared::Shared;
use crate::volley::Writer;
use crate::worker;
use crate::workers::{Inbox, Workers};
use anyhow::Context as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
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
    /// Where operators connect.
    pub admin: SocketAddr,
    /// Where operators find their token.
    pub admin_token_file: Option<PathBuf>,
    node: Arc<Node>,
    acceptor: Acceptor,
    workers: Vec<JoinHandle<std::io::Result<()>>>,
    stop_workers: watch::Sender<bool>,
    _ticking: mpsc::Sender<()>,
}

impl Server {
    /// Binds, compiles the plugins, warms their lanes and begins to serve. To be called within a local set.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let listener = accept::bind(config.listen).with_context(|| in_use("--listen", config.listen))?;
        let admin_listener = TcpListener::bind(config.admin).await.with_context(|| in_use("--admin", config.admin))?;
        let admin = admin_listener.local_addr()?;
        let admin_token = admin_token::find(&config.admin_token, admin)?;

        let (workers, inboxes) = Workers::new(config.workers);
        let shared = Arc::new(Shared::new(0, config.limits.clone(), workers));
        let routes = mount(&config, &shared)?;
        let mounts = routes.mounts();
        let plugins: BTreeSet<Arc<str>> = mounts.iter().map(|mount| mount.plugin()).collect();
        let counts = Counts { lanes: (mounts.len() * config.lanes) as u64, plugins: plugins.len() as u64 };
        tracing::info!("memory at most, by the limits: {}", memory::words(&memory::bounds(&shared.limits, &counts)));
        let node = Arc::new(Node::new(shared.clone(), routes, config.cors.clone()));

        let (stop_workers, stopped) = watch::channel(false);
        let workers = start_workers(inboxes, &node, &stopped)?;
        let token = admin_token.token.filter(|_| !admin.ip().is_loopback());
        let door = Arc::new(Door { names: config.admin_hosts.clone(), token });
        spawn_local(serve_admin(admin_listener, node.clone(), door));
        spawn_local(fire_timers(node.clone()));
        let ticking = start_ticking(node.clone())?;
        let acceptor = Acceptor::start(listener, shared)?;
        let listen = acceptor.address;
        let admin_token_file = admin_token.file;
        Ok(Self { listen, admin, admin_token_file, node, acceptor, workers, stop_workers, _ticking: ticking })
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
        self.acceptor.stop();
        // The lanes first: what was accepted is delivered before the polls that wait for it are ended.
        let node = self.node.clone();
        let finish = tokio::task::spawn_blocking(move || {
            node.routes.load().mounts().iter().for_each(|mount| mount.finish());
        });
        if tokio::time::timeout(left().saturating_sub(spread) / 2, finish).await.is_err() {
            tracing::warn!("a plugin did not finish in time (drain_ms); its waiting events are lost");
        }
        self.end_polls(spread).await;
        while shared.workers.connections.load(Relaxed) > 0 && !left().is_zero() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.stop_workers.send_replace(true);
        for worker in self.workers {
            worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??;
        }
        tracing::info!(took_ms = start.elapsed().as_millis() as u64, "drained");
        Ok(())
    }

    /// Ends the parked polls, spread over the time.
    async fn end_polls(&self, spread: Duration) {
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

fn in_use(flag: &str, address: SocketAddr) -> String {
    format!("can't listen on {address} (choose another address with {flag}; port 0 takes a free one)")
}

/// Compiles each plugin that a route names, once, and starts a mount for each of its configs.
fn mount(config: &Config, shared: &Arc<Shared>) -> anyhow::Result<Routes> {
    let engine = Engine::new(&config.limits)?;
    let rules = compile_all(&engine, config)?;
    let mut mounts: BTreeMap<(&str, &str), Arc<Mount>> = BTreeMap::new();
    let mut rows = Vec::new();
    for route in &config.routes {
        let name = route.plugin.as_str();
        let mount = match mounts.entry((name, route.config.as_str())) {
            Entry::Occupied(mount) => mount.get().clone(),
            Entry::Vacant(place) => {
                let mounted = Mounted { plugin: name.into(), config: route.config.clone(), rule: rules[name].clone() };
                place.insert(Arc::new(Mount::start(mounted, config.lanes, shared)?)).clone()
            }
        };
        rows.push(Route { topics: route.topics.clone(), mount });
    }
    Ok(Routes::new(rows))
}

/// Side by side: it is nearly all of a start.
fn compile_all<'a>(engine: &Engine, config: &'a Config) -> anyhow::Result<BTreeMap<&'a str, Arc<Rule>>> {
    let names: BTreeSet<&str> = config.routes.iter().map(|route| route.plugin.as_str()).collect();
    std::thread::scope(|scope| {
        let compiling: Vec<_> = names
            .into_iter()
            .map(|name| (name, scope.spawn(move || compile(engine, name, &config.plugins[name]))))
            .collect();
        let compiled = compiling.into_iter().map(|(name, thread)| {
            let rule = thread.join().map_err(|_| anyhow::anyhow!("the compiler panicked on {name:?}"))??;
            Ok((name, Arc::new(rule)))
        });
        compiled.collect()
    })
}

fn compile(engine: &Engine, name: &str, source: &Source) -> anyhow::Result<Rule> {
    let start = Instant::now();
    let (component, from) = match source {
        Source::Bundled => (bundled::component(name).context("not bundled")?.to_vec(), "the binary".to_owned()),
        Source::File(path) => {
            let from = path.display().to_string();
            (std::fs::read(path).with_context(|| format!("can't read {from}"))?, from)
        }
    };
    let rule = engine.compile(&component).map_err(|mismatches| {
        anyhow::anyhow!("the plugin {name:?} from {from} can't be mounted:\n  {}", mismatches.join("\n  "))
    })?;
    tracing::info!(
        plugin = name,
        version = rule.short_version(),
        from,
        ms = start.elapsed().as_millis() as u64,
        "compiled"
    );
    Ok(rule)
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
fn start_ticking(node: Arc<Node>) -> std::io::Result<mpsc::Sender<()>> {
    let (handle, ended) = mpsc::channel();
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

async fn serve_admin(listener: TcpListener, node: Arc<Node>, door: Arc<Door>) {
    let places = Arc::new(tokio::sync::Semaphore::new(ADMIN_CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (node, door) = (node.clone(), door.clone());
                spawn_local(async move {
                    serve_admin_connection(stream, node, door).await;
                    drop(place);
                });
            }
            // Out of file descriptors, most likely.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn serve_admin_connection(stream: TcpStream, node: Arc<Node>, door: Arc<Door>) {
    let service = service_fn(|request| {
        let reply = admin::handle(&node, &door, &request);
        async move { Ok::<_, Infallible>(reply) }
    });
    // The client may have gone; that is no error of ours.
    let _ = http1::Builder::new()
        .timer(hyper_util::rt::TokioTimer::new())
        .header_read_timeout(ADMIN_HEAD)
        .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
        .await;
}
