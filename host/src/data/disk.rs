//! The data folder as a server sees it: there from the start, from the first thing that is to be kept, or not at all.

use super::{DataDir, NotOpened, State};
use crate::config::Data;
use crate::limits::Limits;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a server keeps what outlives it, if anywhere.
pub struct Disk {
    place: Mutex<Place>,
    limits: Limits,
}

enum Place {
    Open(Arc<DataDir>),
    /// The per-user folder, which is not made before there is something to keep.
    Later(PathBuf),
    Nowhere,
}

impl Disk {
    /// With what is remembered. The folder that was asked for has to be had; the per-user one is done without if another
    /// server has it.
    pub fn open(data: &Data, limits: &Limits) -> anyhow::Result<(Self, State)> {
        let (place, state) = match data {
            Data::Off => (Place::Nowhere, State::default()),
            Data::Explicit(path) => {
                let (folder, state) = DataDir::open(path, limits)?;
                (Place::Open(Arc::new(folder)), state)
            }
            Data::PerUser(path) if !path.exists() => (Place::Later(path.clone()), State::default()),
            Data::PerUser(path) => match DataDir::open(path, limits) {
                Ok((folder, state)) => (Place::Open(Arc::new(folder)), state),
                Err(NotOpened::Held(held)) => {
                    go_without(&held);
                    (Place::Nowhere, State::default())
                }
                Err(NotOpened::Broken(error)) => return Err(error),
            },
        };
        Ok((Self { place: Mutex::new(place), limits: limits.clone() }, state))
    }

    /// The folder, if there is one already.
    pub fn opened(&self) -> Option<Arc<DataDir>> {
        match &*self.place.lock() {
            Place::Open(folder) => Some(folder.clone()),
            Place::Later(_) | Place::Nowhere => None,
        }
    }

    /// The folder, made now if need be, to keep something in it; none if nothing is to be kept.
    pub fn folder(&self) -> anyhow::Result<Option<Arc<DataDir>>> {
        let mut place = self.place.lock();
        let path = match &*place {
            Place::Open(folder) => return Ok(Some(folder.clone())),
            Place::Later(path) => path,
            Place::Nowhere => return Ok(None),
        };
        let next = match DataDir::open(path, &self.limits) {
            Ok((folder, state)) if state == State::default() => Place::Open(Arc::new(folder)),
            // It was not there when this server started: what is in it by now is another's, and not to be overwritten.
            Ok((folder, _)) => {
                go_without(&format!("another server has kept something in {}", folder.path().display()));
                Place::Nowhere
            }
            Err(NotOpened::Held(held)) => {
                go_without(&held);
                Place::Nowhere
            }
            Err(NotOpened::Broken(error)) => return Err(error),
        };
        *place = next;
        drop(place);
        Ok(self.opened())
    }
}

fn go_without(why: &dyn std::fmt::Display) {
    tracing::warn!("nothing is kept for the next start: {why}");
}
