//! The publishers: each has one publish under way on its own connection and goes round the rooms that are its alone,
//! so that a room has one sender, one order, and at most one publish under way.

use anyhow::Result;

use crate::client::{Came, Then};
use crate::crowd::{Clock, Crowd, Rooms};
use crate::dialect::{Dialect, Message};

pub(crate) struct Publishers {
    dialect: Dialect,
    clock: Clock,
    rooms: Rooms,
    /// By publisher: the place of the room of the publish under way, or of the next one.
    places: Vec<usize>,
    /// By publisher: whether one is under way.
    busy: Vec<bool>,
    /// By room: how many were accepted. The next one's number is one more.
    pub(crate) accepted: Vec<u32>,
    pub(crate) acknowledged: u64,
    /// The sum of what the answers named.
    pub(crate) recipients: u64,
    /// How many deliveries follow from what was accepted.
    pub(crate) due: u64,
    /// 503 answers.
    pub(crate) refused: u64,
    under_way: usize,
    stopped: bool,
}

impl Publishers {
    pub(crate) fn new(dialect: Dialect, clock: Clock, count: usize, rooms: Rooms) -> Self {
        Self {
            dialect,
            clock,
            rooms,
            places: (0..count).collect(),
            busy: vec![false; count],
            accepted: vec![0; rooms.count as usize],
            acknowledged: 0,
            recipients: 0,
            due: 0,
            refused: 0,
            under_way: 0,
            stopped: true,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Every answer from now on is followed by the next publish.
    pub(crate) fn keep_going(&mut self) {
        self.stopped = false;
    }

    /// What is under way is the last.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    pub(crate) fn all_acknowledged(&self) -> bool {
        self.under_way == 0
    }

    /// Whether a publish of `publisher` has no answer yet.
    pub(crate) fn is_busy(&self, publisher: usize) -> bool {
        self.busy[publisher]
    }

    /// Writes the publish of `publisher` into the room that is its turn.
    pub(crate) fn write(&mut self, publisher: usize, crowd: &mut Crowd, out: &mut Vec<u8>) {
        self.write_stamped(publisher, self.clock.micros(), crowd, out);
    }

    /// The same of one that should have been sent at that time: latencies count from there.
    pub(crate) fn write_stamped(&mut self, publisher: usize, micros: u64, crowd: &mut Crowd, out: &mut Vec<u8>) {
        let place = self.places[publisher];
        let room = self.rooms.first + place as u32;
        crowd.note_publish(room, micros);
        self.dialect.write_publish(Message { room, number: self.accepted[place] + 1, published_micros: micros }, out);
        self.busy[publisher] = true;
        self.under_way += 1;
    }

    /// Takes the answer to a publish, and writes the next one unless all should stop.
    pub(crate) fn take(
        &mut self,
        publisher: usize,
        came: Came<'_>,
        crowd: &mut Crowd,
        out: &mut Vec<u8>,
    ) -> Result<Then> {
        if let Came::Broken(error) = came {
            return Err(error);
        }
        if let Came::Response(response) = &came {
            self.busy[publisher] = false;
            self.under_way -= 1;
            if response.status == 503 {
                // Not accepted: the number is used again, and so is the room.
                self.refused += 1;
                return Ok(if self.stopped { Then::Idle } else { Then::Rest });
            }
            let recipients = self.dialect.read_published(response)?;
            let place = self.places[publisher];
            let present = u64::from(crowd.present(self.rooms.first + place as u32));
            self.recipients += recipients;
            // Without sessions, a member between two polls is no recipient.
            self.due += if self.dialect.keeps_messages() { present } else { recipients };
            self.acknowledged += 1;
            self.accepted[place] += 1;
            self.next_room(publisher);
        }
        if self.stopped {
            return Ok(Then::Idle);
        }
        self.write(publisher, crowd, out);
        Ok(Then::Send)
    }

    fn next_room(&mut self, publisher: usize) {
        let next = self.places[publisher] + self.len();
        self.places[publisher] = if next < self.accepted.len() { next } else { publisher };
    }
}
