//! Descriptors of ours in tokio's reactor: a worker's epoll, and a socket while hyper serves it.

use crate::socket::{Home, Socket};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What has the same open descriptor for as long as it lives.
pub trait Steady: AsRawFd {}

impl Steady for Home {}
impl Steady for Socket {}

/// Enters it until the value is dropped.
// Needed, as tokio has no safe way left for a socket that others have, too. Without it each connection would have a socket
// and a task of tokio's: 1,458 B a parked poll in place of 756, measured in `volley-load compare --only idle`.
#[allow(unsafe_code)]
pub fn enter<T: Steady>(of: Arc<T>, interest: Interest) -> io::Result<AsyncFd<Arc<T>>> {
    // SAFETY: the descriptor is owned by a value behind an `Arc`, in a field that is private, never replaced, and closed
    // when that value is dropped: not before the `AsyncFd`, which has the `Arc`.
    let entered = unsafe { AsyncFd::register_with_interest(of, interest) };
    entered.map_err(io::Error::from)
}
