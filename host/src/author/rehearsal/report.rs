//! What came of it, for people and as JSON.

use super::Played;
use super::accept::Accepted;
use super::fault::Strained;
use super::script::Script;
use super::verdict::{Difference, Failure, Measured};
use crate::commands::layout::{Columns, bytes, count, micros};
use crate::http_client::plain;
use crate::limits::Limits;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::IsTerminal as _;

/// How many refusals that nobody had expected are told of a file.
const NOTES_MAX: usize = 10;
/// Of a line of a file so much is shown.
const LINE_CHARS: usize = 120;

/// Whether whoever reads sees colours.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Style {
    Coloured,
    Plain,
}

impl Style {
    /// On terminals that have nothing against it (`NO_COLOR`).
    pub(super) fn of_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if std::io::stdout().is_terminal() && !unwanted { Self::Coloured } else { Self::Plain }
    }

    fn paint(self, code: &str, words: &str) -> String {
        match self {
            Self::Coloured => format!("\x1b[{code}m{words}\x1b[0m"),
            Self::Plain => words.to_owned(),
        }
    }
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// A line a file, and below it what failed; then the strain.
pub(super) fn text(played: &[Played<'_>], faults: &[Strained], limits: &Limits, style: Style) -> String {
    let mut text = String::new();
    for one in played {
        let file = style.paint(BOLD, &plain(&one.script.file.display().to_string()));
        let verdict = match &one.verdict {
            Ok(verdict) => verdict,
            Err(fault) => {
                let _ = writeln!(text, "{file}: {}: {}", style.paint(RED, "FAILED"), plain(&fault.report()));
                continue;
            }
        };
        let steps = count(one.script.steps.len(), "step");
        let checks = one.script.checks();
        let result = match verdict.failures.len() {
            0 => format!("{}, {steps}, {checks} compared", style.paint(GREEN, "ok")),
            failed => format!("{}, {steps}, {checks} compared, {failed} failed", style.paint(RED, "FAILED")),
        };
        let _ = writeln!(text, "{file}: {result}; {}", measured(&verdict.measured, limits));
        if checks == 0 {
            let _ = writeln!(text, "  it expects nothing yet; --accept records what comes");
        }
        for failure in &verdict.failures {
            text.push_str(&self::failure(one.script, failure, style));
        }
        for note in verdict.notes.iter().take(NOTES_MAX) {
            let _ = writeln!(text, "  {}", style.paint(DIM, &plain(note)));
        }
        if let Some(more) = verdict.notes.len().checked_sub(NOTES_MAX).filter(|more| *more > 0) {
            let _ = writeln!(text, "  {}", style.paint(DIM, &format!("and {more} more; --json has all")));
        }
    }
    if !faults.is_empty() {
        text.push_str(&strain(faults, style));
    }
    text
}

fn measured(measured: &Measured, limits: &Limits) -> String {
    let of = |share: f64| micros(percentile_us(&measured.route_ns, share));
    let (p50, p99, max) = (of(0.5), of(0.99), of(1.0));
    let (memory, memory_max) = (bytes(measured.memory_bytes), bytes(limits.instance_bytes_max));
    format!("route p50 {p50}, p99 {p99}, max {max} of {} ms; memory {memory} of {memory_max}", limits.route_ms_max)
}

/// The smallest that is no less than this share of them.
fn percentile_us(ascending_ns: &[u64], share: f64) -> Option<f64> {
    let at = (ascending_ns.len() as f64 * share).ceil() as usize;
    ascending_ns.get(at.max(1) - 1).map(|ns| *ns as f64 / 1e3)
}

/// A step that failed, over several lines.
fn failure(script: &Script, failure: &Failure<'_>, style: Style) -> String {
    let line = script.line(failure.step).trim();
    let shown = match line.char_indices().nth(LINE_CHARS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    };
    let head = style.paint(BOLD, &format!("line {}", failure.step.line));
    let mut text = format!("\n  {head}  {}\n", plain(&shown));
    for line in failure_lines(failure, style) {
        let _ = writeln!(text, "    {line}");
    }
    text
}

/// What is different, and what the rule logged.
pub(super) fn failure_lines(failure: &Failure<'_>, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    for difference in &failure.differences {
        match difference {
            Difference::Words(words) => lines.push(style.paint(RED, &plain(words))),
            Difference::Messages { of, lines: messages } => {
                let head = match messages.iter().all(|(sign, _)| *sign == '+') {
                    true => format!("{of} was to receive nothing, and received"),
                    false if messages.iter().all(|(sign, _)| *sign == '-') => {
                        format!("{of} received nothing, and was to receive")
                    }
                    false => format!("{of} (- expected, + came)"),
                };
                lines.push(plain(&head));
                for (sign, words) in messages {
                    let words = plain(words);
                    lines.push(match sign {
                        '-' => style.paint(RED, &format!("  - {words}")),
                        '+' => style.paint(GREEN, &format!("  + {words}")),
                        '?' => style.paint(YELLOW, &format!("      {words}")),
                        _ => style.paint(DIM, &format!("    {words}")),
                    });
                }
            }
        }
    }
    lines.extend(failure.log.iter().map(|line| style.paint(DIM, &format!("log: {}", plain(line)))));
    lines
}

/// A failure in one line.
pub(super) fn first_words(failure: &Failure<'_>) -> String {
    match failure.differences.first() {
        Some(Difference::Words(words)) => words.clone(),
        Some(Difference::Messages { of, .. }) => format!("{of} did not receive what was expected"),
        None => String::new(),
    }
}

fn strain(faults: &[Strained], style: Style) -> String {
    let failed: Vec<_> = faults.iter().filter(|strained| !strained.failed.is_empty()).collect();
    let head = match failed.len() {
        0 => {
            format!(
                "{} with each of {} limits at a tenth, one after the other\n",
                style.paint(GREEN, "survives"),
                faults.len()
            )
        }
        some => {
            format!("with each of {} limits at a tenth, one after the other, {some} of them are felt\n", faults.len())
        }
    };
    let mut rows = Columns::of(["LIMIT", "AT", "WHAT COMES OF IT"]);
    for strained in faults {
        let mut words = strained.failed.iter();
        let first = words.next().cloned().unwrap_or_else(|| "survives".into());
        rows.row([strained.limit.into(), strained.value.to_string(), first]);
        words.for_each(|more| rows.row([String::new(), String::new(), more.clone()]));
    }
    format!("\n{head}{}", rows.text(""))
}

/// The same for programs.
pub(super) fn json(played: &[Played<'_>], faults: &[Strained], limits: &Limits) -> Value {
    let file = |one: &Played<'_>| match &one.verdict {
        Err(fault) => json!({"file": one.script.file, "passed": false, "error": fault.report()}),
        Ok(verdict) => {
            let Measured { route_ns, memory_bytes } = &verdict.measured;
            let failures = verdict.failures.iter().map(|failure| failure_json(one, failure));
            json!({
                "file": one.script.file,
                "passed": verdict.passed(),
                "steps": one.script.steps.len(),
                "compared": one.script.checks(),
                "failures": failures.collect::<Vec<_>>(),
                "notes": verdict.notes,
                "events": route_ns.len(),
                "route_us": {
                    "p50": percentile_us(route_ns, 0.5),
                    "p99": percentile_us(route_ns, 0.99),
                    "max": percentile_us(route_ns, 1.0),
                },
                "memory_bytes": memory_bytes,
            })
        }
    };
    let strained = |one: &Strained| json!({"limit": one.limit, "at": one.value, "failed": one.failed});
    let mut all = json!({
        "passed": played.iter().all(Played::passed),
        "files": played.iter().map(file).collect::<Vec<_>>(),
        "limits": {"route_ms_max": limits.route_ms_max, "instance_bytes_max": limits.instance_bytes_max},
    });
    if !faults.is_empty() {
        all["faults"] = faults.iter().map(strained).collect();
    }
    all
}

fn failure_json(played: &Played<'_>, failure: &Failure<'_>) -> Value {
    let (line, words) = (played.script.line(failure.step).trim(), failure_lines(failure, Style::Plain));
    json!({"line": failure.step.line, "step": line, "differences": words})
}

/// What was written: a line a file, and below it what is nothing to expect.
pub(super) fn accepted_text(accepted: &[Accepted<'_>], style: Style) -> String {
    let mut text = String::new();
    for one in accepted {
        let file = plain(&one.played.script.file.display().to_string());
        let _ = match &one.steps {
            Ok(steps) => writeln!(text, "{file}: {} accepted", count(*steps, "step")),
            Err(words) => writeln!(text, "{file}: nothing accepted: {}", plain(words)),
        };
        one.left().for_each(|left| text.push_str(&failure(one.played.script, left, style)));
    }
    text
}

/// The same for programs.
pub(super) fn accepted_json(accepted: &[Accepted<'_>]) -> Value {
    let file = |one: &Accepted<'_>| {
        let (file, left) = (&one.played.script.file, one.left().map(|left| failure_json(one.played, left)));
        match &one.steps {
            Ok(steps) => json!({"file": file, "accepted": steps, "failures": left.collect::<Vec<_>>()}),
            Err(words) => json!({"file": file, "accepted": 0, "error": words}),
        }
    };
    json!({"files": accepted.iter().map(file).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        assert_eq!(percentile_us(&[], 0.5), None);
        assert_eq!(percentile_us(&[7_000], 0.01), Some(7.0));
        let hundred: Vec<u64> = (1..=100).map(|us| us * 1000).collect();
        assert_eq!([0.5, 0.99, 1.0].map(|share| percentile_us(&hundred, share)), [Some(50.0), Some(99.0), Some(100.0)]);
    }

    #[test]
    fn colours_are_for_terminals() {
        assert_eq!(Style::Plain.paint(RED, "no"), "no");
        assert_eq!(Style::Coloured.paint(RED, "no"), "\x1b[31mno\x1b[0m");
    }
}
