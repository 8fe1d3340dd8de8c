//! The reference server: parks every GET, and on a POST to a room writes the same fixed bytes to all sockets parked in
//! it. No routing, no JSON, no sessions, one thread: what is left is what the kernel charges for a delivery.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Context as _, Result};

use crate::poller::Poller;
use crate::response::find;

const LISTENER: usize = 0;
const BACKLOG: i32 = 4096;
const READ_BYTES_MAX: usize = 16 * 1024;
/// A longer request ends its connection: the driver sends a few hundred bytes.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// Bounds the table of rooms, whatever number a request names.
const ROOMS_MAX: usize = 65_536;
/// As long as a Volley answer of one message: the same bytes cross the kernel.
const ANSWER_PAYLOAD: &str =
    r#"{"load":[100,1000,10000000],"pad":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#;

/// Serves until it is killed. The first line on stdout says where.
pub(crate) fn serve(listen: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    // The standard library's backlog is 128 on some versions: a storm would lose SYNs, which cost a second each.
    rustix::net::listen(&listener, BACKLOG)?;
    listener.set_nonblocking(true)?;
    let mut server = Server {
        poller: Poller::new()?,
        listener,
        connections: vec![None],
        free: Vec::new(),
        rooms: Vec::new(),
        poll_answer: poll_answer(),
    };
    server.poller.watch(&server.listener, LISTENER)?;
    println!("limit ready listen={}", server.listener.local_addr()?);
    let mut buffer = vec![0; READ_BYTES_MAX];
    loop {
        for index in 0..server.poller.wait(None)? {
            match server.poller.ready(index) {
                LISTENER => server.accept()?,
                id => server.readable(id, &mut buffer),
            }
        }
    }
}

struct Server {
    poller: Poller,
    listener: TcpListener,
    /// By id; place 0 is the listener's.
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// By room, the ids of the connections parked in it.
    rooms: Vec<Vec<usize>>,
    poll_answer: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    parked_in: Option<usize>,
    /// A request that did not come in one read; without memory of its own until then.
    pieces: Vec<u8>,
}

impl Server {
    fn accept(&mut self) -> Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("cannot accept"),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let id = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            self.poller.watch(&stream, id)?;
            self.connections[id] = Some(Connection { stream, parked_in: None, pieces: Vec::new() });
        }
    }

    fn readable(&mut self, id: usize, buffer: &mut [u8]) {
        // An event of this batch may be of a connection that an earlier one of it closed.
        let Some(connection) = &mut self.connections[id] else {
            return;
        };
        let length = match connection.stream.read(buffer) {
            Ok(length) if length > 0 => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Ok(_) | Err(_) => return self.close(id),
        };
        if connection.pieces.is_empty()
            && let Some(request) = parse(&buffer[..length])
        {
            return self.answer(id, request);
        }
        connection.pieces.extend_from_slice(&buffer[..length]);
        if let Some(request) = parse(&connection.pieces) {
            connection.pieces.clear();
            self.answer(id, request);
        } else if connection.pieces.len() > REQUEST_BYTES_MAX {
            self.close(id);
        }
    }

    fn answer(&mut self, id: usize, request: Request) {
        match request {
            Request::Poll { room } => self.park(id, room),
            Request::Publish { room } => {
                let recipients = room.map_or(0, |room| self.broadcast(room));
                self.write(id, &publish_answer(recipients));
            }
        }
    }

    fn park(&mut self, id: usize, room: usize) {
        if self.rooms.len() <= room {
            self.rooms.resize_with(room + 1, Vec::new);
        }
        if let Some(connection) = &mut self.connections[id]
            && connection.parked_in.is_none()
        {
            connection.parked_in = Some(room);
            self.rooms[room].push(id);
        }
    }

    fn broadcast(&mut self, room: usize) -> usize {
        let Some(parked) = self.rooms.get_mut(room) else {
            return 0;
        };
        // Swapped out and back, so that the room keeps its memory.
        let mut parked = std::mem::take(parked);
        let recipients = parked.len();
        let answer = std::mem::take(&mut self.poll_answer);
        for &id in &parked {
            if let Some(connection) = &mut self.connections[id] {
                connection.parked_in = None;
                self.write(id, &answer);
            }
        }
        self.poll_answer = answer;
        parked.clear();
        self.rooms[room] = parked;
        recipients
    }

    /// A socket that does not take a few hundred bytes at once is not read from; it is given up.
    fn write(&mut self, id: usize, bytes: &[u8]) {
        if let Some(connection) = &mut self.connections[id] {
            let written = connection.stream.write(bytes);
            if !matches!(written, Ok(length) if length == bytes.len()) {
                self.close(id);
            }
        }
    }

    fn close(&mut self, id: usize) {
        if let Some(connection) = self.connections[id].take() {
            if let Some(room) = connection.parked_in {
                self.rooms[room].retain(|&parked| parked != id);
            }
            self.free.push(id);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Poll {
        room: usize,
    },
    /// Without a room it stands for opening a session: answered, nothing sent.
    Publish {
        room: Option<usize>,
    },
}

/// The request, once all of it is there. The room is the number behind `room.` in the first line.
fn parse(bytes: &[u8]) -> Option<Request> {
    let head_length = find(bytes, b"\r\n\r\n")?;
    let head = &bytes[..head_length];
    let line = &head[..find(head, b"\r\n").unwrap_or(head_length)];
    let room = number_behind(line, b"room.").map(|room| room % ROOMS_MAX);
    if bytes[0] == b'G' {
        return Some(Request::Poll { room: room.unwrap_or(0) });
    }
    let body_length = number_behind(head, b"Content-Length: ").unwrap_or(0);
    let whole = bytes.len() - head_length - 4 >= body_length;
    whole.then_some(Request::Publish { room })
}

fn number_behind(bytes: &[u8], name: &[u8]) -> Option<usize> {
    let start = find(bytes, name)? + name.len();
    let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number: usize, digit| number.saturating_mul(10).saturating_add(usize::from(digit - b'0'))))
}

fn poll_answer() -> Vec<u8> {
    let body = format!(
        r#"{{"cursor":1000,"messages":[{{"topic":"room.100","from":"","event":"0123456789abcdef","data":{ANSWER_PAYLOAD}}}]}}"#
    );
    answer(&body)
}

fn publish_answer(recipients: usize) -> Vec<u8> {
    answer(&format!(r#"{{"event":"0123456789abcdef","recipients":{recipients}}}"#))
}

fn answer(body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\
         content-length: {length}\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_as_long_as_a_published_one() {
        assert_eq!(ANSWER_PAYLOAD.len(), crate::dialect::PAYLOAD_BYTES);
    }

    #[test]
    fn waits_for_the_body_of_a_post() {
        let post = b"POST /v1/topics/room.17/events HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parse(&post[..post.len() - 1]), None);
        assert_eq!(parse(post), Some(Request::Publish { room: Some(17) }));
        let poll = b"GET /v1/poll?topic=room.5 HTTP/1.1\r\n\r\n";
        assert_eq!(parse(poll), Some(Request::Poll { room: 5 }));
    }
}
