//! Valid requests that were damaged on their way: each gets an answer or a clean end, and what was accepted is what
//! was delivered. The damage is the same in each run.

use crate::client::{Session, batch_of, events, poll};
use crate::harness::{Server, wait_until};
use crate::http::{Connection, Response, post};
use serde_json::{Value, json};

const TOPIC: &str = "garbage.t";
/// Damaged copies of each request, of each kind of damage.
const COPIES: usize = 120;

/// A small generator of numbers (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// Sends this and nothing more; all that comes back.
fn answers_to(address: &str, write: impl FnOnce(&mut Connection)) -> Vec<Response> {
    let mut connection = Connection::open(address);
    write(&mut connection);
    connection.half_close();
    connection.receive_all()
}

/// A refusal says why, and that it is the client's fault.
fn is_explained(answer: &Response) -> bool {
    (400..500).contains(&answer.status) && answer.header("content-type") == Some("application/problem+json")
}

/// The events that were accepted for the topic's only subscriber.
fn accepted(answers: &[Response]) -> impl Iterator<Item = Value> {
    let lines = answers.iter().filter(|answer| answer.status == 200).flat_map(|answer| answer.text().lines());
    let results =
        lines.map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|wrong| panic!("{wrong}: {line}")));
    results.filter(|result| result["recipients"] == 1).map(|result| result["event"].clone())
}

/// Cut off at every byte, with a bit turned over, and with a piece lost, doubled or made up.
fn damaged(request: &[u8], chance: &mut Chance) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (0..request.len()).map(|end| request[..end].to_vec()).collect();
    for _ in 0..COPIES {
        let mut copy = request.to_vec();
        copy[chance.below(request.len())] ^= 1 << chance.below(8);
        all.push(copy);
    }
    for n in 0..COPIES {
        let (from, length) = (chance.below(request.len()), chance.below(40));
        let to = (from + length).min(request.len());
        let piece = match n % 3 {
            0 => Vec::new(),
            1 => request[from..to].repeat(2),
            _ => (from..to).map(|_| chance.below(256) as u8).collect(),
        };
        all.push([&request[..from], &piece, &request[to..]].concat());
    }
    all
}

#[test]
fn damaged_requests_leave_nothing_behind() {
    let limits = ["wait_ms=100", "wait_ms_max=100", "mailbox_messages_max=100000"];
    let server = Server::start_plain(&limits.map(|limit| ["--limit", limit]).concat());
    let (ann, mut bob) = (Session::open(&server), Session::on(&server, TOPIC));
    let data = json!({"say": "something of some length, with é and \"quotes\""});
    let good = [poll(0, 0), post(events(TOPIC)).json(&data)].map(|request| request.token(&ann.token).bytes("x"));
    let [a_poll, publish] = &good;
    let chunked = post(events(TOPIC)).typed("text/plain", "some text in chunks").header("Transfer-Encoding", "chunked");
    let batch = post("/v1/events").typed("application/x-ndjson", batch_of(TOPIC, [data, json!(2)]));
    let open = post("/v1/sessions").json(&json!({"user": "cid", "params": {"a": 1}}));
    let requests = [a_poll.clone(), publish.clone(), chunked.bytes("x"), batch.bytes("x"), open.bytes("x")];

    wait_until("the first requests to be over", || (server.metric("volley_connections") == 2).then_some(()));
    let (sessions, files, memory) = (server.metric("volley_sessions"), server.open_files(), server.memory_mib());
    let (mut chance, mut expected, mut opened, mut unexplained) = (Chance(0x5EED), Vec::new(), 0, Vec::new());
    let mut look = |answers: Vec<Response>| {
        unexplained.extend(answers.iter().filter(|answer| answer.status >= 400 && !is_explained(answer)).cloned());
        expected.extend(accepted(&answers));
        opened += answers.iter().filter(|answer| answer.status == 201).count() as u64;
        answers
    };
    for request in &requests {
        let whole = look(answers_to(&server.listen, |connection| {
            for byte in request {
                connection.send_raw(&[*byte]);
            }
        }));
        assert!(matches!(whole[..], [Response { status: 200 | 201, .. }]), "byte by byte it is the same: {whole:?}");
        for (n, copy) in damaged(request, &mut chance).iter().enumerate() {
            // It may be refused before all of it is through.
            look(answers_to(&server.listen, |connection| drop(connection.write(copy))));
            let both = [&good[n % 2][..], copy].concat();
            let answers = look(answers_to(&server.listen, |connection| drop(connection.write(&both))));
            let first = answers.first().map(|answer| answer.status);
            assert_eq!(first, Some(200), "before {:?}", String::from_utf8_lossy(copy));
        }
    }
    let noise: Vec<u8> = (0..100_000).map(|_| chance.below(256) as u8).collect();
    noise
        .chunks(1000)
        .for_each(|some| drop(look(answers_to(&server.listen, |connection| drop(connection.write(some))))));
    // Operators' listener is only looked after below.
    noise.chunks(1000).for_each(|some| drop(answers_to(&server.admin, |connection| drop(connection.write(some)))));

    assert!(expected.len() > 500, "{} were good enough", expected.len());
    let got: Vec<Value> = expected.iter().map(|_| bob.next_message()["event"].clone()).collect();
    assert_eq!(got, expected, "in the order in which they were accepted");
    bob.expect_no_more();
    assert_eq!(server.metric("volley_sessions"), sessions + opened);
    server.wait_for_metric("volley_connections", 2);
    wait_until("all files to be closed", || (server.open_files() <= files).then_some(()));
    assert!(server.memory_mib() < memory + 64, "{memory} MiB became {}", server.memory_mib());
    assert!(!server.stderr().contains("panicked"), "{}", server.stderr());
    assert!(unexplained.is_empty(), "{} refusals say nothing, such as {}", unexplained.len(), unexplained[0]);
}
