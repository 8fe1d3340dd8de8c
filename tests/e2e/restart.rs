//! A server that is started again serves what it served before, however it ended.
//!
//! `VOLLEY_TEST_KILLS=N` says how often it is killed amid deploys (8).

use crate::client::{Session, publish};
use crate::guests::reversible;
use crate::harness::{Scratch, Server, TOPIC_ONLY, volley};
use crate::http::{Connection, Request, post, put};
use crate::operator::{Operator, component_file, named};
use crate::swap::times;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The same command line each time, as an init system has it.
#[track_caller]
fn start(folder: &Scratch) -> (Server, Operator) {
    start_with(folder, &[])
}

#[track_caller]
fn start_with(folder: &Scratch, arguments: &[&str]) -> (Server, Operator) {
    let config = folder.file("volley.toml", TOPIC_ONLY);
    let data = folder.path().join("data");
    let server = Server::start_as(
        volley()
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--admin-no-token", "--lanes", "2"])
            .args(["--config", &config, "--data", data.to_str().expect("UTF-8")])
            .args(arguments),
    );
    let operator = Operator::of(&server, "versions");
    (server, operator)
}

fn routed_to_versions(config: &Value) -> Value {
    json!([
        {"topics": "v.>", "plugin": "versions", "config": config, "on_trap": "previous"},
        {"topics": ">", "plugin": "topic", "config": null, "on_trap": "fail"},
    ])
}

/// What routes the topic: its name and its config.
#[track_caller]
fn stamps(server: &Server) -> (Value, Value) {
    let mut ann = Session::on(server, "v.restart");
    publish(server, "v.restart", &json!(null));
    let mut message = ann.next();
    (message["by"].take(), message["config"].take())
}

/// The layout that was kept was another component's, which the command line had named before.
#[test]
fn what_the_command_line_brings_has_its_own_layout() {
    let folder = Scratch::new();
    let second = json!({"name": "b", "release": "0.2.0", "layout": 2});
    let brought = |component: &[u8]| {
        let plugin = format!("versions={}", component_file(folder.path(), component));
        start_with(&folder, &["--plugin", &plugin, "--route", "v.>=versions"])
    };
    let (server, operator) = brought(&reversible(&second));
    operator.push(&named("c"));
    drop(server);
    let (server, operator) = brought(&named("a"));
    publish(&server, "v.a", &json!(1));
    assert_eq!(operator.table("counts")["v.a"], "1");
    operator.deploy(&reversible(&second));
    assert_eq!(operator.table("counts")["v.a"], r#"{"count":1}"#);
}

#[test]
fn what_was_served_is_served() {
    let folder = Scratch::new();
    let (server, operator) = start(&folder);
    let (a, b) = (operator.deploy(&named("a")), operator.push(&named("b")));
    operator.set_routes(&routed_to_versions(&json!({"color": "red"})));
    operator.activate(&b);
    let c = operator.push(&named("c"));
    let (routes, about) = (operator.routes(), operator.about());
    server.terminate();
    assert!(server.wait_for_exit().success());
    let (server, operator) = start(&folder);
    assert_eq!(operator.routes(), routes);
    assert_eq!(operator.active(), b);
    assert_eq!(stamps(&server), (json!("b"), json!({"color": "red"})));
    assert_eq!(operator.about()["versions"], about["versions"], "what was pushed, and how it is used");
    operator.rollback();
    assert_eq!(operator.active(), a);
    assert_eq!(stamps(&server).0, "a");
    operator.activate(&c);
    server.signal("KILL");
    server.wait_for_exit();
    let (server, operator) = start(&folder);
    assert_eq!(operator.active(), c);
    assert_eq!(stamps(&server).0, "c");
    operator.forget(&b);
    drop(server);
    let (_server, operator) = start(&folder);
    assert!(operator.version(&b).is_none(), "what was forgotten stays so");
}

#[test]
fn without_a_folder_nothing_is_kept() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    operator.deploy(&named("b"));
    drop(server);
    let (server, _operator) = Server::start_with_version(&named("a"), &[]);
    assert_eq!(stamps(&server).0, "a");
}

/// What was acknowledged holds; of what was not, all or nothing. Routes are one set: both rows' configs agree.
#[test]
fn killed_amid_deploys_it_serves_the_old_or_the_new() {
    let folder = Scratch::new();
    let (server, operator) = start(&folder);
    let versions = [operator.deploy(&named("a")), operator.push(&named("b"))];
    operator.set_routes(&routed_to_versions(&json!(0)));
    drop(server);
    let mut state = State { active: 0, config: 0 };
    for round in 0..times("VOLLEY_TEST_KILLS", 8) {
        let (server, operator) = start(&folder);
        let (name, config) = stamps(&server);
        let active = ["a", "b"].iter().position(|known| name == *known).expect("one of both");
        assert_eq!(operator.active(), versions[active]);
        let config = config.as_u64().expect("a number");
        let (routes, _) = operator.routes();
        assert_eq!(routes, routed_to_versions(&json!(config)), "one set or the other");
        state.assert_came_to(active, config, round);
        // Spread over what a deploy takes, and different each time. A push takes longer: it compiles.
        let push = (round % 4 == 3).then(|| named(&format!("another {round}")));
        let life =
            Duration::from_micros(3_000 + (round as u64 * 7_919) % if push.is_some() { 800_000 } else { 40_000 });
        state = Deploys { server: &server, operator: &operator, versions: &versions, push }
            .until_killed(State { active, config }, life);
    }
}

/// What was acknowledged last; one call more may have been under way.
struct State {
    active: usize,
    config: u64,
}

impl State {
    #[track_caller]
    fn assert_came_to(&self, active: usize, config: u64, round: usize) {
        let swapped = active != self.active;
        let rerouted = config != self.config;
        assert!(!rerouted || config == self.config + 1, "round {round}: {config} after {}", self.config);
        assert!(!(swapped && rerouted), "round {round}: one call was under way, not two");
    }
}

/// One after the other, as fast as they are acknowledged.
struct Deploys<'a> {
    server: &'a Server,
    operator: &'a Operator,
    versions: &'a [String; 2],
    push: Option<Vec<u8>>,
}

impl Deploys<'_> {
    fn until_killed(self, mut state: State, life: Duration) -> State {
        let Self { server, operator, versions, push } = self;
        std::thread::scope(|scope| {
            let killer = scope.spawn(move || {
                let started = Instant::now();
                while started.elapsed() < life {
                    std::hint::spin_loop();
                }
                server.signal("KILL");
            });
            let mut admin = Connection::open(&server.admin);
            // None once there is no answer any more.
            let mut done = |request: &Request| {
                admin.send(request);
                let answer = admin.try_receive(request.method).ok()?;
                assert!(answer.status < 300, "{answer}");
                Some(())
            };
            if let Some(component) = push {
                done(&post(operator.path("/versions")).body(component));
            }
            loop {
                let next = json!({"version": versions[1 - state.active]});
                if done(&post(operator.path("/activate")).json(&next)).is_none() {
                    break;
                }
                state.active = 1 - state.active;
                let routes = routed_to_versions(&json!(state.config + 1));
                if done(&put("/admin/v1/routes").json(&routes)).is_none() {
                    break;
                }
                state.config += 1;
            }
            killer.join().expect("the killer");
            server.wait_for_exit();
            state
        })
    }
}
