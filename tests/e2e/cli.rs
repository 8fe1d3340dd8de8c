//! The command line: help, wrong usage, the ready line.

use crate::harness::{Server, run, volley};
use crate::http::{call, get, post};
use std::net::TcpListener;
use std::process::Output;

/// Runs `volley serve` with arguments with which it does not get going.
#[track_caller]
pub(crate) fn serve(arguments: &[&str]) -> Output {
    let usual = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--ephemeral", "--admin-no-token"];
    run(&[&usual, arguments].concat())
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_names_every_flag() {
    let output = run(&["serve", "--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = stdout(&output);
    for flag in [
        "--listen",
        "--admin",
        "--config",
        "--data",
        "--ephemeral",
        "--admin-token-file",
        "--admin-no-token",
        "--log-format",
        "--plugin",
        "--route",
        "--limit",
        "--require-signed",
        "--signing-key",
        "127.0.0.1:8080",
        "127.0.0.1:9090",
    ] {
        assert!(help.contains(flag), "{flag}:\n{help}");
    }
    for limit in ["linger_ms", "mailbox_messages_max", "lane_queue_events_max", "drain_ms"] {
        assert!(help.contains(limit), "{limit}:\n{help}");
    }
}

#[test]
fn help_names_every_command() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    for command in ["serve", "plugin"] {
        assert!(stdout(&output).contains(command), "{}", stdout(&output));
    }
    let output = run(&["plugin", "--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("build"), "{}", stdout(&output));
    assert_eq!(run(&["--version"]).status.code(), Some(0));
}

#[test]
fn wrong_usage_exits_with_2_and_says_why() {
    for (arguments, word) in [
        (&[][..], "serve"),
        (&["srve"], "srve"),
        (&["serve", "--lisen", "127.0.0.1:0"], "--lisen"),
        (&["serve", "--listen", "nowhere"], "nowhere"),
        (&["serve", "--listen"], "--listen"),
        (&["serve", "--limit", "linger=5"], "linger"),
        (&["serve", "--limit", "linger_ms"], "linger_ms"),
        (&["serve", "--limit", "linger_ms=soon"], "soon"),
        (&["serve", "--limit", "linger_ms=-1"], "linger_ms"),
        (&["serve", "--log-format", "xml"], "xml"),
        (&["serve", "--ephemeral", "--data", "data"], "--data"),
        (&["serve", "--admin-no-token", "--admin-token-file", "token"], "--admin-token-file"),
        (&["serve", "surplus"], "surplus"),
        (&["serve", "--plugin", "rule.wasm"], "rule.wasm"),
        (&["serve", "--ephemeral", "--admin", "0.0.0.0:0", "--admin-no-token"], "--admin-no-token"),
        (&["serve", "--ephemeral", "--route", "a..b=topic"], "a..b"),
        (&["serve", "--ephemeral", "--route", "a.>=nobody"], "nobody"),
        (&["serve", "--ephemeral", "--plugin", "x=no/such/file.wasm"], "no/such/file.wasm"),
        (&["serve", "--ephemeral", "--limit", "mailbox_messages_max=0"], "mailbox_messages_max"),
        (&["plugin", "build"], "DIR"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}{}", stdout(&output), stderr(&output));
        assert!(stderr(&output).contains(word), "{arguments:?} is not told about {word}: {}", stderr(&output));
        assert!(stdout(&output).is_empty(), "{arguments:?}: {}", stdout(&output));
    }
}

#[test]
fn an_address_that_is_taken_fails() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for flag in ["--listen", "--admin"] {
        let other = if flag == "--listen" { "--admin" } else { "--listen" };
        let output = run(&["serve", "--ephemeral", "--admin-no-token", flag, &address, other, "127.0.0.1:0"]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains(&address), "{}", stderr(&output));
        assert!(!stdout(&output).contains("volley ready"), "{}", stdout(&output));
    }
}

#[test]
fn the_ready_line_comes_first_and_is_true() {
    let server = Server::start(&[]);
    let text = server.wait_for_stdout(|text| text.contains("curl"));
    let first = text.lines().next().expect("a line");
    assert_eq!(first, format!("volley ready listen={} admin={}", server.listen, server.admin));
    for address in [&server.listen, &server.admin] {
        let port = address.strip_prefix("127.0.0.1:").and_then(|port| port.parse::<u16>().ok());
        assert!(port.is_some_and(|port| port != 0), "{address}");
    }
    call(&server.listen, &post("/v1/sessions")).expect(201);
    assert_eq!(call(&server.admin, &get("/healthz")).status, 200);
}

#[test]
fn no_token_comes_with_a_warning() {
    let server = Server::start_plain(&[]);
    let log = server.stderr();
    let warning = log.lines().find(|line| line.contains("token"));
    assert!(warning.is_some_and(|line| line.to_ascii_lowercase().contains("warn")), "{log}");
}

#[test]
fn a_log_in_json_is_json() {
    let server = Server::start_plain(&["--log-format", "json"]);
    call(&server.listen, &get("/v1/nothing")).problem(404);
    server.terminate();
    server.wait_for_exit();
    for line in server.stderr().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|wrong| panic!("{wrong}: {line}"));
        assert!(line.is_object(), "{line}");
    }
}

#[test]
fn the_environment_is_heard_and_a_flag_wins() {
    let server = Server::start_as(
        volley()
            .args(["serve", "--ephemeral", "--admin-no-token", "--listen", "127.0.0.1:0"])
            .env("VOLLEY_ADMIN", "127.0.0.1:0")
            .env("VOLLEY_LISTEN", "nowhere.invalid:1"),
    );
    assert_eq!(call(&server.admin, &get("/healthz")).status, 200);
}

#[test]
fn ctrl_c_ends_it_as_sigterm_does() {
    let server = Server::start_plain(&[]);
    server.signal("INT");
    assert_eq!(server.wait_for_exit().code(), Some(0));
}

#[test]
fn what_cannot_be_built_fails() {
    let folder = crate::harness::Scratch::new();
    let missing = folder.path().join("missing");
    let output = run(&["plugin", "build", missing.to_str().expect("UTF-8")]);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{}", stderr(&output));
    assert!(stderr(&output).contains("missing"), "{}", stderr(&output));
}

#[test]
fn a_file_that_is_no_component_is_refused_by_name() {
    let folder = crate::harness::Scratch::new();
    for (text, name) in [("not Wasm at all", "text"), ("\0asm\u{1}\0\0\0", "module")] {
        let file = folder.file(&format!("{name}.wasm"), text);
        let output = serve(&["--plugin", &format!("odd={file}"), "--route", "odd.>=odd"]);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{}", stderr(&output));
        assert!(stderr(&output).contains("odd"), "{}", stderr(&output));
        assert!(stdout(&output).is_empty(), "{}", stdout(&output));
    }
}

#[test]
fn what_sessions_cost_is_a_row_for_each_size() {
    let output = run(&["bench", "sessions", "--sessions", "300,100"]);
    assert!(output.status.success(), "{output:?}");
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    let rows: Vec<Vec<f64>> = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().map(|number| number.parse().expect("a number")).collect())
        .collect();
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), [300.0, 100.0], "{table}");
    assert!(rows.iter().all(|row| row.len() == 8 && row[1..6].iter().all(|ns| *ns > 0.0)), "{table}");
    assert!((rows[0][7] - 1.0).abs() < 1e-9, "{table}");
    assert_eq!(run(&["bench", "sessions", "--sessions", "0"]).status.code(), Some(2));
}
