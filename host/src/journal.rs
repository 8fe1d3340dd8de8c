//! TEMP
use crate::shared::Shared;
pub struct Journal;
impl Journal {
    pub fn new(_: u64) -> Self {
        Self
    }
    pub fn undo(&self, _: &Shared) {}
}
impl crate::router::Guest {
    pub fn go_live(&mut self, _: Option<&std::sync::Arc<Journal>>) -> Result<(), crate::router::Fault> {
        Ok(())
    }
    pub fn upgrade(&mut self, _: &str, _: &str, _: &std::sync::Arc<Journal>) -> Result<(), crate::router::Fault> {
        Ok(())
    }
    pub fn downgrade(&mut self, _: &str, _: &std::sync::Arc<Journal>) -> Result<(), crate::router::Fault> {
        Ok(())
    }
}
impl crate::router::Rule {
    pub fn migrates(&self) -> bool {
        false
    }
    pub fn reverses(&self) -> bool {
        false
    }
}
