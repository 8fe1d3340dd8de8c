//! The publishers: each has one publish under way on its own connection and goes round the rooms that are its alone,
//! so that a room has one sender, one order, and at most one publish under way.

use anyhow::Result;

use crate::client::{Came, Then};
use crate::crowd::{Clock, Crowd};
use crate::dialect::{Message, read_published, write_publish};

pub(crate) struct Publishers {
    clock: Clock,
    /// By publisher: the room of the publish under way, or of the last one.
    rooms: Vec<u32>,
    /// By room: how many were accepted. The next one's number is one more.
    pub(crate) accepted: Vec<u32>,
    pub(crate) acknowledged: u64,
    /// The sum of what the answers named.
    pub(crate) recipients: u64,
    /// 503 answers.
    pub(crate) refused: u64,
    under_way: usize,
    stopped: bool,
}

impl Publishers {
    pub(crate) fn new(clock: Clock, count: usize, rooms: u32) -> Self {
        Self {
            clock,
            rooms: (0..count as u32).collect(),
            accepted: vec![0; rooms as usize],
            acknowledged: 0,
            recipients: 0,
            refused: 0,
            under_way: 0,
            stopped: true,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rooms.len()
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

    /// Writes the publish of `publisher` into the room that is its turn.
    pub(crate) fn write(&mut self, publisher: usize, crowd: &mut Crowd, out: &mut Vec<u8>) {
        let room = self.rooms[publisher];
        let published_micros = self.clock.micros();
        let message = Message { room, number: self.accepted[room as usize] + 1, published_micros };
        crowd.note_publish(room, published_micros);
        write_publish(message, out);
        self.under_way += 1;
    }

    /// Takes the answer to a publish, and writes the next one unless all should stop.
    pub(crate) fn take(
        &mut self,
        publisher: usize,
        came: &Came<'_>,
        crowd: &mut Crowd,
        out: &mut Vec<u8>,
    ) -> Result<Then> {
        if let Came::Response(response) = came {
            self.under_way -= 1;
            if response.status == 503 {
                // Not accepted: the number is used again, and so is the room.
                self.refused += 1;
                return Ok(if self.stopped { Then::Idle } else { Then::Rest });
            }
            self.recipients += read_published(response)?;
            self.acknowledged += 1;
            self.accepted[self.rooms[publisher] as usize] += 1;
            self.next_room(publisher);
        }
        if self.stopped {
            return Ok(Then::Idle);
        }
        self.write(publisher, crowd, out);
        Ok(Then::Send)
    }

    fn next_room(&mut self, publisher: usize) {
        let next = self.rooms[publisher] as usize + self.len();
        let own = next < self.accepted.len();
        self.rooms[publisher] = if own { next } else { publisher } as u32;
    }
}
