//! `GET /admin/v1/live`: a picture of the server each second, for operators who watch.

use crate::client::{Session, publish};
use crate::harness::{Scratch, Server, volley, wait_until};
use crate::http::{Connection, Request, Response, call, get, post};
use serde_json::{Value, json};

const SECRET: &str = "a-secret-of-more-than-16";

/// One who watches.
pub(crate) struct Watcher {
    connection: Connection,
    head: Response,
}

impl Watcher {
    #[track_caller]
    pub(crate) fn of(server: &Server) -> Self {
        Self::asked(&server.admin, &get("/admin/v1/live"))
    }

    #[track_caller]
    fn asked(admin: &str, request: &Request) -> Self {
        let mut connection = Connection::open(admin);
        connection.send(request);
        let head = connection.receive_head();
        assert_eq!(head.status, 200, "{head}");
        Self { connection, head }
    }

    /// The next line of an event; none at the end.
    fn line(&mut self) -> Option<String> {
        let is_of_an_event = |line: &String| line.contains(": ");
        std::iter::from_fn(|| self.connection.next_line().ok()).find(is_of_an_event)
    }

    /// The next picture.
    #[track_caller]
    pub(crate) fn picture(&mut self) -> Value {
        loop {
            let line = self.line().expect("a further picture");
            if let Some(picture) = line.strip_prefix("data: ") {
                return serde_json::from_str(picture).unwrap_or_else(|wrong| panic!("{wrong}: {picture}"));
            }
        }
    }

    /// The first picture that shows it.
    #[track_caller]
    fn wait_for(&mut self, what: &str, shows: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..60 {
            let picture = self.picture();
            if shows(&picture) {
                return picture;
            }
        }
        panic!("{what} is in no picture of a minute");
    }
}

fn plugin<'a>(picture: &'a Value, name: &str) -> &'a Value {
    let plugins = picture["plugins"].as_array().expect("a list");
    plugins.iter().find(|plugin| plugin["name"] == name).unwrap_or_else(|| panic!("no {name}: {picture}"))
}

fn depth(picture: &Value, from: u64) -> u64 {
    let depths = picture["mailboxes"]["depths"].as_array().expect("a list");
    depths.iter().find(|depth| depth["from"] == from).and_then(|depth| depth["sessions"].as_u64()).expect("a number")
}

#[test]
fn a_picture_shows_who_is_there_and_what_happens() {
    let server = Server::start_plain(&["--lanes", "2"]);
    let mut watcher = Watcher::of(&server);
    let head = &watcher.head;
    assert_eq!(head.header("content-type"), Some("text/event-stream"), "{head}");
    assert_eq!((head.header("cache-control"), head.header("x-accel-buffering")), (Some("no-store"), Some("no")));
    assert_eq!(watcher.line().as_deref(), Some("retry: 2000"));
    let first = watcher.picture();
    assert_eq!((&first["clients"]["sessions"], &first["clients"]["onlookers"]), (&json!(0), &json!(1)), "{first}");
    assert!(first["process"]["memory_bytes"].as_u64() > Some(1 << 20), "{first}");

    let (ann, bob) = (Session::on(&server, "live.busy"), Session::on(&server, "live.busy"));
    let _parked = ann.park(&server);
    let picture = watcher.wait_for("a parked poll", |picture| picture["clients"]["polls"] == 1);
    assert!(picture["up_ms"].as_u64() > first["up_ms"].as_u64(), "{picture}");
    assert_eq!((&picture["clients"]["sessions"], &picture["clients"]["event_streams"]), (&json!(2), &json!(0)));
    assert_eq!(picture["clients"]["topics"], 1, "{picture}");

    for n in 0..40 {
        publish(&server, if n % 4 == 0 { "live.calm" } else { "live.busy" }, &json!(n));
    }
    let picture = watcher.wait_for("the events", |picture| {
        plugin(picture, "topic")["calls"] == 42 && depth(picture, 10) == 2 && !picture["topics"][1].is_null()
    });
    let topic = plugin(&picture, "topic");
    assert_eq!((&topic["recipients"], &topic["lanes"].as_array().expect("lanes").len()), (&json!(60), &2), "{topic}");
    assert!(topic["p50_us"].is_number() && topic["active"].as_str().is_some_and(|id| id.starts_with("sha256:")));
    let totals = &picture["totals"];
    assert_eq!((&totals["events"], &totals["deliveries"], &totals["traps"]), (&json!(42), &json!(60), &json!(0)));
    let (busy, calm) = (&picture["topics"][0], &picture["topics"][1]);
    assert_eq!(
        (&busy["topic"], &busy["plugin"], &calm["topic"]),
        (&json!("live.busy"), &json!("topic"), &json!("live.calm"))
    );
    assert!(busy["events_per_s"].as_f64() > calm["events_per_s"].as_f64(), "{picture}");
    assert!(busy["recipients_per_s"].as_f64() > busy["events_per_s"].as_f64(), "{picture}");
    assert_eq!(picture["mailboxes"]["deepest"], 30, "{picture}");
    assert!([&ann.pid, &bob.pid].contains(&&picture["mailboxes"]["deepest_pid"].as_str().expect("a PID").to_owned()));
    let sessions = picture["uses"].as_array().expect("a list").iter().find(|of| of["limit"] == "sessions_max");
    assert_eq!(sessions, Some(&json!({"limit": "sessions_max", "now": 2, "max": 1_000_000})));
}

#[test]
fn a_lane_that_is_stuck_is_seen_while_it_is() {
    let server = Server::start_with_probe(&["--lanes", "1", "--limit", "route_ms_max=4000"]);
    let mut watcher = Watcher::of(&server);
    watcher.picture();
    let mut looping = Connection::open(&server.listen);
    looping.send(&post("/v1/topics/probe.live/events").json(&json!({"do": "loop"})));
    let lane = |picture: &Value| plugin(picture, "probe")["lanes"][0].clone();
    watcher.wait_for("a busy lane", |picture| lane(picture)["busy"].as_f64() > Some(0.9));
    let mut behind = Connection::open(&server.listen);
    behind.send(&post("/v1/topics/probe.behind/events").json(&json!({"and": "waits"})));
    let picture = watcher.wait_for("an event that waits", |picture| lane(picture)["queued"] == 1);
    assert_eq!(
        (&lane(&picture)["in_hand"], &plugin(&picture, "probe")["in_flight"]),
        (&json!(1), &json!(2)),
        "{picture}"
    );
    assert_eq!(looping.receive().status, 502);
    behind.receive();
    watcher
        .wait_for("an idle lane", |picture| lane(picture)["busy"].as_f64() < Some(0.1) && lane(picture)["queued"] == 0);
}

#[test]
fn pictures_come_as_seldom_as_is_asked_within_bounds() {
    let server = Server::shared();
    let mut seldom = Watcher::asked(&server.admin, &get("/admin/v1/live?every=2"));
    let (first, second) = (seldom.picture(), seldom.picture());
    let between = second["up_ms"].as_u64().expect("a number") - first["up_ms"].as_u64().expect("a number");
    assert!(between >= 1_900, "{between} ms");
    for every in ["0", "61", "-1", "x", "1.5", ""] {
        call(&server.admin, &get(format!("/admin/v1/live?every={every}"))).problem(400);
    }
    call(&server.admin, &post("/admin/v1/live")).problem(405);
}

#[test]
fn so_many_may_watch_and_places_are_given_back() {
    let server = Server::start_plain(&["--limit", "live_streams_max=2"]);
    let (first, mut second) = (Watcher::of(&server), Watcher::of(&server));
    let refused = call(&server.admin, &get("/admin/v1/live"));
    assert!(refused.problem(503).contains("live_streams_max"), "{refused}");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(server.metric("volley_live_streams"), 2);
    drop(first);
    server.wait_for_metric("volley_live_streams", 1);
    Watcher::of(&server).picture();
    second.picture();
    let too_many = crate::harness::run(&["serve", "--ephemeral", "--limit", "live_streams_max=33"]);
    assert!(String::from_utf8_lossy(&too_many.stderr).contains("live_streams_max is at most 32"), "{too_many:?}");
}

#[test]
fn it_ends_when_the_server_goes_down() {
    let server = Server::start_plain(&[]);
    let mut watchers = [Watcher::of(&server), Watcher::of(&server)];
    for watcher in &mut watchers {
        watcher.picture();
    }
    server.terminate();
    for watcher in &mut watchers {
        let last: Vec<String> = std::iter::from_fn(|| watcher.line()).collect();
        let words = ["event: end", r#"data: {"reason":"the server is going down"}"#];
        assert!(last.ends_with(&words.map(str::to_owned)), "{last:?}");
    }
    assert_eq!(server.wait_for_exit().code(), Some(0));
}

/// Who does not read holds up neither the others nor the end.
#[test]
fn one_that_never_reads_holds_nobody_up() {
    let server = Server::start_plain(&[]);
    let mut stuck = Connection::open_narrow(&server.admin);
    stuck.send(&get("/admin/v1/live"));
    let mut watcher = Watcher::of(&server);
    for _ in 0..3 {
        watcher.picture();
    }
    server.terminate();
    assert_eq!(server.wait_for_exit().code(), Some(0));
}

#[test]
fn other_pages_and_other_names_are_refused() {
    let server = Server::shared();
    let refused = |request: Request| {
        call(&server.admin, &request).problem(403);
    };
    for target in ["/admin/v1/live", "/admin/v1/plugins", "/"] {
        refused(get(target).header("Host", "evil.example"));
        refused(get(target).header("Origin", "https://evil.example"));
        // What a page sends that does not want to read the answer: `Origin` is not there, but this is.
        for site in ["cross-site", "same-site"] {
            for dest in ["empty", "iframe", "image", "script"] {
                refused(get(target).header("Sec-Fetch-Site", site).header("Sec-Fetch-Dest", dest));
            }
        }
    }
    let link = get("/").header("Sec-Fetch-Site", "cross-site").header("Sec-Fetch-Dest", "document");
    assert_eq!(call(&server.admin, &link).status, 200, "who follows a link comes here");
    let own = get("/admin/v1/plugins").header("Sec-Fetch-Site", "same-origin").header("Sec-Fetch-Dest", "empty");
    assert_eq!(call(&server.admin, &own).status, 200);
}

/// A server whose admin listener is for others, too, and where that is.
pub(crate) fn beyond_loopback() -> (Server, String) {
    let folder = Scratch::new();
    let file = folder.file("token", &format!("{SECRET}\n"));
    let mut command = volley();
    command.args(["serve", "--ephemeral", "--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"]);
    let server = Server::start_as(command.args(["--admin-token-file", &file]));
    let admin = server.admin.replace("0.0.0.0", "127.0.0.1");
    (server, admin)
}

#[test]
fn beyond_loopback_all_but_the_files_of_the_page_needs_the_token() {
    let (_server, admin) = beyond_loopback();
    let with = |target: &str| get(target).header("Authorization", format!("Bearer {SECRET}"));
    call(&admin, &get("/admin/v1/live")).problem(401);
    call(&admin, &get("/admin/v1/live").header("Authorization", "Bearer wrong")).problem(401);
    let mut watcher = Watcher::asked(&admin, &with("/admin/v1/live"));
    watcher.picture();
    let page = call(&admin, &get("/"));
    assert_eq!(page.status, 401, "{page}");
    assert_eq!(page.header("www-authenticate"), Some("Bearer"), "{page}");
    assert_eq!(call(&admin, &with("/")).body, page.body, "the page has nothing in it that needs the token");
    for file in files_of(&page) {
        assert_eq!(call(&admin, &get(&file)).status, 200, "{file}");
    }
}

/// What a page loads.
fn files_of(page: &Response) -> Vec<String> {
    let text = page.text();
    let parts = text.split('"').filter(|part| part.starts_with("/dashboard/"));
    let mut files: Vec<String> = parts.map(str::to_owned).collect();
    files.sort();
    files.dedup();
    assert!(files.len() >= 3, "{files:?}");
    files
}

#[test]
fn the_page_is_guarded_and_its_files_are_all_there() {
    let server = Server::shared();
    let page = call(&server.admin, &get("/"));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("<noscript>"), "{page}");
    let mut files = files_of(&page);
    let mut at = 0;
    while at < files.len() {
        let file = call(&server.admin, &get(&files[at]));
        assert_eq!(file.status, 200, "{}: {file}", files[at]);
        // Modules name each other.
        for name in file.text().split('"').filter_map(|part| part.strip_prefix("./")) {
            let path = format!("/dashboard/{name}");
            if !files.contains(&path) {
                files.push(path);
            }
        }
        for text in [page.text(), file.text()] {
            for elsewhere in
                ["https://", "src=\"http", "innerHTML", "insertAdjacentHTML", "outerHTML", "document.write"]
            {
                assert!(!text.contains(elsewhere), "{elsewhere} in {}", files[at]);
            }
        }
        for response in [&page, &file] {
            let policy = response.header("content-security-policy").expect("a policy");
            for rule in [
                "default-src 'none'",
                "script-src 'self'",
                "frame-ancestors 'none'",
                "base-uri 'none'",
                "trusted-types 'none'",
            ] {
                assert!(policy.contains(rule), "{rule}: {policy}");
            }
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(response.header("x-frame-options"), Some("DENY"));
            assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(response.header("referrer-policy"), Some("no-referrer"));
            assert_eq!(response.header("cache-control"), Some("no-store"));
        }
        at += 1;
    }
    assert!(files.len() > 10, "{files:?}");
    for nothing in
        ["/dashboard/", "/dashboard/nothing.js", "/dashboard/../Cargo.toml", "/dashboard/%2e%2e/x", "/index.html"]
    {
        call(&server.admin, &get(nothing)).problem(404);
    }
    call(&server.admin, &post("/")).problem(405);
    let head = call(&server.admin, &Request::new("HEAD", "/"));
    assert_eq!((head.status, head.body.len()), (200, 0), "{head}");
}

/// As many watch as may, and the server does hardly more than with nobody. What it took is printed:
/// `cargo test --test e2e what_watching_costs -- --nocapture`.
#[test]
fn what_watching_costs_is_printed() {
    let server = Server::start_plain(&[]);
    let busy = |watchers: usize| {
        let mut watching: Vec<Watcher> = (0..watchers).map(|_| Watcher::of(&server)).collect();
        for watcher in &mut watching {
            watcher.picture();
        }
        let before = server.cpu_time();
        let started = std::time::Instant::now();
        match watching.first_mut() {
            Some(first) => (0..3).for_each(|_| _ = first.picture()),
            None => std::thread::sleep(std::time::Duration::from_secs(3)),
        }
        let share = server.cpu_time().saturating_sub(before).as_secs_f64() / started.elapsed().as_secs_f64();
        drop(watching);
        wait_until("all to be gone", || (server.metric("volley_live_streams") == 0).then_some(()));
        share
    };
    let (nobody, three) = (busy(0), busy(3));
    assert!(three < nobody + 0.25, "{nobody} and {three} of a core");
    crate::harness::say(&format!(
        "CPU of an idle server: {:.1} % of a core unwatched, {:.1} % with three who watch",
        nobody * 100.0,
        three * 100.0
    ));
}
