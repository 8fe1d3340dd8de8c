//! A session's mailbox: messages numbered 1, 2, 3 …, kept until the cursor of a poll acknowledges them.
//!
//! Nothing is deleted by being sent, so a response lost on the way is sent again. When the mailbox is full the oldest
//! message is dropped, and whoever reads past it is told how many are missing.

use crate::limits::Limits;
use crate::message::Message;
use std::collections::VecDeque;
use std::sync::Arc;

/// A mailbox that emptied gives its memory back when it had grown beyond this many messages (arbitrary, small).
const KEPT_CAPACITY: usize = 8;

/// The messages of one session, in order.
#[derive(Debug, Default)]
pub struct Mailbox {
    kept: VecDeque<Arc<Message>>,
    bytes: u64,
    /// Number of the newest message ever pushed; the kept ones are the last of them.
    newest: u64,
    acknowledged: u64,
}

/// What a poll with some cursor gets.
#[derive(Debug)]
pub struct Page<'a> {
    /// Number of the page's last message, or the poll's own cursor when there is none.
    pub cursor: u64,
    /// How many messages between the poll's cursor and the first one here were dropped.
    pub gap: u64,
    /// The messages, oldest first.
    pub messages: std::collections::vec_deque::Iter<'a, Arc<Message>>,
}

impl Mailbox {
    /// Adds the newest message; how many old ones had to go for it.
    pub fn push(&mut self, message: Arc<Message>, limits: &Limits, trim: bool) -> u64 {
        let before = self.kept.len() as u64 + 1;
        self.bytes += message.json().len() as u64;
        self.newest += 1;
        self.kept.push_back(message);
        let (messages_max, bytes_max) =
            if trim { (1, 0) } else { (limits.mailbox_messages_max, limits.mailbox_bytes_max) };
        while self.kept.len() > 1 && (self.kept.len() as u64 > messages_max || self.bytes > bytes_max) {
            self.pop_oldest();
        }
        before - self.kept.len() as u64
    }

    /// Deletes everything up to the cursor; false when no such message was ever sent.
    #[must_use]
    pub fn acknowledge(&mut self, cursor: u64) -> bool {
        if cursor > self.newest {
            return false;
        }
        while self.oldest() <= cursor && !self.kept.is_empty() {
            self.pop_oldest();
        }
        if self.kept.is_empty() && self.kept.capacity() > KEPT_CAPACITY {
            self.kept = VecDeque::new();
        }
        self.acknowledged = self.acknowledged.max(cursor);
        true
    }

    /// The messages after the cursor, up to the bounds of one response. One message always fits.
    pub fn after(&self, cursor: u64, limits: &Limits) -> Page<'_> {
        let cursor = cursor.max(self.acknowledged);
        let first = (cursor + 1).max(self.oldest());
        if first > self.newest {
            return Page { cursor, gap: 0, messages: self.kept.range(..0) };
        }
        let from = (first - self.oldest()) as usize;
        let (mut to, mut bytes) = (from, 0);
        for message in self.kept.range(from..) {
            bytes += message.json().len() as u64;
            let too_much = bytes > limits.response_bytes_max || (to - from) as u64 >= limits.response_messages_max;
            if too_much && to > from {
                break;
            }
            to += 1;
        }
        Page { cursor: first + (to - from) as u64 - 1, gap: first - cursor - 1, messages: self.kept.range(from..to) }
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

    fn pop_oldest(&mut self) {
        if let Some(message) = self.kept.pop_front() {
            self.bytes -= message.json().len() as u64;
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
        Trim(usize),
        Acknowledge(u64),
        Read(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..40usize).prop_map(Step::Push),
            1 => (0..40usize).prop_map(Step::Trim),
            2 => (0..60u64).prop_map(Step::Acknowledge),
            3 => (0..60u64).prop_map(Step::Read),
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
        fn push(&mut self, size: usize, messages_max: usize, bytes_max: usize) {
            self.sizes.push(size);
            let kept = |model: &Self| model.sizes[model.first_kept..].to_vec();
            while kept(self).len() > 1
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
                response_messages_max: 4, response_bytes_max: 90, ..Limits::default()
            };
            let counter = Arc::new(MessageBytes::default());
            let (mut mailbox, mut model) = (Mailbox::default(), Model::default());
            for step in steps {
                match step {
                    Step::Push(size) => {
                        let kept_before = mailbox.len() as u64;
                        let dropped = mailbox.push(Message::new(vec![b'x'; size], &counter), &limits, false);
                        prop_assert_eq!(kept_before + 1 - dropped, mailbox.len() as u64);
                        model.push(size, 10, 200);
                    }
                    Step::Trim(size) => {
                        mailbox.push(Message::new(vec![b'x'; size], &counter), &limits, true);
                        model.push(size, 1, 0);
                    }
                    Step::Acknowledge(cursor) => {
                        let known = cursor as usize <= model.sizes.len();
                        prop_assert_eq!(mailbox.acknowledge(cursor), known);
                        if known {
                            model.first_kept = model.first_kept.max(cursor as usize);
                            model.acknowledged = model.acknowledged.max(cursor as usize);
                        }
                    }
                    Step::Read(cursor) => {
                        let page = mailbox.after(cursor, &limits);
                        let cursor = (cursor as usize).max(model.acknowledged);
                        let first = cursor.max(model.first_kept);
                        let got: Vec<usize> = page.messages.map(|message| message.json().len()).collect();
                        if first >= model.sizes.len() {
                            prop_assert!(got.is_empty());
                            prop_assert_eq!((page.cursor, page.gap), (cursor as u64, 0));
                            continue;
                        }
                        prop_assert!(!got.is_empty() && got.len() <= 4);
                        prop_assert!(got.len() == 1 || got.iter().sum::<usize>() <= 90);
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
            mailbox.push(Message::new(vec![b'x'; 10], &counter), &limits, false);
        }
        assert!(mailbox.acknowledge(1000));
        assert_eq!((mailbox.kept.capacity(), counter.now()), (0, 0));
    }
}
