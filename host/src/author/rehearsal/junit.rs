//! What came of it as the XML of `JUnit`, which CI servers show: a suite a file, a case a step that is looked at.

use super::report::failure_lines;
use super::script::Expected;
use super::{Played, Style};
use std::fmt::Write as _;

/// The whole document.
pub(super) fn xml(played: &[Played<'_>]) -> String {
    document(|xml| played.iter().for_each(|one| suite(xml, one)))
}

/// The document if nothing could be played: what a CI server kept of the run before must not pass for this one's.
pub(super) fn nothing_played(what: &str, why: &str) -> String {
    document(|xml| error(xml, &text(what), "preparation", &text(why)))
}

fn document(fill: impl FnOnce(&mut String)) -> String {
    let mut xml =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"volley plugin test\">\n");
    fill(&mut xml);
    xml.push_str("</testsuites>\n");
    xml
}

/// A suite of one case, which could not be looked at.
fn error(xml: &mut String, suite: &str, case: &str, words: &str) {
    let _ = writeln!(xml, "  <testsuite name=\"{suite}\" tests=\"1\" failures=\"0\" errors=\"1\" time=\"0\">");
    let _ =
        writeln!(xml, "    <testcase classname=\"{suite}\" name=\"{case}\"><error message=\"{words}\"/></testcase>");
    xml.push_str("  </testsuite>\n");
}

fn suite(xml: &mut String, played: &Played<'_>) {
    let name = text(&played.script.file.display().to_string());
    let verdict = match &played.verdict {
        Ok(verdict) => verdict,
        Err(fault) => return error(xml, &name, "init", &text(&fault.report())),
    };
    let failed = |at: usize| verdict.failures.iter().find(|failure| failure.at == at);
    // One that is not looked at is a case only if the rule failed in it.
    let is_case = |at: usize| played.script.steps[at].expected != Expected::Anything || failed(at).is_some();
    let cases: Vec<_> = (0..played.script.steps.len()).filter(|at| is_case(*at)).collect();
    let seconds = verdict.measured.route_ns.iter().sum::<u64>() as f64 / 1e9;
    let (tests, failures) = (cases.len(), verdict.failures.len());
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" time=\"{seconds:.6}\">"
    );
    for at in cases {
        let step = &played.script.steps[at];
        let case = text(&format!("line {}: {}", step.line, played.script.line(step).trim()));
        let _ = write!(xml, "    <testcase classname=\"{name}\" name=\"{case}\"");
        match failed(at) {
            None => xml.push_str("/>\n"),
            Some(failure) => {
                let lines = failure_lines(failure, Style::Plain);
                let first = text(lines.first().map_or("", |line| line.trim()));
                let _ = writeln!(xml, "><failure message=\"{first}\">{}</failure></testcase>", text(&lines.join("\n")));
            }
        }
    }
    xml.push_str("  </testsuite>\n");
}

/// As XML takes it, in an attribute or between tags. What XML cannot hold at all becomes a replacement character.
fn text(words: &str) -> String {
    words.chars().fold(String::new(), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_what_it_stands_in() {
        assert_eq!(text("<a b=\"c\">&\n\u{1b}[0m\u{0}"), "&lt;a b=&quot;c&quot;&gt;&amp;&#10;\u{fffd}[0m\u{fffd}");
    }
}
