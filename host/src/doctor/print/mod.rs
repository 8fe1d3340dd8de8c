//! Files that are ready to be installed. What stands in `{braces}` in a template is filled in; the rest is the file as it
//! will be, comments included: they are read by whoever has to change it.

use crate::doctor::fixes;
use crate::doctor::machine::Machine;
use crate::doctor::needs::{Crowd, PORTS};
use crate::doctor::tree::Reading;
use crate::limits::Limits;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

const NGINX: &str = include_str!("nginx.conf");
const SOURCES: &str = include_str!("nginx-sources.conf");
const SYSTEMD: &str = include_str!("volley.service");
const SYSCTL: &str = include_str!("sysctl.conf");

/// A front of nginx.
pub(super) fn nginx(connections: u64, listen: &str, upstream: &[SocketAddr]) -> String {
    let crowd = Crowd { connections, behind_nginx: true };
    let servers: Vec<String> = upstream.iter().map(|address| format!("server {address} max_fails=0;")).collect();
    let (sources, bind) = sources(crowd, upstream);
    fill(
        NGINX,
        &[
            ("connections", &connections.to_string()),
            ("places", &crowd.nginx_connections().to_string()),
            ("files", &crowd.nginx_nofile().to_string()),
            ("backlog", &crowd.backlog().to_string()),
            ("listen", listen),
            ("servers", &servers.join("\n        ")),
            ("sources", &sources),
            ("bind", bind),
        ],
    )
}

/// From which addresses nginx connects to a Volley on loopback. To one elsewhere it can't be known here which addresses
/// the machine has; several `--upstream` do the same.
fn sources(crowd: Crowd, upstream: &[SocketAddr]) -> (String, &'static str) {
    let addresses = crowd.addresses().div_ceil(upstream.len() as u64);
    let is_loopback = upstream.iter().all(|address| matches!(address.ip(), IpAddr::V4(ip) if ip.is_loopback()));
    if addresses < 2 {
        return (String::new(), "");
    }
    if !is_loopback {
        let words =
            "# MORE CLIENTS THAN PORTS: name more addresses of Volley's with --upstream, or add proxy_bind.\n\n    ";
        return (words.into(), "");
    }
    let share = 10_000 / addresses;
    let mut lines = String::new();
    for address in 0..addresses {
        let share = format!("{}.{:02}%", share / 100, share % 100);
        let share = if address + 1 == addresses { "*" } else { &share };
        // From 127.0.0.2 on; past 127.0.0.255 it goes on in 127.0.1.0.
        let ip = std::net::Ipv4Addr::from(0x7f00_0002 + address as u32);
        let _ = write!(lines, "\n        {share:7} {ip};");
    }
    (fill(SOURCES, &[("count", &addresses.to_string()), ("lines", &lines)]), "\n            proxy_bind $volley_source;")
}

/// A unit of systemd.
pub(super) fn systemd(crowd: Crowd, listen: SocketAddr) -> String {
    let Crowd { connections, behind_nginx } = crowd;
    let proxy = if behind_nginx { " \\\n    --trusted-proxy 127.0.0.0/8" } else { "" };
    let defaults = Limits::default();
    let mut limits = String::new();
    for (name, default) in [("connections_max", defaults.connections_max), ("sessions_max", defaults.sessions_max)] {
        if connections > default {
            let _ = write!(limits, " \\\n    --limit {name}={connections}");
        }
    }
    fill(
        SYSTEMD,
        &[
            ("command", if behind_nginx { " --behind-nginx" } else { "" }),
            ("connections", &connections.to_string()),
            ("files", &crowd.nofile().to_string()),
            ("listen", &listen.to_string()),
            ("proxy", proxy),
            ("limits", &limits),
        ],
    )
}

/// A file for sysctl.d. What is larger already stays as it is.
pub(super) fn sysctl(crowd: Crowd, machine: &Machine) -> String {
    let mut lines = String::new();
    let mut say = |key: &str, value: String| {
        let _ = writeln!(lines, "{key} = {value}");
    };
    let known = |reading: &Reading<u64>| reading.as_ref().copied().unwrap_or(0);
    let nr_open = known(&machine.nr_open);
    if nr_open < crowd.nofile() {
        say("fs.nr_open", crowd.nofile().to_string());
    }
    say("fs.file-max", known(&machine.file_max).max(crowd.file_max(known(&machine.files_now))).to_string());
    say("net.core.somaxconn", known(&machine.somaxconn).max(crowd.backlog()).to_string());
    say("net.ipv4.tcp_max_syn_backlog", known(&machine.syn_backlog).max(crowd.backlog()).to_string());
    if crowd.behind_nginx {
        let (first, last) = match machine.ports {
            Ok((first, last)) if last - first + 1 >= crowd.ports() => (first, last),
            _ => PORTS,
        };
        say("net.ipv4.ip_local_port_range", format!("{first} {last}"));
    }
    match machine.tcp_mem {
        Ok([low, pressure, max]) if pressure >= crowd.tcp_pages() => {
            say("net.ipv4.tcp_mem", format!("{low} {pressure} {max}"));
        }
        _ => say("net.ipv4.tcp_mem", fixes::tcp_mem(crowd.tcp_pages())),
    }
    let mut tracking = String::new();
    if let Some(conntrack) = &machine.conntrack {
        let now = known(&conntrack.now);
        let max = known(&conntrack.max).max(crowd.tracked(now));
        let buckets = known(&conntrack.buckets).max(crowd.buckets(now));
        let (key, module) = (conntrack.names.key("max"), conntrack.names.module);
        let _ = write!(
            tracking,
            "\n# Connections that the firewall tracks. How many chains they are spread over is a parameter of the module:\n\
             #   echo 'options {module} hashsize={buckets}' > /etc/modprobe.d/90-volley.conf\n\
             #   echo {buckets} > /{}\n{key} = {max}\n",
            conntrack.names.hashsize(),
        );
    }
    let command = if crowd.behind_nginx { " --behind-nginx" } else { "" };
    let connections = crowd.connections.to_string();
    fill(SYSCTL, &[("command", command), ("connections", &connections), ("lines", &lines), ("tracking", &tracking)])
}

/// The template with each `{name}` replaced.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever has the shape of a place that is filled in.
    fn left(text: &str) -> Vec<&str> {
        let inside = text.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(inside, _)| inside));
        inside.filter(|inside| !inside.is_empty() && inside.bytes().all(|byte| byte.is_ascii_lowercase())).collect()
    }

    #[test]
    fn every_place_is_filled_in() {
        let here: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let there: SocketAddr = "192.0.2.1:8080".parse().unwrap();
        assert_eq!(left("a {place}, {no place} and {}"), ["place"]);
        for connections in [1, 50_000, 50_001, 1_000_000, 30_000_000] {
            assert!(left(&nginx(connections, "80", &[here])).is_empty());
            assert!(left(&nginx(connections, "80", &[there, here])).is_empty());
            for behind_nginx in [false, true] {
                let unit = systemd(Crowd { connections, behind_nginx }, here);
                assert!(left(&unit).is_empty(), "{unit}");
            }
        }
    }

    #[test]
    fn more_clients_than_ports_come_from_several_addresses() {
        let here: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let there: SocketAddr = "192.0.2.1:8080".parse().unwrap();
        assert!(!nginx(50_000, "80", &[here]).contains("proxy_bind"));
        let two = nginx(100_000, "80", &[here]);
        assert!(two.contains("50.00%  127.0.0.2;\n        *       127.0.0.3;"), "{two}");
        assert!(two.contains("proxy_bind $volley_source;"));
        assert!(nginx(1_000_000, "80", &[here]).contains("5.00%   127.0.0.20;\n        *       127.0.0.21;"));
        assert!(nginx(100_000, "80", &[there]).contains("MORE CLIENTS THAN PORTS"));
        assert!(!nginx(100_000, "80", &[there, "192.0.2.1:8081".parse().unwrap()]).contains("MORE CLIENTS"));
    }

    #[test]
    fn a_unit_raises_the_limits_that_are_lower() {
        let listen = "127.0.0.1:8080".parse().unwrap();
        let unit = |connections| systemd(Crowd { connections, behind_nginx: false }, listen);
        assert!(unit(1_000_000).contains("\nLimitNOFILE=1000128\n") && !unit(1_000_000).contains("--limit"));
        assert!(
            unit(2_000_000).contains("--limit connections_max=2000000") && unit(2_000_000).contains("sessions_max=2")
        );
        assert!(!unit(1).contains("--trusted-proxy"));
    }
}
