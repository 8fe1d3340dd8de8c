//! The bundled rules as live rule and as candidate, under the load of several lanes.

use super::*;
use crate::event::Payload;
use crate::limits::Limits;
use crate::pid::Pid;
use crate::router::Engine;
use crate::topic::Topic;
use crate::workers::Workers;
use rand::Rng as _;
use rand::seq::IndexedRandom as _;

const LANES: usize = 4;
const ROOMS: [&str; 2] = ["chat.a", "chat.b"];
const USERS: [&str; 4] = ["ann", "bob", "cid", "dee"];

/// A node with a live rule and a candidate of the same plugin.
struct Scene {
    shared: Arc<Shared>,
    live: Arc<Mounted>,
    candidate: Arc<Mounted>,
}

impl Scene {
    fn new(live: &str, candidate: &str, limits: Limits) -> Self {
        let engine = Engine::new(&limits).unwrap();
        let rule = |name| Arc::new(engine.compile(crate::bundled::component(name).unwrap()).unwrap());
        let mounted = |name| Arc::new(Mounted { plugin: "rooms".into(), config: "null".into(), rule: rule(name) });
        let (live, candidate) = (mounted(live), mounted(candidate));
        Self { shared: Arc::new(Shared::new(0, limits, Workers::new(1).0)), live, candidate }
    }

    fn shadow(&self, sample: f64) -> Shadow {
        Shadow::start(std::slice::from_ref(&self.candidate), sample, &self.shared).unwrap()
    }

    fn lane<'a>(&'a self, shadow: &'a Shadow) -> Lane<'a> {
        Lane { scene: self, shadow, guest: Guest::live(&self.live, &self.shared).unwrap(), sessions: Vec::new() }
    }
}

/// Routes events as a lane does, and plays the clients whose events they are.
struct Lane<'a> {
    scene: &'a Scene,
    shadow: &'a Shadow,
    guest: Guest,
    sessions: Vec<(Pid, &'static str)>,
}

impl Lane<'_> {
    fn route(&mut self, topic: &str, sender: (Pid, &str), what: Happening) -> Result<Outcome, Refusal> {
        let shared = &self.scene.shared;
        let topic: Topic = topic.parse().unwrap();
        let event = Event {
            id: shared.event_ids.next(),
            topic: topic.clone(),
            sender: Some(sender.0),
            user: Some(sender.1.into()),
            time_ms: crate::clock::unix_ms(),
            what,
            reply: Reply::nobody(),
        };
        match event.what {
            Happening::Leave | Happening::Exit(_) => drop(shared.subscriptions.remove(&topic, sender.0)),
            _ => {}
        }
        let is_sampled = self.shadow.wants();
        if is_sampled {
            self.guest.begin_tape(&event, shared);
        }
        let answer = self.guest.route(&event);
        if is_sampled {
            self.shadow.offer(&event, self.guest.end_tape(), &answer);
        }
        let answer = answer.unwrap();
        if let (Happening::Join { .. }, Ok(_)) = (&event.what, &answer) {
            shared.subscriptions.add(&topic, sender.0);
        }
        answer
    }

    fn open(&mut self, user: &'static str) -> (Pid, &'static str) {
        self.sessions.push((self.scene.shared.sessions.open(None, None).unwrap().pid, user));
        *self.sessions.last().unwrap()
    }

    fn publish(&mut self, topic: &str, sender: (Pid, &str), json: String) -> Result<Outcome, Refusal> {
        self.route(topic, sender, Happening::Publish(Payload::Json(json.into())))
    }

    /// Something that a client does.
    fn act(&mut self) {
        let mut random = rand::rng();
        let room = ROOMS.choose(&mut random).unwrap();
        let user = USERS.choose(&mut random).unwrap();
        let Some(&sender) = self.sessions.choose(&mut random) else {
            self.open(user);
            return;
        };
        let action = random.random_range(0..20);
        // Refusals are answers like any other.
        match action {
            0 => drop(self.open(user)),
            1..=4 => drop(self.route(room, sender, Happening::Join { params: None })),
            5 => drop(self.route(room, sender, Happening::Leave)),
            6 => {
                let shared = &self.scene.shared;
                shared.sessions.end(sender.0);
                shared.groups.exit(sender.0);
                self.sessions.retain(|session| *session != sender);
                for room in ROOMS {
                    drop(self.route(room, sender, Happening::Exit(crate::session::ExitReason::Normal)));
                }
            }
            7 => drop(self.publish(room, sender, format!(r#"{{"tell":{{"user":"{user}","text":"psst"}}}}"#))),
            8 => drop(self.publish(room, sender, format!(r#"{{"mute":"{user}"}}"#))),
            9 => drop(self.publish(room, sender, format!(r#"{{"unmute":"{user}"}}"#))),
            10 => drop(self.publish(room, sender, format!(r#"{{"kick":"{user}"}}"#))),
            11 => drop(self.publish(room, sender, format!(r#"{{"subject":"{}"}}"#, random.random::<u8>()))),
            12 => drop(self.publish(room, sender, "{}".into())),
            _ => drop(self.publish(room, sender, format!(r#"{{"say":"{}"}}"#, random.random::<u8>()))),
        }
    }
}

/// Each lane routes so many events at the same time as the others.
fn load(scene: &Scene, shadow: &Shadow, events: u64) -> Report {
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let mut lane = scene.lane(shadow);
                (0..events).for_each(|_| lane.act());
            });
        }
    });
    shadow.finish();
    shadow.report()
}

fn roomy() -> Limits {
    // What is tested is no time: the machine may be busy.
    Limits { shadow_queue_events_max: 100_000, shadow_bytes_max: 1 << 30, route_ms_max: 60_000, ..Limits::default() }
}

#[test]
fn a_rule_is_the_same_as_itself_however_late_it_is_asked() {
    let scene = Scene::new("chat", "chat", roomy());
    let shadow = scene.shadow(1.0);
    let report = load(&scene, &shadow, 1_000);
    assert_eq!((report.different, report.traps, report.dropped), (0, 0, 0), "{report}");
    assert!(report.compared > 3_000 && report.same == report.compared, "{report}");
    assert_eq!(shadow.is_clean(1_000, 0), Ok(()));
    assert_eq!(scene.shared.feed.bytes(), 0, "nothing is remembered for nobody");
}

#[test]
fn what_has_no_room_is_dropped_and_the_rest_is_the_same() {
    let scene = Scene::new("chat", "chat", Limits { shadow_bytes_max: 60_000, ..roomy() });
    let shadow = scene.shadow(0.5);
    let report = load(&scene, &shadow, 1_000);
    assert_eq!(report.different, 0, "{report}");
    assert!(report.dropped > 0 && report.compared > 0, "{report}");
    assert_eq!(scene.shared.feed.bytes(), 0);
}

#[test]
fn another_rule_is_told_apart_and_leaves_no_trace() {
    let scene = Scene::new("topic", "chat", roomy());
    let shadow = scene.shadow(1.0);
    let mut lane = scene.lane(&shadow);
    let (ann, bob) = (lane.open("ann"), lane.open("bob"));
    for who in [ann, bob] {
        lane.route("chat.a", who, Happening::Join { params: None }).unwrap();
    }
    // As a chat without a table yet, nobody is in the room, so what is said is refused.
    lane.publish("chat.a", ann, r#"{"say":"hello"}"#.into()).unwrap();
    shadow.finish();
    let report = shadow.report();
    assert_eq!((report.compared, report.different, report.traps), (3, 3, 0), "{report}");
    assert_eq!(report.differences[0].extra, [ann.0.to_string()], "the welcome: {report}");
    assert!(shadow.is_clean(3, 2).unwrap_err().contains("of the last 3 events 3 differ"));
    assert!(shadow.is_clean(4, 4).unwrap_err().contains("has compared 3 events, of 4"));
    assert_eq!((scene.shared.tables.list().len(), scene.shared.timers.count()), (0, 0));
    assert_eq!(scene.shared.groups.memberships(), 0);
}

#[test]
fn who_would_miss_something_is_named() {
    let scene = Scene::new("chat", "topic", roomy());
    let shadow = scene.shadow(1.0);
    let mut lane = scene.lane(&shadow);
    let [ann, bob, cid] = ["ann", "bob", "cid"].map(|user| lane.open(user));
    for who in [ann, bob, cid] {
        lane.route("chat.a", who, Happening::Join { params: None }).unwrap();
    }
    lane.publish("chat.a", ann, r#"{"tell":{"user":"bob","text":"psst"}}"#.into()).unwrap();
    shadow.finish();
    let report = shadow.report();
    assert_eq!(report.differences[0].missing, [ann.0.to_string()], "the welcome: {report}");
    let told = report.differences.last().unwrap();
    assert_eq!((&told.extra, &told.missing), (&vec![cid.0.to_string()], &vec![]), "{report}");
    assert!(told.what.contains("1 recipients extra") && told.what.contains("2 recipients get other messages"));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["compared"], &json["differences"][0]["kind"]), (&4.into(), &"join".into()));
}

#[test]
fn a_full_queue_drops_samples() {
    let scene = Scene::new("topic", "topic", Limits { shadow_queue_events_max: 0, ..roomy() });
    let shadow = scene.shadow(1.0);
    shadow.stop();
    let mut lane = scene.lane(&shadow);
    let ann = lane.open("ann");
    lane.publish("chat.a", ann, "1".into()).unwrap();
    assert_eq!((shadow.report().dropped, shadow.report().compared), (1, 0));
}
