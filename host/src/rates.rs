//! How often somebody may call: a bucket for each session and for each address, by the crate `governor`. Off unless
//! configured: a rate of [`OFF`] is not looked at.

use crate::limits::{Limits, OFF};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Instant;

/// With more addresses than that, those that have rested are forgotten now and then.
const ADDRESSES_LOOKED_AT: usize = 65_536;

type One = RateLimiter<NotKeyed, InMemoryState, DefaultClock, NoOpMiddleware<Instant>>;
type ByAddress = RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock, NoOpMiddleware<Instant>>;

/// Too many calls: they may go on after so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow {
    /// At least one.
    pub retry_after_s: u64,
}

/// The rates of one server.
pub struct Rates {
    session: Option<Quota>,
    address: Option<ByAddress>,
}

/// How often one session has called.
#[derive(Debug)]
pub struct Bucket(Box<One>);

impl Rates {
    /// As the limits say.
    pub fn new(limits: &Limits) -> Self {
        Self {
            session: quota(limits.session_requests_per_s_max),
            address: quota(limits.address_requests_per_s_max).map(RateLimiter::hashmap),
        }
    }

    /// For a fresh session.
    pub fn bucket(&self) -> Option<Bucket> {
        self.session.map(|quota| Bucket(Box::new(RateLimiter::direct(quota))))
    }

    /// Whether addresses are looked at.
    pub fn looks_at_addresses(&self) -> bool {
        self.address.is_some()
    }

    /// Notes a call of that address, unless it comes too soon.
    pub fn note(&self, address: IpAddr) -> Result<(), Slow> {
        let Some(rates) = &self.address else { return Ok(()) };
        let noted = rates.check_key(&address).map_err(|until| slow(&until));
        // Whoever has rested for a second is as good as new, so this does not grow with all who ever came.
        if rand::random_ratio(1, 1024) && rates.len() > ADDRESSES_LOOKED_AT {
            rates.retain_recent();
        }
        noted
    }
}

impl Bucket {
    /// Notes a call, unless it comes too soon.
    pub fn note(&self) -> Result<(), Slow> {
        self.0.check().map_err(|until| slow(&until))
    }
}

/// So many a second, and as many at once.
fn quota(per_s: u64) -> Option<Quota> {
    let per_s = u32::try_from(per_s).ok().filter(|_| per_s < OFF)?;
    NonZeroU32::new(per_s).map(Quota::per_second)
}

fn slow(until: &NotUntil<Instant>) -> Slow {
    let wait = until.wait_time_from(DefaultClock::default().now());
    Slow { retry_after_s: wait.as_millis().div_ceil(1000).max(1) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_off_unless_configured() {
        let rates = Rates::new(&Limits::default());
        assert!(rates.bucket().is_none() && !rates.looks_at_addresses());
        assert_eq!(rates.note(IpAddr::from([127, 0, 0, 1])), Ok(()));
    }

    #[test]
    fn a_bucket_is_one_session_or_one_address() {
        let limits = Limits { session_requests_per_s_max: 2, address_requests_per_s_max: 1, ..Limits::default() };
        let rates = Rates::new(&limits);
        let (ann, bob) = (rates.bucket().unwrap(), rates.bucket().unwrap());
        assert!(ann.note().is_ok() && ann.note().is_ok());
        assert_eq!(ann.note(), Err(Slow { retry_after_s: 1 }));
        assert!(bob.note().is_ok());
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        assert!(rates.note(one).is_ok() && rates.note(one).is_err() && rates.note(other).is_ok());
    }
}
