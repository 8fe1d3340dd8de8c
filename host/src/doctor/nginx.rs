//! The nginx in front, as far as it bounds connections: its running workers, and its configuration.

use crate::doctor::machine::nofile;
use crate::doctor::tree::{Reading, Tree, Unread};

/// Where Debian's, and nearly every other, has its configuration.
const CONFIG: &str = "etc/nginx/nginx.conf";
/// What `worker_connections` is where nothing is said.
const CONNECTIONS_DEFAULT: u64 = 512;

/// What one worker may.
pub(super) struct Nginx {
    /// Open files: the least of the running workers', or what the configuration says.
    pub(super) nofile: Reading<u64>,
    /// Connections, to clients and to Volley together.
    pub(super) connections: Reading<u64>,
}

impl Nginx {
    pub(super) fn read(tree: &Tree) -> Self {
        let config = tree.text(CONFIG);
        let said = |name| config.as_ref().ok().and_then(|text| directive(text, name));
        let running = running_nofile(tree);
        let nofile = running.or_else(|| said("worker_rlimit_nofile"));
        let unknown = || match &config {
            Err(unread) => Unread { why: format!("no nginx is running, and {}", unread.why), ..unread.clone() },
            Ok(_) => Unread::of(format!("no nginx is running, and /{CONFIG} has no worker_rlimit_nofile")),
        };
        let connections = said("worker_connections").unwrap_or(CONNECTIONS_DEFAULT);
        Self {
            nofile: nofile.ok_or_else(unknown),
            connections: config.as_ref().map(|_| connections).map_err(Clone::clone),
        }
    }
}

/// nginx raises no soft limit to the hard one by itself.
fn running_nofile(tree: &Tree) -> Option<u64> {
    let is_worker = |pid: &String| {
        pid.bytes().all(|digit| digit.is_ascii_digit())
            && tree.text(&format!("proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with("nginx: worker process"))
    };
    let workers = tree.names("proc").into_iter().filter(is_worker);
    workers.filter_map(|pid| nofile(tree, &pid).ok()).map(|(soft, _hard)| soft).min()
}

/// The number that a directive is given. Included files are not looked into: these two stand in the main one.
fn directive(config: &str, name: &str) -> Option<u64> {
    let without_comments = config.lines().map(|line| line.split('#').next().unwrap_or_default());
    let text: String = without_comments.flat_map(|line| [line, " "]).collect();
    text.split([';', '{', '}']).find_map(|words| {
        let mut words = words.split_whitespace();
        if words.next() == Some(name) { words.next()?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directive_is_found_wherever_it_stands() {
        let config = "user www-data; # worker_connections 1;\nevents { multi_accept on; worker_connections\n 4096; }";
        assert_eq!(directive(config, "worker_connections"), Some(4096));
        assert_eq!(directive(config, "worker_rlimit_nofile"), None);
        assert_eq!(directive("worker_connections many;", "worker_connections"), None);
    }
}
