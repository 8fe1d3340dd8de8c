//! The actors: a witness stays on one topic from before the first publish until after the last; a wanderer does whatever
//! comes into its mind.

use std::thread;
use std::time::Duration;

use super::books::Books;
use super::member::{Done, Member, Trouble, Way, post, wrong};
use super::publishing::Publisher;
use super::random::Random;
use super::wire::Wire;
use super::world::{Kind, World};

const WITNESS_WAIT: Duration = Duration::from_millis(500);
/// What a wanderer may be on at once.
const TOPICS_MAX: usize = 6;

/// How wanderers poll, and how often each way.
const WAYS: [(usize, Way); 14] = [
    (60, Way::Plain),
    (4, Way::Pieces),
    (3, Way::CutBefore(false)),
    (4, Way::CutBefore(true)),
    (2, Way::CutWithin(false)),
    (3, Way::CutWithin(true)),
    (3, Way::HalfClosed),
    (4, Way::Pipelined),
    (4, Way::Elsewhere),
    (3, Way::Old),
    (3, Way::Last),
    (3, Way::Slow),
    (1, Way::CutBefore(false)),
    (1, Way::CutBefore(true)),
];

/// How long polls wait, and how often so long.
const WAITS_MS: [(usize, u64); 6] = [(30, 0), (20, 10), (30, 50), (15, 200), (4, 500), (1, 1500)];

/// What a wanderer does next.
#[derive(Clone, Copy)]
enum Act {
    Poll,
    Drain,
    Pause,
    PublishOwn,
    PublishAnywhere,
    PublishCut,
    PublishAgain,
    Batch,
    Burst,
    Join,
    Leave,
    Ask,
    Fault,
    Timer,
    BadRequest,
    CursorTooHigh,
    End,
    Vanish,
}

const ACTS: [(usize, Act); 18] = [
    (380, Act::Poll),
    (40, Act::Drain),
    (40, Act::Pause),
    (150, Act::PublishOwn),
    (90, Act::PublishAnywhere),
    (25, Act::PublishCut),
    (40, Act::PublishAgain),
    (25, Act::Batch),
    (2, Act::Burst),
    (50, Act::Join),
    (40, Act::Leave),
    (20, Act::Ask),
    (12, Act::Fault),
    (15, Act::Timer),
    (15, Act::BadRequest),
    (8, Act::CursorTooHigh),
    (20, Act::End),
    (2, Act::Vanish),
];

/// Stays on `topic` and receives all of it.
pub(super) fn witness(world: &World, actor: u32, topic: usize) -> Books {
    let mut books = Books::default();
    let mut member = None;
    let watched = watch(world, actor, topic, &mut member, &mut books);
    if let Err(Trouble::Wrong(words)) = &watched {
        report(world, actor, 0, words);
    } else if watched.is_err() {
        books.count("witnesses that lingered out");
    }
    close(member, !matches!(watched, Err(Trouble::Wrong(_))), &mut books);
    books
}

fn watch<'w>(world: &'w World, actor: u32, topic: usize, member: &mut Option<Member<'w>>, books: &mut Books) -> Done {
    while member.is_none() {
        *member = Member::open(world, actor, &[topic], false, books)?;
    }
    let member = member.as_mut().expect("just opened");
    member.stays[0].witness = true;
    let mut step = 0;
    while !world.is_settled() {
        step += 1;
        let mut random = world.random(actor, step);
        let way = if random.chance(95) { Way::Plain } else { random.weighted(&WAYS) };
        member.poll(way, WITNESS_WAIT, &mut random, books)?;
    }
    finish(member, books)
}

/// Wanders until the round is over.
pub(super) fn wander(world: &World, actor: u32) -> Books {
    let mut books = Books::default();
    let mut publisher = Publisher::new(world, actor);
    let mut member: Option<Member<'_>> = None;
    let mut step = 0;
    while !world.is_over() {
        step += 1;
        let mut random = world.random(actor, step);
        let done = act(world, actor, &mut publisher, &mut member, &mut random, &mut books);
        books.count("steps");
        settle(world, actor, step, done, &mut member, &mut books);
    }
    if let Some(staying) = &mut member {
        // Some end as they are, with messages unread.
        let done = if actor.is_multiple_of(4) { staying.end(&mut books) } else { finish(staying, &mut books) };
        settle(world, actor, step + 1, done, &mut member, &mut books);
        close(member, true, &mut books);
    }
    books
}

/// After trouble a session is let go.
fn settle(world: &World, actor: u32, step: u64, done: Done, member: &mut Option<Member<'_>>, books: &mut Books) {
    match done {
        Ok(()) => {}
        Err(Trouble::Gone) => {
            books.count("sessions that lingered out");
            close(member.take(), true, books);
        }
        Err(Trouble::Wrong(words)) => {
            report(world, actor, step, &words);
            close(member.take(), false, books);
        }
    }
}

fn report(world: &World, actor: u32, step: u64, words: &str) {
    world.found(format!("actor {actor}, step {step}: {words}"));
}

fn close(member: Option<Member<'_>>, ended: bool, books: &mut Books) {
    if let Some(member) = member {
        member.close(ended, books);
    }
}

/// Leaves everything, reads all there is, and ends.
fn finish(member: &mut Member<'_>, books: &mut Books) -> Done {
    for topic in member.topics() {
        member.leave(topic, false, books)?;
    }
    member.drain(books)?;
    member.end(books)
}

fn act<'w>(
    world: &'w World,
    actor: u32,
    publisher: &mut Publisher<'w>,
    member: &mut Option<Member<'w>>,
    random: &mut Random,
    books: &mut Books,
) -> Done {
    let Some(own) = member else {
        let mut topics: Vec<usize> = (0..=random.below(3)).map(|_| random.below(world.topics.len())).collect();
        topics.sort_unstable();
        topics.dedup();
        // Nobody is told of a session that was cut while it opened, so it may be a recipient: on few topics only.
        let cut = topics.iter().all(|topic| topic % 5 == 0);
        *member = Member::open(world, actor, &topics, cut && random.chance(30), books)?;
        return Ok(());
    };
    let anywhere = random.below(world.topics.len());
    let on = own.topics();
    let here = if on.is_empty() { anywhere } else { random.pick(&on) };
    match random.weighted(&ACTS) {
        Act::Poll => {
            let (way, wait) = (random.weighted(&WAYS), Duration::from_millis(random.weighted(&WAITS_MS)));
            own.poll(way, wait, random, books)
        }
        Act::Drain => own.drain(books).map(|_| ()),
        Act::Pause => {
            thread::sleep(Duration::from_millis(random.below(300) as u64));
            Ok(())
        }
        Act::PublishOwn if world.topics[here].kind != Kind::Burst => publisher.one(here, Some(own), random, books),
        Act::PublishOwn | Act::PublishAnywhere => publisher.one(anywhere, None, random, books),
        Act::PublishCut => publisher.cut(here, random.chance(50).then_some(own), random, books),
        Act::PublishAgain => publisher.repeated(here, random.chance(50).then_some(own), random, books),
        Act::Batch => {
            let topics: Vec<usize> = (0..3).map(|_| random.below(world.topics.len())).collect();
            let (lines, member) = (2 + random.below(20), random.chance(50).then_some(own));
            publisher.batch(&topics, lines, member, random, books)
        }
        Act::Burst => {
            books.count("bursts");
            let (topic, lines) = (world.topic_of(Kind::Burst, random), 100 + random.below(100));
            publisher.batch(&[topic], lines, None, random, books)
        }
        Act::Join if on.len() < TOPICS_MAX => own.join(anywhere, random.chance(15), books),
        Act::Join | Act::Leave => {
            own.leave(here, random.chance(15), books)?;
            own.drain(books).map(|_| ())
        }
        Act::Ask => ask(world, publisher, own, random, books),
        Act::Fault => fault(world, own, random, books),
        Act::Timer => publisher.timer(world.topic_of(Kind::Probe, random), own, random, books),
        Act::BadRequest => bad_request(world, actor, random, books),
        Act::CursorTooHigh => own.poll_too_high(random, books),
        Act::End => {
            if random.chance(60) {
                finish(own, books)?;
            } else {
                own.end(books)?;
            }
            close(member.take(), true, books);
            Ok(())
        }
        Act::Vanish => own.linger(books),
    }
}

/// Something that the probe answers.
fn ask<'w>(
    world: &World,
    publisher: &Publisher<'w>,
    member: &mut Member<'w>,
    random: &mut Random,
    books: &mut Books,
) -> Done {
    let (topic, key, pid) = (world.topic_of(Kind::Probe, random), random.below(50), member.pid);
    let table = |op: &str| format!(r#"{{"do":"table","name":"soak","kind":"ordered_set","op":{op}}}"#);
    let group = |op: &str| format!(r#"{{"do":"group","scope":"soak","op":{op}}}"#);
    let request = match random.below(12) {
        0 => table(&format!(r#"{{"insert":[["k{key}","{}"]]}}"#, random.next())),
        1 => table(&format!(r#"{{"lookup":["k{key}","k0"]}}"#)),
        2 => table(&format!(r#"{{"take":"k{key}"}}"#)),
        3 => table(&format!(r#"{{"update_counter":[{{"key":"n{key}","incr":3}}]}}"#)),
        4 => table(r#"{"select":{"prefix":"k","after":null,"limit":20}}"#),
        5 => group(&format!(r#"{{"join":["g{}",[{pid}]]}}"#, key % 5)),
        6 => group(&format!(r#"{{"leave":["g{}",[{pid}]]}}"#, key % 5)),
        7 => group(&format!(r#"{{"which_groups":{pid}}}"#)),
        8 => group(r#"{"count":["g0","g1","g2"]}"#),
        9 => r#"{"do":"rand","count":3}"#.into(),
        10 => r#"{"do":"event"}"#.into(),
        _ => r#"{"do":"alloc","mib":2}"#.into(),
    };
    publisher.ask(topic, &request, member, books).map(|_| ())
}

/// Something that no rule should do, and nobody may receive.
fn fault(world: &World, member: &mut Member<'_>, random: &mut Random, books: &mut Books) -> Done {
    const FAULTS: [(&str, u16, &str); 11] = [
        ("faults: loop", 502, r#"{"do":"loop"}"#),
        ("faults: trap", 502, r#"{"do":"trap","words":"as it was told"}"#),
        ("faults: recurse", 502, r#"{"do":"recurse"}"#),
        ("faults: alloc", 502, r#"{"do":"alloc","mib":100}"#),
        ("faults: flood of bytes", 502, r#"{"do":"flood","mib":5}"#),
        ("faults: flood of deliveries", 502, r#"{"do":"flood","deliveries":2000}"#),
        ("faults: flood of steps", 502, r#"{"do":"flood","steps":100}"#),
        ("faults: bad handle", 502, r#"{"do":"bad-handle"}"#),
        ("faults: bad JSON", 502, r#"{"do":"bad-json","json":"{"}"#),
        ("refusals", 403, r#"{"do":"refuse","words":"no"}"#),
        ("invalid events", 400, r#"{"do":"invalid","words":"what"}"#),
    ];
    let (name, status, body) = random.pick(&FAULTS);
    let topic = &world.topics[world.topic_of(Kind::Probe, random)].name;
    member.asks();
    let answer = member.call(&post(&format!("/v1/topics/{topic}/events"), &member.header(), body))?;
    match answer.status {
        503 => Ok(()),
        told if told == status => {
            books.count(name);
            Ok(())
        }
        _ => Err(answer.unexpected(body).into()),
    }
}

/// What no client should send, on a connection of its own.
fn bad_request(world: &World, actor: u32, random: &mut Random, books: &mut Books) -> Done {
    books.count("bad requests");
    let long = format!("GET /v1/poll HTTP/1.1\r\nHost: soak\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let bad: [(u16, &str); 10] = [
        (400, "what is this\r\n\r\n"),
        (400, "GET /v1/poll HTTP/1.1\r\n\r\n"),
        (400, "POST /v1/topics/a..b/events HTTP/1.1\r\nHost: soak\r\nContent-Length: 2\r\n\r\n{}"),
        (400, "POST /v1/sessions HTTP/1.1\r\nHost: soak\r\nContent-Length: 3\r\n\r\n[1]"),
        (401, "GET /v1/poll HTTP/1.1\r\nHost: soak\r\n\r\n"),
        (404, "GET /v1/nothing HTTP/1.1\r\nHost: soak\r\n\r\n"),
        (405, "PUT /v1/poll HTTP/1.1\r\nHost: soak\r\nContent-Length: 0\r\n\r\n"),
        (410, "GET /v1/poll HTTP/1.1\r\nHost: soak\r\nVolley-Session: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n\r\n"),
        (413, "POST /v1/topics/a.b/events HTTP/1.1\r\nHost: soak\r\nContent-Length: 99999999\r\n\r\n"),
        (431, &long),
    ];
    let (status, request) = random.pick(&bad);
    let mut wire = Wire::open(world.server, actor as usize)?;
    wire.send(request.as_bytes())?;
    let answer = wire.answer()?;
    if answer.status == status {
        Ok(())
    } else {
        wrong(format!("{:.80?} was answered {} instead of {status}", request, answer.status))
    }
}
