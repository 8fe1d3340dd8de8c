//! Many clients in one thread: polls, streams of events and sockets. Who is cut off comes back with its cursor; each
//! keeps what it was told, by number, and fails when a number comes twice, is missing, or a gap is told.

use crate::client::events;
use crate::http::{PATIENCE, Request, get, post};
use crate::streaming::upgrade;
use serde_json::{Value, json};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// What is waited before coming back, so that a server that is gone is not run into.
const COME_BACK: Duration = Duration::from_millis(20);

/// How a client listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Poll,
    Events,
    WebSocket,
}

/// What became of a client.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) way: Way,
    /// The numbers that it was told, in order.
    pub(crate) numbers: Vec<u64>,
    /// How often it was cut off, or an answer did not come.
    pub(crate) cuts: u64,
}

/// Clients that listen to one topic until they are told [`Crowd::last`].
pub(crate) struct Crowd {
    address: String,
    topic: &'static str,
    told: Arc<AtomicU64>,
    thread: JoinHandle<Vec<Heard>>,
}

impl Crowd {
    /// So many of each way, connected at this address.
    pub(crate) fn start(address: &str, topic: &'static str, ways: &[(Way, usize)]) -> Self {
        let told = Arc::new(AtomicU64::new(0));
        let ways: Vec<Way> = ways.iter().flat_map(|(way, count)| std::iter::repeat_n(*way, *count)).collect();
        let (at, counted) = (address.to_owned(), told.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let local = tokio::task::LocalSet::new();
            let at: Rc<str> = at.into();
            let clients: Vec<_> = ways
                .into_iter()
                .map(|way| local.spawn_local(Client::listen(at.clone(), topic, way, counted.clone())))
                .collect();
            local.block_on(&runtime, async {
                let mut heard = Vec::new();
                for client in clients {
                    heard.push(client.await.expect("a client that is told everything"));
                }
                heard
            })
        });
        Self { address: address.to_owned(), topic, told, thread }
    }

    /// Messages that clients were told so far, all together.
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Relaxed)
    }

    /// Publishes the next number.
    pub(crate) fn publish(&self, number: u64) {
        self.say(&json!({ "n": number }));
    }

    /// The last number, with which everybody goes, and what they have heard.
    pub(crate) fn last(self, number: u64) -> Vec<Heard> {
        self.say(&json!({ "n": number, "last": true }));
        self.thread.join().expect("the crowd")
    }

    /// As the README advises: with a key, so that it may be said again when no answer comes.
    fn say(&self, data: &Value) {
        let request = post(events(self.topic)).json(data).header("Idempotency-Key", format!("n-{}", data["n"]));
        crate::harness::wait_until("a publish to be answered", || {
            let mut connection = crate::http::Connection::open(&self.address);
            connection.send(&request);
            connection.try_receive("POST").ok().map(|answer| assert_eq!(answer.status, 200, "{answer}"))
        });
    }
}

struct Client {
    address: Rc<str>,
    token: String,
    cursor: u64,
    numbers: Vec<u64>,
    is_done: bool,
    told: Arc<AtomicU64>,
}

impl Client {
    async fn listen(address: Rc<str>, topic: &str, way: Way, told: Arc<AtomicU64>) -> Heard {
        let token = Self::open(&address, topic).await.expect("a session");
        let mut client = Self { address, token, cursor: 0, numbers: Vec::new(), is_done: false, told };
        let mut cuts = 0;
        while !client.is_done {
            let cut = match way {
                Way::Poll => client.poll().await,
                Way::Events => client.stream().await,
                Way::WebSocket => client.converse().await,
            };
            if cut.is_err() {
                cuts += 1;
                tokio::time::sleep(COME_BACK).await;
            }
        }
        Heard { way, numbers: client.numbers, cuts }
    }

    async fn open(address: &str, topic: &str) -> io::Result<String> {
        let mut wire = Wire::open(address).await?;
        let answer = wire.call(&post("/v1/sessions").json(&json!({ "topics": [topic] })), 201).await?;
        Ok(answer["session"].as_str().expect("a token").to_owned())
    }

    /// One message, with its number in the mailbox.
    fn hear(&mut self, cursor: u64, message: &Value) {
        assert_eq!(cursor, self.cursor + 1, "a message is missing, or comes twice: {message}");
        self.cursor = cursor;
        self.numbers.push(message["data"]["n"].as_u64().expect("a number"));
        self.is_done = message["data"]["last"] == true;
        self.told.fetch_add(1, Relaxed);
    }

    fn hear_page(&mut self, page: &Value) {
        assert_eq!((page.get("gap"), page.get("superseded")), (None, None), "{page}");
        let messages = page["messages"].as_array().expect("messages");
        let newest = page["cursor"].as_u64().expect("a cursor");
        for (at, message) in messages.iter().enumerate() {
            self.hear(newest - (messages.len() - 1 - at) as u64, message);
        }
    }

    /// Polls over one connection for as long as it goes.
    async fn poll(&mut self) -> io::Result<()> {
        let mut wire = Wire::open(&self.address).await?;
        while !self.is_done {
            let request = get(format!("/v1/poll?cursor={}&wait=50", self.cursor)).token(&self.token);
            let page = wire.call(&request, 200).await?;
            self.hear_page(&page);
        }
        Ok(())
    }

    async fn stream(&mut self) -> io::Result<()> {
        let mut wire = Wire::open(&self.address).await?;
        let request = get("/v1/stream").token(&self.token).header("Last-Event-ID", self.cursor.to_string());
        wire.send(&request).await?;
        let head = wire.head().await?;
        assert_eq!(head.status, 200);
        let (mut text, mut id) = (Vec::new(), 0);
        while !self.is_done {
            if head.is_chunked {
                text.extend(wire.chunk().await?);
            } else {
                text.extend(wire.some().await?);
            }
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8(text.drain(..=end).collect()).expect("UTF-8");
                match line.trim_end().split_once(": ") {
                    Some(("id", cursor)) => id = cursor.parse().expect("a cursor"),
                    Some(("data", data)) => self.hear(id, &serde_json::from_str(data).expect("JSON")),
                    Some(("event", name)) => panic!("the stream says {name}"),
                    _ => {} // a comment, a retry time, the end of an event
                }
            }
        }
        Ok(())
    }

    async fn converse(&mut self) -> io::Result<()> {
        const CLOSE: u8 = 8;
        const PING: u8 = 9;
        let mut wire = Wire::open(&self.address).await?;
        wire.send(&upgrade(format!("/v1/ws?cursor={}", self.cursor)).token(&self.token)).await?;
        assert_eq!(wire.head().await?.status, 101);
        while !self.is_done {
            let (opcode, payload) = wire.frame().await?;
            match opcode {
                CLOSE => return Err(io::ErrorKind::ConnectionAborted.into()),
                PING => wire.say(10, &payload).await?,
                _ => {
                    self.hear_page(&serde_json::from_slice(&payload).expect("JSON"));
                    wire.say(1, json!({ "ack": self.cursor }).to_string().as_bytes()).await?;
                }
            }
        }
        Ok(())
    }
}

/// A connection, as far as a crowd needs one.
struct Wire {
    stream: BufReader<TcpStream>,
    host: String,
}

struct Head {
    status: u16,
    length: usize,
    is_chunked: bool,
}

impl Wire {
    async fn open(address: &str) -> io::Result<Self> {
        let stream = within(TcpStream::connect(address)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), host: address.to_owned() })
    }

    async fn send(&mut self, request: &Request) -> io::Result<()> {
        self.stream.write_all(&request.bytes(&self.host)).await
    }

    /// The answer, which has this status if one comes at all.
    async fn call(&mut self, request: &Request, status: u16) -> io::Result<Value> {
        self.send(request).await?;
        let head = self.head().await?;
        let mut body = vec![0; head.length];
        within(self.stream.read_exact(&mut body)).await?;
        assert_eq!(head.status, status, "{}", String::from_utf8_lossy(&body));
        Ok(serde_json::from_slice(&body).expect("JSON"))
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if within(self.stream.read_line(&mut line)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    async fn head(&mut self) -> io::Result<Head> {
        let status = self.line().await?.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let mut head = Head { status, length: 0, is_chunked: false };
        loop {
            let line = self.line().await?.to_ascii_lowercase();
            match line.split_once(": ") {
                None => return Ok(head),
                Some(("content-length", length)) => head.length = length.parse().expect("a length"),
                Some(("transfer-encoding", _)) => head.is_chunked = true,
                Some(_) => {}
            }
        }
    }

    async fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let length = usize::from_str_radix(&self.line().await?, 16).expect("a length");
        let mut chunk = vec![0; length];
        within(self.stream.read_exact(&mut chunk)).await?;
        self.line().await?;
        if length == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(chunk) }
    }

    /// Whatever comes next.
    async fn some(&mut self) -> io::Result<Vec<u8>> {
        let some = within(self.stream.fill_buf()).await?.to_vec();
        self.stream.consume(some.len());
        if some.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(some) }
    }

    /// The opcode and the payload of a frame of the server's.
    async fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        within(self.stream.read_exact(&mut head)).await?;
        let length = match head[1] {
            126 => within(self.stream.read_u16()).await?.into(),
            127 => within(self.stream.read_u64()).await? as usize,
            length => length.into(),
        };
        let mut payload = vec![0; length];
        within(self.stream.read_exact(&mut payload)).await?;
        Ok((head[0] & 15, payload))
    }

    /// A short frame, masked with zeros.
    async fn say(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126).expect("a short frame");
        let head = [0x80 | opcode, 0x80 | length, 0, 0, 0, 0];
        self.stream.write_all(&[&head, payload].concat()).await
    }
}

/// Whatever takes longer than a test has patience fails it.
async fn within<T>(what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(PATIENCE, what).await.expect("something comes in time")
}
