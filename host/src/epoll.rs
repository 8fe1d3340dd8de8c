//! The epoll instance of a worker, for the sockets that have no task. Edge-triggered: a socket that was read dry costs
//! nothing until more comes.

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Sockets that are looked at before everybody else has a turn.
pub const READY_MAX: usize = 256;

/// The instance.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

/// Which sockets have something to do, by their keys; used again and again.
pub struct Ready(Vec<epoll::Event>);

impl Epoll {
    /// Without sockets.
    pub fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(CreateFlags::CLOEXEC)?))
    }

    /// From now on the socket is ready under this key when something comes, or has come already.
    pub fn add(&self, socket: impl AsFd, key: u64) -> io::Result<()> {
        Ok(epoll::add(&self.0, socket, EventData::new_u64(key), EventFlags::IN | EventFlags::RDHUP | EventFlags::ET)?)
    }

    /// It is ready once more, though nothing new may have come: at once, or when it takes what is written.
    pub fn again(&self, socket: impl AsFd, key: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::modify(&self.0, socket, EventData::new_u64(key), flags)?)
    }

    /// It is not ready any more, but for what was found before.
    pub fn remove(&self, socket: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.0, socket)?)
    }

    /// Finds what is ready now.
    pub fn find(&self, ready: &mut Ready) -> io::Result<()> {
        ready.0.clear();
        match epoll::wait(&self.0, spare_capacity(&mut ready.0), Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Default for Ready {
    fn default() -> Self {
        Self(Vec::with_capacity(READY_MAX))
    }
}

impl Ready {
    /// How many there are; as many as there may be when there are more.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its key, and whether nothing more comes after what there is to read: that is told but once.
    pub fn get(&self, at: usize) -> (u64, bool) {
        // Copies first: the kernel's struct is packed.
        let (data, flags) = (self.0[at].data, self.0[at].flags);
        (data.u64(), flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR))
    }
}
