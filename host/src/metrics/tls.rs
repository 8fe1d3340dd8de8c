//! What is counted of TLS.

use super::Labels;
use super::counters::{Counters, Each as _, Label};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What is counted of TLS.
pub struct TlsMetrics {
    /// Handshakes that succeeded.
    pub handshakes: Counter,
    /// Handshakes that failed.
    pub handshake_failures: Counter,
    /// Looks at files that had changed.
    pub reloads: Counters<TlsReload>,
    /// Until when the certificate is valid.
    pub certificate_expires: Gauge,
}

/// What came of a look at files that had changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsReload {
    /// Fresh connections are offered what is in them.
    Loaded,
    /// They are no good; what was offered before is offered on.
    Refused,
}

impl Label for TlsReload {
    const NAME: &'static str = "result";
    const ALL: &'static [Self] = &[Self::Loaded, Self::Refused];

    fn label(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Refused => "refused",
        }
    }
}

impl TlsMetrics {
    pub(super) fn register(to: &mut Registry) -> Self {
        let reloads = Family::<Labels, Counter>::default();
        let metrics = Self {
            handshakes: Counter::default(),
            handshake_failures: Counter::default(),
            reloads: Counters::member_of(&Labels::new(), &|labels| reloads.get_or_create_owned(labels)),
            certificate_expires: Gauge::default(),
        };
        to.register("tls_handshakes", "TLS handshakes that succeeded", metrics.handshakes.clone());
        to.register("tls_handshake_failures", "TLS handshakes that failed", metrics.handshake_failures.clone());
        to.register(
            "tls_reloads",
            "Times that the files of the certificate were loaded anew, by what came of it",
            reloads,
        );
        to.register(
            "tls_certificate_expires_seconds",
            "Until when the certificate is valid that is offered, in seconds since 1970; 0 without TLS",
            metrics.certificate_expires.clone(),
        );
        metrics
    }
}
