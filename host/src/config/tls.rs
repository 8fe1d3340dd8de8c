//! The listener that speaks TLS, and its files.

use super::BadConfig;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A listener that speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// What it shows of itself.
    pub files: TlsFiles,
}

/// A certificate and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's own certificate, and behind it those that lead to one that clients know.
    pub cert: PathBuf,
    /// The private key of the first one.
    pub key: PathBuf,
}

/// What flags or the file say of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Said {
    pub(super) listen: Option<SocketAddr>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

/// From the flags, or else from the file, whose paths begin at its folder.
pub(super) fn listener(flags: Said, file: Said, folder: &Path) -> Result<Option<TlsConfig>, BadConfig> {
    let cert = flags.cert.or(file.cert.map(|path| folder.join(path)));
    let key = flags.key.or(file.key.map(|path| folder.join(path)));
    match (flags.listen.or(file.listen), cert, key) {
        (None, None, None) => Ok(None),
        (Some(listen), Some(cert), Some(key)) => Ok(Some(TlsConfig { listen, files: TlsFiles { cert, key } })),
        (listen, cert, key) => {
            let all = [
                (listen.is_some(), "--tls-listen ADDR"),
                (cert.is_some(), "--tls-cert FILE"),
                (key.is_some(), "--tls-key FILE"),
            ];
            let which = |there: bool| {
                let names = all.iter().filter(|(is_there, _)| *is_there == there).map(|(_, name)| *name);
                names.collect::<Vec<_>>().join(" and ")
            };
            Err(BadConfig(format!(
                "{} needs {}, too (or `listen`, `cert` and `key` in [tls])",
                which(true),
                which(false)
            )))
        }
    }
}
