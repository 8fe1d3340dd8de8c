//! What takes longer than a second says so on stderr: in one line that moves where that is a terminal, in a line now and
//! then where it is a file.

use std::io::{IsTerminal as _, Write as _};
use std::pin::pin;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// In a file a line is written after one second, then each time that so many have passed.
const LINE_S: u64 = 10;

/// Waits for the work; meanwhile these words say what it is.
pub(super) async fn during<T>(what: impl Fn() -> String, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let (started, in_place) = (Instant::now(), std::io::stderr().is_terminal());
    let mut seconds = tokio::time::interval_at(tokio::time::Instant::now() + SECOND, SECOND);
    let mut shown = false;
    loop {
        tokio::select! {
            done = &mut work => {
                if shown && in_place {
                    write("\r\x1b[K");
                }
                return done;
            }
            _ = seconds.tick() => {
                let passed = started.elapsed().as_secs();
                if in_place {
                    write(&format!("\r\x1b[K{} ... {passed} s", what()));
                } else if passed % LINE_S == 1 {
                    write(&format!("{} ... {passed} s\n", what()));
                }
                shown = true;
            }
        }
    }
}

/// Progress that nobody can read is no reason to stop.
fn write(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}
