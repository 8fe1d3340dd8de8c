//! Sessions, page by page, and one by one.

use super::{found, ok, page_rows};
use crate::node::Node;
use crate::pid::Pid;
use crate::protocol::http::{self, Answered};
use crate::protocol::problem::Problem;
use crate::session::{ExitReason, Session};
use serde_json::{Value, json};

/// A page of them.
pub(super) fn sessions(node: &Node, query: Option<&str>) -> Answered {
    let rows_max = page_rows(node, query, "limit")? as usize;
    let after = match http::decoded_parameter(query, "after")? {
        None => None,
        Some(text) => Some(parse_pid(&text)?),
    };
    let (mut rows, mut next) = (Vec::new(), Value::Null);
    let mut last = None;
    node.shared.sessions.walk(after.map_or(0, |pid| pid.slot() + 1), |pid, session| {
        if rows.len() == rows_max {
            next = last.map_or(Value::Null, |pid: Pid| pid.to_string().into());
            return false;
        }
        rows.push(about_session(pid, session));
        last = Some(pid);
        true
    });
    Ok(ok(&json!({"sessions": rows, "next": next})))
}

/// One.
pub(super) fn session(node: &Node, pid: &str) -> Answered {
    let pid = parse_pid(&http::percent_decoded(pid).ok_or_else(Problem::not_found)?)?;
    found(node.shared.sessions.with(pid, |session| about_session(pid, session)))
}

/// Ends one; its exits have the reason killed.
pub(super) fn kick(node: &Node, pid: &str) -> Answered {
    let pid = parse_pid(&http::percent_decoded(pid).ok_or_else(Problem::not_found)?)?;
    if node.end_session(pid, ExitReason::Killed) { Ok(http::no_content()) } else { Err(Problem::not_found()) }
}

fn parse_pid(text: &[u8]) -> Result<Pid, Problem> {
    let pid = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    pid.ok_or_else(|| Problem::bad_request(crate::pid::NotAPid.to_string()))
}

fn about_session(pid: Pid, session: &mut Session) -> Value {
    let mailbox = &session.mailbox;
    json!({
        "pid": pid.to_string(),
        "user": session.user.as_deref(),
        "topics": session.topics.iter().map(crate::topic::Topic::as_str).collect::<Vec<_>>(),
        "parked": session.is_parked(),
        "consumer": session.consumer(),
        "mailbox": {
            "messages": mailbox.len(), "unread": session.unread(), "bytes": mailbox.bytes(),
            "newest": mailbox.newest(), "acknowledged": mailbox.acknowledged(),
        },
    })
}
