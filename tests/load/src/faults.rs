//! What a run may not have: deliveries that did not come, came twice, in the wrong order or to the wrong room.

use std::ops::Add;

use crate::report::Figure;

/// How often something came that should not have, or did not come. The first four are 0 in a sound run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) reordered: u64,
    pub(crate) misnumbered: u64,
    /// Members that a publish did not name as recipients.
    pub(crate) absent_recipients: u64,
    pub(crate) refused: u64,
}

impl Faults {
    pub(crate) fn figures(self) -> Vec<Figure> {
        vec![
            Figure::fault("lost", self.lost),
            Figure::fault("doubled", self.doubled),
            Figure::fault("reordered", self.reordered),
            Figure::fault("misnumbered", self.misnumbered),
            Figure::count("absent_recipients", self.absent_recipients),
            Figure::count("refused_503", self.refused),
        ]
    }
}

impl Add for Faults {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            lost: self.lost + other.lost,
            doubled: self.doubled + other.doubled,
            reordered: self.reordered + other.reordered,
            misnumbered: self.misnumbered + other.misnumbered,
            absent_recipients: self.absent_recipients + other.absent_recipients,
            refused: self.refused + other.refused,
        }
    }
}
