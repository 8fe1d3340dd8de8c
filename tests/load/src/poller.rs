//! One level-triggered epoll instance. Level-triggered, so that one short read per wake-up is enough and no second
//! read is spent to see `EAGAIN`: the reference must not cost more than the kernel asks for.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

const EVENTS_PER_WAIT_MAX: usize = 1024;

pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, events: Vec::with_capacity(EVENTS_PER_WAIT_MAX) })
    }

    /// Reports `source` as `id` whenever it is readable or closed, until it is dropped.
    pub(crate) fn watch(&self, source: impl AsFd, id: usize) -> io::Result<()> {
        let data = epoll::EventData::new_u64(id as u64);
        Ok(epoll::add(&self.epoll, source, data, epoll::EventFlags::IN)?)
    }

    /// Reports `source` as `id` once its connection is there or has failed.
    pub(crate) fn watch_connecting(&self, source: impl AsFd, id: usize) -> io::Result<()> {
        let data = epoll::EventData::new_u64(id as u64);
        Ok(epoll::add(&self.epoll, source, data, epoll::EventFlags::OUT)?)
    }

    /// From now on reports what [`Self::watch_connecting`] was given as [`Self::watch`] does.
    pub(crate) fn watch_connected(&self, source: impl AsFd, id: usize) -> io::Result<()> {
        let data = epoll::EventData::new_u64(id as u64);
        Ok(epoll::modify(&self.epoll, source, data, epoll::EventFlags::IN)?)
    }

    /// Waits for at most `timeout` (`None`: for ever) and returns how many sources are ready; see [`Self::ready`].
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let timeout =
            timeout.map(|time| Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) });
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(self.events.len()),
            Err(error) => Err(error.into()),
        }
    }

    /// The id of the `index`-th source that the last [`Self::wait`] found ready.
    pub(crate) fn ready(&self, index: usize) -> usize {
        // A copy first: the kernel's struct is packed.
        let data = self.events[index].data;
        data.u64() as usize
    }
}
