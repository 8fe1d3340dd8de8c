//! The socket below the encryption, as `tokio-rustls` wants it.

use crate::hyper_io::Served;
use crate::limits::Limits;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket that TLS is spoken on.
#[derive(Debug)]
pub(super) struct Wire {
    served: Arc<Served>,
    limits: Arc<Limits>,
}

impl Wire {
    /// For as long as it is served.
    pub(super) fn new(served: Arc<Served>, limits: Arc<Limits>) -> Self {
        Self { served, limits }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let received = self.served.poll_recv(context, to.initialize_unfilled());
        received.map_ok(|n| to.advance(n))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.served.poll_respond(context, bytes, &self.limits)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.served.socket().shut_write();
        Poll::Ready(Ok(()))
    }
}
