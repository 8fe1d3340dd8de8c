//! Bytes, after a first byte of zero, or edits of a bundled component: what is said of it is bounded and readable, and
//! what is accepted is within the contract.

use crate::mismatches::mismatches;
use crate::oracles::world;

const WORDS_MAX: usize = 101;
const WORDS_BYTES_MAX: usize = 1_000;

/// Checks one component.
pub fn check(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let base = match kind % 3 {
        0 => return is_judged(rest),
        1 => "topic",
        _ => "chat",
    };
    let mut component = crate::bundled::component(base).expect("bundled").to_vec();
    for edit in rest.chunks_exact(4) {
        let at = u32::from_le_bytes([edit[0], edit[1], edit[2], 0]) as usize % component.len();
        component[at] = edit[3];
    }
    is_judged(&component);
}

/// Checks what is said of a component, and that nothing is said rightly.
pub(super) fn is_judged(component: &[u8]) {
    let words = mismatches(component);
    assert!(words.len() <= WORDS_MAX, "{} are too many", words.len());
    for words in &words {
        assert!(!words.is_empty() && words.len() <= WORDS_BYTES_MAX, "{words:?}");
        assert!(!words.contains(char::is_control), "{words:?}");
    }
    if words.is_empty() {
        assert_ne!(world::fits(component), Some(false), "it is not within the contract");
    }
}
