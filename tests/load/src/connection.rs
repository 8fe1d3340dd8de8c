//! One keep-alive connection of the client: at most one request is under way on it, and its response is put together
//! here from however many pieces it comes in.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustls::ClientConfig;

use crate::response::{Parsed, Response, parse};
use crate::streamed::{Form, whole};
use crate::wire::Wire;

/// One source address has about 28,000 ports; twenty are enough for any run, with what earlier ones left behind.
const SOURCE_ADDRESSES: usize = 20;
/// Loopback connects at once; only a full accept queue (a lost SYN, retried after 1 s) takes longer.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

pub(crate) struct Connection {
    wire: Wire,
    connecting: bool,
    /// A request was sent and its response is not complete.
    awaiting: bool,
    /// The pieces of a response that did not come in one read; without memory of its own until then.
    pieces: Vec<u8>,
    pieces_needed: usize,
    /// It is a stream, of which the head may still be to come.
    streamed: Option<(Form, bool)>,
}

/// Connects a blocking socket from the `index`-th source address in turn, with a receive buffer of that size.
pub(crate) fn connect(server: SocketAddrV4, index: usize, receive_bytes: Option<usize>) -> Result<TcpStream> {
    let stream = bound_socket(index, SocketFlags::CLOEXEC)?;
    if let Some(bytes) = receive_bytes {
        sockopt::set_socket_recv_buffer_size(&stream, bytes)?;
    }
    // The send timeout bounds connect() too.
    stream.set_write_timeout(Some(CONNECT_TIME_MAX))?;
    rustix::net::connect(&stream, &server).with_context(|| format!("cannot connect to {server}"))?;
    Ok(stream)
}

/// A socket at the `index`-th source address in turn.
fn bound_socket(index: usize, flags: SocketFlags) -> Result<TcpStream> {
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    let stream = TcpStream::from(socket);
    let source = Ipv4Addr::new(127, 0, 0, (1 + index % SOURCE_ADDRESSES) as u8);
    rustix::net::bind(&stream, &SocketAddrV4::new(source, 0)).context("no free port at this source")?;
    stream.set_nodelay(true)?;
    // Closing resets: thousands of TIME_WAIT sockets a round would slow the kernel for the rounds that follow.
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
    Ok(stream)
}

impl Connection {
    /// Connects from the `index`-th source address in turn.
    pub(crate) fn open(server: SocketAddrV4, index: usize, tls: Option<&Arc<ClientConfig>>) -> Result<Self> {
        Ok(Self::of(Wire::over(connect(server, index, None)?, tls)?))
    }

    /// Begins to connect; [`Self::connected`] says what came of it, once the socket is writable.
    pub(crate) fn begin(server: SocketAddrV4, index: usize) -> Result<Self> {
        let stream = bound_socket(index, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        match rustix::net::connect(&stream, &server) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(Self { connecting: true, ..Self::of(Wire::Plain(stream)) }),
            Err(error) => Err(error).with_context(|| format!("cannot connect to {server}")),
        }
    }

    fn of(wire: Wire) -> Self {
        Self { wire, connecting: false, awaiting: false, pieces: Vec::new(), pieces_needed: 0, streamed: None }
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.connecting
    }

    pub(crate) fn connected(&mut self) -> Result<()> {
        self.connecting = false;
        sockopt::socket_error(&self.wire)?.context("cannot connect")
    }

    /// Sends the request for a stream: from here on whatever comes is of it.
    pub(crate) fn listen(&mut self, request: &[u8], form: Form) -> Result<()> {
        self.send(request)?;
        (self.streamed, self.pieces_needed) = (Some((form, false)), 0);
        Ok(())
    }

    /// All of a stream that is whole.
    fn receive_stream<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Option<Response<'a>>> {
        let Some((form, has_head)) = &mut self.streamed else { return Ok(None) };
        // What was whole before was given out then.
        self.pieces.drain(..std::mem::take(&mut self.pieces_needed));
        let is_one_read = self.pieces.is_empty();
        if !is_one_read {
            self.pieces.extend_from_slice(bytes);
        }
        let all = if is_one_read { bytes } else { &self.pieces };
        let whole = whole(*form, all, *has_head);
        if whole > 0 && !*has_head {
            *has_head = true;
            let answered = |status: &str| all.starts_with(format!("HTTP/1.1 {status}").as_bytes());
            ensure!(answered("200") || answered("101"), "a stream was refused: {}", String::from_utf8_lossy(all));
        }
        if is_one_read {
            self.pieces.extend_from_slice(&bytes[whole..]);
            return Ok((whole > 0).then_some(Response { status: 200, head: "", body: &bytes[..whole] }));
        }
        self.pieces_needed = whole;
        Ok((whole > 0).then(|| Response { status: 200, head: "", body: &self.pieces[..whole] }))
    }

    /// Sends a whole request. One is never sent before the last one's response, so the socket has room for it.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<()> {
        ensure!(!self.awaiting, "a request while another is under way");
        let written = self.wire.write(request).context("cannot send")?;
        ensure!(written == request.len(), "the socket took half a request");
        self.awaiting = true;
        self.pieces.clear();
        Ok(())
    }

    /// Reads once. The response, when this completed it, lies in `buffer` or in what was kept of earlier reads.
    pub(crate) fn receive<'a>(&'a mut self, buffer: &'a mut [u8]) -> Result<Option<Response<'a>>> {
        let length = match self.wire.read(buffer) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error).context("the connection failed"),
        };
        ensure!(self.awaiting, "the server sent bytes nobody asked for");
        let bytes = &buffer[..length];
        if self.streamed.is_some() {
            return self.receive_stream(bytes);
        }
        if self.pieces.is_empty() {
            match parse(bytes)? {
                Parsed::Complete(response) => {
                    self.awaiting = false;
                    return Ok(Some(response));
                }
                Parsed::Incomplete { bytes_at_least } => self.pieces_needed = bytes_at_least,
            }
        }
        self.pieces.extend_from_slice(bytes);
        if self.pieces.len() < self.pieces_needed {
            return Ok(None);
        }
        match parse(&self.pieces)? {
            Parsed::Complete(response) => {
                self.awaiting = false;
                Ok(Some(response))
            }
            Parsed::Incomplete { bytes_at_least } => {
                self.pieces_needed = bytes_at_least;
                Ok(None)
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wire.as_fd()
    }
}
