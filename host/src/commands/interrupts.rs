//! What ends a command that goes on by itself: Ctrl-C, SIGTERM, and the terminal that goes away.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Whoever sends one of these wants what there is by then.
pub(super) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    /// None under `nohup`, which is there to have this one ignored.
    hang_up: Option<Signal>,
}

impl Interrupts {
    /// From now on they end nothing by themselves.
    pub(super) fn catch() -> io::Result<Self> {
        let hang_up = if is_ignored(SignalKind::hangup()) { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hang_up })
    }

    pub(super) async fn next(&mut self) {
        let hung_up = async {
            match &mut self.hang_up {
                Some(hang_up) => drop(hang_up.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = hung_up => {}
        }
    }
}

/// Whether whoever started this process has it ignore a signal (proc(5)).
fn is_ignored(signal: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.unwrap_or(0) >> (signal.as_raw_value() - 1) & 1 == 1
}
