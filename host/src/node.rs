//! The node: sessions and plugins put together. Events go from here into lanes; sessions end here.

use crate::addresses::Proxies;
use crate::auth::Auth;
use crate::auth::tickets::Tickets;
use crate::clock;
use crate::event::{Answer, Event, Happening, Reply, Unrouted};
use crate::guard::Grant;
use crate::idempotency::{Key, Keys, Publisher, Seen};
use crate::metrics::Denied;
use crate::pid::Pid;
use crate::protocol::answer::Ending;
use crate::protocol::cors::Cors;
use crate::rates::Rates;
use crate::routes::Routes;
use crate::session::{ExitReason, Session};
use crate::sessions::Due;
use crate::shared::Shared;
use crate::tally::Tally;
use crate::timers::Timer;
use crate::topic::Topic;
use crate::volley::Writer;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use tokio::sync::oneshot;

/// What serves clients and operators.
pub struct Node {
    /// What outlives plugins and connections.
    pub shared: Arc<Shared>,
    /// Which plugin routes which topic.
    pub routes: ArcSwap<Routes>,
    /// Which pages of a browser may call.
    pub cors: Cors,
    /// Who may come in.
    pub auth: Arc<Auth>,
    /// What stands for a session where no header can.
    pub tickets: Tickets,
    /// How often somebody may call.
    pub rates: Rates,
    /// Who may say whose address counts.
    pub proxies: Proxies,
    /// Whether the chat page is at `/`.
    pub serves_demo: bool,
    /// How many sessions users have.
    pub user_sessions: Tally<Arc<str>>,
    keys: Arc<Keys>,
    draining: AtomicBool,
    /// How long a client is told to stay away, at most.
    retry_ms_max: AtomicU64,
}

/// Who causes an event.
#[derive(Clone, Debug, Default)]
pub struct Sender {
    /// Its session; none for a back-end that publishes without one.
    pub pid: Option<Pid>,
    /// The session's user.
    pub user: Option<Arc<str>>,
    /// What its token or its key allows; everything without one.
    pub grant: Option<Arc<Grant>>,
}

impl Sender {
    /// A session.
    pub fn session(pid: Pid, session: &Session) -> Self {
        let grant = session.guard.as_ref().and_then(|guard| guard.grant.clone());
        Self { pid: Some(pid), user: session.user.clone(), grant }
    }

    /// A back-end with a key.
    pub fn back_end(grant: Arc<Grant>) -> Self {
        Self { grant: Some(grant), ..Self::default() }
    }

    fn publisher(&self) -> Publisher {
        match (self.pid, self.grant.as_ref().and_then(|grant| grant.key.clone())) {
            (Some(pid), _) => Publisher::Session(pid),
            (None, Some(key)) => Publisher::Key(key),
            (None, None) => Publisher::Anybody,
        }
    }
}

impl Node {
    /// Puts it together.
    pub fn new(shared: Arc<Shared>, routes: Routes, cors: Cors) -> Self {
        Self {
            keys: Arc::new(Keys::new(shared.limits.clone())),
            auth: Arc::new(Auth::off()),
            tickets: Tickets::default(),
            rates: Rates::new(&shared.limits),
            proxies: Proxies::default(),
            serves_demo: false,
            user_sessions: Tally::default(),
            shared,
            routes: ArcSwap::from_pointee(routes),
            cors,
            draining: AtomicBool::new(false),
            retry_ms_max: AtomicU64::new(0),
        }
    }

    /// With doors: who may come in, and who may say whose address counts.
    #[must_use]
    pub fn with_doors(self, auth: Arc<Auth>, proxies: Proxies) -> Self {
        Self { auth, proxies, ..self }
    }

    /// With the chat page, or without.
    #[must_use]
    pub fn with_demo(self, serves_demo: bool) -> Self {
        Self { serves_demo, ..self }
    }

    /// Has an event routed and waits for what becomes of it.
    pub async fn submit(&self, topic: Topic, sender: Sender, what: Happening) -> Answer {
        let (tell, told) = oneshot::channel();
        self.submit_to(Reply::to(move |answer| drop(tell.send(answer))), topic, sender, what);
        told.await.unwrap_or(Err(Unrouted::Draining))
    }

    /// Has an event routed; what becomes of it is told through `reply`. What its sender may not do reaches no rule.
    pub fn submit_to(&self, reply: Reply, topic: Topic, sender: Sender, what: Happening) {
        if let Err(refused) = self.check(&sender, &what, &topic) {
            return reply.send(Err(refused));
        }
        self.offer(self.event(topic, sender, what, reply));
    }

    /// The same under an idempotency key. The answer is remembered even if the client does not wait for it.
    pub async fn submit_once(&self, key: String, topic: Topic, sender: Sender, what: Happening) -> Answer {
        self.check(&sender, &what, &topic)?;
        let ticket = match self.keys.see(Key { publisher: sender.publisher(), topic: topic.clone(), key }) {
            Seen::Answered(routed) => return Ok(routed),
            Seen::InFlight(told) => return told.await.unwrap_or(Err(Unrouted::Draining)),
            Seen::Never(ticket) => ticket,
        };
        let (tell, told) = oneshot::channel();
        let reply = Reply::to(move |answer| {
            ticket.answer(&answer);
            drop(tell.send(answer));
        });
        self.offer(self.event(topic, sender, what, reply));
        told.await.unwrap_or(Err(Unrouted::Draining))
    }

    /// Whether the sender may do that; if not, what it is told.
    fn check(&self, sender: &Sender, what: &Happening, topic: &Topic) -> Result<(), Unrouted> {
        let checked = sender.grant.as_ref().map_or(Ok(()), |grant| grant.check(what, topic));
        checked.inspect_err(|_| _ = self.shared.metrics.denials.of(Denied::Topic).inc())
    }

    fn event(&self, topic: Topic, sender: Sender, what: Happening, reply: Reply) -> Event {
        let (id, time_ms) = (self.shared.event_ids.next(), clock::unix_ms());
        Event { id, topic, sender: sender.pid, user: sender.user, time_ms, what, reply }
    }

    /// Queues an event; if that can't be, its reply says why.
    fn offer(&self, event: Event) {
        if self.is_draining() {
            return event.reply.send(Err(Unrouted::Draining));
        }
        self.routes.load().offer(event);
    }

    /// Ends a session; false when there was none.
    pub fn end_session(&self, pid: Pid, reason: ExitReason) -> bool {
        let Some(session) = self.shared.sessions.end(pid) else { return false };
        self.session_over(pid, *session, reason, &mut Writer::default());
        true
    }

    /// A session has ended: it leaves its groups, its poll is told, and its exits are routed, one for each topic.
    fn session_over(&self, pid: Pid, session: Session, reason: ExitReason, writer: &mut Writer) {
        self.shared.groups.exit(pid);
        if let Some(parked) = session.parked {
            writer.end(parked, Ending::SessionOver, &self.shared.limits);
        }
        let routes = self.routes.load();
        for topic in session.topics {
            let sender = Sender { pid: Some(pid), user: session.user.clone(), grant: None };
            let exit = self.event(topic, sender, Happening::Exit(reason), Reply::nobody());
            if let Err(exit) = routes.offer_reserved(exit) {
                self.shared.subscriptions.remove(&exit.topic, pid);
            }
        }
    }

    /// Does what has come due: ends polls that have waited long enough, keeps streams alive, and ends sessions that nobody asks for; trims
    /// mailboxes when all together are too large. To be called every now and then from one thread.
    pub fn tick(&self, writer: &mut Writer) {
        self.shared.sessions.come_due(clock::now_ms(), |due| match due {
            Due::Poll(pid, parked) => writer.wait_is_over(&self.shared.sessions, &self.shared.limits, pid, parked),
            Due::Linger(pid, session) => self.session_over(pid, *session, ExitReason::Timeout, writer),
        });
        let dropped = self.shared.sessions.relieve();
        if dropped > 0 {
            tracing::warn!(
                dropped,
                "all mailboxes together were too large (mailboxes_bytes_max): the fattest are trimmed"
            );
        }
    }

    /// Turns a timer into an event.
    pub fn fire(&self, timer: Timer) {
        let Timer { plugin, topic, data } = timer;
        let bytes = data.len();
        let shared = self.shared.clone();
        let routes = self.routes.load();
        if routes.plugin(&topic).is_none_or(|routing| *routing.name() != plugin) {
            tracing::warn!(%plugin, %topic, "a timer is dropped: its topic is not routed by the plugin that set it");
            return shared.timers.routed(&plugin, bytes);
        }
        let reply = Reply::to(move |_| shared.timers.routed(&plugin, bytes));
        let event = self.event(topic, Sender::default(), Happening::Timer(data), reply);
        // It was routed a moment ago, and a timer that comes too late is as good as cancelled.
        let _ = routes.offer_reserved(event);
    }

    /// Whether the server is going down.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// From here on nothing new is taken on, and clients are told to stay away for a random time up to this.
    pub fn begin_drain(&self, retry_ms_max: u64) {
        self.retry_ms_max.store(retry_ms_max, Relaxed);
        self.draining.store(true, Relaxed);
    }

    /// No stream goes on from here: one that is being written to ends then.
    pub fn close_streams(&self) {
        self.shared.sessions.close_streams(self.retry_ms_max.load(Relaxed));
    }

    /// Ends a session's poll or stream because the server is going down; it gets what there is for it.
    pub fn end_parked(&self, pid: Pid) {
        Writer::default().fire(&self.shared.sessions, &self.shared.limits, pid);
        if let Some(parked) = self.shared.sessions.unpark_any(pid) {
            let retry_ms = rand::random_range(0..=self.retry_ms_max.load(Relaxed));
            Writer::default().end(parked, Ending::Draining { retry_ms }, &self.shared.limits);
        }
    }
}
