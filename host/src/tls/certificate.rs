//! A certificate and its key, from files to what fresh connections are offered; what is wrong with them is told in words
//! that say what to do. Nothing of a key is in them.

use super::expiry;
use crate::config::TlsFiles;
use rustls::crypto::ring;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{Error, InconsistentKeys, ServerConfig};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::sync::Arc;

/// What clients may choose from, the best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// A file that is larger is no certificate and no key.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A certificate that can be offered.
pub struct Certificate {
    pub(super) config: ServerConfig,
    /// Until when it is valid, in seconds since 1970; none if it does not say so in a way that we know.
    pub expires_unix_s: Option<u64>,
}

/// What is in the files, unlooked at.
pub struct Pem {
    cert: Vec<u8>,
    key: Vec<u8>,
}

/// What is wrong, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadCertificate(String);

impl Pem {
    /// Reads both files.
    pub fn read(files: &TlsFiles) -> Result<Self, BadCertificate> {
        Ok(Self { cert: read(&files.cert, "--tls-cert")?, key: read(&files.key, "--tls-key")? })
    }

    /// The same of the same files only.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.cert.len().to_le_bytes())
            .chain_update(&self.cert)
            .chain_update(&self.key)
            .finalize()
            .into()
    }

    /// What to offer; the files are for the words.
    pub fn certificate(&self, files: &TlsFiles) -> Result<Certificate, BadCertificate> {
        let chain = chain(&self.cert).map_err(|words| bad(&files.cert, "--tls-cert", &words))?;
        let key = key(&self.key).map_err(|words| bad(&files.key, "--tls-key", &words))?;
        let expires_unix_s = expiry::of(&chain[0]);
        let config = offer(chain, key).map_err(|error| unusable(&error, files))?;
        Ok(Certificate { config, expires_unix_s })
    }
}

fn bad(path: &Path, flag: &str, words: &str) -> BadCertificate {
    BadCertificate(format!("{} ({flag}) {words}", path.display()))
}

fn read(path: &Path, flag: &str) -> Result<Vec<u8>, BadCertificate> {
    let look = || {
        let bytes_max = std::io::ErrorKind::FileTooLarge;
        if std::fs::metadata(path)?.len() > FILE_BYTES_MAX { Err(bytes_max.into()) } else { std::fs::read(path) }
    };
    look().map_err(|error: std::io::Error| {
        bad(path, flag, &format!("can't be read: {error}; is the path right, and may this user read it?"))
    })
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|error| broken(&error))?;
    if chain.is_empty() {
        return Err(
            "has no certificate: it is to be PEM (BEGIN CERTIFICATE), the server's own first, then the chain".into()
        );
    }
    Ok(chain)
}

fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        PemError::NoItemsFound if memchr::memmem::find(pem, b"ENCRYPTED PRIVATE KEY").is_some() => {
            "has an encrypted key, and nobody is there to ask: `openssl pkey -in FILE -out NEW` takes the passphrase off".into()
        }
        PemError::NoItemsFound => {
            "has no private key: it is to be PEM, as PKCS#8 (BEGIN PRIVATE KEY), PKCS#1 (RSA) or SEC1 (EC)".into()
        }
        error => broken(&error),
    })
}

/// Without the words of the reader: it may quote what it read.
fn broken(error: &PemError) -> String {
    let what = match error {
        PemError::MissingSectionEnd { .. } => "a section of it has no end",
        PemError::IllegalSectionStart { .. } => "a section of it begins oddly",
        PemError::Base64Decode(_) => "a section of it is no base64",
        _ => "it can't be read",
    };
    format!("is damaged: {what}; copy it anew")
}

fn offer(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<ServerConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12])?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
    // Who comes again does so without a signature of ours; what that needs is kept by the client.
    config.ticketer = ring::Ticketer::new()?;
    Ok(config)
}

fn unusable(error: &Error, files: &TlsFiles) -> BadCertificate {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            let words = format!(
                "is not the key of the first certificate in {}: name the two files that were made together, and put the \
                 server's own certificate before its chain",
                files.cert.display()
            );
            bad(&files.key, "--tls-key", &words)
        }
        Error::InvalidCertificate(error) => {
            bad(&files.cert, "--tls-cert", &format!("begins with no usable certificate: {error}"))
        }
        error => bad(
            &files.key,
            "--tls-key",
            &format!(
                "has a key of no use for TLS, which takes RSA (2048 bits and more), ECDSA (P-256, P-384) and Ed25519: \
                 {error}"
            ),
        ),
    }
}
