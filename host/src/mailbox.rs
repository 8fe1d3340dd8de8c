//! A session's mailbox: messages numbered 1, 2, 3 …, kept until the cursor of a poll acknowledges them.
//!
//! Nothing is deleted by being sent, so a response lost on the way is sent again. When the mailbox is full the oldest
//! message is dropped, and whoever reads past it is told how many are missing.

use crate::fifo::{self, Fifo};
use crate::limits::Limits;
use crate::message::Message;
use std::sync::Arc;

/// A mailbox that emptied gives its memory back when it had grown beyond this many messages (arbitrary, small).
const KEPT_CAPACITY: usize = 8;

/// How much of a mailbox the whole process has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// As much as its own bounds allow.
    Own,
    /// For its newest message.
    Newest,
    /// For nothing: the message is dropped, too.
    None,
}

/// The messages of one session, in order.
#[derive(Debug, Default)]
pub struct Mailbox {
    kept: Fifo<Arc<Message>>,
    bytes: u64,
    /// Number of the newest message ever pushed; the kept ones are the last of them.
    newest: u64,
    acknowledged: u64,
}

/// What a poll with some cursor gets.
#[derive(Debug)]
pub struct Page<'a> {
    /// The messages are numbered on from here.
    pub after: u64,
    /// Number of the page's last message, or the poll's own cursor when there is none.
    pub cursor: u64,
    /// How many messages between the poll's cursor and the first one here were dropped.
    pub gap: u64,
    /// The messages, oldest first.
    pub messages: fifo::Iter<'a, Arc<Message>>,
}

impl Mailbox {
    /// Adds the newest message; how many had to go for it.
    pub fn push(&mut self, message: &Arc<Message>, limits: &Limits, room: Room) -> u64 {
        let before = self.kept.len() as u64 + 1;
        let own_bytes = self.own_bytes();
        self.bytes += message.json().len() as u64;
        self.newest += 1;
        self.kept.push_back(message.clone());
        match room {
            Room::Own => self.keep(1, limits.mailbox_messages_max, limits.mailbox_bytes_max),
            Room::Newest => self.keep(1, 1, 0),
            Room::None => self.keep(0, 0, 0),
        }
        message.count_mailbox(own_bytes, self.own_bytes());
        before - self.kept.len() as u64
    }

    /// Drops the oldest until what is kept weighs so much at most; how many that were.
    pub fn trim(&mut self, bytes_max: u64) -> u64 {
        let before = self.kept.len();
        let own_bytes = self.own_bytes();
        if let Some(newest) = self.kept.back().cloned() {
            self.keep(0, u64::MAX, bytes_max);
            newest.count_mailbox(own_bytes, self.own_bytes());
        }
        (before - self.kept.len()) as u64
    }

    /// Deletes everything up to the cursor; false when no such message was ever sent.
    #[must_use]
    pub fn acknowledge(&mut self, cursor: u64) -> bool {
        if cursor > self.newest {
            return false;
        }
        let own_bytes = self.own_bytes();
        let mut last = None;
        while self.oldest() <= cursor && !self.kept.is_empty() {
            last = self.pop_oldest();
        }
        if let Some(last) = last {
            self.give_back();
            last.count_mailbox(own_bytes, self.own_bytes());
        }
        self.acknowledged = self.acknowledged.max(cursor);
        true
    }

    /// Forgets the oldest of what a stream was written, up to this message, but for a window in which a client that lost
    /// its connection may resume. Nothing is lost by that, so nothing is counted.
    pub fn written(&mut self, up_to: u64, limits: &Limits) {
        let own_bytes = self.own_bytes();
        let mut last = None;
        let is_beyond = |mailbox: &Self| {
            let messages = up_to + 1 - mailbox.oldest();
            messages > limits.replay_messages_max || mailbox.bytes > limits.replay_bytes_max
        };
        while self.oldest() < up_to && is_beyond(self) {
            last = self.pop_oldest();
        }
        if let Some(last) = last {
            self.give_back();
            last.count_mailbox(own_bytes, self.own_bytes());
        }
    }

    /// The messages after the cursor, up to the bounds of one response. One message always fits.
    pub fn after(&self, cursor: u64, limits: &Limits) -> Page<'_> {
        self.page(cursor, limits.response_messages_max, limits.response_bytes_max)
    }

    /// The messages after the cursor, up to the bounds of what a stream is written at once. One message always fits.
    pub fn next(&self, cursor: u64, limits: &Limits) -> Page<'_> {
        self.page(cursor, limits.response_messages_max, limits.stream_bytes_max)
    }

    fn page(&self, cursor: u64, messages_max: u64, bytes_max: u64) -> Page<'_> {
        let cursor = cursor.max(self.acknowledged);
        if cursor >= self.newest {
            return Page { after: cursor, cursor, gap: 0, messages: self.kept.range(0..0) };
        }
        // One past the newest when all of it was dropped.
        let first = (cursor + 1).max(self.oldest());
        let from = (first - self.oldest()) as usize;
        let (mut to, mut bytes) = (from, 0);
        for message in self.kept.range(from..self.kept.len()) {
            bytes += message.json().len() as u64;
            let too_much = bytes > bytes_max || (to - from) as u64 >= messages_max;
            if too_much && to > from {
                break;
            }
            to += 1;
        }
        let (after, newest) = (first - 1, first + (to - from) as u64 - 1);
        Page { after, cursor: newest, gap: after - cursor, messages: self.kept.range(from..to) }
    }

    /// Whether there is anything after the cursor.
    pub fn has_after(&self, cursor: u64) -> bool {
        self.newest > cursor.max(self.acknowledged)
    }

    /// Number of the newest message ever pushed.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// The highest cursor that a poll brought.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// How many messages are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// What the kept messages weigh.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of the oldest kept message; one past the newest when none is kept.
    fn oldest(&self) -> u64 {
        self.newest + 1 - self.kept.len() as u64
    }

    /// Drops the oldest until the bounds hold or only so many are left.
    fn keep(&mut self, at_least: usize, messages_max: u64, bytes_max: u64) {
        while self.kept.len() > at_least && (self.kept.len() as u64 > messages_max || self.bytes > bytes_max) {
            self.pop_oldest();
        }
        self.give_back();
    }

    fn pop_oldest(&mut self) -> Option<Arc<Message>> {
        let message = self.kept.pop_front()?;
        self.bytes -= message.json().len() as u64;
        Some(message)
    }

    /// Gives memory back once hardly any of it is used.
    fn give_back(&mut self) {
        if self.kept.len() <= 1 && self.kept.capacity() > KEPT_CAPACITY {
            self.kept.shrink_to_fit();
        }
    }

    /// What it weighs besides the messages, once that is more than a few pointers.
    fn own_bytes(&self) -> u64 {
        let capacity = self.kept.capacity();
        if capacity > KEPT_CAPACITY { (capacity * size_of::<Arc<Message>>()) as u64 } else { 0 }
    }
}

impl Drop for Mailbox {
    /// A mailbox that weighs anything keeps a message: an emptied one has given its memory back.
    fn drop(&mut self) {
        if let Some(message) = self.kept.front() {
            message.count_mailbox(self.own_bytes(), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageBytes;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize),
        Squeezed(usize),
        Lost(usize),
        Trim(u64),
        Acknowledge(u64),
        Read(u64),
        Written(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..40usize).prop_map(Step::Push),
            1 => (0..40usize).prop_map(Step::Squeezed),
            1 => (0..40usize).prop_map(Step::Lost),
            1 => (0..100u64).prop_map(Step::Trim),
            2 => (0..60u64).prop_map(Step::Acknowledge),
            3 => (0..60u64).prop_map(Step::Read),
            1 => (0..60u64).prop_map(Step::Written),
        ];
        prop::collection::vec(step, 0..120)
    }

    /// The model: all messages ever pushed, and which numbers are gone.
    #[derive(Default)]
    struct Model {
        sizes: Vec<usize>,
        first_kept: usize,
        acknowledged: usize,
    }

    impl Model {
        fn keep(&mut self, at_least: usize, messages_max: usize, bytes_max: usize) {
            let kept = |model: &Self| model.sizes[model.first_kept..].to_vec();
            while kept(self).len() > at_least
                && (kept(self).len() > messages_max || kept(self).iter().sum::<usize>() > bytes_max)
            {
                self.first_kept += 1;
            }
        }
    }

    proptest! {
        #[test]
        fn a_mailbox_is_a_list_with_a_first_kept_number(steps in steps()) {
            let limits = Limits {
                mailbox_messages_max: 10, mailbox_bytes_max: 200,
                response_messages_max: 4, response_bytes_max: 90,
                replay_messages_max: 3, replay_bytes_max: 50, ..Limits::default()
            };
            let counter = Arc::new(MessageBytes::default());
            let (mut mailbox, mut model) = (Mailbox::default(), Model::default());
            for step in steps {
                match step {
                    Step::Push(size) => {
                        let kept_before = mailbox.len() as u64;
                        let dropped = mailbox.push(&Message::new(vec![b'x'; size], &counter), &limits, Room::Own);
                        prop_assert_eq!(kept_before + 1 - dropped, mailbox.len() as u64);
                        model.sizes.push(size);
                        model.keep(1, 10, 200);
                    }
                    Step::Squeezed(size) => {
                        mailbox.push(&Message::new(vec![b'x'; size], &counter), &limits, Room::Newest);
                        model.sizes.push(size);
                        model.keep(1, 1, 0);
                    }
                    Step::Lost(size) => {
                        mailbox.push(&Message::new(vec![b'x'; size], &counter), &limits, Room::None);
                        model.sizes.push(size);
                        model.keep(0, 0, 0);
                    }
                    Step::Trim(bytes_max) => {
                        let kept_before = mailbox.len() as u64;
                        prop_assert_eq!(kept_before - mailbox.trim(bytes_max), mailbox.len() as u64);
                        model.keep(0, usize::MAX, bytes_max as usize);
                    }
                    Step::Acknowledge(cursor) => {
                        let known = cursor as usize <= model.sizes.len();
                        prop_assert_eq!(mailbox.acknowledge(cursor), known);
                        if known {
                            model.first_kept = model.first_kept.max(cursor as usize);
                            model.acknowledged = model.acknowledged.max(cursor as usize);
                        }
                    }
                    Step::Written(up_to) => {
                        let up_to = (up_to as usize).min(model.sizes.len());
                        mailbox.written(up_to as u64, &limits);
                        let bytes = |model: &Model| model.sizes[model.first_kept..].iter().sum::<usize>();
                        while model.first_kept + 1 < up_to && (up_to - model.first_kept > 3 || bytes(&model) > 50) {
                            model.first_kept += 1;
                        }
                    }
                    Step::Read(cursor) => {
                        let page = mailbox.after(cursor, &limits);
                        let cursor = (cursor as usize).max(model.acknowledged);
                        let first = cursor.max(model.first_kept);
                        let got: Vec<usize> = page.messages.map(|message| message.json().len()).collect();
                        if cursor >= model.sizes.len() {
                            prop_assert!(got.is_empty());
                            prop_assert_eq!((page.cursor, page.gap), (cursor as u64, 0));
                            continue;
                        }
                        prop_assert_eq!(got.is_empty(), first == model.sizes.len());
                        prop_assert!(got.len() <= 4);
                        prop_assert!(got.len() <= 1 || got.iter().sum::<usize>() <= 90);
                        prop_assert_eq!(&got[..], &model.sizes[first..first + got.len()]);
                        prop_assert_eq!(page.cursor as usize, first + got.len());
                        prop_assert_eq!(page.gap as usize, first - cursor);
                    }
                }
                prop_assert_eq!(mailbox.len(), model.sizes.len() - model.first_kept);
                prop_assert_eq!(mailbox.bytes(), model.sizes[model.first_kept..].iter().sum::<usize>() as u64);
                prop_assert_eq!(mailbox.has_after(model.sizes.len() as u64), false);
            }
            drop(mailbox);
            prop_assert_eq!(counter.now(), 0);
        }
    }

    #[test]
    fn an_emptied_mailbox_gives_its_memory_back() {
        let (limits, counter) = (Limits::default(), Arc::new(MessageBytes::default()));
        let mut mailbox = Mailbox::default();
        for _ in 0..1000 {
            mailbox.push(&Message::new(vec![b'x'; 10], &counter), &limits, Room::Own);
        }
        assert!(counter.now() > 1000 * (10 + 8), "a large mailbox is counted, too");
        assert!(mailbox.acknowledge(1000));
        assert_eq!((mailbox.kept.capacity(), counter.now()), (0, 0));
    }
}
