//! What an operator of Volley does, in the words of the admin API: push versions, activate them, go back, look at them.

use crate::guests;
use crate::harness::{Scratch, Server};
use crate::http::{Request, Response, assert_problem, call, delete, get, post, put};
use serde_json::{Map, Value, json};
use std::path::Path;

/// An operator at a server, with one plugin in mind.
#[derive(Clone)]
pub(crate) struct Operator {
    address: String,
    plugin: String,
    token: Option<String>,
}

impl Server {
    /// A server with this component as `versions` on `v.>`, and `topic` on all else.
    #[track_caller]
    pub(crate) fn start_with_version(component: &[u8], arguments: &[&str]) -> (Self, Operator) {
        let folder = Scratch::new();
        let plugin = format!("versions={}", component_file(folder.path(), component));
        let arguments = [&["--plugin", &plugin, "--route", "v.>=versions", "--lanes", "2"], arguments].concat();
        let server = Self::start_plain(&arguments);
        let operator = Operator::of(&server, "versions");
        (server, operator)
    }
}

/// Writes a component into the folder.
pub(crate) fn component_file(folder: &Path, component: &[u8]) -> String {
    let path = folder.join("versions.wasm");
    std::fs::write(&path, component).expect("write");
    path.to_str().expect("UTF-8").into()
}

/// Versions that differ in nothing but their name, which is in every message.
pub(crate) fn named(name: &str) -> Vec<u8> {
    guests::version(&json!({"name": name, "release": "0.1.0"}))
}

impl Operator {
    pub(crate) fn of(server: &Server, plugin: &str) -> Self {
        Self { address: server.admin.clone(), plugin: plugin.into(), token: None }
    }

    /// One who shows this token.
    pub(crate) fn with_token(self, token: &str) -> Self {
        Self { token: Some(token.into()), ..self }
    }

    #[track_caller]
    pub(crate) fn call(&self, request: Request) -> Response {
        match &self.token {
            Some(token) => call(&self.address, &request.header("Authorization", format!("Bearer {token}"))),
            None => call(&self.address, &request),
        }
    }

    /// `/admin/v1/plugins/NAME` and what is under it.
    pub(crate) fn path(&self, under: &str) -> String {
        format!("/admin/v1/plugins/{}{under}", self.plugin)
    }

    #[track_caller]
    pub(crate) fn look(&self, target: impl Into<String>) -> Value {
        done(&self.call(get(target)), &[200])
    }

    #[track_caller]
    pub(crate) fn try_push(&self, component: &[u8]) -> Response {
        self.call(post(self.path("/versions")).typed("application/wasm", component))
    }

    /// The version that it is.
    #[track_caller]
    pub(crate) fn push(&self, component: &[u8]) -> String {
        done(&self.try_push(component), &[200, 201])["version"].as_str().expect("a version").into()
    }

    #[track_caller]
    pub(crate) fn try_activate(&self, body: &Value) -> Response {
        self.call(post(self.path("/activate")).json(body))
    }

    #[track_caller]
    pub(crate) fn activate(&self, version: &str) -> Value {
        let swapped = done(&self.try_activate(&json!({ "version": version })), &[200]);
        assert_eq!(swapped["current"], version, "{swapped}");
        swapped
    }

    /// Pushes and activates.
    #[track_caller]
    pub(crate) fn deploy(&self, component: &[u8]) -> String {
        let version = self.push(component);
        self.activate(&version);
        version
    }

    #[track_caller]
    pub(crate) fn try_rollback(&self) -> Response {
        self.call(post(self.path("/rollback")).json(&json!({})))
    }

    #[track_caller]
    pub(crate) fn rollback(&self) -> Value {
        done(&self.try_rollback(), &[200])
    }

    #[track_caller]
    pub(crate) fn forget(&self, version: &str) -> Response {
        self.call(delete(self.path(&format!("/versions/{version}"))))
    }

    /// What there is to know of the plugin.
    #[track_caller]
    pub(crate) fn about(&self) -> Value {
        self.look(self.path(""))
    }

    #[track_caller]
    pub(crate) fn active(&self) -> String {
        let about = self.about();
        about["active"].as_str().unwrap_or_else(|| panic!("none is active: {about}")).into()
    }

    /// What is known of one of its versions.
    #[track_caller]
    pub(crate) fn version(&self, version: &str) -> Option<Value> {
        let about = self.about();
        about["versions"].as_array().expect("a list").iter().find(|known| known["version"] == version).cloned()
    }

    /// Every object of a table of the plugin, by its key.
    #[track_caller]
    pub(crate) fn table(&self, name: &str) -> Map<String, Value> {
        self.tables().remove(name).unwrap_or_else(|| panic!("no table {name}"))
    }

    /// The same of all its tables, by their names.
    #[track_caller]
    pub(crate) fn tables(&self) -> std::collections::BTreeMap<String, Map<String, Value>> {
        let listing = self.look("/admin/v1/tables");
        let own = listing["tables"].as_array().expect("a list").iter().filter(|table| table["owner"] == *self.plugin);
        own.map(|table| {
            let full = table["name"].as_str().expect("a name");
            let page =
                self.look(format!("/admin/v1/tables/{}?limit=1000", full.replace('/', "%2F").replace(':', "%3A")));
            assert!(page["next"].is_null(), "more than a page: {full}");
            let objects = page["objects"].as_array().expect("a list").iter();
            let objects = objects.map(|object| (object["key"].as_str().expect("text").into(), object["value"].clone()));
            let short = full.rsplit(['/', ':']).next().expect("a name");
            (short.into(), objects.collect())
        })
        .collect()
    }

    /// The routes, and their tag.
    #[track_caller]
    pub(crate) fn routes(&self) -> (Value, String) {
        let response = self.call(get("/admin/v1/routes"));
        let tag = response.header("etag").unwrap_or_else(|| panic!("no ETag: {response}")).to_owned();
        (done(&response, &[200]), tag)
    }

    #[track_caller]
    pub(crate) fn try_set_routes(&self, rows: &Value, if_match: Option<&str>) -> Response {
        let request = put("/admin/v1/routes").json(rows);
        self.call(match if_match {
            Some(tag) => request.header("If-Match", tag),
            None => request,
        })
    }

    #[track_caller]
    pub(crate) fn set_routes(&self, rows: &Value) {
        done(&self.try_set_routes(rows, None), &[200, 204]);
    }
}

/// The body of an answer with one of these statuses.
#[track_caller]
pub(crate) fn done(response: &Response, statuses: &[u16]) -> Value {
    assert!(statuses.contains(&response.status), "{response}");
    if response.body.is_empty() { Value::Null } else { response.json() }
}

/// What an operator is told with this status.
#[track_caller]
pub(crate) fn refused(response: &Response, status: u16) -> String {
    assert_eq!(response.status, status, "{response}");
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{response}");
    assert_problem(&response.json(), status)
}
