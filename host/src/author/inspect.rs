//! `volley plugin inspect`: what a component is made of.

use super::anatomy::{Anatomy, Memory};
use super::component::Named;
use crate::commands::layout::{self, Columns, bytes};
use crate::http_client::plain;
use crate::router::{Outline, wit_text};
use anyhow::anyhow;
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;

/// `inspect`.
#[derive(Args, Debug)]
pub struct Inspect {
    /// A component, or the folder of a rule, which is built
    #[arg(value_name = "FILE|DIR")]
    what: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let named = Named::find(&self.what)?;
        let no_component = |words: String| anyhow!("{} is not a valid component: {words}", named.file.display());
        if !named.bytes.starts_with(b"\0asm") {
            return Err(no_component("it does not begin as WebAssembly does".into()));
        }
        // It is validated before anything is believed of it.
        let outline = Outline::of(&named.bytes).map_err(no_component)?;
        let wit = wit_text(&named.bytes).map_err(no_component)?;
        let anatomy = Anatomy::of(&named.bytes)?;
        layout::say(&if self.json {
            json(&named, &outline, &anatomy, &wit).to_string()
        } else {
            text(&named, &anatomy, &wit)
        })
    }
}

fn text(named: &Named, anatomy: &Anatomy, wit: &str) -> String {
    let size = named.bytes.len() as u64;
    let part = |name: &str| bytes(anatomy.bytes_of(name));
    let mut text = format!("{}\n", plain(&named.file.display().to_string()));
    let mut row = |head: &str, words: &str| _ = writeln!(text, "  {head:<9} {}", plain(words));
    row("version", &crate::data::version_of(&named.bytes));
    let (code, data, functions) = (part("code"), part("data"), part("name"));
    row("size", &format!("{} ({size} B): code {code}, data {data}, names of functions {functions}", bytes(size)));
    row(
        "memory",
        &anatomy.memory().map_or_else(
            || "it has none".into(),
            |Memory { initial_bytes, max_bytes }| {
                let max = max_bytes
                    .map_or_else(|| "grows to the host's limit".into(), |max| format!("grows to {}", bytes(max)));
                format!("{} at the start, {max}", bytes(initial_bytes))
            },
        ),
    );
    let languages = anatomy.languages().join(", ");
    row("language", if languages.is_empty() { "its producers do not say" } else { &languages });
    for (field, values) in &anatomy.producers {
        if field != "language" {
            row(if field == "processed-by" { "made by" } else { field }, &values.join(", "));
        }
    }
    let mut sections = Columns::of(["IN", "SECTION", "SIZE"]);
    for (at, module) in anatomy.modules.iter().enumerate() {
        let functions = layout::count(module.functions as usize, "function");
        sections.row([format!("module {at}"), format!("all of it, {functions}"), bytes(module.bytes)]);
        for (name, size) in &module.sections {
            sections.row([String::new(), name.clone(), bytes(*size)]);
        }
    }
    for (name, size) in &anatomy.around {
        sections.row(["component".into(), name.clone(), bytes(*size)]);
    }
    format!("{text}\n{}\n{}", sections.text("it has no sections"), plain_lines(wit))
}

/// A component may call its things what it likes.
fn plain_lines(text: &str) -> String {
    text.lines().map(|line| plain(line) + "\n").collect()
}

fn json(named: &Named, outline: &Outline, anatomy: &Anatomy, wit: &str) -> Value {
    let all_of = |all: &[crate::router::Interface]| all.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    let memory = |memory: Memory| json!({"initial_bytes": memory.initial_bytes, "max_bytes": memory.max_bytes});
    let modules = anatomy.modules.iter().map(|module| {
        json!({
            "bytes": module.bytes, "functions": module.functions, "memory": module.memory.map(memory),
            "sections": module.sections,
        })
    });
    json!({
        "file": named.file,
        "version": crate::data::version_of(&named.bytes),
        "bytes": named.bytes.len(),
        "code_bytes": anatomy.bytes_of("code"),
        "data_bytes": anatomy.bytes_of("data"),
        "name_bytes": anatomy.bytes_of("name"),
        "memory": anatomy.memory().map(memory),
        "languages": anatomy.languages(),
        "producers": anatomy.producers,
        "modules": modules.collect::<Vec<_>>(),
        "sections": anatomy.around,
        "contract": outline.contract(),
        "imports": all_of(&outline.imports),
        "exports": all_of(&outline.exports),
        "wit": wit,
    })
}
