//! The client's only loop: all its connections on one epoll, one thread. What a response means is the caller's; the
//! caller's answer says what the same connection does next.

use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result, ensure};
use rustls::ClientConfig;

use crate::connection::Connection;
use crate::poller::Poller;
use crate::response::Response;
use crate::streamed::Form;

/// Larger than a typical answer by far; longer ones are put together by their connection.
const READ_BYTES_MAX: usize = 64 * 1024;
/// How long a connection rests after a 503. Shorter than any Retry-After (whole seconds): the runs are short, and a
/// refusal must not idle the driver for a fifth of one.
const REST: Duration = Duration::from_millis(50);

/// What happened on a connection.
pub(crate) enum Came<'a> {
    Response(Response<'a>),
    /// The rest asked for with [`Then::Rest`] is over.
    Rested,
    /// What was begun with [`Client::begin`] is a connection.
    Connected,
    /// The connection could not be made, has failed or was closed; it is gone, whatever the caller wants next.
    Broken(Error),
}

/// What a connection does next.
pub(crate) enum Then {
    /// Send the request that was written.
    Send,
    /// Send the request that was written: it is for a stream.
    Listen(Form),
    /// Say nothing for a moment, then ask again.
    Rest,
    /// Stay silent.
    Idle,
}

pub(crate) struct Client {
    poller: Poller,
    /// With which its connections speak TLS, if they do.
    tls: Option<Arc<ClientConfig>>,
    /// By id; those that broke are gone.
    connections: Vec<Option<Connection>>,
    buffer: Box<[u8]>,
    request: Vec<u8>,
    /// In order of their time, since every rest is equally long.
    resting: VecDeque<(Instant, usize)>,
}

impl Client {
    pub(crate) fn new(tls: Option<Arc<ClientConfig>>) -> Result<Self> {
        Ok(Self {
            poller: Poller::new()?,
            tls,
            connections: Vec::new(),
            buffer: vec![0; READ_BYTES_MAX].into_boxed_slice(),
            request: Vec::new(),
            resting: VecDeque::new(),
        })
    }

    /// Opens a connection; they are numbered from 0 in the order of opening.
    pub(crate) fn connect(&mut self, server: SocketAddrV4) -> Result<usize> {
        let id = self.connections.len();
        let connection = Connection::open(server, id, self.tls.as_ref()).with_context(|| format!("connection {id}"))?;
        self.poller.watch(&connection, id)?;
        self.connections.push(Some(connection));
        Ok(id)
    }

    /// Begins to open a connection, and does not wait for it: [`Came::Connected`] or [`Came::Broken`] follows.
    pub(crate) fn begin(&mut self, server: SocketAddrV4) -> Result<usize> {
        ensure!(self.tls.is_none(), "a handshake of TLS is waited for");
        let id = self.connections.len();
        let connection = Connection::begin(server, id).with_context(|| format!("connection {id}"))?;
        self.poller.watch_connecting(&connection, id)?;
        self.connections.push(Some(connection));
        Ok(id)
    }

    /// Sends the request that `write` renders.
    pub(crate) fn send(&mut self, id: usize, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        self.request.clear();
        write(&mut self.request);
        self.connections[id].as_mut().context("a request on a broken connection")?.send(&self.request)
    }

    /// Waits for at most `timeout`, then gives each complete response to `on`, with a place for the next request of
    /// the same connection. Returns how many there were.
    pub(crate) fn turn<F>(&mut self, timeout: Duration, mut on: F) -> Result<usize>
    where
        F: FnMut(usize, Came<'_>, &mut Vec<u8>) -> Result<Then>,
    {
        let mut responses = 0;
        for index in 0..self.poller.wait(Some(timeout))? {
            let id = self.poller.ready(index);
            self.request.clear();
            let Some(connection) = &mut self.connections[id] else { continue };
            let came = if connection.is_connecting() {
                self.poller.watch_connected(&*connection, id)?;
                connection.connected().map(|()| Some(Came::Connected))
            } else {
                connection.receive(&mut self.buffer).map(|response| response.map(Came::Response))
            };
            let then = match came {
                Ok(None) => continue,
                Ok(Some(came)) => {
                    responses += usize::from(matches!(came, Came::Response(_)));
                    on(id, came, &mut self.request)?
                }
                Err(error) => {
                    self.connections[id] = None;
                    on(id, Came::Broken(error.context(format!("connection {id}"))), &mut self.request)?;
                    continue;
                }
            };
            self.follow(id, &then)?;
        }
        while self.resting.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            let (_, id) = self.resting.pop_front().expect("just looked at");
            if self.connections[id].is_none() {
                continue;
            }
            self.request.clear();
            let then = on(id, Came::Rested, &mut self.request)?;
            self.follow(id, &then)?;
        }
        Ok(responses)
    }

    fn follow(&mut self, id: usize, then: &Then) -> Result<()> {
        match then {
            Then::Send => {
                let connection = self.connections[id].as_mut().context("a request on a broken connection")?;
                connection.send(&self.request).with_context(|| format!("connection {id}"))
            }
            Then::Listen(form) => {
                let connection = self.connections[id].as_mut().context("a request on a broken connection")?;
                connection.listen(&self.request, *form).with_context(|| format!("connection {id}"))
            }
            Then::Rest => {
                self.resting.push_back((Instant::now() + REST, id));
                Ok(())
            }
            Then::Idle => Ok(()),
        }
    }
}
