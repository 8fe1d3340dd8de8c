//! The queue of a lane: what is accepted is taken, in its order, and the lane that sleeps is woken.

use crate::{ALL, both, event, explore, publish};
use loom::thread;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use volley_loom::event::{Event, Happening};
use volley_loom::lane::Lane;
use volley_loom::limits::Limits;
use volley_loom::session::ExitReason;

fn exit(id: u64) -> Event {
    event(id, Happening::Exit(ExitReason::Normal))
}

/// All ids that the lane takes until the queue is closed.
fn take_all(lane: &Lane, taken: &Mutex<Vec<u64>>, batch_max: usize) {
    let mut batch = VecDeque::new();
    while lane.take_batch(&mut batch) {
        assert!(!batch.is_empty() && batch.len() <= batch_max, "{}", batch.len());
        taken.lock().unwrap().extend(batch.drain(..).map(|event| event.id));
    }
}

fn lane(events_max: u64) -> Lane {
    Lane::new(&Limits { lane_queue_events_max: events_max, lane_batch_events_max: 2, ..Limits::default() })
}

#[test]
fn what_is_accepted_is_taken_in_order() {
    let outcomes = explore(ALL, || {
        let lane = lane(2);
        let taken = Arc::new(Mutex::new(Vec::new()));
        let routing = thread::spawn({
            let (lane, taken) = (lane.clone(), taken.clone());
            move || take_all(&lane, &taken, 2)
        });
        let accepted: Vec<u64> = (1..=3).filter(|id| lane.offer(publish(*id)).is_ok()).collect();
        assert!(accepted.starts_with(&[1, 2]), "there are two places: {accepted:?}");
        lane.close();
        assert!(lane.offer(publish(9)).is_err(), "closed");
        routing.join().unwrap();
        assert_eq!(*taken.lock().unwrap(), accepted);
        assert_eq!(lane.queued(), 0);
        accepted
    });
    both(&outcomes, [vec![1, 2], vec![1, 2, 3]]);
}

#[test]
fn a_lane_that_sleeps_is_woken_by_whoever_comes() {
    explore(Some(3), || {
        let lane = lane(1);
        let taken = Arc::new(Mutex::new(Vec::new()));
        let routing = thread::spawn({
            let (lane, taken) = (lane.clone(), taken.clone());
            move || {
                // Not closed before all of it came: whoever is not woken here sleeps for ever.
                let mut batch = VecDeque::new();
                while taken.lock().unwrap().len() < 3 && lane.take_batch(&mut batch) {
                    taken.lock().unwrap().extend(batch.drain(..).map(|event| event.id));
                }
            }
        });
        let exits = thread::spawn({
            let lane = lane.clone();
            move || {
                lane.offer_reserved(exit(11));
                lane.offer_reserved(exit(12));
            }
        });
        assert!(lane.offer(publish(1)).is_ok());
        exits.join().unwrap();
        routing.join().unwrap();
        let mut taken = taken.lock().unwrap().clone();
        assert!(taken.iter().position(|id| *id == 11) < taken.iter().position(|id| *id == 12), "{taken:?}");
        taken.sort_unstable();
        assert_eq!(taken, [1, 11, 12]);
    });
}

#[test]
fn an_offer_against_close() {
    let outcomes = explore(ALL, || {
        let lane = lane(2);
        let taken = Arc::new(Mutex::new(Vec::new()));
        let routing = thread::spawn({
            let (lane, taken) = (lane.clone(), taken.clone());
            move || take_all(&lane, &taken, 2)
        });
        let publisher = thread::spawn({
            let lane = lane.clone();
            move || lane.offer(publish(1)).is_ok()
        });
        lane.close();
        routing.join().unwrap();
        let accepted = publisher.join().unwrap();
        assert_eq!(taken.lock().unwrap().len(), usize::from(accepted), "what was accepted is routed");
        accepted
    });
    both(&outcomes, [false, true]);
}
