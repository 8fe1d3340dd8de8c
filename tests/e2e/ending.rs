//! Programs that a test runs to their end, which has to come: one that hangs fails its test, with what it has said so far,
//! instead of holding up the whole run.

use crate::harness::wait_within;
use std::io::{self, Read};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Enough for a program that builds another one on a busy machine.
const LONGEST: Duration = Duration::from_mins(5);

/// So long it may clean up once it is told to end: Node's test runner ends the processes that it has started.
const LAST_WORDS: Duration = Duration::from_secs(5);

pub(crate) trait InTime {
    /// What `Command::output` returns, in bounded time, with nothing to read and all three streams its own.
    fn output_in_time(&mut self) -> io::Result<Output>;
}

impl InTime for Command {
    #[track_caller]
    fn output_in_time(&mut self) -> io::Result<Output> {
        let child = self.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        Ok(ended_in_time(child))
    }
}

/// What `Child::wait_with_output` returns, in bounded time.
#[track_caller]
pub(crate) fn ended_in_time(child: Child) -> Output {
    ended_within(LONGEST, child)
}

#[track_caller]
fn ended_within(patience: Duration, mut child: Child) -> Output {
    drop(child.stdin.take());
    let (stdout, stderr) = (Heard::from(child.stdout.take()), Heard::from(child.stderr.take()));
    // What it has started may go on, and be heard, after it.
    let is_over = |child: &mut Child| child.try_wait().expect("wait").is_some() && stdout.is_over() && stderr.is_over();
    if wait_within(patience, || is_over(&mut child).then_some(())).is_none() {
        // Once it was waited for, its PID may be another's.
        if child.try_wait().expect("wait").is_none() {
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            wait_within(LAST_WORDS, || is_over(&mut child).then_some(()));
        }
        let _ = child.kill();
        let _ = child.wait();
        let [stdout, stderr] = [stdout, stderr].map(|heard| String::from_utf8_lossy(&heard.so_far()).into_owned());
        panic!("a program has not ended after {patience:?}; it said\n{stdout}\n{stderr}");
    }
    Output { status: child.wait().expect("wait"), stdout: stdout.so_far(), stderr: stderr.so_far() }
}

/// What comes out of a pipe, if there is one.
struct Heard {
    text: Arc<Mutex<Vec<u8>>>,
    listener: Option<JoinHandle<()>>,
}

impl Heard {
    fn from(pipe: Option<impl Read + Send + 'static>) -> Self {
        let text = Arc::<Mutex<Vec<u8>>>::default();
        let listener = pipe.map(|mut pipe| {
            let text = text.clone();
            std::thread::spawn(move || {
                let mut some = [0; 4096];
                while let Ok(read @ 1..) = pipe.read(&mut some) {
                    text.lock().expect("the text").extend_from_slice(&some[..read]);
                }
            })
        });
        Self { text, listener }
    }

    fn is_over(&self) -> bool {
        self.listener.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn so_far(&self) -> Vec<u8> {
        self.text.lock().expect("the text").clone()
    }
}

#[test]
fn a_program_that_hangs_fails_its_test_with_its_words() {
    let patience = Duration::from_millis(300);
    for hangs in ["echo before; exec sleep 60", "echo before; sleep 60 & exit"] {
        let child = Command::new("sh").args(["-c", hangs]).stdout(Stdio::piped()).spawn().expect("sh");
        let failure = std::panic::catch_unwind(|| ended_within(patience, child)).expect_err("it hangs");
        let words = failure.downcast::<String>().expect("words");
        assert!(words.contains("has not ended") && words.contains("before"), "{words}");
    }
    let output = Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]).output_in_time().expect("sh");
    assert_eq!((output.status.code(), &*output.stdout, &*output.stderr), (Some(3), &b"out\n"[..], &b"err\n"[..]));
}
