//! What a connection's bytes go through: the bare socket, or TLS on it, with a certificate that was made for the run.

use std::fs;
use std::io::{self, ErrorKind::WouldBlock, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

const INSTALL_OPENSSL: &str = "no openssl, which makes the certificate; apt-get install openssl";

/// What a server shows, and what its clients trust.
pub(crate) struct Certificate {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) client: Arc<ClientConfig>,
}

impl Certificate {
    /// For 127.0.0.1, in a fresh folder.
    pub(crate) fn made_in(folder: &Path) -> Result<Self> {
        fs::create_dir(folder)?;
        fs::write(folder.join("req.conf"), "[req]\ndistinguished_name = name\n[name]\n")?;
        let request = |rest: &[&str]| {
            let begin = "req -x509 -config req.conf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes".split(' ');
            let made = Command::new("openssl").args(begin).args(rest).current_dir(folder).output();
            let made = made.context(INSTALL_OPENSSL)?;
            ensure!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
            Ok(())
        };
        let authority = ["-subj", "/CN=volley-load", "-keyout", "ca.key", "-out", "ca.pem"];
        request(&[&authority[..], &["-addext", "basicConstraints=critical,CA:TRUE"]].concat())?;
        let signed =
            ["-CA", "ca.pem", "-CAkey", "ca.key", "-subj", "/CN=server", "-keyout", "tls.key", "-out", "tls.pem"];
        let of = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1"];
        request(&[&signed[..], &of].concat())?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(folder.join("ca.pem"))?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut client = client.with_root_certificates(roots).with_no_client_auth();
        client.alpn_protocols = vec![b"http/1.1".into()];
        Ok(Self { chain: folder.join("tls.pem"), key: folder.join("tls.key"), client: Arc::new(client) })
    }
}

pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<(ClientConnection, TcpStream)>),
}

impl Wire {
    /// Shakes hands on a socket that blocks, which does not afterwards.
    pub(crate) fn over(mut socket: TcpStream, tls: Option<&Arc<ClientConfig>>) -> Result<Self> {
        let wire = match tls {
            None => Self::Plain(socket),
            Some(config) => {
                let name = ServerName::try_from("127.0.0.1")?;
                let mut session = ClientConnection::new(config.clone(), name)?;
                while session.is_handshaking() {
                    session.complete_io(&mut socket).context("no handshake of TLS")?;
                }
                Self::Tls(Box::new((session, socket)))
            }
        };
        wire.socket().set_nonblocking(true)?;
        Ok(wire)
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(both) => &both.1,
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(both) => {
                let (session, socket) = &mut **both;
                let written = session.writer().write(bytes)?;
                while session.wants_write() {
                    session.write_tls(socket)?;
                }
                Ok(written)
            }
        }
    }

    /// One read of a bare socket; with TLS all that there is, since what was decrypted is not told of again.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(both) => {
                let (session, socket) = &mut **both;
                let mut length = 0;
                loop {
                    match session.read_tls(socket) {
                        Ok(0) => return Ok(length),
                        Ok(_) => {}
                        Err(error) if error.kind() == WouldBlock && length > 0 => return Ok(length),
                        Err(error) => return Err(error),
                    }
                    session.process_new_packets().map_err(io::Error::other)?;
                    loop {
                        match session.reader().read(&mut buffer[length..]) {
                            Ok(0) if length == buffer.len() => {
                                return Err(io::Error::other("more at once than one read takes"));
                            }
                            Ok(0) => return Ok(length),
                            Ok(more) => length += more,
                            Err(error) if error.kind() == WouldBlock => break,
                            Err(error) => return Err(error),
                        }
                    }
                }
            }
        }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}
