//! One queue: how a job comes in, changes hands, and is done.
//!
//! A topic's events come one after another, so nothing here races. But a rule may be stopped between any two calls of the
//! host, and what it has written stays. So a job is written to where it goes before it is deleted from where it was, and
//! its worker comes last: at the worst a job comes twice, and a worker has one hand less until it joins again. For the same
//! reason only a put can find no room: its data is what has the least of it.

use std::time::Duration;

use serde_json::value::RawValue;
use volley_plugin::{Error, Outcome, Pid, Refusal, Timer, log, send_after};

use crate::Queues;
use crate::job::{Alarm, Entry, Held, Job, Message, Tag, Waiting, data_key, key, place, waiting};

#[derive(Clone, Copy)]
pub(crate) struct Queue<'a> {
    pub(crate) tables: &'a Queues,
    pub(crate) topic: &'a str,
    /// The number of the event that is routed.
    pub(crate) event: u64,
}

const ID_BYTES_MAX: usize = 64;
const DATA_BYTES_MAX: usize = 64 << 10;
/// Jobs of one event; a further one waits for the next. With the largest data it is below 4 MiB (`outcome_bytes_max`).
const HANDED_OUT_MAX: usize = 50;
/// Jobs that are found again in one call.
const PAGE_JOBS: u32 = 100;

/// What is said of jobs.
impl Queue<'_> {
    pub(crate) fn put(self, id: String, data: &RawValue) -> Result<(), Refusal> {
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            return Err(Refusal::invalid(format!("the id of a job has 1 to {ID_BYTES_MAX} bytes")));
        }
        if data.get().len() > DATA_BYTES_MAX {
            return Err(Refusal::invalid(format!("the data of a job has at most {DATA_BYTES_MAX} bytes")));
        }
        let data_key = data_key(self.topic, &id);
        let job = Job { place: self.event, data: data.to_owned() };
        let place = if self.tables.data.insert_new(&data_key, &job)? {
            self.event
        } else {
            // Where a rule was stopped right here, only its data is there, and nobody would get it. So it is put in again.
            match self.tables.data.get(&data_key)? {
                Some(known) if !self.is_there(known.place, &id)? => known.place,
                _ => return Err(Refusal::refused(format!("a job {id} is in the queue already"))),
            }
        };
        let waits = Entry::Waiting(Waiting { id, attempts: 0 });
        let queued = self.tables.jobs.insert(&waiting(self.topic, place), &waits);
        Ok(queued.inspect_err(|_| drop(self.tables.data.delete(&data_key)))?)
    }

    pub(crate) fn ack(self, sender: Option<Pid>, id: &str) -> Result<(), Refusal> {
        let held = self.held_by(sender, id)?;
        self.tables.data.delete(&data_key(self.topic, id))?;
        self.tables.jobs.delete(&self.key(Tag::Held, id))?;
        held.timer.cancel();
        Ok(self.is_rid_of(held.worker, id)?)
    }

    pub(crate) fn nack(self, sender: Option<Pid>, id: &str) -> Result<(), Refusal> {
        let held = self.held_by(sender, id)?;
        self.give_back(id, &held)?;
        held.timer.cancel();
        Ok(self.is_rid_of(held.worker, id)?)
    }

    fn held_by(self, sender: Option<Pid>, id: &str) -> Result<Held, Refusal> {
        let held = self.held(id)?.filter(|held| sender == Some(held.worker));
        held.ok_or_else(|| Refusal::refused(format!("you do not have the job {id}, or not any more")))
    }
}

/// What becomes of them.
impl Queue<'_> {
    /// As long as there are jobs and workers. An event that has been taken in is not refused since something fails here:
    /// that is told in the log, and tried again with the next one.
    pub(crate) fn hand_out(self) -> Outcome {
        let mut outcome = Outcome::new();
        for _ in 0..HANDED_OUT_MAX {
            match self.hand_out_next() {
                Ok(Some((worker, message))) => outcome = outcome.send(worker, &message),
                Ok(None) => return outcome,
                Err(why) => {
                    log::error!("jobs wait until something happens in {}: {why}", self.topic);
                    return outcome;
                }
            }
        }
        if let Err(why) = send_after(Duration::ZERO, self.topic, &Alarm::More) {
            log::warning!("jobs wait until something happens in {}, since there is no timer: {why}", self.topic);
        }
        outcome
    }

    /// None if there is no job, or nobody for it.
    fn hand_out_next(self) -> Result<Option<(Pid, Message)>, Error> {
        loop {
            let Some((place, Waiting { id, attempts })) = self.next_job()? else { return Ok(None) };
            let Some(worker) = self.next_worker()? else { return Ok(None) };
            let Some(Job { data, .. }) = self.tables.data.get(&data_key(self.topic, &id))? else {
                // It was done, or dead, when a rule was stopped.
                self.tables.jobs.delete(&waiting(self.topic, place))?;
                continue;
            };
            let attempt = attempts + 1;
            let timer = self.alarm(&Alarm::Late { job: id.clone(), attempt })?;
            let held = Entry::Held(Held { worker, attempt, place, timer });
            if let Err(why) = self.tables.jobs.insert(&self.key(Tag::Held, &id), &held) {
                timer.cancel();
                return Err(why);
            }
            if let Err(why) = self.gets(worker, id.clone()) {
                log::warning!("a worker gets no more jobs before it joins again: {why}");
            }
            self.tables.jobs.delete(&waiting(self.topic, place))?;
            return Ok(Some((worker, Message { job: id, attempt, data })));
        }
    }

    fn alarm(self, alarm: &Alarm) -> Result<Timer, Error> {
        send_after(Duration::from_millis(self.tables.config.ack_ms), self.topic, alarm)
    }

    /// A timer may come when its job is done or another attempt's already.
    pub(crate) fn late(self, alarm: &Alarm) -> Result<(), Error> {
        let Alarm::Late { job, attempt } = alarm else { return Ok(()) };
        let Some(held) = self.held(job)?.filter(|held| held.attempt == *attempt) else { return Ok(()) };
        if let Err(why) = self.give_back(job, &held) {
            log::error!("the job {job} stays with a worker that is late with it: {why}");
            return self.alarm(alarm).map(drop);
        }
        self.is_rid_of(held.worker, job)
    }

    /// Where it was, so before all that came later.
    fn give_back(self, id: &str, held: &Held) -> Result<(), Error> {
        if held.attempt < self.tables.config.attempts_max {
            let waits = Entry::Waiting(Waiting { id: id.to_owned(), attempts: held.attempt });
            self.tables.jobs.insert(&waiting(self.topic, held.place), &waits)?;
        } else {
            self.bury(id, held.attempt)?;
        }
        self.tables.jobs.delete(&self.key(Tag::Held, id)).map(drop)
    }

    fn bury(self, id: &str, attempts: u32) -> Result<(), Error> {
        let data_key = data_key(self.topic, id);
        if let Some(Job { data, .. }) = self.tables.data.get(&data_key)? {
            match self.tables.dead.insert(&data_key, &data) {
                Ok(()) => log::error!("the job {id} is dead after {attempts} attempts; see the table `dead`"),
                Err(why) => log::error!("the job {id} is dead after {attempts} attempts, and gone: {why}"),
            }
        }
        self.tables.data.delete(&data_key).map(drop)
    }

    fn next_job(self) -> Result<Option<(u64, Waiting)>, Error> {
        let first = self.tables.jobs.select(&self.key(Tag::Waiting, ""), 1)?.objects.pop();
        Ok(first.and_then(|(key, entry)| match entry {
            Entry::Waiting(job) => Some((place(&key), job)),
            Entry::Held(_) => None,
        }))
    }

    fn is_there(self, place: u64, id: &str) -> Result<bool, Error> {
        let [waits, held] = self.tables.jobs.get_each([&*waiting(self.topic, place), &*self.key(Tag::Held, id)])?;
        Ok(waits.is_some() || held.is_some())
    }

    fn held(self, id: &str) -> Result<Option<Held>, Error> {
        Ok(match self.tables.jobs.get(&self.key(Tag::Held, id))? {
            Some(Entry::Held(held)) => Some(held),
            Some(Entry::Waiting(_)) | None => None,
        })
    }

    fn key(self, tag: Tag, name: &str) -> Vec<u8> {
        key(self.topic, tag, name)
    }
}

/// Who works at them.
impl Queue<'_> {
    pub(crate) fn enter(self, pid: Pid) -> Result<(), Error> {
        if !self.has_workers()? {
            self.find_again()?;
        }
        let jobs = self.unseat(pid)?.map_or_else(Vec::new, |worker| worker.jobs);
        self.seat(pid, jobs)
    }

    /// A job that can't be given back now is by its timer.
    pub(crate) fn quit(self, pid: Pid) -> Result<(), Error> {
        for id in self.unseat(pid)?.map(|worker| worker.jobs).unwrap_or_default() {
            if let Some(held) = self.held(&id)?.filter(|held| held.worker == pid) {
                if let Err(why) = self.give_back(&id, &held) {
                    log::error!("the job {id} stays with a worker that is gone: {why}");
                    continue;
                }
                held.timer.cancel();
            }
        }
        Ok(())
    }

    /// Without workers nobody has a job: what is held was somebody's before the server was started again. The numbers of
    /// the timers of that time are others' by now, so none is cancelled.
    fn find_again(self) -> Result<(), Error> {
        loop {
            let page = self.tables.jobs.select(&self.key(Tag::Held, ""), PAGE_JOBS)?;
            let prefix = self.key(Tag::Held, "").len();
            let mut back = Vec::new();
            for (key, entry) in &page.objects {
                if let Entry::Held(held) = entry {
                    let id = String::from_utf8_lossy(&key[prefix..]).into_owned();
                    let attempts = held.attempt.saturating_sub(1);
                    back.push((waiting(self.topic, held.place), Entry::Waiting(Waiting { id, attempts })));
                }
            }
            self.tables.jobs.insert_all(back.iter().map(|(key, entry)| (key.as_slice(), entry)))?;
            self.tables.jobs.delete_all(page.objects.into_iter().map(|(key, _)| key))?;
            if page.next.is_none() {
                return Ok(());
            }
        }
    }
}
