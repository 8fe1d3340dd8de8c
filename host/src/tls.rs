//! TLS for clients: a listener of its own, whose connections are served by hyper to their end. HTTP/2 or HTTP/1.1 is what
//! the client negotiates (ALPN).
//!
//! From the bottom: `expiry` and `certificate` read the files, `wire` is the socket below the encryption, `connection` is
//! the way of one connection, `http1` and `http2` have its requests served (`requests`; `streams` and `outgoing` look after
//! those of HTTP/2), `events` and `websocket` are streams, `renewal` looks after the files.

pub mod certificate;
pub mod connection;
mod events;
mod expiry;
mod http1;
mod http2;
mod outgoing;
pub mod renewal;
mod requests;
mod streams;
mod websocket;
mod wire;

use crate::config::TlsFiles;
use crate::places::Places;
use arc_swap::ArcSwap;
use certificate::Certificate;
use rustls::ServerConfig;
use std::sync::Arc;

pub use streams::requests_now;

/// Connections that speak TLS. The bound is the process's, as memory is.
static CONNECTIONS: Places = Places::new();

/// What fresh connections are offered.
pub struct Tls {
    files: TlsFiles,
    /// Replaced as a whole: what was negotiated under another certificate is not resumed.
    offered: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Offers that certificate, which is from those files.
    pub fn new(files: TlsFiles, certificate: Certificate) -> Self {
        Self { files, offered: ArcSwap::new(Arc::new(certificate.config)) }
    }

    /// Connections that are open already go on with theirs.
    fn offer(&self, certificate: Certificate) {
        self.offered.store(Arc::new(certificate.config));
    }
}

/// How many connections speak TLS, or are about to.
pub fn connections_now() -> u64 {
    CONNECTIONS.taken()
}
