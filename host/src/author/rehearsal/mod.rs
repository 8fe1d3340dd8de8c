//! `volley plugin test`: plays recorded events to a rule, and compares what everybody receives with what they should.
//!
//! `script` is what a file says, `stage` where it is played, `verdict` what came of it; the rest tells it, or writes it
//! down as what is expected from now on.

mod accept;
mod fault;
mod json;
mod junit;
mod members;
mod reading;
mod report;
mod script;
mod stage;
mod verdict;
mod wanted;

use super::component::{Compiled, Named, ServerLimits, compile};
use crate::commands::{WrongUsage, layout};
use crate::limits::Limits;
use crate::router::{Fault, Rule};
use crate::toolchain::Language;
use anyhow::{Context as _, bail};
use clap::Args;
use report::Style;
use script::Script;
use stage::Stage;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use verdict::{Measured, Verdict};

/// For the long help: what a file may say.
pub(super) const HELP: &str = r#"A file of events has a JSON object a line:
  {"config": {"least": 5}}                        the route's config; only as the first line
  {"topic": "room.1"}                             where all that follows happens, unless it says its own "topic"
  {"open": "ann", "user": "ann", "params": {}}    opens a session; "user": null for one without
  {"join": "ann"}   {"leave": "ann"}
  {"publish": "ann", "data": {"say": "hi"}}       "publish": null is a back-end without a session
  {"exit": "ann", "reason": "timeout"}            the session ends: normal, timeout or killed
  {"wait_ms": 5000}                               time passes, and timers fire
  {"insert": {"table": "bans", "key": "bob", "value": "1"}}
  {"table": {"name": "bans", "key": "bob", "value": null}}     looks: the value there, or null for none

What is to come of a join, leave, publish, exit or wait stands on its line:
  "expect": {"ann": [{"say": "hi"}, "$any"]}      what each session receives, in order; others receive nothing,
                                                  unless "...": true says that they may. "$any" is anything, anywhere
  "refused": "words"   "invalid": "words"         some words of the refusal
Data that is no JSON is {"$text": "…"} or {"$base64": "…"}; a text is a JSON string to whoever receives it. JSON that
looks like one of these, or has "$any" in it as it is, is a text as well: {"$json": "{\"$text\": 1}"}
A line that says nothing is not compared; it only must not make the rule fail.

Time begins with the year 2026 and stands still, sessions are <0.0.1>, <0.1.1>, … in the order of opening, and random
numbers are the same each time.

Examples:
  volley plugin test rules/auction
  volley plugin test rules/auction --accept       in a file that expects nothing yet, this records everything
  volley plugin test auction.wasm --events tests/bids.jsonl --fault --junit target/junit.xml

Exit codes: 0 all is as expected, 1 something is not, 2 wrong usage."#;

/// `test`.
#[derive(Args, Debug)]
pub struct Test {
    /// The folder of a rule, which is built, or a component
    #[arg(value_name = "DIR|FILE")]
    what: PathBuf,
    /// The recorded events; may be repeated [default: DIR/tests/*.jsonl]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    events: Vec<PathBuf>,
    /// Write what came into the files, as what is expected from now on
    #[arg(long, conflicts_with = "fault")]
    accept: bool,
    /// Play everything again with each limit of rules at a tenth, one after the other, and say what fails then
    #[arg(long)]
    fault: bool,
    /// Print what came of it as JSON
    #[arg(long)]
    json: bool,
    /// Write what came of it as the XML that CI servers know from `JUnit`, too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// The route's config, as JSON, in place of what the files say
    #[arg(long, value_name = "JSON", value_parser = crate::cli::json)]
    config: Option<String>,
    #[command(flatten)]
    limits: ServerLimits,
}

/// What came of a file.
struct Played<'a> {
    script: &'a Script,
    /// The rule did not take the config: nothing was played.
    verdict: Result<Verdict<'a>, Fault>,
}

impl Played<'_> {
    fn passed(&self) -> bool {
        self.verdict.as_ref().is_ok_and(Verdict::passed)
    }
}

impl Test {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let limits = self.limits.all().map_err(WrongUsage)?;
        let (scripts, compiled) = self.prepare(&limits).or_else(|error| {
            let (what, why) = (self.what.display().to_string(), format!("{error:#}"));
            self.report_to_ci(|| junit::nothing_played(&what, &why))?;
            Err(error)
        })?;
        let config = self.config.as_deref();
        let played: Vec<_> = scripts.iter().map(|script| play(&compiled.rule, script, config, &limits)).collect();
        self.report_to_ci(|| junit::xml(&played))?;
        if self.accept {
            return self.accept(&played);
        }
        let faults = if self.fault { fault::run(&compiled.rule, &played, config, &limits) } else { Vec::new() };
        layout::say(&if self.json {
            report::json(&played, &faults, &limits).to_string()
        } else {
            report::text(&played, &faults, &limits, Style::of_stdout())
        })?;
        let failed = played.iter().filter(|played| !played.passed()).count();
        anyhow::ensure!(failed == 0, "{failed} of {} failed", layout::count(played.len(), "file"));
        Ok(())
    }

    /// The recorded events, and the rule that they are played to.
    fn prepare(&self, limits: &Limits) -> anyhow::Result<(Vec<Script>, Compiled)> {
        // What is wrong with the files is told before anything is built.
        let mut scripts = self.scripts()?;
        let named = Named::find(&self.what)?;
        let compiled = match compile(&named.bytes, limits)? {
            Ok(compiled) => compiled,
            Err(words) => bail!("{} does not fit the contract:\n  - {}", named.file.display(), words.join("\n  - ")),
        };
        if self.accept {
            // That takes time, in which their author may go on with them.
            scripts = self.scripts()?;
        }
        Ok((scripts, compiled))
    }

    fn report_to_ci(&self, xml: impl FnOnce() -> String) -> anyhow::Result<()> {
        let Some(file) = &self.junit else { return Ok(()) };
        std::fs::write(file, xml()).with_context(|| format!("can't write {}", file.display()))
    }

    /// Writes what came into the files, as far as it can be expected.
    fn accept(&self, played: &[Played<'_>]) -> anyhow::Result<()> {
        let accepted = accept::run(played);
        layout::say(&if self.json {
            report::accepted_json(&accepted).to_string()
        } else {
            report::accepted_text(&accepted, Style::of_stdout())
        })?;
        let unwritten = accepted.iter().filter(|one| one.steps.is_err()).count();
        anyhow::ensure!(unwritten == 0, "{unwritten} of {} stayed as before", layout::count(accepted.len(), "file"));
        let left: usize = accepted.iter().map(|one| one.left().count()).sum();
        anyhow::ensure!(left == 0, "{} failed, which is nothing to expect", layout::count(left, "step"));
        Ok(())
    }

    fn scripts(&self) -> anyhow::Result<Vec<Script>> {
        let files = if !self.events.is_empty() {
            self.events.clone()
        } else if self.what.is_dir() {
            Language::of(&self.what)?;
            recorded(&self.what)?
        } else if !self.what.exists() {
            bail!("there is no such file or folder: {}", self.what.display());
        } else {
            return Err(WrongUsage("name the recorded events of a component with --events FILE".into()).into());
        };
        let read = |file: PathBuf| {
            let text = std::fs::read_to_string(&file).with_context(|| format!("can't read {}", file.display()))?;
            Ok(Script::parse(&file, text)?)
        };
        files.into_iter().map(read).collect()
    }
}

/// `DIR/tests/*.jsonl`, in the order of their names.
fn recorded(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let folder = dir.join("tests");
    let entries = std::fs::read_dir(&folder).map(|entries| entries.flatten().map(|entry| entry.path()));
    let mut files: Vec<_> =
        entries.into_iter().flatten().filter(|path| path.extension() == Some("jsonl".as_ref())).collect();
    files.sort();
    let tells = "`volley plugin test --help` says what they look like";
    anyhow::ensure!(!files.is_empty(), "there are no recorded events: {}/*.jsonl ({tells})", folder.display());
    Ok(files)
}

fn play<'a>(rule: &Arc<Rule>, script: &'a Script, config: Option<&str>, limits: &Limits) -> Played<'a> {
    let config = config.or(script.config.as_deref()).unwrap_or("null");
    let verdict = Stage::new(rule, config, limits.clone()).map(|mut stage| {
        let outcomes = stage.play(script);
        let (mut route_ns, memory_bytes) = (std::mem::take(&mut stage.route_ns), stage.memory_bytes_max);
        route_ns.sort_unstable();
        Verdict::of(script, outcomes, Measured { route_ns, memory_bytes })
    });
    Played { script, verdict }
}
