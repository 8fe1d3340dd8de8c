//! The receivers: each opens a session in one room, polls on its own connection, and polls again with its cursor as
//! soon as it is answered. Checks what comes and keeps the tally.

use std::time::Instant;

use anyhow::Result;

use crate::client::{Came, Then};
use crate::dialect::{Dialect, Message, Opened, read_message, read_polled, read_position, read_streamed};
use crate::response::Response;
use crate::sequence::{Sequence, Verdict};

/// The time that both sides of a latency are read from.
#[derive(Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn micros(self) -> u64 {
        self.0.elapsed().as_micros() as u64
    }
}

/// The rooms of a crowd: so many, numbered from `first`.
#[derive(Clone, Copy)]
pub(crate) struct Rooms {
    pub(crate) first: u32,
    pub(crate) count: u32,
}

impl Rooms {
    pub(crate) fn of(count: u32) -> Self {
        Self { first: 0, count }
    }

    /// The place of a room among these.
    pub(crate) fn place(self, room: u32) -> usize {
        (room - self.first) as usize
    }
}

/// What the crowd has seen so far.
#[derive(Default)]
pub(crate) struct Tally {
    /// Members whose session is open.
    pub(crate) opened: usize,
    /// Messages received; for the reference, responses received.
    pub(crate) deliveries: u64,
    /// Poll answers that carried at least one message.
    pub(crate) responses: u64,
    /// 503 answers.
    pub(crate) refused: u64,
    pub(crate) doubled: u64,
    pub(crate) reordered: u64,
    /// Answers whose cursor is not the last one plus their messages, and messages of a room not joined.
    pub(crate) misnumbered: u64,
    /// Publish -> received, in microseconds, since this was last cleared.
    pub(crate) latencies: Vec<u32>,
}

struct Member {
    room: u32,
    /// None until it is open.
    session: Option<Opened>,
    sequence: Sequence,
    /// Its connection could not be made or has broken.
    gone: bool,
}

pub(crate) struct Crowd {
    dialect: Dialect,
    clock: Clock,
    members: Vec<Member>,
    rooms: Rooms,
    /// By room: how many are there.
    present: Vec<u32>,
    /// By room. The reference's answers do not say which publish they are of; a room has one under way at most.
    published_micros: Vec<u64>,
    /// By member: it has a stream.
    listening: Vec<bool>,
    pub(crate) tally: Tally,
}

impl Crowd {
    pub(crate) fn new(dialect: Dialect, clock: Clock, members: usize, rooms: Rooms) -> Self {
        // Neighbours in a room are far apart in the order of connecting, as they are in life.
        let room = |id: usize| rooms.first + id as u32 % rooms.count;
        let member = |id| Member { room: room(id), session: None, sequence: Sequence::default(), gone: false };
        let mut present = vec![0; rooms.count as usize];
        (0..members).for_each(|id| present[rooms.place(room(id))] += 1);
        Self {
            dialect,
            clock,
            members: (0..members).map(member).collect(),
            rooms,
            present,
            published_micros: vec![0; rooms.count as usize],
            listening: vec![false; members],
            tally: Tally::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn write_open(&self, id: usize, out: &mut Vec<u8>) {
        self.dialect.write_open(self.members[id].room, out);
    }

    pub(crate) fn note_publish(&mut self, room: u32, micros: u64) {
        self.published_micros[self.rooms.place(room)] = micros;
    }

    /// How many are in a room.
    pub(crate) fn present(&self, room: u32) -> u32 {
        self.present[self.rooms.place(room)]
    }

    /// Member `id` will get nothing any more. Told before anything is published, it is expected nowhere.
    pub(crate) fn leave(&mut self, id: usize) {
        let member = &mut self.members[id];
        if !std::mem::replace(&mut member.gone, true) {
            self.present[self.rooms.place(member.room)] -= 1;
        }
    }

    pub(crate) fn has_left(&self, id: usize) -> bool {
        self.members[id].gone
    }

    pub(crate) fn is_open(&self, id: usize) -> bool {
        self.members[id].session.is_some()
    }

    /// How many deliveries it takes for every member to have all that was accepted in its room.
    pub(crate) fn expected(&self, accepted: &[u32]) -> u64 {
        let of = |member: &Member| u64::from(accepted[self.rooms.place(member.room)]);
        self.members.iter().filter(|member| !member.gone).map(of).sum()
    }

    /// How many different messages the members got.
    pub(crate) fn distinct(&self) -> u64 {
        let of = |member: &Member| u64::from(member.sequence.distinct);
        self.members.iter().map(of).sum()
    }

    /// Takes what came on the connection of member `id`, and writes what it asks next.
    pub(crate) fn take(&mut self, id: usize, came: Came<'_>, out: &mut Vec<u8>) -> Result<Then> {
        if let Came::Broken(error) = came {
            return Err(error);
        }
        if let Came::Response(response) = &came {
            if response.status == 503 {
                self.tally.refused += 1;
                return Ok(Then::Rest);
            }
            if self.members[id].session.is_none() {
                self.members[id].session = Some(self.dialect.read_opened(response)?);
                self.tally.opened += 1;
            } else {
                self.take_polled(id, response)?;
            }
        }
        let member = &self.members[id];
        match &member.session {
            Some(_) if self.listening[id] => return Ok(Then::Idle),
            Some(session) => {
                let (token, cursor) = (&session.token, session.cursor);
                self.dialect.write_poll(member.room, token, cursor, out);
                if let Dialect::Streams(form) = self.dialect {
                    self.listening[id] = true;
                    return Ok(Then::Listen(form));
                }
            }
            None => self.write_open(id, out),
        }
        Ok(Then::Send)
    }

    fn take_polled(&mut self, id: usize, response: &Response<'_>) -> Result<()> {
        let now = self.clock.micros();
        let Member { room, session: Some(session), sequence, .. } = &mut self.members[id] else {
            return Ok(());
        };
        let tally = &mut self.tally;
        let (mut messages, mut doubled, mut late, mut foreign) = (0, 0, 0, 0);
        let mut deliver = |message: Message| {
            messages += 1;
            let latency = now.saturating_sub(message.published_micros);
            tally.latencies.push(latency as u32);
        };
        let mut check = |message: Message| {
            deliver(message);
            foreign += u64::from(message.room != *room);
            match sequence.take(message.number) {
                Verdict::Newest => (),
                Verdict::Late => late += 1,
                Verdict::Double => doubled += 1,
            }
        };
        match self.dialect {
            Dialect::Limit => {
                let published_micros = self.published_micros[self.rooms.place(*room)];
                deliver(Message { room: *room, number: 0, published_micros });
                session.cursor += 1;
            }
            Dialect::Volley => {
                let cursor = read_polled(response, check)?;
                tally.misnumbered += u64::from(cursor != session.cursor + messages);
                session.cursor = cursor;
            }
            Dialect::Streams(form) => {
                let cursor = read_streamed(form, response, check)?.unwrap_or(session.cursor);
                tally.misnumbered += u64::from(cursor != session.cursor + messages);
                session.cursor = cursor;
            }
            Dialect::Nchan => {
                check(read_message(response)?);
                let (modified, tag) = read_position(response)?;
                session.cursor = tag;
                if *session.token != *modified {
                    session.token = modified.into();
                }
            }
        }
        tally.doubled += doubled;
        tally.reordered += late;
        tally.misnumbered += foreign;
        tally.deliveries += messages;
        tally.responses += u64::from(messages > 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\nLast-Modified: Tue, 24 Nov 2026 21:40:32 GMT\r\nEtag: 3";

    fn take(crowd: &mut Crowd, id: usize, room: u32, number: u32) -> String {
        let body = format!(r#"{{"load":[{room},{number},0],"pad":""}}"#);
        let response = Response { status: 200, head: HEAD, body: body.as_bytes() };
        let mut out = Vec::new();
        assert!(matches!(crowd.take(id, Came::Response(response), &mut out).unwrap(), Then::Send));
        String::from_utf8(out).unwrap()
    }

    /// Two in each of the rooms 5 and 6; all have been greeted.
    fn crowd() -> Crowd {
        let mut crowd = Crowd::new(Dialect::Nchan, Clock::start(), 4, Rooms { first: 5, count: 2 });
        for id in 0..4 {
            let next = take(&mut crowd, id, 5 + id as u32 % 2, 0);
            assert!(next.contains("If-None-Match: 3"), "{next}");
        }
        crowd
    }

    #[test]
    fn what_is_lost_doubled_late_or_astray_is_counted() {
        let mut crowd = crowd();
        assert_eq!((crowd.tally.opened, crowd.tally.deliveries, crowd.present(6)), (4, 0, 2));
        for number in [1, 3, 2, 3, 5] {
            take(&mut crowd, 0, 5, number);
        }
        take(&mut crowd, 1, 5, 1);
        let tally = &crowd.tally;
        assert_eq!((tally.deliveries, tally.doubled, tally.reordered, tally.misnumbered), (6, 1, 1, 1));
        // Five in room 5, of which one member lacks one and the other all; in room 6 one of two is missing.
        assert_eq!(crowd.expected(&[5, 1]) - crowd.distinct(), 1 + 5 + 1);
    }

    #[test]
    fn who_has_left_is_expected_nowhere() {
        let mut crowd = crowd();
        crowd.leave(2);
        crowd.leave(2);
        assert_eq!((crowd.present(5), crowd.expected(&[3, 1])), (1, 3 + 2));
    }

    #[test]
    fn a_broken_connection_is_an_error_unless_somebody_allows_for_it() {
        assert!(crowd().take(0, Came::Broken(anyhow::anyhow!("reset")), &mut Vec::new()).is_err());
    }
}
