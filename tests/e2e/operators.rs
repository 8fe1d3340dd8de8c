//! The admin token: who needs it, and where it is found.

use crate::client::Session;
use crate::harness::{Scratch, Server, in_path, volley};
use crate::http::{call, delete, get, post, put};
use crate::operator::Operator;
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

const SECRET: &str = "a-secret-of-more-than-16";

/// Beyond loopback all but `/healthz` needs the token.
#[test]
fn beyond_loopback_the_token_is_needed() {
    let folder = Scratch::new();
    let file = folder.file("token", &format!("{SECRET}\n"));
    let server = Server::start_as(
        volley()
            .args(["serve", "--ephemeral", "--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"])
            .args(["--admin-token-file", &file]),
    );
    let admin = server.admin.replace("0.0.0.0", "127.0.0.1");
    assert_eq!(call(&admin, &get("/healthz")).status, 200);
    for target in ["/readyz", "/metrics", "/admin/v1/plugins", "/admin/v1/sessions"] {
        for credentials in
            [None, Some("Bearer wrong".to_owned()), Some(SECRET.into()), Some(format!("Bearer {SECRET}x"))]
        {
            let mut request = get(target);
            if let Some(credentials) = &credentials {
                request = request.header("Authorization", credentials);
            }
            let response = call(&admin, &request);
            assert_eq!(response.status, 401, "{target} with {credentials:?}: {response}");
            assert!(response.header("www-authenticate").is_some(), "{response}");
        }
        let response = call(&admin, &get(target).header("Authorization", format!("Bearer {SECRET}")));
        assert_eq!(response.status, 200, "{target}: {response}");
    }
    assert!(!server.stderr().contains(SECRET) && !server.stdout().contains(SECRET));
}

/// What changes something needs it on loopback, too: any page in a browser can reach that.
#[test]
fn who_changes_something_shows_the_token() {
    let folder = Scratch::new();
    let file = folder.file("token", &format!("{SECRET}\n"));
    let server = Server::start_as(
        volley()
            .args(["serve", "--ephemeral", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(["--admin-token-file", &file]),
    );
    let nobody = Operator::of(&server, "topic");
    let operator = nobody.clone().with_token(SECRET);
    let before = (operator.about(), operator.routes());
    let ann = Session::open(&server);
    let (active, session) = (operator.active(), format!("/admin/v1/sessions/{}", in_path(&ann.pid)));
    let component = std::fs::read(crate::harness::workspace().join("plugins/dist/chat.wasm")).expect("chat");
    for request in [
        post(operator.path("/versions")).body(component.clone()),
        post(operator.path("/versions?dry_run")).body(component),
        post(operator.path("/activate")).json(&json!({ "version": active })),
        post(operator.path("/rollback")),
        post(operator.path("/purge")),
        post(operator.path("/shadow")).json(&json!({"version": active, "sample": 1.0})),
        delete(operator.path("/shadow")),
        delete(operator.path(&format!("/versions/{active}"))),
        put("/admin/v1/routes").json(&json!([])),
        delete(session),
    ] {
        for operator in
            [&nobody, &nobody.clone().with_token("wrong"), &nobody.clone().with_token(&format!("{SECRET}x"))]
        {
            let response = operator.call(request.clone());
            assert_eq!(response.status, 401, "{} {response}", request.method);
            assert!(response.header("www-authenticate").is_some(), "{response}");
        }
    }
    assert_eq!((operator.about(), operator.routes()), before);
    let routes = operator.routes().0;
    operator.set_routes(&routes);
    for target in ["/admin/v1/plugins", "/admin/v1/routes", "/admin/v1/sessions", "/metrics"] {
        assert_eq!(call(&server.admin, &get(target)).status, 200, "looking needs none: {target}");
    }
}

#[test]
fn beyond_loopback_it_does_not_start_without_a_token() {
    let output = crate::harness::run(&[
        "serve",
        "--ephemeral",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "0.0.0.0:0",
        "--admin-no-token",
    ]);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--admin-no-token"), "{output:?}");
}

/// The one file whose name says so, in there or in a folder in it: beside it lies what else a server keeps.
fn token_file(folder: &Path) -> Option<PathBuf> {
    let mut found = None;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let is_it = path.file_name().is_some_and(|name| name.to_string_lossy().contains("token"));
        let inside = if path.is_dir() { token_file(&path) } else { Some(path).filter(|_| is_it) };
        assert!(inside.is_none() || found.is_none(), "one token: {found:?}, {inside:?}");
        found = found.or(inside);
    }
    found
}

#[test]
fn a_token_is_made_for_this_user_alone() {
    let (data, runtime) = (Scratch::new(), Scratch::new());
    let data_flag = ["--data", data.path().to_str().expect("UTF-8")];
    for (flags, folder) in [(&data_flag[..], &data), (&["--ephemeral"], &runtime)] {
        let server = Server::start_as(
            volley()
                .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
                .args(flags)
                .env("XDG_RUNTIME_DIR", runtime.path()),
        );
        let file = token_file(folder.path()).expect("a file with the token");
        assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
        let token = std::fs::read_to_string(&file).expect("the token");
        assert!(token.trim().len() >= 32, "{token}");
        let said = server.wait_for_stdout(|text| text.contains(file.to_str().expect("UTF-8")));
        assert!(!said.contains(token.trim()) && !server.stderr().contains(token.trim()));
        assert_eq!(call(&server.admin, &get("/metrics")).status, 200, "on loopback all can look");
    }
}

#[test]
fn a_token_that_is_too_short_is_refused() {
    let folder = Scratch::new();
    let file = folder.file("token", "short\n");
    for file in [&*file, "no/such/token"] {
        let output = crate::harness::run(&[
            "serve",
            "--ephemeral",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--admin-token-file",
            file,
        ]);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(file), "{output:?}");
    }
}
