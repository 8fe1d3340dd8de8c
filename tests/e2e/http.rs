//! A small HTTP/1.1 client on one connection: it sends exactly what it is told and shows exactly what came.

pub(crate) use crate::request::{Request, delete, get, post, put};
use serde_json::Value;
use socket2::{Domain, SockRef, Socket, Type};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// No answer takes longer than this, even on a busy machine: beyond it a test fails instead of hanging.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// What a client with a narrow window takes in before it reads; the kernel makes a few KB of it.
const NARROW_BYTES: usize = 1024;
/// What one takes in that goes on to read.
const WIDE_BYTES: usize = 256 << 10;

/// What came.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) version: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The value of a header that comes at most once.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} came twice: {self}");
        value
    }

    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_else(|wrong| panic!("the body is no UTF-8: {wrong}"))
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|wrong| panic!("the body is no JSON ({wrong}): {self}"))
    }

    /// Fails unless the answer has this status; what every answer to a client must carry is looked at here, too.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        if self.header("access-control-allow-methods").is_none() {
            assert_eq!(self.header("cache-control"), Some("no-store"), "{self}");
        }
        if status == 204 {
            assert!(self.body.is_empty(), "{self}");
        }
        self
    }

    /// Fails unless this is a problem (RFC 9457) of that status; its `detail`.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self}");
        assert_problem(&self.json(), status)
    }

    fn closes(&self) -> bool {
        let connection = self.header("connection").unwrap_or_default();
        connection.eq_ignore_ascii_case("close")
            || (self.version == "HTTP/1.0" && !connection.eq_ignore_ascii_case("keep-alive"))
    }
}

/// `title`, `status` and `detail`; the detail is in words and names nothing of the host's inside.
#[track_caller]
pub(crate) fn assert_problem(problem: &Value, status: u16) -> String {
    assert_eq!(problem["status"], status, "{problem}");
    assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
    let detail = problem["detail"].as_str().unwrap_or_else(|| panic!("no detail: {problem}"));
    assert!(!detail.is_empty(), "{problem}");
    for inside in ["wasm backtrace", "host/src", "wasmtime", "RUST_BACKTRACE"] {
        assert!(!detail.contains(inside), "the host's inside shows: {problem}");
    }
    detail.to_owned()
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.version, self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "\n{}", body.chars().take(2000).collect::<String>())
    }
}

/// One connection; after an answer that closes it the next call opens a new one.
pub(crate) struct Connection {
    address: String,
    reader: BufReader<TcpStream>,
    closing: bool,
    /// Lines of a chunk that was read already, of a body that comes in chunks.
    lines: VecDeque<String>,
    chunked: bool,
}

impl Connection {
    #[track_caller]
    pub(crate) fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap_or_else(|wrong| panic!("no connection to {address}: {wrong}"));
        Self::over(address, stream)
    }

    /// One that takes in next to nothing before it is read: a large answer gets stuck at the server.
    #[track_caller]
    pub(crate) fn open_narrow(address: &str) -> Self {
        let to: SocketAddr = address.parse().expect("an address");
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(NARROW_BYTES).expect("a window");
        socket.connect(&to.into()).unwrap_or_else(|wrong| panic!("no connection to {address}: {wrong}"));
        Self::over(address, socket.into())
    }

    pub(crate) fn over(address: &str, stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("nodelay");
        Self {
            address: address.into(),
            reader: BufReader::new(stream),
            closing: false,
            lines: VecDeque::new(),
            chunked: false,
        }
    }

    #[track_caller]
    pub(crate) fn call(&mut self, request: &Request) -> Response {
        if self.closing {
            *self = Self::open(&self.address);
        }
        self.send(request);
        self.receive_answer_to(request.method)
    }

    /// Sends and does not wait.
    #[track_caller]
    pub(crate) fn send(&mut self, request: &Request) {
        // A refusal may come, and the connection close, before a large body is through: what came is looked at then.
        let _ = self.write(&request.bytes(&self.address));
    }

    #[track_caller]
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.write(bytes).unwrap_or_else(|wrong| panic!("could not send: {wrong}"));
    }

    /// Sends if the server still listens.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// All answers up to the end of the connection, however it ends; one that is cut off is none.
    pub(crate) fn receive_all(&mut self) -> Vec<Response> {
        std::iter::from_fn(|| self.try_receive("GET").ok()).collect()
    }

    /// Reads so many bytes of whatever comes.
    pub(crate) fn read_bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    #[track_caller]
    pub(crate) fn receive(&mut self) -> Response {
        self.receive_answer_to("GET")
    }

    #[track_caller]
    pub(crate) fn receive_answer_to(&mut self, method: &str) -> Response {
        self.try_receive(method).unwrap_or_else(|wrong| panic!("no answer to {method} from {}: {wrong}", self.address))
    }

    /// The answer but for its body.
    #[track_caller]
    pub(crate) fn receive_head(&mut self) -> Response {
        let head = self.head().unwrap_or_else(|wrong| panic!("no answer from {}: {wrong}", self.address));
        self.chunked = head.header("transfer-encoding").is_some();
        head
    }

    pub(crate) fn try_receive(&mut self, method: &str) -> io::Result<Response> {
        let mut response = self.head()?;
        self.closing = response.closes();
        if !(method == "HEAD" || response.status == 204 || response.status == 304) {
            response.body = self.body(&response)?;
        }
        Ok(response)
    }

    fn head(&mut self) -> io::Result<Response> {
        let status_line = self.line()?;
        let mut words = status_line.splitn(3, ' ');
        let version = words.next().unwrap_or_default().to_owned();
        let status = words.next().and_then(|status| status.parse().ok()).ok_or_else(|| bad("status line"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| bad("header"))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Response { version, status, headers, body: Vec::new() })
    }

    fn body(&mut self, response: &Response) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if let Some(length) = response.header("content-length") {
            let length = length.parse().map_err(|_| bad("content-length"))?;
            body.resize(length, 0);
            self.reader.read_exact(&mut body)?;
        } else if response.header("transfer-encoding").is_some() {
            loop {
                let chunk = self.chunk()?;
                if chunk.is_empty() {
                    break;
                }
                body.extend(chunk);
            }
        } else {
            self.reader.read_to_end(&mut body)?;
        }
        Ok(body)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// The next line of a body whose end is not known.
    pub(crate) fn next_line(&mut self) -> io::Result<String> {
        if !self.chunked {
            return self.line();
        }
        while self.lines.is_empty() {
            let chunk = self.chunk()?;
            let text = String::from_utf8(chunk).map_err(|_| bad("text"))?;
            let whole =
                text.strip_suffix('\n').ok_or_else(|| bad("line: it goes on in another chunk, or is the end"))?;
            self.lines.extend(whole.split('\n').map(str::to_owned));
        }
        Ok(self.lines.pop_front().unwrap_or_default())
    }

    /// Nothing at the end.
    fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let mut chunk = vec![0; usize::from_str_radix(&self.line()?, 16).map_err(|_| bad("chunk"))?];
        self.reader.read_exact(&mut chunk)?;
        self.line()?;
        Ok(chunk)
    }

    /// The head of an answer behind which another protocol begins, and what has come of that.
    #[track_caller]
    pub(crate) fn receive_upgrade(&mut self) -> (Response, Vec<u8>) {
        let head = self.receive_head();
        let behind = self.reader.buffer().to_vec();
        self.reader.consume(behind.len());
        (head, behind)
    }

    /// The bare connection, once all that has come was taken.
    pub(crate) fn into_stream(self) -> TcpStream {
        assert!(self.reader.buffer().is_empty());
        self.reader.into_inner()
    }

    /// Waits until the server has closed the connection; fails when it says something instead.
    #[track_caller]
    pub(crate) fn expect_closed(&mut self) {
        let more = self.until_closed();
        assert!(more.is_empty(), "more came: {more}");
    }

    /// Waits until the server has closed the connection; what it said until then.
    #[track_caller]
    pub(crate) fn until_closed(&mut self) -> String {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Err(wrong) if wrong.kind() != io::ErrorKind::ConnectionReset => {
                panic!("the server keeps the connection open: {wrong}")
            }
            _ => String::from_utf8_lossy(&rest).into_owned(),
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn half_close(&self) {
        let _ = self.reader.get_ref().shutdown(Shutdown::Write); // it may be closed altogether by now
    }

    /// Takes in more from here on.
    pub(crate) fn widen(&self) {
        SockRef::from(self.reader.get_ref()).set_recv_buffer_size(WIDE_BYTES).expect("a window");
    }

    /// Whether an answer begins, or the connection ends, within this time.
    pub(crate) fn hears_within(&mut self, time: Duration) -> bool {
        if !self.lines.is_empty() {
            return true;
        }
        self.reader.get_ref().set_read_timeout(Some(time)).expect("a timeout");
        let heard = self.reader.fill_buf().map(<[u8]>::len).map_err(|wrong| wrong.kind());
        self.reader.get_ref().set_read_timeout(Some(PATIENCE)).expect("a timeout");
        heard != Err(io::ErrorKind::WouldBlock)
    }

    /// Goes away without a word: the server's side is reset, whatever was on its way.
    pub(crate) fn reset(self) {
        SockRef::from(self.reader.get_ref()).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a bad {what}"))
}

/// One call on a connection of its own.
#[track_caller]
pub(crate) fn call(address: &str, request: &Request) -> Response {
    Connection::open(address).call(request)
}
