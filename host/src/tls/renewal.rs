//! Looks after the files of the certificate: when they change, or on SIGHUP, fresh connections are offered what is in them.
//! A pair that is no good changes nothing, and is told and counted.
//!
//! Whoever renews certificates seldom writes into the files: certbot replaces a symbolic link, Kubernetes one of the folder
//! that the link leads through. So the folders are watched, whatever happens in them, and what counts is the content.

use super::Tls;
use super::certificate::{BadCertificate, Pem};
use crate::changes::Changes;
use crate::clock;
use crate::config::TlsFiles;
use crate::metrics::{TlsMetrics, TlsReload};
use crate::shared::Shared;
use anyhow::Context as _;
use notify::RecursiveMode;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;

/// How often the files are looked at though nobody says that they changed: not every file system does.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// A certificate that ends sooner is told of.
const ENDS_SOON_S: u64 = 7 * 24 * 3600;

/// Who looks after them.
pub struct Renewal {
    tls: Arc<Tls>,
    shared: Arc<Shared>,
    changes: [Changes; 2],
    hang_up: Signal,
    /// What was looked at last, whatever came of it.
    seen: Seen,
}

#[derive(PartialEq)]
enum Seen {
    Content([u8; 32]),
    /// They could not be read.
    Nothing(String),
}

impl Renewal {
    /// Loads what is there, which has to be good, and begins to watch it.
    pub fn start(files: &TlsFiles, shared: &Arc<Shared>) -> anyhow::Result<Self> {
        // Before the first look: nothing that comes after it is missed.
        let changes = [watch(&files.cert)?, watch(&files.key)?];
        let hang_up = signal(SignalKind::hangup())?;
        let pem = Pem::read(files)?;
        let certificate = pem.certificate(files)?;
        note_end(certificate.expires_unix_s, &shared.metrics.tls);
        let tls = Arc::new(Tls::new(files.clone(), certificate));
        Ok(Self { tls, shared: shared.clone(), changes, hang_up, seen: Seen::Content(pem.digest()) })
    }

    /// What fresh connections are offered.
    pub fn tls(&self) -> Arc<Tls> {
        self.tls.clone()
    }

    /// As long as the server runs.
    pub async fn run(mut self) {
        loop {
            let [cert, key] = &mut self.changes;
            let is_asked_for = tokio::select! {
                () = cert.next() => false,
                () = key.next() => false,
                () = tokio::time::sleep(LOOK_AGAIN) => false,
                asked = self.hang_up.recv() => asked.is_some(),
            };
            self.look(is_asked_for).await;
        }
    }

    /// What is in the files is taken if it is new, or if somebody asks for it.
    async fn look(&mut self, is_asked_for: bool) {
        let files = self.tls.files.clone();
        let Ok(read) = spawn_blocking(move || Pem::read(&files)).await else { return };
        let seen = match &read {
            Ok(pem) => Seen::Content(pem.digest()),
            Err(bad) => Seen::Nothing(bad.to_string()),
        };
        if seen != self.seen || is_asked_for {
            self.seen = seen;
            self.take(read);
        }
    }

    fn take(&self, read: Result<Pem, BadCertificate>) {
        let metrics = &self.shared.metrics.tls;
        match read.and_then(|pem| pem.certificate(&self.tls.files)) {
            Ok(certificate) => {
                note_end(certificate.expires_unix_s, metrics);
                self.tls.offer(certificate);
                metrics.reloads.of(TlsReload::Loaded).inc();
                tracing::info!("the TLS certificate was loaded anew; open connections go on with the one before");
            }
            Err(bad) => {
                metrics.reloads.of(TlsReload::Refused).inc();
                tracing::error!("the TLS certificate was not loaded anew, the one before is offered on: {bad}");
            }
        }
    }
}

/// Everything in the folder that has the file, or the link to it.
fn watch(file: &Path) -> anyhow::Result<Changes> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Changes::below(folder, RecursiveMode::NonRecursive, |_| true)
        .with_context(|| format!("{} is to be watched for changes", file.display()))
}

fn note_end(expires_unix_s: Option<u64>, metrics: &TlsMetrics) {
    let Some(expires) = expires_unix_s else {
        return tracing::warn!("the TLS certificate does not say until when it is valid");
    };
    metrics.certificate_expires.set(expires.try_into().unwrap_or(i64::MAX));
    let left_s = expires.saturating_sub(clock::unix_ms() / 1000);
    match left_s {
        0 => tracing::error!("the TLS certificate is not valid any more: clients will refuse it; replace its files"),
        1..ENDS_SOON_S => tracing::warn!(hours = left_s / 3600, "the TLS certificate ends soon; replace its files"),
        _ => {}
    }
}
