//! The config file: what it can say, and what a bad one is told.

use crate::cli::serve;
use crate::client::{Session, publish, try_publish};
use crate::harness::{Scratch, Server, volley};
use crate::http::{call, get, post};
use serde_json::json;

#[test]
fn a_file_says_it_all() {
    let folder = Scratch::new();
    std::fs::copy(crate::guests::probe(), folder.path().join("rule.wasm")).expect("copy");
    let config = folder.file(
        "volley.toml",
        r#"
        listen = "127.0.0.1:0"
        admin = "127.0.0.1:0"
        log_format = "json"

        [cors]
        origins = ["https://chat.example"]

        [limits]
        linger_ms = 12345

        [plugins.mine]
        file = "rule.wasm" # beside this file

        [[routes]]
        topics = "mine.*"
        plugin = "mine"
        config = { announce = true }

        [[routes]]
        topics = "rooms.>"
        plugin = "chat"
        "#,
    );
    let server = Server::start_bare(&["--config", &config]);
    let created = call(&server.listen, &post("/v1/sessions")).expect(201).json();
    assert_eq!(created["linger_ms"], 12345);
    let mut ann = Session::on(&server, "mine.a");
    assert_eq!(ann.next()["kind"], "Join", "the route's config reaches the rule");
    ann.join("rooms.a.b");
    assert!(ann.next()["welcome"].is_object());
    for topic in ["mine", "mine.a.b", "chat.lobby", "elsewhere"] {
        try_publish(&server, topic, &json!(1)).problem(404);
    }
}

#[test]
fn a_flag_wins_over_the_file() {
    let folder = Scratch::new();
    let config = folder.file("volley.toml", "[limits]\nlinger_ms = 1000\nwait_ms = 2000\n");
    let server = Server::start(&["--config", &config, "--limit", "linger_ms=3000"]);
    let created = call(&server.listen, &post("/v1/sessions")).expect(201).json();
    assert_eq!((&created["linger_ms"], &created["wait_ms"]), (&json!(3000), &json!(2000)));
}

#[test]
fn the_most_specific_route_wins() {
    let server = Server::start(&["--route", "chat.plain=topic", "--route", "*.special.*=chat"]);
    let mut ann = Session::open_with(&server, &json!({"user": "ann", "topics": ["chat.plain", "chat.lobby"]}));
    assert!(ann.next()["welcome"].is_object());
    assert_eq!(publish(&server, "chat.plain", &json!("anything")).recipients, 1);
    ann.expect(&[json!("anything")]);
    try_publish(&server, "chat.lobby", &json!("anything")).problem(400);
    try_publish(&server, "a.special.b", &json!("anything")).problem(400);
    assert_eq!(publish(&server, "a.special", &json!("anything")).recipients, 0);
    let routes = call(&server.admin, &get("/admin/v1/routes")).json();
    let topics: Vec<_> = routes.as_array().expect("a list").iter().filter_map(|row| row["topics"].as_str()).collect();
    assert_eq!((topics.first(), topics.last(), topics.len()), (Some(&"chat.plain"), Some(&">"), 4), "{topics:?}");
}

#[test]
fn a_bad_file_is_told_where_it_is_bad() {
    let folder = Scratch::new();
    folder.file("rule.txt", "");
    let mut wrong = Vec::new();
    for (at, (text, line, key)) in [
        ("\n\nlisten = \"127.0.0.1:0\n", 3, "listen"),
        ("\nlisten = 5\n", 2, "listen"),
        ("\n\n\nlistn = \"127.0.0.1:0\"\n", 4, "listn"),
        ("listen = \"nowhere\"\n", 1, "listen"),
        ("[limits]\n\nlinger = 5\n", 3, "linger"),
        ("[limits]\nlinger_ms = \"5\"\n", 2, "linger_ms"),
        ("[limits]\nlinger_ms = -5\n", 2, "linger_ms"),
        ("[limits]\nwait_ms = 2\nmailbox_messages_max = 0\n", 3, "mailbox_messages_max"),
        ("log_format = \"xml\"\n", 1, "log_format"),
        ("\n[cors]\norigin = []\n", 3, "origin"),
        ("[cors]\norigins = [\"chat.example/\"]\n", 2, "origins"),
        ("[plugins.x]\nfile = \"nowhere.wasm\"\n", 2, "file"),
        ("[plugins.x]\npath = \"nowhere.wasm\"\n", 2, "path"),
        ("[[routes]]\ntopics = \"a..b\"\nplugin = \"topic\"\n", 2, "topics"),
        ("[[routes]]\ntopics = \"a.>.b\"\nplugin = \"topic\"\n", 2, "topics"),
        ("[[routes]]\ntopics = \"a\"\nplugin = \"nobody\"\n", 3, "plugin"),
        ("[[routes]]\nplugin = \"topic\"\n", 1, "topics"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("bad-{at}.toml");
        let file = folder.file(&name, text);
        let output = serve(&["--config", &file]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let told = said.contains(&format!("{name}:{line}")) && said.contains(key);
        if output.status.code() != Some(2) || !told {
            wrong.push(format!("line {line}, {key}, exit code 2: {text}{:?}: {said}", output.status.code()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = serve(&["--config", "no/such/volley.toml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no/such/volley.toml"), "{said}");
}

#[test]
fn the_environment_does_what_flags_do_and_flags_win() {
    let mut command = volley();
    command.args(["serve", "--limit", "wait_ms=888"]);
    let variables = [
        ("VOLLEY_LISTEN", "127.0.0.1:0"),
        ("VOLLEY_ADMIN", "127.0.0.1:0"),
        ("VOLLEY_ADMIN_NO_TOKEN", "true"),
        ("VOLLEY_EPHEMERAL", "true"),
        ("VOLLEY_LIMITS", "linger_ms=777,wait_ms=999"),
        ("VOLLEY_ROUTES", "news.>=topic,talk.>=chat"),
    ];
    let server = Server::start_as(command.envs(variables));
    let opened = call(&server.listen, &post("/v1/sessions")).expect(201).json();
    // The flag and its variable are one list: the flag's replaces it.
    assert_eq!((&opened["linger_ms"], &opened["wait_ms"]), (&json!(60_000), &json!(888)));
    let routes = call(&server.admin, &get("/admin/v1/routes")).expect(200).json();
    let patterns: Vec<_> = routes.as_array().expect("rows").iter().map(|row| row["topics"].clone()).collect();
    assert_eq!(patterns, [json!("chat.>"), json!("news.>"), json!("talk.>"), json!(">")]);
}
