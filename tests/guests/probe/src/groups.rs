//! Each operation of a scope of groups, on the bindings themselves.
//!
//! `{"do":"group","scope":SCOPE,"op":OP}`. OP is one of `"open"`, `{"join":[GROUP,[PID,…]]}`, `{"leave":[GROUP,[…]]}`,
//! `{"get_members":GROUP}`, `{"which_groups":PID}` and `{"count":[GROUP,…]}`. Groups are texts.

use serde::Deserialize;
use serde_json::{Value, json};
use volley_plugin::bindings::volley::router::pg::Scope;
use volley_plugin::bindings::volley::router::types::{Error, Reach};

#[derive(Deserialize)]
pub(crate) struct Groups {
    scope: String,
    op: Op,
    #[serde(default)]
    cluster: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Op {
    Open,
    Join(String, Vec<u64>),
    Leave(String, Vec<u64>),
    GetMembers(String),
    WhichGroups(u64),
    Count(Vec<String>),
}

impl Groups {
    pub(crate) fn run(self) -> Result<Value, Error> {
        let scope = Scope::open(&self.scope, if self.cluster { Reach::Cluster } else { Reach::Node })?;
        Ok(match self.op {
            Op::Open => Value::Null,
            Op::Join(group, pids) => json!(scope.join(group.as_bytes(), &pids)?),
            Op::Leave(group, pids) => json!(scope.leave(group.as_bytes(), &pids)),
            Op::GetMembers(group) => json!(scope.get_members(group.as_bytes())),
            Op::WhichGroups(pid) => {
                let text = |group: Vec<u8>| String::from_utf8_lossy(&group).into_owned();
                json!(scope.which_groups(pid).into_iter().map(text).collect::<Vec<_>>())
            }
            Op::Count(groups) => {
                let groups: Vec<_> = groups.into_iter().map(String::into_bytes).collect();
                json!(scope.count(&groups))
            }
        })
    }
}
