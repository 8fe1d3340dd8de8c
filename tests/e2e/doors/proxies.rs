//! Whose address counts: the peer's, unless it is a proxy that the operator trusts.

use crate::client::events;
use crate::harness::Server;
use crate::http::{Request, call, post};
use serde_json::json;

const RATE: [&str; 2] = ["--limit", "address_requests_per_s_max=3"];

/// How many of so many calls were answered.
fn answered(server: &Server, count: usize, request: impl Fn(usize) -> Request) -> usize {
    (0..count).filter(|at| call(&server.listen, &request(*at)).status != 429).count()
}

#[test]
fn a_client_does_not_choose_its_address() {
    let server = Server::start_plain(&RATE);
    let forged = |at| post("/v1/sessions").header("X-Forwarded-For", format!("192.0.2.{at}"));
    assert!(answered(&server, 30, forged) < 20);
    let forged = |at| post(events("a")).json(&json!(1)).header("Forwarded", format!("for=192.0.2.{at}"));
    assert!(answered(&server, 30, forged) < 20);
}

#[test]
fn behind_a_trusted_proxy_each_client_has_its_own_rate() {
    let server = Server::start_plain(&[&RATE[..], &["--trusted-proxy", "127.0.0.0/8"]].concat());
    let of_many = |at| post("/v1/sessions").header("X-Forwarded-For", format!("192.0.2.{at}"));
    assert_eq!(answered(&server, 30, of_many), 30);
    let of_many = |at| post(events("a")).json(&json!(1)).header("Forwarded", format!("for=198.51.100.{at};proto=http"));
    assert_eq!(answered(&server, 30, of_many), 30);
    let of_one = |_| post("/v1/sessions").header("X-Forwarded-For", "203.0.113.1");
    assert!(answered(&server, 30, of_one) < 20);
    // What the client itself has sent stands before what the proxy adds.
    let forged = |at| post(events("a")).json(&json!(1)).header("X-Forwarded-For", format!("192.0.2.{at}, 203.0.113.7"));
    assert!(answered(&server, 30, forged) < 20);
}
