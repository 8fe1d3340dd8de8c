//! How versions differ: JSON in a place of its own in the component, which a test overwrites.

use serde::Deserialize;
use std::hint::black_box;

/// What a test looks for, and where it writes its own settings, padded with spaces.
static PLACE: [u8; PLACE_BYTES] = padded(br#"{"name":"unwritten","release":"0.0.0"}"#);
const PLACE_BYTES: usize = 512;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// What its messages are stamped with.
    pub(crate) name: String,
    /// The `version` of its `info`.
    pub(crate) release: String,
    /// How it keeps its counts: 1 or 2.
    #[serde(default = "first")]
    pub(crate) layout: u8,
    #[serde(default)]
    pub(crate) to: To,
    /// The number, counted by each instance, of the publish on which it traps; none is 0.
    #[serde(default)]
    pub(crate) trap_at: u64,
    /// Whether it traps when it is told to.
    #[serde(default)]
    pub(crate) traps: bool,
    /// What happens before `init` returns.
    #[serde(default)]
    pub(crate) init: Fault,
    /// What happens before `upgrade` returns, with everything written.
    #[serde(default)]
    pub(crate) upgrade: Fault,
    #[serde(default)]
    pub(crate) downgrade: Fault,
    /// Whether instances trap at their start.
    #[serde(default)]
    pub(crate) load_traps: bool,
}

/// Who receives.
#[derive(Clone, Copy, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub(crate) enum To {
    #[default]
    Subscribers,
    /// All but the sender.
    Others,
    /// The enlisted as well.
    Enlisted,
}

#[derive(Clone, Copy, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    #[default]
    None,
    Error,
    Panic,
    Loop,
}

impl Settings {
    /// `black_box`, or the compiler would take what stands there now for what will always stand there.
    pub(crate) fn read() -> Self {
        serde_json::from_slice(black_box(&PLACE)).expect("settings that this guest knows")
    }
}

impl Fault {
    pub(crate) fn happen(self) -> Result<(), String> {
        match self {
            Self::None => Ok(()),
            Self::Error => Err("told to fail".into()),
            Self::Panic => panic!("told to panic"),
            Self::Loop => loop {
                black_box(());
            },
        }
    }
}

const fn first() -> u8 {
    1
}

const fn padded(text: &[u8]) -> [u8; PLACE_BYTES] {
    let mut place = [b' '; PLACE_BYTES];
    let mut at = 0;
    while at < text.len() {
        place[at] = text[at];
        at += 1;
    }
    place
}
