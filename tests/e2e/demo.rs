//! `volley serve --demo`: the files of the chat page, what they say to browsers, and that they are not there without it.

use crate::harness::{Server, workspace};
use crate::http::{Response, call, delete, get, post};
use crate::request::Request;
use crate::secure::{Authority, curl};

/// Path, type, and where it lies in `examples`.
const FILES: [(&str, &str, &str); 6] = [
    ("/", "text/html; charset=utf-8", "chat/index.html"),
    ("/chat.css", "text/css; charset=utf-8", "chat/chat.css"),
    ("/chat.js", "text/javascript; charset=utf-8", "chat/chat.js"),
    ("/room.js", "text/javascript; charset=utf-8", "chat/room.js"),
    ("/icon.svg", "image/svg+xml", "chat/icon.svg"),
    ("/client-js/volley.js", "text/javascript; charset=utf-8", "client-js/volley.js"),
];

fn file(name: &str) -> Vec<u8> {
    std::fs::read(workspace().join("examples").join(name)).expect("the file")
}

#[track_caller]
fn assert_guarded(answer: &Response) {
    let policy = answer.header("content-security-policy").expect("a policy");
    for part in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"] {
        assert!(policy.contains(part), "{policy}");
    }
    for part in ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(String::from_utf8_lossy(&file("chat/README.md")).contains(policy), "its README says it");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
}

#[test]
fn the_page_is_what_lies_in_examples_under_a_strict_policy() {
    let server = Server::start_plain(&["--demo"]);
    let ready = server.wait_for_stdout(|said| said.contains("Ctrl-C"));
    assert!(
        ready.contains(&format!("The chat page (--demo): open http://{}/ in two windows.", server.listen)),
        "{ready}"
    );
    for (path, content_type, name) in FILES {
        let answer = call(&server.listen, &get(path));
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)), "{answer}");
        assert!(answer.body == file(name), "{path} is not examples/{name}");
        assert_guarded(&answer);
        // What a browser has it asks for once more, and gets nothing if it is the same.
        let etag = answer.header("etag").expect("an ETag").to_owned();
        for known in [etag.clone(), format!("\"other\", W/{etag}"), "*".into()] {
            let again = call(&server.listen, &get(path).header("If-None-Match", known));
            assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(&*etag)), "{again}");
        }
        assert_eq!(call(&server.listen, &get(path).header("If-None-Match", "\"other\"")).status, 200);
        let head = call(&server.listen, &Request::new("HEAD", path));
        let length = answer.body.len().to_string();
        assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some(&*length), 0), "{head}");
    }
}

#[test]
fn it_is_for_reading_and_nothing_else_is_there() {
    let server = Server::start_plain(&["--demo"]);
    for request in [post("/"), delete("/chat.js")] {
        let answer = call(&server.listen, &request);
        answer.problem(405);
        assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    }
    for path in
        ["/index.html", "/chat.js/", "//", "/../Cargo.toml", "/client-js/../chat.js", "/%63hat.js", "/README.md"]
    {
        call(&server.listen, &get(path)).problem(404);
    }
}

#[test]
fn without_the_flag_there_is_no_page() {
    let server = Server::shared();
    for (path, ..) in FILES {
        call(&server.listen, &get(path)).problem(404);
    }
    assert!(!server.stdout().contains("--demo"));
}

#[test]
fn over_tls_as_well() {
    let authority = Authority::new();
    authority.issue("server", "named-server");
    let server = authority.serve("server", &["--demo"]);
    let url = format!("https://{}/", server.tls());
    server.wait_for_stdout(|said| said.contains(&format!(" or {url} in two windows")));
    for (version, shown) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let arguments =
            ["--cacert", &authority.path("ca.pem"), version, "-w", "\n%{http_version} %{response_code}", &url];
        let (code, said) = curl(&arguments);
        let page = String::from_utf8(file("chat/index.html")).expect("UTF-8");
        assert_eq!((code, said), (0, format!("{page}\n{shown} 200")));
        let (code, head) = curl(&["--cacert", &authority.path("ca.pem"), version, "-I", &url]);
        let head = head.to_ascii_lowercase();
        assert!(code == 0 && head.contains(&format!("content-length: {}\r\n", page.len())), "{head}");
        assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    }
}
