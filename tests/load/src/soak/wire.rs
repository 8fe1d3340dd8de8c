//! A blocking connection that can also misbehave: cut, reset, close one side, read slowly, send the next request early.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddrV4, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::net::sockopt;

use crate::connection::connect;
use crate::response::{Parsed, parse_first};

/// Longer than any wait that is asked for. What has no answer by then never gets one: that is a finding.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);
const READ_BYTES: usize = 16 * 1024;
/// The kernel doubles it. Much less than a segment of loopback: the peer writes a piece every now and then.
const TINY_WINDOW_BYTES: usize = 4096;

pub(super) struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A complete answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The rule got no core for the time that it may run.
    pub(super) fn is_starved(&self) -> bool {
        self.status == 502 && String::from_utf8_lossy(&self.body).contains("(route_ms_max)")
    }

    /// The error that an unexpected status is.
    pub(super) fn unexpected(&self, what: &str) -> anyhow::Error {
        anyhow::anyhow!("{what} was answered {}: {:.300}", self.status, String::from_utf8_lossy(&self.body))
    }
}

impl Wire {
    pub(super) fn open(server: SocketAddrV4, source: usize) -> Result<Self> {
        Self::with_window(server, source, None)
    }

    /// One that takes only a few kilobytes at a time.
    pub(super) fn open_narrow(server: SocketAddrV4, source: usize) -> Result<Self> {
        Self::with_window(server, source, Some(TINY_WINDOW_BYTES))
    }

    fn with_window(server: SocketAddrV4, source: usize, bytes: Option<usize>) -> Result<Self> {
        let stream = connect(server, source, bytes)?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        Ok(Self { stream, received: Vec::new() })
    }

    pub(super) fn send(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).context("cannot send")
    }

    /// Waits for the next answer.
    pub(super) fn answer(&mut self) -> Result<Answer> {
        self.answer_of("HTTP/1.1 ")
    }

    /// The last answer, after which the server closes.
    pub(super) fn last_answer(mut self, version: &str) -> Result<Answer> {
        let answer = self.answer_of(version)?;
        ensure!(self.received.is_empty() && self.read(READ_BYTES)? == 0, "bytes after the last answer");
        Ok(answer)
    }

    fn answer_of(&mut self, version: &str) -> Result<Answer> {
        let mut enough = 0;
        loop {
            if self.received.len() >= enough {
                let (parsed, following) = parse_first(&self.received, version)?;
                match parsed {
                    Parsed::Complete(response) => {
                        let answer = Answer { status: response.status, body: response.body.to_vec() };
                        let retry_after = response.header("retry-after").is_some();
                        ensure!((response.status == 503) == retry_after, "Retry-After belongs to a 503: {answer:?}");
                        self.received = following.to_vec();
                        return Ok(answer);
                    }
                    Parsed::Incomplete { bytes_at_least } => enough = bytes_at_least,
                }
            }
            if self.read(READ_BYTES)? == 0 {
                bail!("the server closed the connection after {} bytes of an answer", self.received.len());
            }
        }
    }

    fn read(&mut self, bytes: usize) -> Result<usize> {
        let held = self.received.len();
        self.received.resize(held + bytes, 0);
        let read = self.stream.read(&mut self.received[held..]);
        self.received.truncate(held + *read.as_ref().unwrap_or(&0));
        read.with_context(|| format!("no answer, {held} bytes of one came"))
    }

    /// Whether a whole answer has been read.
    pub(super) fn has_answer(&self) -> Result<bool> {
        Ok(matches!(parse_first(&self.received, "HTTP/1.1 ")?, (Parsed::Complete(_), _)))
    }

    /// Reads a few bytes of an answer, as long as that takes.
    pub(super) fn nibble(&mut self, bytes: usize) -> Result<()> {
        let read = self.read(bytes)?;
        ensure!(read > 0, "the server closed the connection after {} bytes of an answer", self.received.len());
        Ok(())
    }

    /// Ends our side; the other may go on.
    pub(super) fn half_close(&mut self) -> Result<()> {
        self.stream.shutdown(Shutdown::Write).context("cannot close one side")
    }

    /// Closes with a FIN. Dropping resets.
    pub(super) fn close(self) {
        // It fails only where the connection is gone anyway.
        let _ = sockopt::set_socket_linger(&self.stream, None);
    }
}
