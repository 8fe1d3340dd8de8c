//! `volley routes`: which plugin routes which topics. Changes are made to the routes that were read: whoever else changed
//! them in between is not overwritten.

use crate::admin_client::{AdminClient, AdminError};
use crate::commands::layout::{self, Columns};
use crate::commands::operator::{Operator, advise};
use crate::commands::plugins::json_value;
use crate::commands::progress;
use anyhow::{Context as _, bail, ensure};
use clap::{Subcommand, ValueEnum};
use reqwest::Method;
use reqwest::header::IF_MATCH;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Read as _;
use std::path::Path;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Routes {
    /// Show the routes, the most specific first
    #[command(visible_alias = "ls", after_help = "Example: volley routes get --json > routes.json")]
    Get {
        #[command(flatten)]
        operator: Operator,
    },
    /// Replace all routes by those of a file
    ///
    /// The file is a JSON array of rows as `routes get --json` prints it, or TOML with [[routes]] as in the config. When a
    /// row is wrong nothing changes.
    #[command(after_help = "Example: volley routes set routes.json")]
    Set {
        /// The file, or - for stdin
        file: String,
        #[command(flatten)]
        operator: Operator,
    },
    /// Add a route, or replace the one with the same pattern
    #[command(after_help = "Example: volley routes add 'chat.>=chat' --config '{\"history\":50}' --on-trap previous")]
    Add {
        /// Topics and the plugin that routes them; `*` is one segment, a final `>` the rest
        #[arg(value_name = "PATTERN=PLUGIN", value_parser = pair)]
        route: (String, String),
        /// The rule's config, in JSON
        #[arg(long, value_name = "JSON", value_parser = json_value)]
        config: Option<Value>,
        /// What happens to an event on which the rule traps [default: fail]
        #[arg(long, value_enum)]
        on_trap: Option<OnTrap>,
        #[command(flatten)]
        operator: Operator,
    },
    /// Remove a route
    #[command(after_help = "Example: volley routes rm 'chat.>'")]
    Rm {
        /// Its pattern, as `routes get` shows it
        pattern: String,
        #[command(flatten)]
        operator: Operator,
    },
}

/// What happens to an event on which a rule traps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OnTrap {
    /// Its publisher is told
    Fail,
    /// It goes to all subscribers of its topic
    Subscribers,
    /// The version before routes it
    Previous,
}

/// A row. Keys that this program does not know stay as they are.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
struct Row {
    topics: String,
    plugin: String,
    #[serde(default)]
    config: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_trap: Option<OnTrap>,
    #[serde(flatten)]
    more: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
struct File {
    routes: Vec<Row>,
}

/// A file of routes is not larger.
const FILE_BYTES_MAX: u64 = 4 << 20;

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((topics, plugin)) if !topics.is_empty() && !plugin.is_empty() => Ok((topics.into(), plugin.into())),
        _ => Err("expected PATTERN=PLUGIN, as in 'chat.>=chat'".into()),
    }
}

impl Routes {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Get { operator } => {
                let client = operator.client()?;
                operator.print(&client, &client.get(&["routes"], "").await?, |rows: &Vec<Row>| table(rows))
            }
            Self::Set { file, operator } => {
                let wanted = read(&file)?;
                change(&operator, |rows| {
                    *rows = wanted;
                    Ok(())
                })
                .await
            }
            Self::Add { route: (topics, plugin), config, on_trap, operator } => {
                change(&operator, |rows| {
                    rows.retain(|row| row.topics != topics);
                    let config = config.unwrap_or_default();
                    rows.push(Row { topics, plugin, config, on_trap, more: serde_json::Map::new() });
                    Ok(())
                })
                .await
            }
            Self::Rm { pattern, operator } => {
                change(&operator, |rows| {
                    let before = rows.len();
                    rows.retain(|row| row.topics != pattern);
                    ensure!(rows.len() < before, "there is no route {pattern:?}; `volley routes get` lists them");
                    Ok(())
                })
                .await
            }
        }
    }
}

/// Reads the routes, changes them, and sets them if they are still those that were read.
async fn change(operator: &Operator, edit: impl FnOnce(&mut Vec<Row>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let client = operator.client()?;
    let answer = client.get(&["routes"], "").await?;
    let before: Vec<Row> = client.read(&answer)?;
    let etag = answer.etag.context("the server names no version of its routes (ETag), so they can't be set safely")?;
    let mut rows = before.clone();
    edit(&mut rows)?;
    let set = set(&client, &rows, &etag);
    let answer = progress::during(|| "setting the routes".into(), set).await.map_err(|error| {
        advise(
            error,
            &[(412, "somebody changed the routes meanwhile: look at them (`volley routes get`) and try again")],
        )
    })?;
    operator.print(&client, &answer, |after: &Vec<Row>| what_changed(&before, after))
}

async fn set(client: &AdminClient, rows: &[Row], etag: &str) -> Result<crate::http_client::Answer, AdminError> {
    client.call(client.request(Method::PUT, &["routes"], "").header(IF_MATCH, etag).json(rows)).await
}

/// Rows of a file in either language, whose errors say in which line.
fn read(file: &str) -> anyhow::Result<Vec<Row>> {
    let mut text = String::new();
    let stdin = file == "-";
    let mut source: Box<dyn std::io::Read> = if stdin {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).with_context(|| format!("can't read {file}"))?)
    };
    let read = source.by_ref().take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    let read = read.with_context(|| format!("can't read {file}"))?;
    ensure!(read as u64 <= FILE_BYTES_MAX, "{file} is larger than {FILE_BYTES_MAX} bytes");
    let is_toml = Path::new(file).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    parse(&text, is_toml).with_context(|| if stdin { "stdin".into() } else { file.to_owned() })
}

fn parse(text: &str, is_toml: bool) -> anyhow::Result<Vec<Row>> {
    let as_json = |text: &str| {
        let list = serde_json::from_str::<Vec<Row>>(text);
        list.or_else(|error| serde_json::from_str::<File>(text).map(|file| file.routes).map_err(|_| error))
    };
    if is_toml {
        return Ok(toml::from_str::<File>(text)?.routes);
    }
    match as_json(text) {
        Ok(rows) => Ok(rows),
        // What begins so is JSON, or a TOML table that a row never is.
        Err(error) if text.trim_start().starts_with(['[', '{']) && !text.trim_start().starts_with("[[") => {
            Err(error).context("no JSON array of routes")
        }
        Err(_) => match toml::from_str::<File>(text) {
            Ok(file) => Ok(file.routes),
            Err(error) => bail!("neither a JSON array of routes nor TOML with [[routes]]: {error}"),
        },
    }
}

fn table(rows: &[Row]) -> String {
    let mut columns = Columns::of(["TOPICS", "PLUGIN", "ON TRAP", "CONFIG"]);
    for row in rows {
        columns.row([row.topics.clone(), row.plugin.clone(), on_trap(row), layout::value(&row.config)]);
    }
    columns.text("there are no routes: every publish is a 404")
}

fn on_trap(row: &Row) -> String {
    let value = row.on_trap.unwrap_or(OnTrap::Fail).to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Rows that went with `-`, rows that came with `+`.
fn what_changed(before: &[Row], after: &[Row]) -> String {
    let line = |sign: &str, row: &Row| {
        let Row { topics, plugin, config, .. } = row;
        let text = format!("{sign} {topics}={plugin} on-trap {} config {}", on_trap(row), layout::value(config));
        crate::http_client::plain(&text) + "\n"
    };
    let gone = before.iter().filter(|row| !after.contains(row)).map(|row| line("-", row));
    let new = after.iter().filter(|row| !before.contains(row)).map(|row| line("+", row));
    let text: String = gone.chain(new).collect();
    if text.is_empty() { "nothing changed\n".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_in_either_language() {
        let json = r#"[{"topics":"chat.>","plugin":"chat","config":{"n":1},"on_trap":"previous"},{"topics":">","plugin":"topic"}]"#;
        let toml = "[[routes]]\ntopics = \"chat.>\"\nplugin = \"chat\"\non_trap = \"previous\"\nconfig = {n = 1}\n\
                    [[routes]]\ntopics = \">\"\nplugin = \"topic\"\n";
        let rows = parse(json, false).expect("JSON");
        assert_eq!(rows.len(), 2);
        assert_eq!(parse(toml, false).expect("TOML, seen from its text"), rows);
        assert_eq!(parse(toml, true).expect("TOML"), rows);
        assert_eq!(parse(&format!("{{\"routes\":{json}}}"), false).expect("a JSON object"), rows);
        assert_eq!(parse("[]", false).expect("none"), []);
        for wrong in ["", "[", "[{\"topics\":1}]", "topics = 1", "[[routes]]\ntopics = \"x\""] {
            assert!(parse(wrong, false).is_err(), "{wrong}");
        }
        let error = format!("{:#}", parse("[{\"topics\":\"x\"}]", false).expect_err("no plugin"));
        assert!(error.contains("plugin") && error.contains("line 1"), "{error}");
    }

    #[test]
    fn what_is_not_known_here_goes_back_as_it_came() {
        let text = r#"[{"topics":">","plugin":"topic","config":null,"later":{"a":[1]}}]"#;
        let rows = parse(text, false).expect("JSON");
        assert_eq!(serde_json::to_string(&rows).expect("JSON"), text);
    }

    #[test]
    fn a_change_is_shown_by_what_went_and_what_came() {
        let rows = |text: &str| parse(text, false).expect("JSON");
        let before = rows(r#"[{"topics":"a","plugin":"x"},{"topics":"b","plugin":"x"}]"#);
        let after = rows(r#"[{"topics":"b","plugin":"x"},{"topics":"a","plugin":"y","config":{"n":1}}]"#);
        assert_eq!(what_changed(&before, &after), "- a=x on-trap fail config -\n+ a=y on-trap fail config {\"n\":1}\n");
        assert_eq!(what_changed(&before, &before), "nothing changed\n");
    }
}
