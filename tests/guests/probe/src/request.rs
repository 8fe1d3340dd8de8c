//! What the guest can be told, as it stands in the payload.

use serde::Deserialize;
use serde_json::Value;
use volley_plugin::bindings::volley::router::types::SetOp;
use volley_plugin::log::Level;
use volley_plugin::{Pid, Recipients, Timer};

use crate::faults::{BadHandle, Flood};
use crate::{groups::Groups, tables::Tables};

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(crate) enum Request {
    Loop,
    Trap { words: String },
    Recurse,
    Alloc { mib: usize },
    Flood(Flood),
    BadHandle(BadHandle),
    BadJson { json: String },
    Text { data: String },
    Binary { data: Vec<u8> },
    Pids { to: Vec<Pid> },
    Expr { steps: Vec<Step> },
    Remove { pids: Option<Vec<Pid>> },
    Table(Tables),
    Group(Groups),
    Timer { delay_ms: u64, data: Value, topic: Option<String> },
    Cancel { timer: Timer },
    Spin { us: u64 },
    Rand { count: u32 },
    Time,
    Event,
    Refuse { words: String },
    Invalid { words: String },
    Log { level: String, message: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    Pids(Vec<u64>),
    Members(String, String),
    Subscribers(String),
    Union,
    Intersection,
    Subtract,
}

pub(crate) fn recipients(steps: Vec<Step>) -> Recipients {
    let step = |step| match step {
        Step::Pids(pids) => SetOp::Pids(pids),
        Step::Members(scope, group) => SetOp::Members((scope, group.into_bytes())),
        Step::Subscribers(topic) => SetOp::Subscribers(topic),
        Step::Union => SetOp::Union,
        Step::Intersection => SetOp::Intersection,
        Step::Subtract => SetOp::Subtract,
    };
    Recipients::from_postfix(steps.into_iter().map(step).collect())
}

pub(crate) fn level(name: &str) -> Level {
    match name {
        "error" => Level::Error,
        "warning" => Level::Warning,
        "info" => Level::Info,
        _ => Level::Debug,
    }
}
