//! The instances that a lane asks: one for each config of the generation it routes by, and, still warm, those of the
//! version before.

use super::draft::Draft;
use crate::event::Event;
use crate::generation::Generation;
use crate::outcome::{Outcome, Refusal};
use crate::router::{Fault, Guest, Mounted};
use crate::shadow::Shadow;
use crate::shared::Shared;
use crate::trace::{Met, Recorder};
use std::sync::Arc;

/// One lane's.
pub(super) struct Guests {
    lane: usize,
    recorder: Arc<Recorder>,
    shared: Arc<Shared>,
    generation: Arc<Generation>,
    /// In the order of the generation's configs. None after a fault when no new one could be made yet.
    current: Vec<Option<Guest>>,
    previous: Vec<Option<Guest>>,
    /// One was dropped since the last refill.
    lost: bool,
    /// Of the event that is routed, if it is recorded.
    draft: Option<Box<Draft>>,
}

impl Guests {
    /// Of a generation that has brought its instances.
    pub(super) fn new(lane: usize, recorder: Arc<Recorder>, generation: Arc<Generation>, shared: Arc<Shared>) -> Self {
        let mut guests = Self {
            lane,
            recorder,
            shared,
            generation: generation.clone(),
            current: Vec::new(),
            previous: Vec::new(),
            lost: false,
            draft: None,
        };
        guests.turn_to(generation);
        guests
    }

    /// What they route by.
    pub(super) fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }

    /// Takes over the instances that the next generation has brought, keeps those that it goes on with, drops the rest.
    pub(super) fn turn_to(&mut self, next: Arc<Generation>) {
        let mut there: Vec<Guest> = next.take_warm(self.lane);
        there.extend(self.current.drain(..).chain(self.previous.drain(..)).flatten());
        let mut adopt = |mounted: &Arc<Mounted>| {
            there.iter().position(|guest| guest.is_of(mounted)).map(|at| there.swap_remove(at))
        };
        self.current = next.mounted.iter().map(&mut adopt).collect();
        self.previous = next.previous.iter().map(&mut adopt).collect();
        self.generation = next;
    }

    /// Asks the instance of a config. One that fails is dropped: nobody knows what state it is in.
    pub(super) fn route(&mut self, config: usize, event: &Event) -> Result<Result<Outcome, Refusal>, Fault> {
        let mounted = &self.generation.mounted[config];
        let shadow = self.generation.shadow.as_deref().filter(|shadow| shadow.wants());
        self.draft = self.recorder.wants(&event.topic).map(Draft::of);
        let draft = self.draft.as_deref_mut();
        let (routed, lost) = route(&mut self.current[config], mounted, event, &self.shared, shadow, draft);
        self.lost |= lost;
        routed
    }

    /// The same with the version before; none if there is none to ask.
    pub(super) fn route_by_previous(
        &mut self,
        config: usize,
        event: &Event,
    ) -> Option<Result<Result<Outcome, Refusal>, Fault>> {
        let mounted = self.generation.previous.get(config).filter(|_| self.generation.falls_back)?;
        let draft = self.draft.as_deref_mut();
        Some(route(&mut self.previous[config], mounted, event, &self.shared, None, draft).0)
    }

    /// What is recorded of the event that is routed.
    pub(super) fn draft(&mut self) -> &mut Option<Box<Draft>> {
        &mut self.draft
    }

    /// Drops the instance of a config: its answer cannot be used, and a fresh one gives back the memory it has taken.
    pub(super) fn drop_one(&mut self, config: usize) {
        self.lost |= self.current.get_mut(config).and_then(Option::take).is_some();
    }

    /// Drops all of them: nobody knows what state they are in.
    pub(super) fn drop_all(&mut self) {
        (0..self.current.len()).for_each(|config| self.drop_one(config));
        self.previous.iter_mut().for_each(|guest| *guest = None);
    }

    /// Makes anew what was dropped since the last time: the one who broke an instance waits for the next one, not whoever
    /// comes after. If there can be none, the next event tries again and is told why.
    pub(super) fn refill(&mut self) {
        if std::mem::take(&mut self.lost) {
            for (guest, mounted) in self.current.iter_mut().zip(&self.generation.mounted) {
                if guest.is_none() {
                    *guest = Guest::live(mounted, &self.shared).ok();
                }
            }
        }
    }
}

/// What came of it, and whether an instance was lost by it. The shadow and the trace, if there are, get to know all about it.
fn route(
    place: &mut Option<Guest>,
    mounted: &Arc<Mounted>,
    event: &Event,
    shared: &Arc<Shared>,
    shadow: Option<&Shadow>,
    draft: Option<&mut Draft>,
) -> (Result<Result<Outcome, Refusal>, Fault>, bool) {
    if place.as_ref().is_some_and(Guest::is_spent) {
        *place = None;
    }
    let guest = match place {
        Some(guest) => guest,
        None => match Guest::live(mounted, shared) {
            Ok(guest) => place.insert(guest),
            Err(fault) => {
                let failed = Err(fault);
                if let Some(draft) = draft {
                    draft.asked(mounted, Some(Met::default()), &failed);
                }
                return (failed, false);
            }
        },
    };
    if shadow.is_some() {
        guest.begin_tape(event, shared);
    }
    if draft.is_some() {
        guest.begin_notes(event);
    }
    let routed = guest.route(event);
    if let Some(draft) = draft {
        draft.asked(mounted, guest.end_notes(shared), &routed);
    }
    if let Some(shadow) = shadow {
        shadow.offer(event, guest.end_tape(), &routed);
    }
    let failed = routed.is_err();
    if failed {
        *place = None;
    }
    (routed, failed)
}
