//! What waits in mailboxes: how many sessions have how many messages that they were not given yet. Counting that on the event path would cost each
//! delivery something; so sessions are looked over from the side, a slice at a time, one session's lock at a time.

use crate::sessions::Sessions;
use crate::shared::Shared;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Slots that are looked at before others have their turn.
const SLICE_SLOTS: u32 = 2_048;
/// Slots that are looked at for one picture: with more sessions a round takes several pictures. `PERFORMANCE.md` has what
/// 100,000 take.
const PICTURE_SLOTS: u32 = 131_072;
/// A mailbox has less than this, and at least as much as the one before: 0, 1-9, 10-99, 100-999, 1,000 and more.
const ENDS: [u64; 4] = [1, 10, 100, 1_000];

/// Mailboxes by what is in them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Mailboxes {
    /// What all messages in them weigh.
    pub bytes: u64,
    /// How many sessions have how many unread messages, at the last whole round.
    pub depths: Vec<Depth>,
    /// The most that one has.
    pub deepest: u64,
    /// Whose that is.
    pub deepest_pid: Option<String>,
    /// How long that round took; what it says is as old.
    pub round_ms: u64,
}

/// Sessions with so many unread messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// At least.
    pub from: u64,
    /// Sessions.
    pub sessions: u64,
}

/// A round through all sessions.
#[derive(Default)]
pub(super) struct Survey {
    next_slot: u32,
    began: Option<Instant>,
    counting: Count,
    counted: Count,
    round: Duration,
}

#[derive(Clone, Copy, Default)]
struct Count {
    sessions: [u64; ENDS.len() + 1],
    deepest: u64,
    deepest_pid: Option<crate::pid::Pid>,
}

impl Survey {
    /// Looks at some more sessions, until the round is whole or this picture has its share.
    pub(super) async fn go_on(&mut self, sessions: &Sessions) {
        let mut looked_at = 0;
        while looked_at < PICTURE_SLOTS {
            let began = *self.began.get_or_insert_with(Instant::now);
            let counting = &mut self.counting;
            let next = sessions.walk_part(self.next_slot, SLICE_SLOTS, |pid, session| {
                let depth = session.unread();
                counting.sessions[ENDS.partition_point(|end| *end <= depth)] += 1;
                if depth > counting.deepest {
                    (counting.deepest, counting.deepest_pid) = (depth, Some(pid));
                }
            });
            self.next_slot = next.unwrap_or(0);
            looked_at += SLICE_SLOTS;
            if next.is_none() {
                (self.counted, self.round) = (std::mem::take(&mut self.counting), began.elapsed());
                self.began = None;
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// What the last round found.
    pub(super) fn found(&self, shared: &Shared) -> Mailboxes {
        let from = std::iter::once(0).chain(ENDS);
        let depths = from.zip(self.counted.sessions).map(|(from, sessions)| Depth { from, sessions });
        Mailboxes {
            bytes: shared.sessions.message_bytes.now(),
            depths: depths.collect(),
            deepest: self.counted.deepest,
            deepest_pid: self.counted.deepest_pid.map(|pid| pid.to_string()),
            round_ms: self.round.as_millis() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::message::Message;
    use crate::workers::Workers;

    fn push(shared: &Shared, user: &str, messages: usize) -> String {
        let pid = shared.sessions.open(Some(user.into()), None).unwrap().pid;
        for _ in 0..messages {
            let message = Message::new(b"{}".to_vec(), &shared.sessions.message_bytes);
            shared.sessions.push(pid, &message, 1);
        }
        pid.to_string()
    }

    #[tokio::test]
    async fn mailboxes_are_counted_by_their_depth() {
        let shared = Shared::new(0, Limits::default(), Workers::new(1).0);
        for messages in [0, 0, 1, 9, 10, 99, 100, 999] {
            push(&shared, "ann", messages);
        }
        let deepest = push(&shared, "bob", 1_500);
        let mut survey = Survey::default();
        survey.go_on(&shared.sessions).await;
        let found = survey.found(&shared);
        let sessions: Vec<(u64, u64)> = found.depths.iter().map(|depth| (depth.from, depth.sessions)).collect();
        assert_eq!(sessions, [(0, 2), (1, 2), (10, 2), (100, 2), (1_000, 1)]);
        assert_eq!((found.deepest, found.deepest_pid), (1_500, Some(deepest)));
    }

    /// Prints what 100,000 sessions cost: `cargo test survey_costs -- --nocapture`.
    #[tokio::test]
    async fn a_round_is_whole_and_what_the_survey_costs_is_printed() {
        let shared = Shared::new(0, Limits::default(), Workers::new(1).0);
        for _ in 0..100_000 {
            push(&shared, "ann", 1);
        }
        let mut survey = Survey::default();
        survey.go_on(&shared.sessions).await;
        let first = survey.round;
        survey.go_on(&shared.sessions).await;
        assert_eq!(survey.counted.sessions, [0, 100_000, 0, 0, 0]);
        println!("100,000 sessions: {first:?}, then {:?}", survey.round);
    }
}
