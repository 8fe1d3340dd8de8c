//! Running other programs: what they print is kept for the error, and a long step is announced.

use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Says on stderr, in one line, what takes long or was decided.
pub(super) fn say(line: &str) {
    eprintln!("volley: {line}");
}

/// Runs a program to its end and gives its stdout. A failure is an error that holds all that it printed.
pub(super) fn run(command: &mut Command) -> Result<String> {
    let line = shown(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{line}`"))?;
    text_of(&output, &line)
}

/// The same for a program that may hang on a network that swallows packets.
pub(super) fn run_within(bound: Duration, command: &mut Command) -> Result<String> {
    let line = shown(command);
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{line}`"))?;
    let pid = child.id();
    let (send, ended) = mpsc::channel();
    // A thread reads both pipes, since a full one would stop the child; it ends with the child.
    thread::spawn(move || send.send(child.wait_with_output()));
    let Ok(output) = ended.recv_timeout(bound) else {
        // The child belongs to the thread by now, and std can end a child only through its owner.
        let _ = Command::new("kill").arg(pid.to_string()).status();
        bail!("`{line}` took longer than {} s", bound.as_secs());
    };
    text_of(&output?, &line)
}

fn text_of(output: &Output, line: &str) -> Result<String> {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed ({}):\n{}", output.status, format!("{stdout}{stderr}").trim_end());
    }
    Ok(stdout)
}

/// The command line as a reader would type it, without quoting (it is for errors only).
pub(super) fn shown(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_what_the_program_printed() {
        let error = run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("out\nerr") && error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn a_program_that_hangs_is_given_up() {
        let error = run_within(Duration::from_millis(50), Command::new("sleep").arg("60")).unwrap_err().to_string();
        assert!(error.contains("took longer"), "{error}");
    }
}
