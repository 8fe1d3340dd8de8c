//! The ways to publish: one event, a batch, under an idempotency key again and again, without waiting for the answer.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::books::{Books, Fate, Micros, NEVER, Publish};
use super::member::{Done, Member, Trouble, micros, post, wrong};
use super::random::Random;
use super::stamp::Stamp;
use super::wire::{Answer, Wire};
use super::world::{Kind, World};

/// Above this a message would not be one of many in a mailbox.
const BURST_PADDING: usize = 4000;
const SMALL_PADDING_MAX: usize = 150;

/// Who publishes, and how far it has counted.
pub(super) struct Publisher<'w> {
    world: &'w World,
    actor: u32,
    numbers: u32,
}

/// An event that is about to be published.
struct Draft {
    key: u64,
    topic: usize,
    data: String,
}

/// What came of a question to the probe.
pub(super) enum Told {
    Said(Value),
    /// The answer lies in a gap.
    Dropped,
    /// A lane was full, or got no core.
    Busy,
}

impl<'w> Publisher<'w> {
    pub(super) fn new(world: &'w World, actor: u32) -> Self {
        Self { world, actor, numbers: 0 }
    }

    fn stamp(&mut self, padding: usize) -> Stamp {
        self.numbers += 1;
        Stamp { round: self.world.round, publisher: self.actor, number: self.numbers, padding }
    }

    fn draft(&mut self, topic: usize, random: &mut Random) -> Draft {
        let kind = self.world.topics[topic].kind;
        let padding = if kind == Kind::Burst { BURST_PADDING } else { random.below(SMALL_PADDING_MAX) };
        let stamp = self.stamp(padding);
        let text = stamp.text();
        let data = if kind == Kind::Chat { format!("{{\"say\":\"{text}\"}}") } else { format!("\"{text}\"") };
        Draft { key: stamp.key(), topic, data }
    }

    fn request(&self, draft: &Draft, header: &str) -> Vec<u8> {
        post(&format!("/v1/topics/{}/events", self.world.topics[draft.topic].name), header, &draft.data)
    }

    fn note(&self, draft: &Draft, sent: Micros, fate: Fate, books: &mut Books) {
        let answered = if let Fate::Accepted { .. } = fate { self.world.now() } else { NEVER };
        books.count(match fate {
            Fate::Accepted { .. } | Fate::Owed => "publishes accepted",
            Fate::Never => "publishes refused",
            Fate::Unknown => "publishes cut",
        });
        books.publishes.push(Publish { key: draft.key, topic: draft.topic, sent, answered, fate, batch: None });
    }

    /// Publishes one event and waits for the answer.
    pub(super) fn one(
        &mut self,
        topic: usize,
        member: Option<&mut Member<'w>>,
        random: &mut Random,
        books: &mut Books,
    ) -> Done {
        let draft = self.draft(topic, random);
        let request = self.request(&draft, &header(member.as_deref()));
        let sent = self.world.now();
        // Whatever happens now, the event may have been routed.
        let answer = match member {
            Some(member) => match member.call(&request) {
                Err(Trouble::Gone) => {
                    self.note(&draft, sent, Fate::Never, books);
                    return Err(Trouble::Gone);
                }
                called => called,
            },
            None => self.call(&request),
        };
        let fate = answer.and_then(|answer| self.fate(&draft, &answer));
        self.note(&draft, sent, *fate.as_ref().unwrap_or(&Fate::Unknown), books);
        fate.map(|_| ())
    }

    fn call(&self, request: &[u8]) -> Done<Answer> {
        let mut wire = Wire::open(self.world.server, self.actor as usize)?;
        wire.send(request)?;
        Ok(wire.answer()?)
    }

    fn fate(&self, draft: &Draft, answer: &Answer) -> Done<Fate> {
        match answer.status {
            200 => accepted(&answer.body),
            503 => Ok(Fate::Never),
            502 if answer.is_starved() => Ok(Fate::Never),
            // Only members may speak.
            403 if self.world.topics[draft.topic].kind == Kind::Chat => Ok(Fate::Never),
            _ => Err(answer.unexpected("a publish").into()),
        }
    }

    /// Publishes one event and does not wait.
    pub(super) fn cut(
        &mut self,
        topic: usize,
        member: Option<&Member<'w>>,
        random: &mut Random,
        books: &mut Books,
    ) -> Done {
        let draft = self.draft(topic, random);
        let request = self.request(&draft, &header(member));
        let sent = self.world.now();
        self.note(&draft, sent, Fate::Unknown, books);
        self.send_and_cut(&request, random)
    }

    fn send_and_cut(&self, request: &[u8], random: &mut Random) -> Done {
        let mut wire = Wire::open(self.world.server, self.actor as usize)?;
        // Perhaps not even all of it.
        let length = if random.chance(30) { 1 + random.below(request.len()) } else { request.len() };
        wire.send(&request[..length])?;
        thread::sleep(Duration::from_micros(random.below(2000) as u64));
        if random.chance(50) {
            wire.close();
        }
        Ok(())
    }

    /// Publishes the same event several times under one key: after another, at once, or after a try that was cut.
    pub(super) fn repeated(
        &mut self,
        topic: usize,
        member: Option<&Member<'w>>,
        random: &mut Random,
        books: &mut Books,
    ) -> Done {
        let draft = self.draft(topic, random);
        let header = format!("{}Idempotency-Key: soak-{}-{:x}\r\n", header(member), self.world.round, draft.key);
        let request = self.request(&draft, &header);
        let sent = self.world.now();
        let told = self.repeat(&request, random, books);
        let fate = told.and_then(|answers| {
            let mut fates =
                answers.iter().filter(|answer| answer.status != 410).map(|answer| self.fate(&draft, answer));
            fates.try_fold(Fate::Never, |fate, next| match (fate, next?) {
                (Fate::Accepted { .. }, next @ Fate::Accepted { .. }) if fate != next => {
                    wrong(format!("one Idempotency-Key was answered {fate:?} and {next:?}"))
                }
                (fate @ Fate::Accepted { .. }, _) => Ok(fate),
                (_, next) => Ok(next),
            })
        });
        // A try that was cut and is not served yet may still be accepted when the others were refused.
        let settled = *fate.as_ref().unwrap_or(&Fate::Unknown);
        let settled = if settled == Fate::Never { Fate::Unknown } else { settled };
        self.note(&draft, sent, settled, books);
        fate.map(|_| ())
    }

    fn repeat(&self, request: &[u8], random: &mut Random, books: &mut Books) -> Done<Vec<Answer>> {
        books.count("publishes repeated under a key");
        match random.below(3) {
            0 => (0..=random.below(3)).map(|_| self.call(request)).collect(),
            1 => {
                let mut wires = Vec::new();
                for _ in 0..2 + random.below(2) {
                    let mut wire = Wire::open(self.world.server, self.actor as usize)?;
                    wire.send(request)?;
                    wires.push(wire);
                }
                wires.iter_mut().map(|wire| Ok(wire.answer()?)).collect()
            }
            _ => {
                self.send_and_cut(request, random)?;
                Ok(vec![self.call(request)?])
            }
        }
    }

    /// Publishes a batch on these topics, in turns.
    pub(super) fn batch(
        &mut self,
        topics: &[usize],
        lines: usize,
        member: Option<&mut Member<'w>>,
        random: &mut Random,
        books: &mut Books,
    ) -> Done {
        books.count("batches");
        let drafts: Vec<Draft> = (0..lines).map(|line| self.draft(topics[line % topics.len()], random)).collect();
        let line = |draft: &Draft| {
            format!("{{\"topic\":\"{}\",\"data\":{}}}\n", self.world.topics[draft.topic].name, draft.data)
        };
        let body: String = drafts.iter().map(line).collect();
        let request = post("/v1/events", &header(member.as_deref()), &body);
        let sent = self.world.now();
        let answer = match member {
            Some(member) => member.call(&request),
            None => self.call(&request),
        };
        let fates = answer.and_then(|answer| self.fates(&drafts, &answer));
        let answered = self.world.now();
        for (at, draft) in drafts.iter().enumerate() {
            let fate = fates.as_ref().map_or(Fate::Unknown, |fates| fates[at]);
            self.note(draft, sent, fate, books);
            let publish = books.publishes.last_mut().expect("just noted");
            publish.batch = Some(drafts[0].key);
            publish.answered = publish.answered.min(if publish.answered == NEVER { NEVER } else { answered });
        }
        fates.map(|_| ())
    }

    fn fates(&self, drafts: &[Draft], answer: &Answer) -> Done<Vec<Fate>> {
        if answer.status != 200 {
            return Err(answer.unexpected("a batch").into());
        }
        let lines: Vec<&[u8]> = answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        if lines.len() != drafts.len() {
            return wrong(format!("a batch of {} lines was answered with {}", drafts.len(), lines.len()));
        }
        let fate = |(line, draft): (&&[u8], &Draft)| {
            let body: Value = serde_json::from_slice(line).map_err(anyhow::Error::from)?;
            let status = body["status"].as_u64().unwrap_or(200) as u16;
            self.fate(draft, &Answer { status, body: line.to_vec() })
        };
        lines.iter().zip(drafts).map(fate).collect()
    }

    /// Sets a timer whose event is a publish, and perhaps cancels it before it fires.
    pub(super) fn timer(
        &mut self,
        topic: usize,
        member: &mut Member<'w>,
        random: &mut Random,
        books: &mut Books,
    ) -> Done {
        let stamp = self.stamp(random.below(SMALL_PADDING_MAX));
        let delay_ms = 10 + random.below(300) as u64;
        let draft = Draft { key: stamp.key(), topic, data: String::new() };
        let set = format!(r#"{{"do":"timer","delay_ms":{delay_ms},"data":"{}"}}"#, stamp.text());
        // To the millisecond, as the server counts.
        let earliest = self.world.now() + (delay_ms - 2) * 1000;
        let told = self.ask(topic, &set, member, books);
        let fate = told.and_then(|told| match told {
            Told::Busy => Ok(Fate::Never),
            Told::Dropped => Ok(Fate::Owed),
            Told::Said(answer) => {
                let Some(timer) = answer["ok"].as_u64() else { return wrong(format!("a timer was set: {answer}")) };
                books.count("timers set");
                if random.chance(50) {
                    return Ok(Fate::Owed);
                }
                let cancel = format!(r#"{{"do":"cancel","timer":{timer}}}"#);
                match self.ask(topic, &cancel, member, books)? {
                    Told::Busy => Ok(Fate::Owed),
                    Told::Dropped => Ok(Fate::Unknown),
                    Told::Said(answer) if answer["ok"] == true => {
                        books.count("timers cancelled");
                        Ok(Fate::Never)
                    }
                    Told::Said(answer) if answer["ok"] == false => Ok(Fate::Owed),
                    Told::Said(answer) => wrong(format!("a timer was cancelled: {answer}")),
                }
            }
        });
        self.note(&draft, earliest, *fate.as_ref().unwrap_or(&Fate::Unknown), books);
        fate.map(|_| ())
    }

    /// Asks the probe and reads its answer out of the mailbox.
    pub(super) fn ask(&self, topic: usize, request: &str, member: &mut Member<'w>, books: &mut Books) -> Done<Told> {
        member.asks();
        let path = format!("/v1/topics/{}/events", self.world.topics[topic].name);
        let sent = self.world.now();
        let answer = member.call(&post(&path, &member.header(), request))?;
        let event = match answer.status {
            503 => return Ok(Told::Busy),
            502 if answer.is_starved() => return Ok(Told::Busy),
            200 => match accepted(&answer.body)? {
                Fate::Accepted { event, recipients: 1 } => event,
                // The session lingered out while its event waited in the lane.
                Fate::Accepted { recipients: 0, .. } if self.world.now() - sent > micros(self.world.linger) => {
                    return Err(Trouble::Gone);
                }
                other => return wrong(format!("an answer for one went to {other:?}")),
            },
            _ => return Err(answer.unexpected(request).into()),
        };
        books.count("questions to the probe");
        let (said, dropped) = member.drain(books)?;
        match said.into_iter().find(|(of, _)| *of == event) {
            Some((_, value)) => Ok(Told::Said(value)),
            None if dropped => Ok(Told::Dropped),
            None => wrong(format!("session {} did not get the answer to its event {event}: {request}", member.id)),
        }
    }
}

fn header(member: Option<&Member<'_>>) -> String {
    member.map(Member::header).unwrap_or_default()
}

fn accepted(body: &[u8]) -> Done<Fate> {
    let told: Value = serde_json::from_slice(body).map_err(anyhow::Error::from)?;
    let event = told["event"].as_str().and_then(|event| event.parse().ok());
    match (event, told["recipients"].as_u64()) {
        (Some(event), Some(recipients)) => Ok(Fate::Accepted { event, recipients }),
        _ => wrong(format!("a publish was answered {told}")),
    }
}
