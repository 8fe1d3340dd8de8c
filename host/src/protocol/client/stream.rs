//! `GET /v1/stream` and `GET /v1/ws`: whose stream, from which message on, and the handshake of a WebSocket.

use crate::event::Unrouted;
use crate::node::Node;
use crate::pid::Pid;
use crate::protocol::client;
use crate::protocol::http::{self, Reply};
use crate::protocol::problem::Problem;
use crate::protocol::query;
use crate::protocol::stream::events_head;
use crate::session::{Form, Owed};
use crate::streaming::StreamCall;
use hyper::body::{Body as _, Incoming};
use hyper::header::{HOST, HeaderValue, ORIGIN, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::{HeaderMap, Request, StatusCode};
use tungstenite::error::{Error, ProtocolError};
use tungstenite::handshake::server::create_response_with_body;

/// A stream of server-sent events.
pub(super) fn events(node: &Node, request: &Request<Incoming>, blocked: bool) -> Result<StreamCall, Problem> {
    let (pid, cursor) = wanted(node, request, blocked)?;
    let cors = node.cors.allowed(request.headers());
    let head = events_head(cors.as_ref());
    Ok(StreamCall { pid, cursor, form: Form::Events, head, owed: Owed { cors }, behind: Vec::new() })
}

/// A WebSocket; or how else to ask for one.
pub(super) fn websocket(
    node: &Node,
    request: &Request<Incoming>,
    blocked: bool,
) -> Result<Result<StreamCall, Reply>, Problem> {
    let head = match create_response_with_body(request, || ()) {
        Ok(head) => head,
        Err(error) => return not_asked_for(&error).map(Err),
    };
    check_origin(node, request.headers())?;
    let (pid, cursor) = wanted(node, request, blocked)?;
    let form = Form::WebSocket;
    Ok(Ok(StreamCall { pid, cursor, form, head, owed: Owed::default(), behind: Vec::new() }))
}

/// Whose, and after which message.
fn wanted(node: &Node, request: &Request<Incoming>, blocked: bool) -> Result<(Pid, Option<u64>), Problem> {
    let (headers, query) = (request.headers(), request.uri().query());
    let pid = session(node, headers, query)?;
    let (header, last) = (http::header(headers, "volley-cursor")?, http::header(headers, "last-event-id")?);
    let cursor = query::stream_cursor(query, header, last).map_err(Problem::bad_request)?;
    if !request.body().is_end_stream() {
        return Err(Problem::bad_request("a stream is asked for without a body"));
    }
    if blocked {
        return Err(Problem::bad_request("a stream does not begin behind answers that are still to be read"));
    }
    if node.is_draining() {
        return Err(Unrouted::Draining.into());
    }
    Ok((pid, cursor))
}

/// Where a page cannot set headers, the token stands in the query; with authentication on, a ticket may stand there for it.
fn session(node: &Node, headers: &HeaderMap, query: Option<&str>) -> Result<Pid, Problem> {
    let of_query = http::decoded_parameter(query, "session")?.map(|token| String::from_utf8(token).unwrap_or_default());
    match (client::optional_session(node, headers)?, of_query) {
        (None, token) => {
            match token.as_deref().filter(|_| node.auth.is_on()).and_then(|text| node.tickets.redeem(text)) {
                Some(pid) if node.shared.sessions.is_live(pid) => Ok(pid),
                Some(_) => Err(Problem::gone()),
                None => client::session_of(node, token.as_deref()),
            }
        }
        (Some(pid), None) => Ok(pid),
        (Some(pid), Some(token)) => match client::session_of(node, Some(&token))? {
            same if same == pid => Ok(pid),
            _ => Err(Problem::bad_request("the session of the query and that of the header differ")),
        },
    }
}

/// Browsers let any page open a WebSocket anywhere, and say where the page is from.
fn check_origin(node: &Node, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    match origin.to_str() {
        Ok(origin) if node.cors.may_connect(origin, host) => Ok(()),
        _ => Err(Problem::new(StatusCode::FORBIDDEN, "pages of this origin may not connect (cors.origins)")),
    }
}

/// What is missing of the handshake. A client that has not asked for one, or for another version, is told what to ask for.
fn not_asked_for(error: &Error) -> Result<Reply, Problem> {
    let words = format!("this is no handshake of a WebSocket: {error}");
    let Error::Protocol(
        ProtocolError::MissingConnectionUpgradeHeader
        | ProtocolError::MissingUpgradeWebSocketHeader
        | ProtocolError::MissingSecWebSocketVersionHeader
        | ProtocolError::WrongHttpVersion,
    ) = error
    else {
        return Err(Problem::bad_request(words));
    };
    let mut reply = Problem::new(StatusCode::UPGRADE_REQUIRED, words).response();
    reply.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    reply.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    Ok(reply)
}
