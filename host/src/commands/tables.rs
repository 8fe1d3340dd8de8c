//! `volley tables`: what rules keep, page by page or all of it.

use crate::admin_client::AdminClient;
use crate::commands::answers::{Object, Table, TableList, TablePage};
use crate::commands::layout::{self, Columns};
use crate::commands::operator::{Operator, advise};
use crate::commands::progress;
use crate::http_client::encoded;
use clap::Subcommand;
use std::cell::Cell;
use std::io::IsTerminal as _;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Tables {
    /// List the tables
    #[command(after_help = "Example: volley tables ls")]
    Ls {
        #[command(flatten)]
        operator: Operator,
    },
    /// Show some objects of a table
    #[command(after_help = "Example: volley tables get chat:rooms --prefix lobby")]
    Get {
        /// As `tables ls` names it
        name: String,
        /// Only keys that begin so
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        prefix: String,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
        /// From after this key on
        #[arg(long, value_name = "KEY")]
        after: Option<String>,
        #[command(flatten)]
        operator: Operator,
    },
    /// Print all objects of a table, a JSON object a line
    ///
    /// The table may change meanwhile: every object that was there all the time is printed once.
    #[command(after_help = "Example: volley tables dump chat:rooms > rooms.jsonl")]
    Dump {
        /// As `tables ls` names it
        name: String,
        /// Only keys that begin so
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        prefix: String,
        #[command(flatten)]
        operator: Operator,
    },
}

/// Objects that are asked for at a time; the server may give fewer.
const PAGE: u32 = 1_000;

impl Tables {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Ls { operator } => {
                let client = operator.client()?;
                operator.print(&client, &client.get(&["tables"], "").await?, list)
            }
            Self::Get { name, prefix, limit, after, operator } => {
                let client = operator.client()?;
                let after = after.map_or_else(String::new, |after| format!("&after={}", encoded(&after)));
                let query = format!("prefix={}&limit={limit}{after}", encoded(&prefix));
                let answer = client.get(&["tables", &name], &query).await.map_err(unknown)?;
                operator.print(&client, &answer, page)
            }
            Self::Dump { name, prefix, operator } => dump(&operator.client()?, &name, &prefix).await,
        }
    }
}

fn unknown(error: crate::admin_client::AdminError) -> anyhow::Error {
    advise(error, &[(404, "`volley tables ls` lists the tables")])
}

fn list(list: &TableList) -> String {
    let mut columns = Columns::of(["NAME", "OWNER", "KIND", "KEPT", "OBJECTS", "SIZE"]);
    for Table { name, owner, kind, durable, size, bytes } in &list.tables {
        let kept = if *durable { "durable" } else { "-" };
        let (size, bytes) = (size.to_string(), layout::bytes(*bytes));
        columns.row([name.clone(), owner.clone(), kind.clone(), kept.into(), size, bytes]);
    }
    columns.text("there are no tables")
}

fn page(page: &TablePage) -> String {
    let mut columns = Columns::of(["KEY", "VALUE"]);
    for object in &page.objects {
        if let Ok(Object { key, value }) = serde_json::from_str(object.get()) {
            columns.row([layout::value(&key), layout::value(&value)]);
        }
    }
    let mut text = columns.text("no such objects");
    if page.next.is_some() {
        text.push_str("there are more: a larger --limit, --after KEY, or `volley tables dump` for all\n");
    }
    text
}

async fn dump(client: &AdminClient, name: &str, prefix: &str) -> anyhow::Result<()> {
    let printed = Cell::new(0_usize);
    let what = || format!("dumping {name}: {}", layout::count(printed.get(), "object"));
    let pages = print_pages(client, name, prefix, &printed);
    // Where the objects can be seen they are the progress.
    if std::io::stdout().is_terminal() { pages.await } else { progress::during(what, pages).await }
}

async fn print_pages(client: &AdminClient, name: &str, prefix: &str, printed: &Cell<usize>) -> anyhow::Result<()> {
    let mut after = String::new();
    loop {
        let query = format!("prefix={}&limit={PAGE}{after}", encoded(prefix));
        let page = client.get(&["tables", name], &query).await.map_err(unknown)?;
        let page: TablePage = client.read(&page)?;
        let lines: String = page.objects.iter().flat_map(|object| [object.get(), "\n"]).collect();
        layout::say(&lines)?;
        printed.set(printed.get() + page.objects.len());
        match page.next {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(()),
        }
    }
}
