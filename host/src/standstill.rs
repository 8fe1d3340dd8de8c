//! Time that stands still and chance that repeats itself, for the thread that asks for it: what `volley plugin test` runs
//! rules under. All other threads have real time and real chance.

use std::cell::Cell;

/// When it begins, since 1970: the first second of 2026.
const BEGINS_UNIX_MS: u64 = 1_767_225_600_000;
/// And since the process began, as far as rules can tell.
const BEGINS_US: u64 = 1_000_000;
/// What chance gives follows from it (arbitrary).
const SEED: u64 = 0x766f_6c6c_6579;

thread_local! {
    static NOW_US: Cell<Option<u64>> = const { Cell::new(None) };
    static CHANCE: Cell<u64> = const { Cell::new(SEED) };
}

/// Holds time still on this thread until it is dropped.
pub struct Standstill(());

impl Standstill {
    /// From its beginning, always the same.
    pub fn begin() -> Self {
        NOW_US.set(Some(BEGINS_US));
        CHANCE.set(SEED);
        Self(())
    }

    /// Lets time jump to that moment, in milliseconds as `clock::now_ms` gives them; never back.
    pub fn jump_to(&self, now_ms: u64) {
        NOW_US.set(Some(NOW_US.get().unwrap_or(0).max(now_ms.saturating_mul(1000))));
    }
}

impl Drop for Standstill {
    fn drop(&mut self) {
        NOW_US.set(None);
    }
}

/// Microseconds since the process began, if time stands still on this thread.
pub fn now_us() -> Option<u64> {
    NOW_US.get()
}

/// Milliseconds since 1970, likewise.
pub fn unix_ms() -> Option<u64> {
    now_us().map(|now_us| BEGINS_UNIX_MS + now_us.saturating_sub(BEGINS_US) / 1000)
}

/// A number by chance, the same ones in each run, likewise.
pub fn random() -> Option<u64> {
    now_us().map(|_| {
        // SplitMix64: what it gives must not change with a library.
        let state = CHANCE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        CHANCE.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn time_stands_still_and_chance_repeats_itself_on_this_thread_alone() {
        let runs = [(); 2].map(|()| {
            let still = Standstill::begin();
            let before = (clock::now_ms(), clock::now_us(), clock::unix_ms());
            let elsewhere = std::thread::spawn(|| (clock::unix_ms(), random())).join().unwrap();
            assert_ne!(elsewhere.0, before.2);
            assert_eq!(elsewhere.1, None);
            still.jump_to(before.0 + 5_000);
            still.jump_to(0);
            assert_eq!((clock::now_ms(), clock::unix_ms()), (before.0 + 5_000, before.2 + 5_000));
            (before, [random(), random(), random()])
        });
        assert_eq!(runs[0], runs[1]);
        assert_ne!(runs[0].1[0], runs[0].1[1]);
        assert_eq!((now_us(), random()), (None, None));
        assert_ne!(clock::unix_ms(), BEGINS_UNIX_MS);
    }
}
