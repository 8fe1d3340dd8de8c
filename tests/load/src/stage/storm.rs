//! A connect storm: a crowd that comes as fast as the driver can connect, with a bounded number not through at once, and
//! what became of each: connected, session open and poll sent, or failed.

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Error, Result, ensure};
use rustix::io::Errno;

use super::{Stage, TURN};
use crate::child::Server;
use crate::client::{Came, Then};
use crate::crowd::Rooms;

/// Whoever is not through by then has failed. Three lost SYNs in a row are 7 s.
const STORM_TIME_MAX: Duration = Duration::from_secs(30);
/// Connections begun before the driver looks at what has come: its own backlog is not to be taken for the server's.
const BEGUN_AT_ONCE: usize = 32;

/// What became of the crowd.
#[derive(Default)]
pub(crate) struct Storm {
    /// SYN to connected.
    pub(crate) connect_micros: Vec<u32>,
    /// SYN to the answer that opens the session.
    pub(crate) session_micros: Vec<u32>,
    pub(crate) refused: u64,
    /// Or closed.
    pub(crate) reset: u64,
    pub(crate) timed_out: u64,
    pub(crate) failed_otherwise: u64,
    /// How many have a session or have failed before.
    through: usize,
}

impl Storm {
    pub(crate) fn failed(&self) -> u64 {
        self.refused + self.reset + self.timed_out + self.failed_otherwise
    }

    fn fail(&mut self, error: &Error) {
        let raw = |cause: &(dyn std::error::Error + 'static)| {
            let of_kernel = cause.downcast_ref::<Errno>().copied();
            of_kernel.or_else(|| cause.downcast_ref::<io::Error>().and_then(Errno::from_io_error))
        };
        match error.chain().find_map(raw) {
            Some(Errno::CONNREFUSED) => self.refused += 1,
            // Without a number the peer has closed it.
            Some(Errno::CONNRESET | Errno::PIPE) | None => self.reset += 1,
            Some(Errno::TIMEDOUT) => self.timed_out += 1,
            Some(_) => self.failed_otherwise += 1,
        }
    }
}

impl Stage {
    /// Lets the crowd come, and then one publisher.
    pub(crate) fn storm(server: &Server, members: usize, rooms: Rooms, at_once: usize) -> Result<(Self, Storm)> {
        let mut stage = Self::empty(server, members, rooms, 1)?;
        let mut storm = Storm::default();
        let mut begun = Vec::with_capacity(members);
        let start = stage.began;
        while storm.through < members && start.elapsed() < STORM_TIME_MAX {
            for _ in 0..BEGUN_AT_ONCE {
                if begun.len() < members && begun.len() < storm.through + at_once {
                    stage.client.begin(server.listen())?;
                    begun.push(Instant::now());
                }
            }
            stage.storm_turn(&begun, &mut storm)?;
        }
        let begun = begun.len();
        ensure!(begun == members, "only {begun} of {members} connections were begun in {STORM_TIME_MAX:?}");
        for id in 0..members {
            if !stage.crowd.is_open(id) && !stage.crowd.has_left(id) {
                storm.timed_out += 1;
                stage.crowd.leave(id);
            }
        }
        stage.client.connect(server.listen())?;
        Ok((stage, storm))
    }

    fn storm_turn(&mut self, begun: &[Instant], storm: &mut Storm) -> Result<()> {
        let Self { client, crowd, .. } = self;
        let timeout = if begun.len() < crowd.len() { Duration::from_millis(1) } else { TURN };
        client.turn(timeout, |id, came, out| {
            let micros = begun[id].elapsed().as_micros() as u32;
            match came {
                Came::Connected => storm.connect_micros.push(micros),
                Came::Broken(error) => {
                    storm.fail(&error);
                    storm.through += usize::from(!crowd.is_open(id));
                    crowd.leave(id);
                    return Ok(Then::Idle);
                }
                Came::Response(_) | Came::Rested => (),
            }
            let was_open = crowd.is_open(id);
            let then = crowd.take(id, came, out)?;
            if !was_open && crowd.is_open(id) {
                storm.session_micros.push(micros);
                storm.through += 1;
            }
            Ok(then)
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_failures_apart() {
        let mut storm = Storm::default();
        storm.fail(&Error::from(Errno::CONNREFUSED).context("cannot connect"));
        storm.fail(&Error::from(io::Error::from_raw_os_error(Errno::CONNRESET.raw_os_error())).context("connection 3"));
        storm.fail(&anyhow::anyhow!("the server closed the connection"));
        storm.fail(&Error::from(Errno::TIMEDOUT));
        storm.fail(&Error::from(Errno::NOBUFS));
        let told = (storm.refused, storm.reset, storm.timed_out, storm.failed_otherwise);
        assert_eq!((told, storm.failed()), ((1, 2, 1, 1), 5));
    }
}
