//! Tables, page by page.

use super::{ok, page_rows};
use crate::caller::Caller;
use crate::node::Node;
use crate::protocol::http::{self, Answered};
use crate::protocol::problem::Problem;
use crate::tables::Table;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// All of them, in short.
pub(super) fn tables(node: &Node) -> Vec<Value> {
    node.shared.tables.list().iter().map(|(name, table)| about_table(name, table)).collect()
}

fn about_table(name: &str, table: &Table) -> Value {
    let (objects, bytes) = table.size();
    let kind = format!("{:?}", table.kind()).to_lowercase();
    json!({
        "name": name,
        "owner": &**table.owner(),
        "kind": kind,
        "durable": table.is_durable(),
        "size": objects,
        "bytes": bytes,
    })
}

/// One, with a page of what is in it.
pub(super) fn table(node: &Node, name: &str, query: Option<&str>) -> Answered {
    let name = http::percent_decoded(name).and_then(|name| String::from_utf8(name).ok());
    let name = name.ok_or_else(Problem::not_found)?;
    let table = node.shared.tables.get(&name).ok_or_else(Problem::not_found)?;
    let prefix = http::decoded_parameter(query, "prefix")?.unwrap_or_default();
    let after = http::decoded_parameter(query, "after")?;
    let limit = u32::try_from(page_rows(node, query, "limit")?).unwrap_or(u32::MAX);
    let bad = |denied: crate::denied::Denied| Problem::bad_request(denied.to_string());
    let by = Caller::of(table.owner().clone());
    let page = table.select(&by, &prefix, after.as_deref(), limit).map_err(bad)?;
    let mut about = about_table(&name, &table);
    about["objects"] =
        page.objects.iter().map(|object| json!({"key": term(&object.key), "value": term(&object.value)})).collect();
    about["next"] = page.continuation.map_or(Value::Null, |key| percent_encoded(&key).into());
    Ok(ok(&about))
}

/// Text where it is text.
fn term(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({"base64": STANDARD.encode(bytes)}),
    }
}

fn percent_encoded(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(*b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
