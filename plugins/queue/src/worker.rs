//! The workers of a queue, and who is next.

use serde::{Deserialize, Serialize};
use volley_plugin::{Error, Key, Pid};

use crate::queue::Queue;

#[derive(Deserialize, Serialize)]
pub(crate) struct Worker {
    /// The event since which it waits.
    since: u64,
    pub(crate) jobs: Vec<String>,
}

/// Workers come and go, have jobs and are without.
impl Queue<'_> {
    pub(crate) fn has_workers(self) -> Result<bool, Error> {
        Ok(!self.tables.workers.select(&self.prefix(), 1)?.objects.is_empty())
    }

    /// All of it or, on an error, nothing.
    pub(crate) fn seat(self, pid: Pid, jobs: Vec<String>) -> Result<(), Error> {
        let (worker, worker_key) = (Worker { since: self.event, jobs }, self.worker_key(pid));
        self.tables.workers.insert(&worker_key, &worker)?;
        if worker.jobs.len() >= self.tables.config.jobs_per_worker.into() {
            return Ok(());
        }
        let has_turn = self.tables.ready.insert(&self.turn(pid, &worker), &pid);
        has_turn.inspect_err(|_| drop(self.tables.workers.delete(&worker_key)))
    }

    pub(crate) fn unseat(self, pid: Pid) -> Result<Option<Worker>, Error> {
        let worker = self.tables.workers.take(&self.worker_key(pid))?;
        if let Some(worker) = &worker {
            self.tables.ready.delete(&self.turn(pid, worker))?;
        }
        Ok(worker)
    }

    pub(crate) fn gets(self, pid: Pid, job: String) -> Result<(), Error> {
        let Some(mut worker) = self.unseat(pid)? else { return Ok(()) };
        worker.jobs.push(job);
        self.seat(pid, worker.jobs)
    }

    pub(crate) fn is_rid_of(self, pid: Pid, job: &str) -> Result<(), Error> {
        let Some(mut worker) = self.unseat(pid)? else { return Ok(()) };
        worker.jobs.retain(|id| id != job);
        self.seat(pid, worker.jobs)
    }

    pub(crate) fn next_worker(self) -> Result<Option<Pid>, Error> {
        loop {
            let Some((turn, pid)) = self.tables.ready.select(&self.prefix(), 1)?.objects.pop() else { return Ok(None) };
            let worker = self.tables.workers.get(&self.worker_key(pid))?;
            if worker.is_some_and(|worker| self.turn(pid, &worker) == turn) {
                return Ok(Some(pid));
            }
            // A rule was stopped when this one went, or got a job.
            self.tables.ready.delete_all([turn])?;
        }
    }

    /// The key in `ready`: who has the fewest jobs first, then who has waited longest.
    fn turn(self, pid: Pid, worker: &Worker) -> Vec<u8> {
        let mut key = self.prefix();
        key.push(worker.jobs.len() as u8);
        worker.since.write(&mut key);
        pid.write(&mut key);
        key
    }

    fn worker_key(self, pid: Pid) -> Vec<u8> {
        let mut key = self.prefix();
        pid.write(&mut key);
        key
    }

    fn prefix(self) -> Vec<u8> {
        [self.topic.as_bytes(), &[0]].concat()
    }
}
