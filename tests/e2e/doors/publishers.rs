//! Keys of back-ends: publishing without a session takes one where there are keys.

use super::issuer::{Issuer, claims, jwks};
use super::{chmod, secret_file};
use crate::client::{Published, Session, batch_of, events};
use crate::ending::ended_in_time;
use crate::harness::{Scratch, Server, TOPIC_ONLY, run};
use crate::http::{call, get, post};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A new key, and its lines.
#[track_caller]
fn new_key(folder: &Scratch, name: &str, publish: &str) -> (String, String) {
    let file = folder.path().join(format!("{name}.key"));
    let made = run(&["keys", "new", name, "--publish", publish, "-o", file.to_str().expect("UTF-8")]);
    assert!(made.status.success(), "{made:?}");
    let permissions = std::fs::metadata(&file).expect("the key's file").permissions();
    assert_eq!(permissions.mode() & 0o777, 0o600);
    let key = std::fs::read_to_string(&file).expect("the key").trim().to_owned();
    let lines = String::from_utf8(made.stdout).expect("UTF-8");
    assert!(key.starts_with("volley_key_") && !lines.contains(&key), "{lines}");
    (key, lines)
}

struct Shop {
    server: Server,
    folder: Scratch,
    key: String,
    user: String,
}

impl Shop {
    #[track_caller]
    fn start() -> Self {
        let folder = Scratch::new();
        let issuer = Issuer::hs256("h");
        let (key, lines) = new_key(&folder, "shop", "orders.>");
        secret_file(&folder, "publishers.toml", &lines);
        secret_file(&folder, "jwks.json", &jwks(&[&issuer]));
        let auth = "[auth]\njwks = \"jwks.json\"\npublishers = \"publishers.toml\"\n";
        let config = folder.file("volley.toml", &format!("{auth}{TOPIC_ONLY}"));
        let server = Server::start(&["--config", &config]);
        Self { server, folder, key, user: issuer.token(&claims("ann", &[">"])) }
    }
}

#[test]
fn a_back_end_publishes_with_its_key_to_its_topics() {
    let shop = Shop::start();
    let open = post("/v1/sessions").json(&json!({"topics": ["orders.1"]})).bearer(&shop.user);
    call(&shop.server.listen, &open).expect(201);
    let publish = post(events("orders.1")).json(&json!(1));
    for shown in [publish.clone().bearer(&shop.key), publish.clone().header("X-API-Key", &shop.key)] {
        let published = Published::of(&call(&shop.server.listen, &shown).expect(200).json());
        assert_eq!(published.recipients, 1);
    }
    let other = post(events("news")).json(&json!(1)).bearer(&shop.key);
    let words = call(&shop.server.listen, &other).problem(403);
    assert!(words.contains("key") && words.contains("news"), "{words}");
    let batch = batch_of("orders.1", [json!(1)]) + &batch_of("news", [json!(1)]);
    let answer = call(&shop.server.listen, &post("/v1/events").body(batch).bearer(&shop.key)).expect(200);
    assert!(answer.text().lines().nth(1).is_some_and(|line| line.contains("403")), "{answer}");
}

#[test]
fn without_its_key_a_back_end_publishes_nothing() {
    let shop = Shop::start();
    let publish = |request: crate::http::Request| call(&shop.server.listen, &request.json(&json!(1)));
    let none = publish(post(events("orders.1")));
    assert_eq!(none.header("www-authenticate"), Some("Bearer"));
    assert!(none.problem(401).contains("key"));
    call(&shop.server.listen, &post("/v1/events").body(batch_of("orders.1", [json!(1)]))).problem(401);
    let key = &shop.key;
    let digest = std::fs::read_to_string(shop.folder.path().join("publishers.toml")).expect("the lines");
    let digest = digest.split('"').nth(1).expect("a digest").to_owned();
    for wrong in [&key[1..], &key[..key.len() - 1], &format!("{key}A"), &key.to_uppercase(), &digest, &shop.user] {
        publish(post(events("orders.1")).bearer(wrong)).problem(401);
        publish(post(events("orders.1")).header("X-API-Key", wrong)).problem(401);
    }
    publish(post(events("orders.1")).bearer(key).header("X-API-Key", key)).problem(401);
    publish(post(events("orders.1")).header("X-API-Key", key).header("X-API-Key", key)).problem(400);
    // A key is no token: it opens no session, and polls none.
    call(&shop.server.listen, &post("/v1/sessions").bearer(key)).problem(401);
    call(&shop.server.listen, &get("/v1/poll").bearer(key)).problem(401);
    assert_eq!(shop.server.metric("volley_events_total"), 0);
}

#[test]
fn the_commands_show_what_they_are_given() {
    let shop = Shop::start();
    let server = format!("http://{}", shop.server.listen);
    let bearer = |name: &str, text: &str| secret_file(&shop.folder, name, text);
    let (key, token) = (bearer("the.key", &shop.key), bearer("the.token", &format!("{}\n", shop.user)));
    let publish = |more: &[&str]| run(&[&["publish", "orders.1", "1", "--server", &server], more].concat());
    let refused = publish(&[]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("key"), "{refused:?}");
    let poll = crate::harness::volley()
        .args(["poll", "orders.1", "--once", "--server", &server, "--bearer-file", &token])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("volley poll");
    shop.server.wait_for_metric("volley_parked_polls", 1);
    let published = publish(&["--bearer-file", &key]);
    assert!(published.status.success(), "{published:?}");
    let polled = ended_in_time(poll);
    assert!(String::from_utf8_lossy(&polled.stdout).contains("orders.1"), "{polled:?}");
}

#[test]
fn idempotency_keys_belong_to_the_key_that_publishes() {
    let folder = Scratch::new();
    let (shop, first) = new_key(&folder, "shop", ">");
    let (bank, second) = new_key(&folder, "bank", ">");
    secret_file(&folder, "publishers.toml", &format!("{first}{second}"));
    let auth = "[auth]\nanonymous = true\npublishers = \"publishers.toml\"\n";
    let server = Server::start(&["--config", &folder.file("volley.toml", &format!("{auth}{TOPIC_ONLY}"))]);
    let mut ann = Session::on(&server, "a");
    let publish = |key: &str, data: u32| {
        let request = post(events("a")).json(&json!(data)).header("Idempotency-Key", "1").bearer(key);
        call(&server.listen, &request).expect(200).text().to_owned()
    };
    assert_eq!(publish(&shop, 1), publish(&shop, 2));
    assert_ne!(publish(&shop, 3), publish(&bank, 4));
    ann.expect(&[json!(1), json!(4)]);
    ann.expect_no_more();
}

#[test]
fn a_file_of_keys_is_its_owners() {
    let folder = Scratch::new();
    let (_, lines) = new_key(&folder, "shop", ">");
    let path = secret_file(&folder, "publishers.toml", &lines);
    let serve = |more: &[&str]| {
        let free = ["serve", "--ephemeral", "--admin-no-token", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let ended = run(&[&free[..], &["--auth-publishers", &path], more].concat());
        (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    // Nobody could open a session.
    let (code, said) = serve(&[]);
    assert!(code == Some(2) && said.contains("anonymous"), "{said}");
    chmod(Path::new(&path), 0o644);
    let (code, said) = serve(&["--auth-anonymous"]);
    assert!(code == Some(1) && said.contains("chmod 600"), "{said}");
    let again = run(&["keys", "new", "shop", "-o", folder.path().join("shop.key").to_str().expect("UTF-8")]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("never replaced"), "{again:?}");
    assert_eq!(run(&["keys", "new", "a b"]).status.code(), Some(2));
}
