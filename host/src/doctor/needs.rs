//! What so many connections need: pure functions, each with its formula and where it comes from.

use crate::limits::OWN_FILES;

/// Files that the rest of the machine may open meanwhile, at least.
const OTHER_FILES: u64 = 8_192;
/// A longer backlog helps nobody: two accept threads take 10,000 and more a second (`PERFORMANCE.md`, a connect storm), and
/// who waits for seconds behind 65,535 others sends its SYN again by itself.
const BACKLOG_MAX: u64 = 65_535;
/// The range that is advised: above the ports that servers listen at, so that no connection that goes out takes one of them.
pub(super) const PORTS: (u64, u64) = (10_240, 65_535);
/// Clients of one pair of addresses. With a tenth for connections that have just ended it is what the range holds.
const CLIENTS_PER_ADDRESS: u64 = 50_000;
/// Of each nginx worker: files that are no connection, such as logs and bodies on their way; and connections that are
/// none of a client's.
const NGINX_OTHER_FILES: u64 = 1_024;
const NGINX_OTHER_CONNECTIONS: u64 = 512;

/// Who is to be served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd {
    pub(super) connections: u64,
    /// An nginx on this machine is between them and Volley.
    pub(super) behind_nginx: bool,
}

impl Crowd {
    /// Open files of the server: a socket for each client, and its own.
    pub(super) fn nofile(self) -> u64 {
        self.connections + OWN_FILES
    }

    /// Sockets on this machine: behind nginx one from the client, one to Volley, and Volley's.
    pub(super) fn sockets(self) -> u64 {
        if self.behind_nginx { 3 * self.connections } else { self.connections }
    }

    /// Open files of the machine, given how many there are now.
    pub(super) fn file_max(self, now: u64) -> u64 {
        self.sockets() + OWN_FILES + now.max(OTHER_FILES)
    }

    /// Connections that wait to be accepted, when all come at once as after a restart. The queue of half-open ones
    /// (`tcp_max_syn_backlog`) is the same.
    pub(super) fn backlog(self) -> u64 {
        self.connections.min(BACKLOG_MAX)
    }

    /// Addresses that nginx connects from. A connection is known by both addresses and both ports: with one address on each
    /// side the ports are all there is.
    pub(super) fn addresses(self) -> u64 {
        self.connections.div_ceil(CLIENTS_PER_ADDRESS)
    }

    /// Ports for connections that go out, which are nginx's to Volley; a tenth more for those that have just ended.
    pub(super) fn ports(self) -> u64 {
        if self.behind_nginx { (self.connections.div_ceil(self.addresses()) * 11).div_ceil(10) } else { 0 }
    }

    /// Pages of TCP's buffers: one for each socket while a broadcast of up to 2 KB is on its way. An idle socket has none.
    pub(super) fn tcp_pages(self) -> u64 {
        self.sockets()
    }

    /// Entries of conntrack, given those in use now: a connection over loopback is one as well, and a quarter more is for
    /// those that have ended, which stay for two minutes (`nf_conntrack_tcp_timeout_time_wait`).
    pub(super) fn tracked(self, now: u64) -> u64 {
        let connections = if self.behind_nginx { 2 * self.connections } else { self.connections };
        now + connections + connections.div_ceil(4)
    }

    /// Buckets for so many entries: as many, so that a chain has two on average, since each connection is in the table
    /// twice. It is the kernel's own default (`nf_conntrack-sysctl.rst`).
    pub(super) fn buckets(self, now: u64) -> u64 {
        self.tracked(now)
    }

    /// Connections of an nginx worker: those of all clients, two for each, since nothing makes the kernel share them evenly
    /// among workers, and a worker that has no more closes what it accepts.
    pub(super) fn nginx_connections(self) -> u64 {
        2 * self.connections + NGINX_OTHER_CONNECTIONS
    }

    /// Open files of an nginx worker.
    pub(super) fn nginx_nofile(self) -> u64 {
        self.nginx_connections() + NGINX_OTHER_FILES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn direct(connections: u64) -> Crowd {
        Crowd { connections, behind_nginx: false }
    }

    const fn behind(connections: u64) -> Crowd {
        Crowd { connections, behind_nginx: true }
    }

    #[test]
    fn a_client_is_one_socket_and_behind_nginx_three() {
        assert_eq!((direct(100_000).nofile(), behind(100_000).nofile()), (100_128, 100_128));
        assert_eq!((direct(100_000).file_max(600), behind(100_000).file_max(600)), (108_320, 308_320));
        assert_eq!(direct(100_000).file_max(50_000), 150_128, "who is here already stays");
        assert_eq!((direct(1_000).tcp_pages(), behind(1_000).tcp_pages()), (1_000, 3_000));
        assert_eq!((direct(1_000).tracked(7), behind(1_000).tracked(7)), (1_257, 2_507));
    }

    #[test]
    fn a_backlog_has_an_end() {
        assert_eq!((direct(2_000).backlog(), direct(1_000_000).backlog()), (2_000, 65_535));
    }

    #[test]
    fn nobody_goes_out_but_nginx_and_it_shares_ports_among_addresses() {
        assert_eq!(direct(1_000_000).ports(), 0);
        let range = PORTS.1 - PORTS.0 + 1;
        for (connections, addresses) in [(1, 1), (50_000, 1), (50_001, 2), (100_000, 2), (1_000_000, 20)] {
            let crowd = behind(connections);
            assert_eq!(crowd.addresses(), addresses, "{connections}");
            assert!(
                crowd.ports() <= range && crowd.ports() * addresses >= connections,
                "{connections}: {}",
                crowd.ports()
            );
        }
    }

    #[test]
    fn a_worker_of_nginx_has_room_for_everybody() {
        assert_eq!((behind(2_000).nginx_connections(), behind(2_000).nginx_nofile()), (4_512, 5_536));
    }
}
