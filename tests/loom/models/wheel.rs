//! The deadline wheel: what is entered comes up, whenever it is entered.

use crate::{ALL, explore, open};
use loom::future::block_on;
use loom::thread;
use std::sync::Arc;
use volley_loom::bare::poll;
use volley_loom::clock;
use volley_loom::deadlines::{Deadlines, TICK_MS};
use volley_loom::limits::Limits;
use volley_loom::pid::Pid;
use volley_loom::protocol::answer::Ending;
use volley_loom::sessions::Due;
use volley_loom::socket::Socket;
use volley_loom::volley::Writer;

fn entered_while_it_turns<const WORKERS: usize>(preemptions: Option<usize>) {
    explore(preemptions, || {
        let deadlines = Arc::new(Deadlines::default());
        let pids: [Pid; WORKERS] = std::array::from_fn(|slot| Pid::new(0, slot as u32, 1));
        let workers = pids.map(|pid| {
            let deadlines = deadlines.clone();
            thread::spawn(move || (pid, deadlines.enter(pid, TICK_MS)))
        });
        let mut came = Vec::new();
        deadlines.come_up(2 * TICK_MS, |pid, tick| came.push((pid, tick)));
        let mut entered = workers.map(|worker| worker.join().unwrap());
        deadlines.come_up(3 * TICK_MS, |pid, tick| came.push((pid, tick)));
        came.sort_unstable();
        entered.sort_unstable();
        assert_eq!(came, entered, "each once, at its tick");
    });
}

#[test]
fn an_entry_is_never_lost() {
    entered_while_it_turns::<1>(ALL);
}

#[test]
fn nor_is_one_of_two() {
    entered_while_it_turns::<2>(Some(2));
}

#[test]
fn a_poll_enters_the_bucket_that_is_being_looked_through() {
    explore(ALL, || {
        let node = crate::node_of(Limits { linger_ms: 2 * TICK_MS, ..Limits::default() });
        let (pid, socket, sessions) = (open(&node).pid, Socket::new(), &node.shared.sessions);
        // A first poll was over before the session's own entry came up: the second tick has that one, which is stale.
        let first = poll(&socket, &node, pid, None, 1);
        clock::set(TICK_MS);
        node.tick(&mut Writer::default());
        assert!(block_on(first.answered()));
        // A second one belongs into the second tick, too.
        let clock = thread::spawn({
            let node = node.clone();
            move || {
                node.shared.sessions.come_due(2 * TICK_MS, |due| match due {
                    Due::Poll(_, parked) => Writer::default().end(parked, Ending::Deadline, &node.shared.limits),
                    Due::Linger(..) => unreachable!("a poll has been here just now"),
                });
            }
        });
        let second = poll(&socket, &node, pid, None, 1);
        clock.join().unwrap();
        for now in 3..=6 {
            clock::set(now * TICK_MS);
            node.tick(&mut Writer::default());
        }
        assert!(block_on(second.answered()));
        assert_eq!(socket.client().answers(), ["deadline", "deadline"]);
        assert_eq!((sessions.live(), sessions.parked()), (0, 0), "no deadline was missed");
    });
}
