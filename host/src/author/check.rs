//! `volley plugin check`: what a server would say of a component, and what its operator would see.

use super::anatomy::{Anatomy, Memory};
use super::component::{Named, ServerLimits, compile, nobodys};
use crate::commands::layout::{self, bytes};
use crate::commands::{WrongUsage, push};
use crate::http_client::plain;
use crate::limits::Limits;
use crate::router::{Guest, Info, Interface, Mounted, Outline, Rule, mismatches};
use crate::shared::Shared;
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// For the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  volley plugin check auction.wasm
  volley plugin check rules/auction --config '{\"currency\":\"EUR\"}' --limit instance_bytes_max=8388608";

/// The plugin's name while it is checked; nobody sees it.
const PLUGIN: &str = "checked";

/// `check`.
#[derive(Args, Debug)]
pub struct Check {
    /// A component, or the folder of a rule
    #[arg(value_name = "FILE|DIR")]
    what: PathBuf,
    /// What its `init` is to take, as JSON [default: null, and if it answers that it does not take that, this is no reason to
    /// refuse it]
    #[arg(long, value_name = "JSON", value_parser = crate::cli::json)]
    config: Option<String>,
    #[command(flatten)]
    limits: ServerLimits,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// All that was found out.
struct Findings {
    file: PathBuf,
    version: String,
    bytes: u64,
    bytes_max: u64,
    memory_bytes_max: u64,
    /// None of what is no component.
    outline: Option<Outline>,
    info: Option<Info>,
    init: Option<Init>,
    signature: Option<PathBuf>,
    /// Why a server would refuse it.
    mismatches: Vec<String>,
}

/// What came of `init`.
struct Init {
    config: String,
    /// The memory that it has then, or the words.
    went: Result<u64, String>,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let limits = self.limits.all().map_err(WrongUsage)?;
        let named = Named::find(&self.what)?;
        let findings = Findings::of(named, self.config, limits)?;
        layout::say(&if self.json { findings.json().to_string() } else { findings.text() })?;
        anyhow::ensure!(findings.mismatches.is_empty(), "a server would refuse {}", findings.file.display());
        Ok(())
    }
}

impl Findings {
    fn of(Named { file, bytes: component }: Named, config: Option<String>, limits: Limits) -> anyhow::Result<Self> {
        let mut findings = Self {
            version: crate::data::version_of(&component),
            bytes: component.len() as u64,
            bytes_max: limits.component_bytes_max,
            memory_bytes_max: limits.instance_bytes_max,
            outline: Outline::of(&component).ok(),
            info: None,
            init: None,
            signature: None,
            mismatches: Vec::new(),
            file,
        };
        if findings.bytes > findings.bytes_max {
            let (is, may) = (bytes(findings.bytes), bytes(findings.bytes_max));
            findings.mismatches.push(format!("it has {is} and may have {may} (component_bytes_max)"));
        }
        findings.look_for_signature();
        let mut unfit = mismatches(&component);
        let memory = Anatomy::of(&component).ok().and_then(|anatomy| anatomy.memory());
        if let Some(Memory { initial_bytes, .. }) = memory
            && initial_bytes > findings.memory_bytes_max
        {
            let (is, may) = (bytes(initial_bytes), bytes(findings.memory_bytes_max));
            unfit.push(format!("it starts with {is} of memory and may have {may} (instance_bytes_max)"));
        }
        if unfit.is_empty() {
            match compile(&component, &limits)? {
                Ok(compiled) => findings.run(&compiled.rule, config, &nobodys(limits)),
                Err(words) => findings.mismatches.extend(words),
            }
        } else {
            findings.mismatches.extend(unfit);
        }
        Ok(findings)
    }

    fn run(&mut self, rule: &Arc<Rule>, config: Option<String>, shared: &Arc<Shared>) {
        let is_asked = config.is_some();
        let config = config.unwrap_or_else(|| "null".into());
        let mounted = Arc::new(Mounted { plugin: PLUGIN.into(), config, rule: rule.clone() });
        match Guest::describe(&mounted, shared) {
            Ok(info) => self.info = Some(info),
            Err(fault) => self.mismatches.push(fault.report()),
        }
        let memory = |_: Guest| shared.metrics.of_plugin(&mounted.plugin).memory.get().unsigned_abs();
        let went = Guest::warm(&mounted, shared).map(memory);
        match &went {
            Err(fault) if is_asked => self.mismatches.push(fault.report()),
            Err(fault) if !fault.is_answer() => {
                self.mismatches
                    .push(format!("{} (with the config null; --config gives it another one)", fault.report()));
            }
            _ => {}
        }
        self.init = Some(Init { config: mounted.config.clone(), went: went.map_err(|fault| fault.report()) });
    }

    /// `push` would send it along.
    fn look_for_signature(&mut self) {
        let beside = push::signature_file(&self.file);
        if !beside.is_file() {
            return;
        }
        if let Err(error) = push::read_signature(&beside) {
            self.mismatches.push(format!("its signature is none: {error:#}"));
        }
        self.signature = Some(beside);
    }

    /// What it exports besides its handler decides how it is swapped.
    fn kind(&self) -> Option<&'static str> {
        let outline = self.outline.as_ref().filter(|outline| outline.exports("handler"))?;
        Some(match (outline.exports("migration"), outline.exports("reversal")) {
            (false, _) => "plain",
            (true, false) => "migrating",
            (true, true) => "reversible",
        })
    }

    fn text(&self) -> String {
        let mut rows: Vec<(&str, String)> = Vec::new();
        rows.push(("version", self.version.clone()));
        rows.push(("size", format!("{} of {} (component_bytes_max)", bytes(self.bytes), bytes(self.bytes_max))));
        if let Some(info) = &self.info {
            rows.push(("rule", format!("{} {}: {}", info.name, info.version, info.description)));
        }
        if let Some(outline) = &self.outline {
            let built = outline.contract().unwrap_or("nothing of the kind");
            rows.push((
                "contract",
                format!("built for volley:router {built}; this volley speaks {}", Outline::spoken()),
            ));
            for (at, import) in outline.imports.iter().enumerate() {
                let may = if import.is_ours { "" } else { "  NOT ALLOWED" };
                rows.push((if at == 0 { "imports" } else { "" }, format!("{}{may}", import.name)));
            }
            for (at, export) in outline.exports.iter().enumerate() {
                let asked = if export.is_ours { "" } else { "  which nobody asks for" };
                rows.push((if at == 0 { "exports" } else { "" }, format!("{}{asked}", export.name)));
            }
        }
        if let Some(kind) = self.kind() {
            let means = match kind {
                "plain" => "it is swapped without a pause, and leaves tables as they are",
                "migrating" => "it changes its tables when it becomes active, and can't be rolled back then",
                _ => "it changes its tables when it becomes active, and back when it is rolled back",
            };
            rows.push(("swap", format!("{kind}: {means}")));
        }
        if let Some(Init { config, went }) = &self.init {
            let max = bytes(self.memory_bytes_max);
            rows.push(match went {
                Ok(memory) => {
                    ("init", format!("takes the config {config}; {} of {max} (instance_bytes_max)", bytes(*memory)))
                }
                Err(words) => ("init", format!("does not take the config {config}: {words}")),
            });
        }
        rows.push((
            "signed",
            match &self.signature {
                Some(file) => format!("{} goes with it; the server's signing_keys decide", file.display()),
                None => "no; a server with require_signed refuses it (`volley plugin sign`)".into(),
            },
        ));
        let mut text = format!("{}\n", plain(&self.file.display().to_string()));
        for (head, words) in rows {
            let _ = writeln!(text, "  {head:<9} {}", plain(&words));
        }
        match self.mismatches.as_slice() {
            [] if self.init.as_ref().is_some_and(|init| init.went.is_err()) => {
                text.push_str(
                    "it fits, if its init takes the config that its route will have: try that with --config\n",
                );
            }
            [] => text.push_str("it fits\n"),
            all => {
                text.push_str("it does not fit:\n");
                for words in all {
                    let _ = writeln!(text, "  - {}", plain(words));
                }
            }
        }
        text
    }

    fn json(&self) -> Value {
        let names = |interfaces: &dyn Fn(&Outline) -> &Vec<Interface>, key: &str| -> Vec<Value> {
            let all = self.outline.iter().flat_map(interfaces);
            all.map(|one| json!({"name": one.name, key: one.is_ours})).collect()
        };
        let init = self.init.as_ref().map(|Init { config, went }| {
            let config: Value = serde_json::from_str(config).unwrap_or_default();
            json!({"config": config, "ok": went.is_ok(), "words": went.as_ref().err(), "memory_bytes": went.as_ref().ok()})
        });
        let info = self.info.as_ref();
        json!({
            "file": self.file,
            "fits": self.mismatches.is_empty(),
            "mismatches": self.mismatches,
            "version": self.version,
            "bytes": self.bytes,
            "bytes_max": self.bytes_max,
            "contract": self.outline.as_ref().and_then(|outline| outline.contract()),
            "spoken": Outline::spoken(),
            "imports": names(&|outline| &outline.imports, "allowed"),
            "exports": names(&|outline| &outline.exports, "asked_for"),
            "swap": self.kind(),
            "info": info.map(|info| json!({
                "name": info.name, "version": info.version, "description": info.description,
            })),
            "init": init,
            "signature": self.signature.as_deref().map(Path::to_string_lossy),
        })
    }
}
