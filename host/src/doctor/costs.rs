//! What connections cost in memory, each figure with how it was measured: with it a number of clients becomes bytes.

use crate::doctor::machine::Machine;
use crate::doctor::needs::Crowd;

const MIB: u64 = 1 << 20;

/// The server without clients: the program, its compiled rules, its threads. 60 MiB resident in the dev profile.
const SERVER_BYTES: u64 = 64 * MIB;
/// A parked poll or stream in the server, with its session and a subscription: 556 to 646 (`PERFORMANCE.md`).
const PARKED_BYTES: u64 = 700;
/// The kernel's objects of one end of a connection, by what `/proc/slabinfo` grew by with 9,000 parked polls: 2,505 `TCP`, 854
/// `sock_inode_cache`, 353 `eventpoll_epi` (of the server's end), 200 `dentry`, 192 `filp`, 150 others. Linux 6.18.
const SOCKET_BYTES: u64 = 4_500;
/// TCP's buffers of a socket while a message of up to 2 KB is on its way: a page. Of 18,000 idle sockets `/proc/net/sockstat`
/// had not one page more.
const BUFFER_BYTES: u64 = 4_096;
/// A tracked connection: an object of the slab `nf_conntrack` (256) and its extensions. The kernel used to say 304 itself
/// when the module was loaded.
const TRACKED_BYTES: u64 = 320;
/// The head of a chain.
const BUCKET_BYTES: u64 = 8;
/// A client in nginx 1.22: what its workers grew by with 5,000 parked polls through the printed front was 10.0 KB each.
const NGINX_CLIENT_BYTES: u64 = 10_240;
/// A place for a connection in an nginx worker, used or not, with what `keepalive` takes for as many clients: a worker with
/// 10,512 had 4.9 MB more than one with 612.
const NGINX_PLACE_BYTES: u64 = 500;

/// One part of it.
pub(super) struct Cost {
    pub(super) what: &'static str,
    /// So many, at so much each.
    pub(super) count: u64,
    pub(super) each: u64,
    /// It is charged to the server, and its cgroup; the rest to the machine.
    pub(super) of_server: bool,
}

impl Cost {
    pub(super) fn bytes(&self) -> u64 {
        self.count * self.each
    }
}

/// All parts, on this machine.
pub(super) fn of(crowd: Crowd, machine: &Machine) -> Vec<Cost> {
    let Crowd { connections, behind_nginx } = crowd;
    let cost = |what, count, each, of_server| Cost { what, count, each, of_server };
    let mut parts = vec![
        cost("the server without clients", 1, SERVER_BYTES, true),
        cost("parked polls and streams in it", connections, PARKED_BYTES, true),
        cost("their sockets, in the kernel", connections, SOCKET_BYTES, true),
        cost("TCP's buffers of them, while a broadcast is on its way", connections, BUFFER_BYTES, true),
    ];
    if behind_nginx {
        parts.extend([
            cost("clients in nginx", connections, NGINX_CLIENT_BYTES, false),
            cost("places for connections, in each of its workers", crowd.nginx_connections(), NGINX_PLACE_BYTES, false),
            cost("its sockets, in the kernel", 2 * connections, SOCKET_BYTES, false),
            cost("TCP's buffers of them", 2 * connections, BUFFER_BYTES, false),
        ]);
    }
    if machine.conntrack.is_some() {
        parts.extend([
            cost("tracked connections, in the kernel", crowd.tracked(0), TRACKED_BYTES, false),
            cost("buckets for them", crowd.buckets(0), BUCKET_BYTES, false),
        ]);
    }
    parts
}

/// Of all parts together.
pub(super) fn bytes(parts: &[Cost]) -> u64 {
    parts.iter().map(Cost::bytes).sum()
}

/// Of those that the server's cgroup has to hold.
pub(super) fn server_bytes(parts: &[Cost]) -> u64 {
    parts.iter().filter(|cost| cost.of_server).map(Cost::bytes).sum()
}
