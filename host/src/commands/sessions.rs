//! `volley sessions`: who is there, what waits for them, and ending them.

use crate::commands::answers::{Session, SessionPage};
use crate::commands::layout::{self, Columns};
use crate::commands::operator::{Operator, advise};
use crate::http_client::{encoded, plain};
use clap::Subcommand;
use std::fmt::Write as _;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Sessions {
    /// List sessions
    #[command(after_help = "Example: volley sessions ls --limit 20")]
    Ls {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
        /// From after this session on
        #[arg(long, value_name = "PID", value_parser = pid)]
        after: Option<String>,
        #[command(flatten)]
        operator: Operator,
    },
    /// Show one session
    #[command(after_help = "Example: volley sessions show 0.17.1")]
    Show {
        /// As `sessions ls` shows it; the angle brackets may be left out
        #[arg(value_parser = pid)]
        pid: String,
        #[command(flatten)]
        operator: Operator,
    },
    /// End a session: its topics see it exit, its client has to open a new one
    #[command(after_help = "Example: volley sessions kick 0.17.1")]
    Kick {
        /// As `sessions ls` shows it; the angle brackets may be left out
        #[arg(value_parser = pid)]
        pid: String,
        #[command(flatten)]
        operator: Operator,
    },
}

/// A shell takes angle brackets for files, so they need not be typed.
fn pid(text: &str) -> Result<String, String> {
    let bare = text.trim_start_matches('<').trim_end_matches('>');
    let whole = format!("<{bare}>");
    let parsed: Result<crate::pid::Pid, _> = whole.parse();
    parsed.map(|_| whole).map_err(|error: crate::pid::NotAPid| error.to_string())
}

impl Sessions {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let unknown = |error| advise(error, &[(404, "the session has ended, or never was")]);
        match self {
            Self::Ls { limit, after, operator } => {
                let client = operator.client()?;
                let after = after.map_or_else(String::new, |after| format!("&after={}", encoded(&after)));
                let answer = client.get(&["sessions"], &format!("limit={limit}{after}")).await?;
                operator.print(&client, &answer, list)
            }
            Self::Show { pid, operator } => {
                let client = operator.client()?;
                let answer = client.get(&["sessions", &pid], "").await.map_err(unknown)?;
                operator.print(&client, &answer, show)
            }
            Self::Kick { pid, operator } => {
                operator.client()?.delete(&["sessions", &pid]).await.map_err(unknown)?;
                if operator.wants_json() { Ok(()) } else { layout::say(&format!("{pid} has ended\n")) }
            }
        }
    }
}

fn list(page: &SessionPage) -> String {
    let mut columns = Columns::of(["PID", "USER", "POLL", "WAITING", "SIZE", "TOPICS"]);
    for session in &page.sessions {
        columns.row([
            session.pid.clone(),
            session.user.clone().unwrap_or_else(|| "-".into()),
            poll(session).into(),
            session.mailbox.messages.to_string(),
            layout::bytes(session.mailbox.bytes),
            layout::value(&session.topics.join(" ").into()),
        ]);
    }
    let mut text = columns.text("there are no sessions");
    if let Some(next) = &page.next {
        let bare = next.trim_start_matches('<').trim_end_matches('>');
        let _ = writeln!(text, "there are more: --after {}", plain(bare));
    }
    text
}

fn poll(session: &Session) -> &'static str {
    if session.parked { "parked" } else { "-" }
}

fn show(session: &Session) -> String {
    let Session { pid, user, topics, mailbox, .. } = session;
    let messages = layout::count(mailbox.messages as usize, "message");
    let mut columns = Columns::of(["PID", pid]);
    columns.row(["user".into(), user.clone().unwrap_or_else(|| "-".into())]);
    columns.row(["poll".into(), poll(session).into()]);
    columns.row(["mailbox".into(), format!("{messages} ({})", layout::bytes(mailbox.bytes))]);
    columns.row(["cursor".into(), format!("{} acknowledged of {}", mailbox.acknowledged, mailbox.newest)]);
    for topic in topics {
        columns.row(["topic".into(), topic.clone()]);
    }
    columns.text("")
}
