//! A WebSocket over TLS: what `streaming` does for a bare one, in the task of its connection, which alone can read and write.

use super::http1::Http1Io;
use super::requests::Upgrading;
use super::wire::Wire;
use crate::bare;
use crate::consumer::{Consumer, Next};
use crate::dialogue::Dialogue;
use crate::hyper_io::RECEIVED;
use crate::node::Node;
use crate::socket::Socket;
use crate::unsent::Unsent;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio_rustls::server::TlsStream;

/// Serves it to its end, once hyper has let go of the connection.
pub(super) async fn serve(upgrading: Upgrading, socket: &Arc<Socket>, node: &Arc<Node>) {
    let Ok(upgraded) = upgrading.when.await else { return };
    let Ok(parts) = upgraded.downcast::<Http1Io>() else { return };
    let mut conversation = Conversation {
        stream: parts.io.into_stream(),
        consumer: upgrading.consumer,
        dialogue: Dialogue::beginning(Vec::new(), parts.read_buf.into()),
        rest: None,
        is_last: false,
        socket,
        node,
    };
    socket.stream();
    // How it ended, the peer knows better than we do.
    let _ = poll_fn(|context| conversation.poll(context)).await;
    drop(conversation.consumer);
    let _ = conversation.stream.shutdown().await;
}

struct Conversation<'a> {
    stream: TlsStream<Wire>,
    consumer: Consumer,
    dialogue: Dialogue,
    /// This is left to write.
    rest: Option<Unsent>,
    /// And nothing comes after it.
    is_last: bool,
    socket: &'a Arc<Socket>,
    node: &'a Arc<Node>,
}

impl Conversation<'_> {
    /// While something is left to write nothing is heard, so that nothing more is to be written.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.socket.is_cut_off(context) {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_write(context))?;
            if self.is_last {
                return Poll::Ready(Ok(()));
            }
            self.hear(context)?;
            ready!(self.poll_say(context))?;
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = &mut self.rest {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, rest.as_ref()))?;
            rest.advance(written);
            self.rest.take_if(|rest| rest.as_ref().is_empty());
        }
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        // It may stay open for as long as it likes, unless half a message has come.
        match self.dialogue.whole_by() {
            Some(second) => self.socket.serving_until(second),
            None => self.socket.stream(),
        }
        Poll::Ready(Ok(()))
    }

    /// Hears what has come, as far as there is room for its answers.
    fn hear(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let Self { stream, dialogue, socket, node, .. } = self;
        let whose = self.consumer.whose();
        while dialogue.catch_up(socket, node, whose) && !dialogue.has_to_write() {
            let heard = RECEIVED.with_borrow_mut(|received| {
                let mut space = ReadBuf::new(&mut received[..]);
                let read = Pin::new(&mut *stream).poll_read(context, &mut space);
                read.map_ok(|()| {
                    dialogue.listen(space.filled(), socket, node, whose);
                    space.filled().len()
                })
            });
            match heard {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Renders what is to be written next; until there is something, it waits.
    fn poll_say(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        bare::with_answer(|answer| {
            self.is_last = self.dialogue.say(answer.raw(), self.socket);
            self.dialogue.rest();
            if answer.whole().is_empty() && !self.is_last {
                match ready!(self.consumer.poll_next(answer, context)) {
                    Next::Look => return Poll::Ready(Ok(())),
                    Next::Beat if !self.socket.expect_pong() => {
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                    Next::Beat | Next::Write => {}
                    Next::WriteLast => self.is_last = true,
                }
            }
            let kept = Unsent::keep(answer.whole(), &self.node.shared.limits);
            self.rest = Some(kept.ok_or(io::ErrorKind::OutOfMemory)?);
            Poll::Ready(Ok(()))
        })
    }
}
