//! Which layout a plugin's tables have. Releases name layouts: one that migrates brings its own, and any other reads that of
//! the last one before it that did. Which release came before which outlives the versions, so that one which is pushed again,
//! or mended, stays as old as it is.

use crate::data::ReleaseState;

/// So many releases are told apart, the newest; an older one that is pushed again is new.
const RELEASES_MAX: usize = 1_000;

/// The releases of a plugin, and the layout of its tables.
#[derive(Clone, Default)]
pub struct Layouts {
    /// In the order in which they were first known.
    releases: Vec<ReleaseState>,
    /// The release that the tables have their layout from; none as long as nothing has migrated.
    current: Option<String>,
}

impl Layouts {
    /// As it was kept.
    pub(super) fn kept(releases: Vec<ReleaseState>, current: Option<String>) -> Self {
        Self { releases, current }
    }

    /// To be kept.
    pub(super) fn to_keep(&self) -> (Vec<ReleaseState>, Option<String>) {
        (self.releases.clone(), self.current.clone())
    }

    /// The release that the tables have their layout from, if one has changed it.
    pub(super) fn current(&self) -> Option<&str> {
        self.current.as_deref()
    }

    /// A version of that release is there.
    pub(super) fn know(&mut self, release: &str) {
        if self.place(release).is_some() {
            return;
        }
        if self.releases.len() == RELEASES_MAX {
            self.releases.remove(0);
        }
        self.releases.push(ReleaseState { release: release.to_owned(), lays_out: false });
    }

    /// The same of one that was brought along: it was there before any that was pushed.
    pub(super) fn know_first(&mut self, release: &str) {
        if self.place(release).is_none() {
            self.releases.truncate(RELEASES_MAX - 1);
            self.releases.insert(0, ReleaseState { release: release.to_owned(), lays_out: false });
        }
    }

    /// Nothing has migrated yet.
    pub(super) fn begin(&mut self) {
        self.current = None;
    }

    /// A version of that release has brought its own layout.
    pub(super) fn laid_out_by(&mut self, release: &str) {
        self.know(release);
        if let Some(place) = self.place(release) {
            self.releases[place].lays_out = true;
        }
        self.current = Some(release.to_owned());
    }

    /// The tables have gone back to what that release reads. The layouts that came after it are undone: who came after one
    /// of them does not read it for that.
    pub(super) fn back_to(&mut self, release: &str) {
        let until = self.place(release).map_or(0, |place| place + 1);
        for undone in &mut self.releases[until..] {
            undone.lays_out = false;
        }
        let last = self.releases[..until].iter().rev().find(|known| known.lays_out);
        self.current = last.map(|known| known.release.clone());
    }

    /// Whether that release can't know the layout: it was there before the one that brought it.
    pub(super) fn is_too_new_for(&self, release: &str) -> bool {
        let Some(current) = &self.current else { return false };
        match (self.place(release), self.place(current)) {
            (Some(release), Some(current)) => release < current,
            _ => false,
        }
    }

    fn place(&self, release: &str) -> Option<usize> {
        self.releases.iter().position(|known| known.release == release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knowing(releases: &[&str]) -> Layouts {
        let mut layouts = Layouts::default();
        for release in releases {
            layouts.know(release);
        }
        layouts
    }

    #[test]
    fn who_came_before_a_layout_does_not_know_it() {
        let mut layouts = knowing(&["0.1", "0.2", "0.3"]);
        assert!(!layouts.is_too_new_for("0.1"), "nothing has migrated");
        layouts.laid_out_by("0.2");
        assert_eq!(
            ["0.1", "0.2", "0.3", "0.4"].map(|release| layouts.is_too_new_for(release)),
            [true, false, false, false]
        );
        layouts.know("0.1");
        assert!(layouts.is_too_new_for("0.1"), "it is as old as it was");
    }

    #[test]
    fn a_way_back_leads_to_the_layout_before() {
        let mut layouts = knowing(&["0.1", "0.2", "0.3", "0.4"]);
        layouts.laid_out_by("0.2");
        layouts.laid_out_by("0.4");
        layouts.back_to("0.3");
        assert_eq!(layouts.current(), Some("0.2"));
        layouts.back_to("0.1");
        assert_eq!(layouts.current(), None);
        assert!(!layouts.is_too_new_for("0.1"));
    }

    /// It was taken for the layout of what came after it was undone: tables in the old one got the version for the new.
    #[test]
    fn a_layout_that_is_undone_is_nobodys() {
        let mut layouts = knowing(&["0.1.0", "0.2.0"]);
        layouts.laid_out_by("0.2.0");
        layouts.back_to("0.1.0");
        layouts.know("0.1.1");
        layouts.know("0.2.1");
        layouts.laid_out_by("0.2.1");
        layouts.back_to("0.1.1");
        assert_eq!(layouts.current(), None);
    }

    #[test]
    fn what_is_brought_is_older_than_what_was_pushed() {
        let mut layouts = knowing(&["0.2.0"]);
        layouts.laid_out_by("0.2.0");
        layouts.know_first("0.1.0");
        assert!(layouts.is_too_new_for("0.1.0"));
    }

    #[test]
    fn releases_are_bounded() {
        let mut layouts = Layouts::default();
        for release in 0..=RELEASES_MAX {
            layouts.know(&release.to_string());
        }
        assert_eq!((layouts.releases.len(), layouts.place("0"), layouts.place("1")), (RELEASES_MAX, None, Some(0)));
    }
}
