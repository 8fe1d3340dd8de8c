//! One connection to the TLS listener: the handshake, then whichever HTTP was negotiated, then the last words.

use super::wire::Wire;
use super::{CONNECTIONS, Tls, http1, http2};
use crate::bare;
use crate::connection::{last_words, write_answer};
use crate::hyper_io::Served;
use crate::limits::Limits;
use crate::node::Node;
use crate::protocol::client;
use crate::socket::Socket;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The first byte of a client that speaks TLS: a record of the handshake.
const HANDSHAKE: u8 = 22;

/// Serves it to its end.
pub async fn serve(socket: Arc<Socket>, node: Arc<Node>, tls: Arc<Tls>) {
    let shared = &node.shared;
    let Some(_place) = CONNECTIONS.reserve(1, shared.limits.tls_connections_max) else {
        shared.metrics.connections_refused.inc();
        return;
    };
    socket.receiving_until(Limits::second_in(shared.limits.tls_handshake_ms));
    let Ok(served) = Served::new(socket.clone()).map(Arc::new) else { return };
    match served.first_byte().await {
        Some(HANDSHAKE) => {}
        Some(_) => return refuse_plain(&served, &node).await,
        None => return,
    }
    match shake_hands(&served, &node, &tls).await {
        Some(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => http2::serve(stream, &socket, &node).await,
        Some(stream) => http1::serve(stream, &socket, &node).await,
        None => {}
    }
    // The peer may be gone.
    let _ = last_words(&served).await;
}

/// A client without TLS is told in its own words.
async fn refuse_plain(served: &Served, node: &Node) {
    bare::with_answer(|answer| answer.last_problem(&client::wants_tls()));
    if write_answer(served, node).await.is_ok() {
        let _ = last_words(served).await;
    }
}

/// None when it fails; rustls has told the peer why then.
async fn shake_hands(served: &Arc<Served>, node: &Node, tls: &Tls) -> Option<TlsStream<Wire>> {
    let metrics = &node.shared.metrics.tls;
    let wire = Wire::new(served.clone(), node.shared.limits.clone());
    match TlsAcceptor::from(tls.offered.load_full()).accept(wire).await {
        Ok(stream) => {
            metrics.handshakes.inc();
            served.socket().seal();
            Some(stream)
        }
        Err(error) => {
            metrics.handshake_failures.inc();
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
    }
}

/// Until the connection, which is hyper's, has ended. When its time is up, or the server goes down, it says goodbye: it
/// reads no further request, tells the peer so, and answers those that it has.
pub(super) async fn run<C: Future>(
    mut connection: Pin<&mut C>,
    say_goodbye: impl Fn(Pin<&mut C>),
    socket: &Socket,
    node: &Node,
) {
    let mut has_said_goodbye = false;
    poll_fn(|context: &mut Context<'_>| {
        let is_over = socket.is_cut_off(context) || node.is_draining();
        if is_over && !has_said_goodbye {
            has_said_goodbye = true;
            say_goodbye(connection.as_mut());
        }
        // How it ended, the peer knows better than we do.
        connection.as_mut().poll(context).map(drop)
    })
    .await;
}
