//! Tickets: where no header can be set, one stands for a session, once and for a short time, so that the session's token
//! never travels in a URL. A session has one at a time; a new one takes its place.

use crate::clock;
use crate::pid::Pid;
use crate::session::Secret;
use crate::token::Token;
use parking_lot::Mutex;
use std::collections::HashMap;

/// With as many as there may be, those that have ended are looked for this often.
const LOOK_MS: u64 = 1_000;

/// The tickets that count.
#[derive(Default)]
pub struct Tickets(Mutex<State>);

#[derive(Default)]
struct State {
    known: HashMap<Pid, Ticket>,
    /// Not before that are those that have ended looked for again.
    look_at_ms: u64,
}

struct Ticket {
    secret: Secret,
    ends_ms: u64,
}

impl Tickets {
    /// A new one for that session, which counts for so long; none when so many sessions have one.
    pub fn issue(&self, pid: Pid, ticket_ms: u64, max: u64) -> Option<String> {
        let now_ms = clock::now_ms();
        let mut state = self.0.lock();
        if state.known.len() as u64 >= max && state.look_at_ms <= now_ms {
            state.known.retain(|_, ticket| ticket.ends_ms > now_ms);
            state.look_at_ms = now_ms + LOOK_MS;
        }
        if state.known.len() as u64 >= max && !state.known.contains_key(&pid) {
            return None;
        }
        let secret = Secret::random();
        state.known.insert(pid, Ticket { secret, ends_ms: now_ms + ticket_ms });
        drop(state);
        Some(Token { pid, secret }.text())
    }

    /// Whose ticket it is. From here on it is used up.
    pub fn redeem(&self, text: &str) -> Option<Pid> {
        let Token { pid, secret } = Token::parse(text)?;
        let mut state = self.0.lock();
        // What is not the session's ticket must not use that up.
        state.known.get(&pid).filter(|ticket| ticket.secret.matches(&secret))?;
        let ticket = state.known.remove(&pid)?;
        (ticket.ends_ms > clock::now_ms()).then_some(pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_used_once_and_a_new_one_takes_its_place() {
        let tickets = Tickets::default();
        let (ann, bob) = (Pid::new(0, 1, 1), Pid::new(0, 2, 1));
        let old = tickets.issue(ann, 60_000, 9).unwrap();
        let new = tickets.issue(ann, 60_000, 9).unwrap();
        let of_bob = tickets.issue(bob, 60_000, 9).unwrap();
        assert_eq!(tickets.redeem(&old), None);
        assert_eq!(tickets.redeem(&new), Some(ann));
        assert_eq!(tickets.redeem(&new), None);
        assert_eq!(tickets.redeem(&of_bob), Some(bob));
        assert_eq!(tickets.redeem("x"), None);
    }

    #[test]
    fn tickets_end_and_are_bounded() {
        let tickets = Tickets::default();
        let (ann, bob) = (Pid::new(0, 1, 1), Pid::new(0, 2, 1));
        let over = tickets.issue(ann, 0, 1).unwrap();
        assert_eq!(tickets.redeem(&over), None);
        tickets.issue(bob, 0, 1).unwrap();
        let kept = tickets.issue(ann, 60_000, 1).expect("what has ended takes no place");
        assert_eq!(tickets.issue(bob, 60_000, 1), None);
        assert!(tickets.issue(ann, 60_000, 1).is_some_and(|again| again != kept));
    }
}
