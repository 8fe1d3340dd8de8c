//! Certificates: which files are taken, and how they are replaced while clients are connected.

use crate::client::publish;
use crate::harness::{Server, run as run_volley};
use crate::secure::{Authority, Http2, receive, request, run, wait_for_metric};
use hyper::Method;
use serde_json::json;
use std::os::unix::fs::symlink;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a server says that is started with these files, and does not start.
#[track_caller]
fn refused(authority: &Authority, cert: &str, key: &str) -> String {
    let (cert, key) = (authority.path(cert), authority.path(key));
    let ports =
        ["serve", "--ephemeral", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"];
    let output = run_volley(&[&ports[..], &["--tls-cert", &cert, "--tls-key", &key]].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn files_that_are_no_good_are_told_with_what_to_do() {
    let authority = Authority::new();
    authority.issue("one", "named-one");
    authority.issue("other", "named-other");
    std::fs::write(authority.path("empty"), "").expect("write");
    let whole = std::fs::read_to_string(authority.path("one.pem")).expect("PEM");
    std::fs::write(authority.path("half.pem"), &whole[..whole.len() / 2]).expect("write");
    let other = whole.replace('A', "B");
    std::fs::write(authority.path("damaged.pem"), other).expect("write");
    authority.openssl(&["pkey", "-in", "one.key", "-aes256", "-passout", "pass:secret", "-out", "encrypted.key"]);
    authority.openssl(&["genrsa", "-out", "short.key", "1024"]);
    for (cert, key, words) in [
        ("nowhere.pem", "one.key", "nowhere.pem (--tls-cert) can't be read"),
        ("one.pem", "nowhere.key", "nowhere.key (--tls-key) can't be read"),
        ("empty", "one.key", "has no certificate"),
        ("one.key", "one.key", "has no certificate"),
        ("one.pem", "one.pem", "has no private key"),
        ("one.pem", "encrypted.key", "openssl pkey"),
        ("half.pem", "one.key", "damaged"),
        ("damaged.pem", "one.key", "(--tls-cert)"),
        ("one.pem", "other.key", "is not the key of the first certificate"),
        ("one.pem", "short.key", "(--tls-key)"),
    ] {
        let said = refused(&authority, cert, key);
        assert!(said.contains(words), "{cert} {key}: {said}");
    }
}

#[test]
fn every_usual_kind_of_key_is_taken() {
    let authority = Authority::new();
    let issue = [
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-days",
        "9",
        "-subj",
        "/CN=named-kind",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ];
    let kinds: [(&str, &[&str]); 4] = [
        ("PRIVATE KEY", &["genpkey", "-algorithm", "ed25519", "-out", "kind.key"]),
        ("PRIVATE KEY", &["genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "kind.key"]),
        ("RSA PRIVATE KEY", &["genrsa", "-traditional", "-out", "kind.key", "2048"]),
        ("EC PRIVATE KEY", &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "kind.key"]),
    ];
    for (label, make) in kinds {
        authority.openssl(make);
        let pem = std::fs::read_to_string(authority.path("kind.key")).expect("PEM");
        assert!(pem.starts_with(&format!("-----BEGIN {label}-----")), "{}", pem.lines().next().unwrap_or_default());
        let cert = ["req", "-x509", "-config", "req.conf", "-key", "kind.key", "-out", "kind.pem"];
        authority.openssl(&[&cert[..], &issue].concat());
        let server = authority.serve("kind", &[]);
        assert_eq!(run(authority.offered(&server)), "named-kind", "{make:?}");
        assert!(!server.stderr().contains(pem.lines().nth(1).expect("a line")), "a key in the log");
    }
}

/// A poll that waits on a connection from before, which the message ends.
struct Waiting {
    client: Http2,
    token: String,
}

impl Waiting {
    async fn on(authority: &Authority, server: &Server) -> Self {
        let client = authority.http2(server).await;
        let token = client.session("certificates").await;
        Self { client, token }
    }

    async fn hears(&self, server: &Server, cursor: u64) {
        let target = format!("/v1/poll?cursor={cursor}&wait=50");
        let waiting = self.client.send(request(Method::GET, &target, Some(&self.token))).await;
        wait_for_metric(server, "volley_parked_polls", |polls| polls == 1).await;
        publish(server, "certificates", &json!(cursor));
        let page = receive(waiting).await.expect(200).json();
        assert_eq!(page["messages"][0]["data"], cursor, "{page}");
    }
}

async fn until_offered(authority: &Authority, server: &Server, name: &str) {
    let started = std::time::Instant::now();
    while authority.offered(server).await != name {
        assert!(started.elapsed() < crate::http::PATIENCE, "{name} is not offered");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn replace(authority: &Authority, from: &str, to: &str) {
    std::fs::rename(authority.path(from), authority.path(to)).expect("rename");
}

#[test]
fn new_files_are_offered_and_open_connections_go_on() {
    let authority = Authority::new();
    authority.issue("server", "named-first");
    authority.issue_for_days("next", "named-second", 99);
    let server = authority.serve("server", &[]);
    run(async {
        let waiting = Waiting::on(&authority, &server).await;
        waiting.hears(&server, 0).await;
        assert_eq!(authority.offered(&server).await, "named-first");
        replace(&authority, "next.pem", "server.pem");
        replace(&authority, "next.key", "server.key");
        until_offered(&authority, &server, "named-second").await;
        waiting.hears(&server, 1).await;
    });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
    let days = (server.metric("volley_tls_certificate_expires_seconds") - now) / (24 * 3600);
    assert!((98..=99).contains(&days), "{days}");
    assert!(server.metric("volley_tls_reloads_total") >= 1);
}

/// As certbot does it (the files are links), and Kubernetes (they lead through a folder that is one).
#[test]
fn links_that_lead_elsewhere_are_followed() {
    let authority = Authority::new();
    for (folder, name) in [("one", "named-first"), ("two", "named-second"), ("three", "named-third")] {
        std::fs::create_dir(authority.path(folder)).expect("a folder");
        authority.issue(&format!("{folder}/server"), name);
    }
    let link = |to: &str, name: &str| {
        symlink(to, authority.path("fresh")).expect("a link");
        replace(&authority, "fresh", name);
    };
    link("one", "data");
    link("data/server.pem", "server.pem");
    link("data/server.key", "server.key");
    let server = authority.serve("server", &[]);
    run(async {
        assert_eq!(authority.offered(&server).await, "named-first");
        link("two", "data");
        until_offered(&authority, &server, "named-second").await;
        link("three/server.pem", "server.pem");
        link("three/server.key", "server.key");
        until_offered(&authority, &server, "named-third").await;
    });
}

#[test]
fn a_bad_pair_changes_nothing_and_is_told_and_counted() {
    let authority = Authority::new();
    authority.issue("server", "named-first");
    authority.issue("next", "named-second");
    let server = authority.serve("server", &[]);
    run(async {
        let waiting = Waiting::on(&authority, &server).await;
        replace(&authority, "next.pem", "server.pem"); // and not its key
        server.wait_for_stderr("is not the key of the first certificate");
        wait_for_metric(&server, "volley_tls_reloads_total", |reloads| reloads == 1).await;
        assert_eq!(authority.offered(&server).await, "named-first");
        std::fs::remove_file(authority.path("server.key")).expect("removed");
        server.wait_for_stderr("can't be read");
        assert_eq!(authority.offered(&server).await, "named-first");
        waiting.hears(&server, 0).await;
        replace(&authority, "next.key", "server.key");
        until_offered(&authority, &server, "named-second").await;
        waiting.hears(&server, 1).await;
    });
}

#[test]
fn a_hang_up_loads_them_anew_whether_or_not_they_changed() {
    let authority = Authority::new();
    authority.issue("server", "named-first");
    let server = authority.serve("server", &[]);
    server.signal("HUP");
    server.wait_for_metric("volley_tls_reloads_total", 1);
    server.signal("HUP");
    server.wait_for_metric("volley_tls_reloads_total", 2);
    assert_eq!(run(authority.offered(&server)), "named-first");
}

#[test]
fn a_certificate_that_ends_soon_is_told() {
    let authority = Authority::new();
    authority.issue_for_days("server", "named-old", 3);
    let server = authority.serve("server", &[]);
    server.wait_for_stderr("ends soon");
}
