//! Tokens that open a session, and all that do not: each is refused in words, and nobody else notices.

use super::Doors;
use super::issuer::{Issuer, b64, claims, hs256, in_s, jwks};
use super::{chmod, secret_file};
use crate::client::{Session, events};
use crate::guests;
use crate::harness::{Scratch, Server, TOPIC_ONLY, run};
use crate::http::{call, delete, post, put};
use serde_json::{Value, json};
use std::path::Path;

#[test]
fn a_token_of_each_algorithm_opens_a_session() {
    let issuers = [Issuer::hs256("h"), Issuer::rs256("r"), Issuer::es256("e"), Issuer::eddsa("d")];
    let doors = Doors::of(&issuers.each_ref(), &[]);
    for issuer in &issuers {
        let body = json!({"user": "somebody else", "topics": ["a.b"]});
        let opened = doors.open(&issuer.token(&claims("ann", &["a.>"])), &body).expect(201).json();
        let shown = call(&doors.server.admin, &crate::http::get("/admin/v1/sessions")).expect(200).json().to_string();
        assert!(shown.contains("\"ann\"") && !shown.contains("somebody else"), "{}: {shown}", issuer.algorithm());
        let token = opened["session"].as_str().expect("a token");
        call(&doors.server.listen, &delete("/v1/sessions").token(token)).expect(204);
    }
}

#[test]
fn a_session_needs_a_token_where_there_are_keys() {
    let doors = Doors::of(&[&Issuer::eddsa("d")], &[]);
    let refused = call(&doors.server.listen, &post("/v1/sessions").json(&json!({"user": "ann"})));
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    assert!(refused.problem(401).contains("Bearer TOKEN"));
    assert_eq!(doors.server.metric("volley_denials_total"), 1);
    // A page is told as well.
    let of_page = call(&doors.server.listen, &post("/v1/sessions").header("Origin", "https://a.example"));
    assert_eq!(of_page.header("access-control-allow-origin"), Some("*"), "{of_page}");
}

/// Refused with a 401 that asks for another token, in these words.
#[track_caller]
fn assert_refused(doors: &Doors, token: &str, words: &str) {
    let refused = doors.open(token, &json!({}));
    let detail = refused.problem(401);
    assert!(detail.contains(words), "{words:?} is not in {detail:?}");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
}

#[test]
fn a_token_counts_in_its_time_only() {
    let issuer = Issuer::hs256("h");
    let doors = Doors::of(&[&issuer], &["--limit", "token_leeway_ms=5000"]);
    let with = |more: Value| {
        let mut claims = claims("ann", &[">"]);
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        issuer.token(&claims)
    };
    assert_refused(&doors, &with(json!({"exp": in_s(-60)})), "expired");
    assert_refused(&doors, &with(json!({"exp": "none"})), "exp is missing");
    assert_refused(&doors, &with(json!({"exp": "soon"})), "exp");
    assert_refused(&doors, &with(json!({"exp": -1})), "exp");
    assert_refused(&doors, &with(json!({"nbf": in_s(60)})), "nbf");
    assert_refused(&doors, &with(json!({"nbf": "0"})), "nbf");
    doors.open(&with(json!({"nbf": in_s(3), "exp": in_s(100)})), &json!({})).expect(201);
}

#[test]
fn a_token_is_for_its_audience_and_of_its_issuer() {
    let issuer = Issuer::hs256("h");
    let doors = Doors::with(&[&issuer], "audience = [\"volley\", \"chat\"]\nissuer = [\"https://id.example\"]", &[]);
    let with = |aud: Value, iss: Value| issuer.token(&json!({"sub": "ann", "aud": aud, "iss": iss}));
    let good = json!("https://id.example");
    doors.open(&with(json!("chat"), good.clone()), &json!({})).expect(201);
    doors.open(&with(json!(["mail", "volley"]), good.clone()), &json!({})).expect(201);
    assert_refused(&doors, &with(json!("mail"), good.clone()), "aud");
    assert_refused(&doors, &with(json!(null), good.clone()), "aud");
    assert_refused(&doors, &with(json!(["mail"]), good), "aud");
    assert_refused(&doors, &with(json!("chat"), json!("https://evil.example")), "iss");
    assert_refused(&doors, &issuer.token(&json!({"sub": "ann", "aud": "chat"})), "iss");
    // Where no audience is configured, a token that is meant for somebody is meant for somebody else.
    let open = Doors::of(&[&issuer], &[]);
    assert_refused(&open, &issuer.token(&json!({"sub": "ann", "aud": "mail"})), "aud");
}

#[test]
fn a_forged_token_is_refused() {
    let (issuer, stranger) = (Issuer::eddsa("d"), Issuer::eddsa("d"));
    let doors = Doors::of(&[&issuer], &[]);
    let ann = claims("ann", &[">"]);
    assert_refused(&doors, &stranger.token(&ann), "signature");
    let good = issuer.token(&ann);
    let [head, payload, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let root = b64(json!({"sub": "root", "exp": in_s(100)}).to_string());
    assert_refused(&doors, &format!("{head}.{root}.{signature}"), "signature");
    assert_refused(&doors, &format!("{head}.{payload}."), "signature");
    assert_refused(&doors, &format!("{head}.{payload}.{}", &signature[4..]), "signature");
    for broken in [&*format!("{head}.{payload}"), "a.b.c", "...", "x", &format!("{good}.x"), &"A".repeat(9000)] {
        assert_refused(&doors, broken, "no JWT");
    }
    doors.open(&good, &json!({})).expect(201);
}

#[test]
fn an_algorithm_belongs_to_its_key() {
    let (rsa, ec, ed) = (Issuer::rs256("r"), Issuer::es256("e"), Issuer::eddsa("d"));
    let doors = Doors::of(&[&rsa, &ec, &ed], &[]);
    let payload = b64(json!({"sub": "root", "exp": in_s(100), "volley": {"join": [">"]}}).to_string());
    for issuer in [&rsa, &ec, &ed] {
        // What is public is no secret: HS256 with the bytes of the key, and with its JWK, and with its PEM.
        let public = issuer.public_bytes();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &public)
        );
        for secret in [&public[..], issuer.jwk().to_string().as_bytes(), pem.as_bytes()] {
            let message = format!("{}.{payload}", b64(json!({"alg": "HS256", "kid": issuer.kid}).to_string()));
            assert_refused(
                &doors,
                &format!("{message}.{}", b64(hs256(secret, message.as_bytes()))),
                "none of the server's keys",
            );
        }
        // One key, and the algorithm of another.
        let claims = claims("root", &[">"]);
        for other in ["RS256", "ES256", "EdDSA"].iter().filter(|other| **other != issuer.algorithm()) {
            let token = issuer.token_with(&json!({"alg": other, "kid": issuer.kid}), &claims);
            assert_refused(&doors, &token, "none of the server's keys");
        }
        for other in ["RS384", "PS256", "RS512", "ES384", "HS512"] {
            let token = issuer.token_with(&json!({"alg": other, "kid": issuer.kid}), &claims);
            assert_refused(&doors, &token, "none of the server's keys");
        }
    }
}

#[test]
fn a_token_without_a_signature_is_none() {
    let doors = Doors::of(&[&Issuer::hs256("h")], &[]);
    let payload = b64(json!({"sub": "root", "exp": in_s(100)}).to_string());
    for none in ["none", "None", "NONE", "nOnE", ""] {
        let head = b64(json!({"alg": none, "typ": "JWT", "kid": "h"}).to_string());
        assert_refused(&doors, &format!("{head}.{payload}."), "no JWT");
        assert_refused(&doors, &format!("{head}.{payload}.{}", b64("x")), "no JWT");
    }
    let head = b64(json!({"typ": "JWT"}).to_string());
    assert_refused(&doors, &format!("{head}.{payload}."), "no JWT");
}

#[test]
fn a_key_of_another_kid_does_not_count() {
    let (one, two) = (Issuer::hs256("one"), Issuer::hs256("two"));
    let doors = Doors::of(&[&one, &two], &[]);
    let ann = claims("ann", &[">"]);
    let header = |kid: &str| json!({"alg": "HS256", "kid": kid});
    assert_refused(&doors, &one.token_with(&header("two"), &ann), "signature");
    assert_refused(&doors, &one.token_with(&header("three"), &ann), "none of the server's keys");
    assert_refused(&doors, &one.token_with(&header("../../dev/null"), &ann), "none of the server's keys");
    // One that names none is tried with each.
    doors.open(&two.token_with(&json!({"alg": "HS256"}), &ann), &json!({})).expect(201);
}

#[test]
fn a_token_does_not_bring_its_own_key() {
    let (issuer, stranger) = (Issuer::es256("e"), Issuer::es256("e"));
    let doors = Doors::of(&[&issuer], &[]);
    let ann = claims("ann", &[">"]);
    for (name, value) in [
        ("jwk", stranger.jwk()),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("x5c", json!(["AAAA"])),
    ] {
        let mut header = json!({"alg": "ES256", "kid": "e"});
        header[name] = value;
        assert_refused(&doors, &stranger.token_with(&header, &ann), "signature");
    }
    // An extension that must be understood is not.
    let critical = json!({"alg": "ES256", "kid": "e", "crit": ["b64"], "b64": false});
    assert_refused(&doors, &issuer.token_with(&critical, &ann), "no JWT");
}

#[test]
fn authorization_is_a_bearer_once() {
    let issuer = Issuer::hs256("h");
    let doors = Doors::of(&[&issuer], &[]);
    let token = issuer.token(&claims("ann", &[">"]));
    let open = |value: String| call(&doors.server.listen, &post("/v1/sessions").header("Authorization", value));
    for wrong in ["", "Bearer", "Basic YW5uOnB3", "Bearer a b", "Bearer \"x\"", &token] {
        open(wrong.to_owned()).problem(401);
    }
    open(format!("bearer  {token}")).expect(201);
    let twice = post("/v1/sessions").bearer(&token).bearer(&token);
    assert!(call(&doors.server.listen, &twice).problem(400).contains("more than once"));
}

#[test]
fn a_rule_sees_the_user_and_the_claims_and_nobody_makes_them_up() {
    let issuer = Issuer::hs256("h");
    let folder = Scratch::new();
    secret_file(&folder, "jwks.json", &jwks(&[&issuer]));
    let text = format!(
        "[auth]\njwks = \"jwks.json\"\nanonymous = true\n[plugins.probe]\nfile = {:?}\n[[routes]]\ntopics = \"probe.>\"\n\
         plugin = \"probe\"\nconfig = {{ announce = true }}\n{TOPIC_ONLY}",
        guests::probe().display().to_string()
    );
    let server = Server::start(&["--config", &folder.file("volley.toml", &text)]);
    let mut watcher = Session::open_with(&server, &json!({"topics": ["probe.doors"]}));
    watcher.skip_all();
    let ann = json!({"sub": "ann", "role": "op", "volley": {"join": ["probe.>"]}});
    let open = post("/v1/sessions").json(&json!({"params": {"p": 1}, "topics": ["probe.doors"]}));
    call(&server.listen, &open.bearer(&issuer.token(&ann))).expect(201);
    let seen = watcher.next();
    let params: Value = serde_json::from_str(seen["params"].as_str().expect("params")).expect("JSON");
    assert_eq!((&seen["user"], &params["p"]), (&json!("ann"), &json!(1)), "{seen}");
    assert_eq!((&params["claims"]["role"], &params["claims"]["sub"]), (&json!("op"), &json!("ann")), "{seen}");
    for forged in [r#"{"params":{"claims":{"role":"op"}}}"#, r#"{"params":{"cl\u0061ims":1}}"#, r#"{"params":[1]}"#] {
        call(&server.listen, &post("/v1/sessions").body(forged)).problem(400);
    }
}

#[test]
fn a_user_is_one_line_of_text() {
    let issuer = Issuer::hs256("h");
    let doors = Doors::of(&[&issuer], &[]);
    for user in ["", "ann\r\nSet-Cookie: a=b", "a\0b", "\u{7f}"] {
        assert_refused(&doors, &issuer.token(&json!({"sub": user})), "sub");
    }
    assert_refused(&doors, &issuer.token(&json!({"sub": 7})), "claims");
    doors.open(&issuer.token(&json!({"sub": "x".repeat(300)})), &json!({})).problem(400);
    doors.open(&issuer.token(&json!({"sub": "a".repeat(255)})), &json!({})).expect(201);
}

#[test]
fn what_was_shown_is_in_no_log() {
    let issuer = Issuer::hs256("h");
    let folder = Scratch::new();
    secret_file(&folder, "jwks.json", &jwks(&[&issuer]));
    let config = folder.file("volley.toml", &format!("[auth]\njwks = \"jwks.json\"\n{TOPIC_ONLY}"));
    let mut command = crate::harness::volley();
    command.args(["serve", "--ephemeral", "--admin-no-token", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    // hyper's own words of what it reads are asked for as well.
    let server = Server::start_as(command.args(["--config", &config]).env("RUST_LOG", "trace"));
    let good = issuer.token(&claims("ann", &[">"]));
    let mut expired = claims("ann", &[">"]);
    expired["exp"] = json!(in_s(-100));
    let expired = issuer.token(&expired);
    let opened = call(&server.listen, &post("/v1/sessions").bearer(&good)).expect(201).json();
    let session = opened["session"].as_str().expect("a token");
    let ticket = call(&server.listen, &post("/v1/tickets").token(session)).expect(201).json();
    call(&server.listen, &post("/v1/sessions").bearer(&expired)).problem(401);
    call(&server.listen, &post(events("a")).header("X-API-Key", "volley_key_very-secret")).problem(401);
    call(&server.listen, &post("/v1/sessions").bearer(&good).token("x")).expect(201);
    call(&server.listen, &put("/v1/sessions").token(session).bearer(&good)).expect(204);
    server.terminate();
    server.wait_for_exit();
    let log = server.wait_for_stderr("drained") + &server.stdout();
    let secret = issuer.jwk()["k"].as_str().expect("a secret").to_owned();
    for shown in [&*good, &*expired, session, ticket["ticket"].as_str().expect("a ticket"), "very-secret", &*secret] {
        let tail = &shown[shown.len() - 10..];
        assert!(!log.contains(tail), "{tail} is in the log");
    }
}

#[test]
fn keys_that_are_no_good_end_the_start() {
    let weak = json!({"keys": [{"kty": "oct", "k": b64("short"), "alg": "HS256"}]}).to_string();
    let other = json!({"keys": [{"kty": "oct", "k": b64([7; 32]), "alg": "A256KW"}]}).to_string();
    let good = jwks(&[&Issuer::hs256("h")]);
    for (text, mode, words) in [
        ("{", 0o600, "no JWK set"),
        (&*weak, 0o600, "at least 32 bytes"),
        (&*other, 0o600, "no key of the set"),
        (r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#, 0o600, "2048"),
        (&*good, 0o644, "chmod 600"),
        (&*good, 0o620, "others may write"),
    ] {
        let folder = Scratch::new();
        let path = folder.file("jwks.json", text);
        chmod(Path::new(&path), mode);
        let failed = run(&[
            "serve",
            "--ephemeral",
            "--admin-no-token",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--auth-jwks",
            &path,
        ]);
        let said = String::from_utf8_lossy(&failed.stderr).into_owned();
        assert!(failed.status.code() == Some(1) && said.contains(words), "{words}: {said}");
        assert!(!said.contains(&b64("short")) && !said.contains(&b64([7; 32])), "{said}");
    }
}
