//! What to do about a bound: commands for root, one a line, for now and for each start of the machine. Comments are the
//! shell's, so that all of it can be pasted.

use crate::doctor::conntrack::Names;
use crate::doctor::memory::Bound;
use crate::doctor::needs::{Crowd, PORTS};

/// Says it now, and again whenever the machine starts.
pub(super) fn sysctl(key: &str, value: &str) -> String {
    let name = key.rsplit('.').next().unwrap_or(key);
    format!(
        "sysctl -w {key}='{value}'\n\
         echo '{key} = {value}' > /etc/sysctl.d/90-volley-{name}.conf  # and when the machine starts"
    )
}

/// A backlog is taken over when a server begins to listen.
pub(super) fn backlog(key: &str, needs: u64) -> String {
    sysctl(key, &needs.to_string())
        + "\n# then restart volley, and nginx: a backlog counts from when they begin to listen"
}

/// Above all that servers listen at.
pub(super) fn ports() -> String {
    sysctl("net.ipv4.ip_local_port_range", &format!("{} {}", PORTS.0, PORTS.1))
}

/// Low, pressure and max, in the kernel's own proportion.
pub(super) fn tcp_mem(pressure: u64) -> String {
    let low = pressure.div_ceil(4) * 3;
    format!("{low} {pressure} {}", 2 * low)
}

/// A server takes in as many clients as it had files for when it started, so that it has to be started again.
pub(super) fn nofile(needs: u64, nr_open: Option<u64>) -> String {
    let mut lines = Vec::new();
    // No limit is raised beyond that.
    if nr_open.is_some_and(|nr_open| nr_open < needs) {
        lines.push(sysctl("fs.nr_open", &needs.to_string()));
    }
    let unit = "/etc/systemd/system/volley.service.d";
    lines.extend([
        format!("ulimit -n {needs}  # in the shell of root that starts volley"),
        format!("mkdir -p {unit}  # or, where systemd starts it"),
        format!("printf '[Service]\\nLimitNOFILE={needs}\\n' > {unit}/nofile.conf"),
        "systemctl daemon-reload && systemctl restart volley".into(),
    ]);
    lines.join("\n")
}

pub(super) fn conntrack_max(names: Names, needs: u64) -> String {
    sysctl(&names.key("max"), &needs.to_string())
        + "\n# or have the firewall leave clients' connections alone: notrack, in the table raw"
}

pub(super) fn conntrack_buckets(names: Names, needs: u64) -> String {
    let (module, parameter) = (names.module, names.hashsize());
    format!(
        "echo {needs} > /{parameter}\n\
         echo 'options {module} hashsize={needs}' > /etc/modprobe.d/90-volley.conf  # and when the module is loaded"
    )
}

/// systemd's and docker's own commands: both write the file that bounds it.
pub(super) fn cgroup(bound: &Bound, needs: u64) -> String {
    let Bound { file, .. } = bound;
    format!(
        "echo {needs} > {file}\n\
         # for good: systemctl set-property volley.service MemoryMax={needs}\n\
         # or, of a container: docker update --memory {needs} --memory-swap {needs} NAME"
    )
}

pub(super) fn machine_memory(needs: u64) -> String {
    format!("# it takes a machine with {} MiB, or fewer connections", needs.div_ceil(1 << 20))
}

pub(super) fn nginx(crowd: Crowd) -> String {
    let Crowd { connections, .. } = crowd;
    format!(
        "# in /etc/nginx/nginx.conf: worker_rlimit_nofile {};  events {{ worker_connections {}; }}\n\
         # or all of it: volley doctor --connections {connections} --print nginx > /etc/nginx/nginx.conf\n\
         nginx -t && nginx -s reload",
        crowd.nginx_nofile(),
        crowd.nginx_connections(),
    )
}
