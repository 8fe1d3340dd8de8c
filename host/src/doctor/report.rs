//! What was found, for people: a line for each bound, what it costs, and what to do.

use crate::doctor::checks::Check;
use crate::doctor::costs::{self, Cost};
use crate::doctor::machine::Machine;
use crate::doctor::needs::Crowd;
use crate::doctor::numbers::grouped;
use std::fmt::Write as _;

/// All of it.
pub(super) fn text(crowd: Crowd, machine: &Machine, checks: &[Check]) -> String {
    let mut text = format!("{} connections{}\n\n", grouped(crowd.connections), where_from(crowd));
    lines(&mut text, checks);
    text += "\nWhat they take in memory\n\n";
    memory(&mut text, &costs::of(crowd, machine));
    text += "\nMessages that wait come on top, up to the limits of `volley serve`, whose log says how much that is.\n";
    let missing: Vec<&Check> = checks.iter().filter(|check| !check.ok).collect();
    if missing.is_empty() {
        text += "\nAll is well.\n";
        return text;
    }
    text += "\nWhat to do, as root\n";
    for check in missing {
        let _ = write!(text, "\n# {}\n{}\n", check.name, check.fix);
    }
    text
}

fn where_from(crowd: Crowd) -> &'static str {
    if crowd.behind_nginx { ", through an nginx on this machine" } else { "" }
}

fn lines(text: &mut String, checks: &[Check]) {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let _ = writeln!(text, "    {:width$}  {:>16}  {:>16}", "", "is", "needs");
    for Check { name, is, needs, ok, about, unread, .. } in checks {
        let mark = if *ok { "ok" } else { "NO" };
        let is = if unread.is_some() { "?".into() } else { grouped(*is) };
        let _ = writeln!(text, "{mark}  {name:width$}  {is:>16}  {:>16}  {about}", grouped(*needs));
    }
}

fn memory(text: &mut String, parts: &[Cost]) {
    for part in parts {
        let each = format!("{} x {} B", grouped(part.count), grouped(part.each));
        let _ = writeln!(text, "    {:>12}  {each:>28}  {}", mib(part.bytes()), part.what);
    }
    let (server, all) = (costs::server_bytes(parts), costs::bytes(parts));
    let _ = writeln!(text, "    {:>12}  in all; {} of it is the server's, and its cgroup's", mib(all), mib(server));
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", grouped(bytes.div_ceil(1 << 20)))
}
