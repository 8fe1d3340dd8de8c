//! A small HTTP/1.1 server that answers as a test says and remembers what it was asked: where the real one is not at
//! hand, or is to misbehave.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};

/// What came.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|wrong| panic!("{wrong}: {self:?}"))
    }

    /// `POST /path`, for a `match`.
    pub(crate) fn line(&self) -> (&str, Vec<&str>) {
        (&self.method, self.path.split('/').skip(1).collect())
    }
}

/// What goes back.
#[derive(Default)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// What comes bit by bit after the body, until its sender is gone.
    more: Option<mpsc::Receiver<Vec<u8>>>,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::status(status).header("Content-Type", "application/json").body(body.to_string())
    }

    /// RFC 9457, with these members besides.
    pub(crate) fn problem(status: u16, detail: &str, more: &serde_json::Value) -> Self {
        let mut body = serde_json::json!({"title": "Stub", "status": status, "detail": detail});
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        Self::status(status).header("Content-Type", "application/problem+json").body(body.to_string())
    }

    pub(crate) fn streamed(mut self, more: mpsc::Receiver<Vec<u8>>) -> Self {
        self.more = Some(more);
        self
    }
}

/// The running server. Its threads end with the test program.
pub(crate) struct Stub {
    pub(crate) address: String,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Stub {
    /// Answers with what this says.
    pub(crate) fn start(answer: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let (answer, seen) = (Arc::new(answer), calls.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, seen) = (answer.clone(), seen.clone());
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream);
                    while let Some(call) = read(&mut reader) {
                        seen.lock().expect("the calls").push(call.clone());
                        if write(reader.get_mut(), answer(&call), call.method == "HEAD").is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, calls }
    }

    /// What was asked so far with this method.
    pub(crate) fn calls(&self, method: &str) -> Vec<Call> {
        self.calls.lock().expect("the calls").iter().filter(|call| call.method == method).cloned().collect()
    }

    /// The last of these.
    #[track_caller]
    pub(crate) fn last(&self, method: &str) -> Call {
        self.calls(method).pop().unwrap_or_else(|| panic!("no {method} came"))
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Call> {
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0).map(|_| line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = line()?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut call = Call { method, path: path.into(), query: query.into(), headers, body: Vec::new() };
    if call.header("transfer-encoding").is_some() {
        read_chunks(reader, &mut call.body)?;
    } else if let Some(length) = call.header("content-length") {
        call.body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut call.body).ok()?;
    }
    Some(call)
}

fn read_chunks(reader: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> Option<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).ok()?;
        if size == 0 {
            return Some(());
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

fn write(stream: &mut TcpStream, answer: Answer, head_only: bool) -> std::io::Result<()> {
    let has_length = answer.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let mut lines = vec![format!("HTTP/1.1 {} Stub", answer.status)];
    lines.extend(answer.headers.iter().map(|(name, value)| format!("{name}: {value}")));
    if answer.more.is_some() {
        lines.push("Transfer-Encoding: chunked".into());
    } else if answer.status != 204 && !has_length {
        lines.push(format!("Content-Length: {}", answer.body.len()));
    }
    let text = lines.join("\r\n") + "\r\n\r\n";
    stream.write_all(text.as_bytes())?;
    let Some(more) = answer.more else {
        return if head_only { Ok(()) } else { stream.write_all(&answer.body) };
    };
    for chunk in std::iter::once(answer.body).filter(|body| !body.is_empty()).chain(more) {
        stream.write_all(&[format!("{:x}\r\n", chunk.len()).as_bytes(), &chunk, b"\r\n"].concat())?;
    }
    stream.write_all(b"0\r\n\r\n")
}
