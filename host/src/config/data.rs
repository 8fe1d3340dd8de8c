//! Where is kept what outlives a restart.

use super::BadConfig;
use std::path::PathBuf;

/// Where is kept what outlives a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// In this folder.
    Explicit(PathBuf),
    /// In this one of the user's, from the moment there is something to keep; nowhere if another server has it.
    PerUser(PathBuf),
    /// Nowhere.
    Off,
}

impl Data {
    pub(super) fn of(asked_for: Option<PathBuf>, ephemeral: bool) -> Result<Self, BadConfig> {
        match asked_for {
            _ if ephemeral => Ok(Self::Off),
            Some(path) => Ok(Self::Explicit(path)),
            None => Ok(Self::PerUser(per_user()?)),
        }
    }

    /// Nowhere, unless somebody has said where.
    #[must_use]
    pub fn if_asked_for(self) -> Self {
        match self {
            Self::PerUser(_) => Self::Off,
            asked_for => asked_for,
        }
    }
}

fn per_user() -> Result<PathBuf, BadConfig> {
    match std::env::var_os("XDG_DATA_HOME").map(PathBuf::from) {
        Some(folder) if folder.is_absolute() => Ok(folder.join("volley")),
        _ => match std::env::home_dir() {
            Some(home) if home.is_absolute() => Ok(home.join(".local/share/volley")),
            _ => Err(BadConfig(
                "--data DIR or --ephemeral is needed: this user has no home folder to keep things in".into(),
            )),
        },
    }
}
