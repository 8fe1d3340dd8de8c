//! A terminal with a shell in it: commands are typed in one after the other, as a person would, and its screen is read.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Stands behind what a shell was told, on its screen, with the number of commands that have failed.
const DONE: &str = "<<done, failed:";

/// All that was printed, and that there is more of it.
#[derive(Default)]
struct Screen {
    text: Mutex<Vec<u8>>,
    more: Condvar,
}

/// It and whatever runs in it end with their holder.
pub(crate) struct Terminal {
    /// For whatever is waited for on its screen.
    patience: Duration,
    shell: Child,
    keyboard: ChildStdin,
    screen: Arc<Screen>,
}

impl Terminal {
    /// What is printed, also as an error, comes onto one screen.
    pub(crate) fn open(shell: &mut Command, patience: Duration) -> Self {
        let mut shell = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|wrong| panic!("a shell: {wrong}"));
        let (screen, mut said) = (Arc::new(Screen::default()), shell.stdout.take().expect("piped"));
        let keyboard = shell.stdin.take().expect("piped");
        let shows = screen.clone();
        std::thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(read @ 1..) = said.read(&mut some) {
                shows.text.lock().expect("the screen").extend_from_slice(&some[..read]);
                shows.more.notify_all();
            }
        });
        let mut terminal = Self { patience, shell, keyboard, screen };
        terminal.type_in("exec 2>&1");
        terminal
    }

    /// Types it in, and does not wait.
    pub(crate) fn type_in(&mut self, commands: &str) {
        writeln!(self.keyboard, "{commands}").expect("the shell reads");
    }

    /// Types it in, waits until it is done, and says what was printed and how many commands have failed.
    #[track_caller]
    pub(crate) fn run(&mut self, commands: &str) -> (String, u32) {
        let before = self.screen.text.lock().expect("the screen").len();
        let count = "failed=0; trap 'failed=$((failed + 1))' ERR";
        self.type_in(&format!("{count}\n{commands}\ntrap - ERR; echo \"{DONE} $failed>>\""));
        self.look(before, commands, |said| {
            let (said, failed) = said.rsplit_once(DONE)?;
            Some((said.to_owned(), failed.strip_suffix(">>\n")?.trim().parse().expect("a number")))
        })
    }

    /// Waits until the condition likes what is on the screen.
    #[track_caller]
    pub(crate) fn wait_for<T>(&self, what: &str, likes: impl Fn(&str) -> Option<T>) -> T {
        self.look(0, what, likes)
    }

    #[track_caller]
    fn look<T>(&self, from: usize, what: &str, likes: impl Fn(&str) -> Option<T>) -> T {
        let until = Instant::now() + self.patience;
        let mut text = self.screen.text.lock().expect("the screen");
        loop {
            let screen = String::from_utf8_lossy(&text[from..]);
            if let Some(found) = likes(&screen) {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited {:?} for {what}; the screen shows\n{screen}", self.patience);
            drop(screen);
            text = self.screen.more.wait_timeout(text, left).expect("the screen").0;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.shell.id())]).status();
        let _ = self.shell.wait();
    }
}
