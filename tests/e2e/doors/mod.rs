//! Every way in, and who is turned away there. `host/SECURITY.md` lists them with the tests that try them.

pub(crate) mod issuer; // whoever signs tokens

mod accepting; // many who come at once, and caps on them
mod anonymous; // without keys, and with keys that are not needed
mod expiry; // a session ends with its token, or gets a new one
mod listed; // what `SECURITY.md` names is there
mod markup; // what chatters write is no markup, and no header
mod proxies; // whose address counts
mod publishers; // keys of back-ends
mod rates; // who comes too often
mod reload; // keys that change while the server runs
mod streams; // server-sent events and WebSockets
mod tickets; // what stands for a session in a URL
mod tokens; // tokens good and bad
mod topics; // what a token allows

use crate::harness::{Scratch, Server, TOPIC_ONLY};
use crate::http::{Connection, Request, Response, post};
use issuer::Issuer;
pub(crate) use issuer::jwks;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A server that knows tokens of these issuers.
pub(crate) struct Doors {
    pub(crate) server: Server,
    pub(crate) folder: Scratch,
}

impl Doors {
    /// With only `topic` mounted.
    #[track_caller]
    pub(crate) fn of(issuers: &[&Issuer], arguments: &[&str]) -> Self {
        Self::with(issuers, "", arguments)
    }

    /// The same with more in the config.
    #[track_caller]
    pub(crate) fn with(issuers: &[&Issuer], config: &str, arguments: &[&str]) -> Self {
        let folder = Scratch::new();
        secret_file(&folder, "jwks.json", &jwks(issuers));
        let config = folder.file("volley.toml", &format!("[auth]\njwks = \"jwks.json\"\n{config}\n{TOPIC_ONLY}"));
        let server = Server::start(&[&["--config", &config], arguments].concat());
        Self { server, folder }
    }

    /// Tries to open a session with that token.
    #[track_caller]
    pub(crate) fn open(&self, token: &str, body: &Value) -> Response {
        Connection::open(&self.server.listen).call(&post("/v1/sessions").json(body).bearer(token))
    }
}

impl Request {
    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }
}

/// A file that nobody else may read.
pub(crate) fn secret_file(folder: &Scratch, name: &str, text: &str) -> String {
    let path = folder.file(name, text);
    chmod(Path::new(&path), 0o600);
    path
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
}
