//! `volley poll`: a session that joins topics and prints each message on a line, over lost connections and sessions.

use crate::commands::client::{Server, advise, showing};
use crate::commands::interrupts::Interrupts;
use crate::commands::layout;
use crate::http_client::{Answer, CallError, HttpClient, plain};
use clap::Args;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::time::Duration;

/// `poll`.
#[derive(Args, Debug)]
#[command(after_help = "\
Each line is a message: {\"topic\":…,\"from\":…,\"event\":…,\"data\":…}. What happens besides is said on stderr.
Example: volley poll chat.lobby news.sport --user ann")]
pub struct Poll {
    /// The topics to join, as in chat.lobby
    #[arg(required = true)]
    topics: Vec<String>,
    /// The name of the session's user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// End with the first that comes
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    server: Server,
}

/// A server ends a poll sooner, at 60 s at the latest.
const CALL: Duration = Duration::from_secs(90);
/// After a lost connection; each further wait is twice as long, up to the second one.
const RETRY: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Opened {
    session: String,
    pid: String,
    cursor: u64,
}

#[derive(Deserialize)]
struct Page {
    cursor: u64,
    messages: Vec<Box<RawValue>>,
    gap: Option<u64>,
    #[serde(default)]
    superseded: bool,
    retry_ms: Option<u64>,
}

/// Why polling this session ended.
enum End {
    /// Enough was printed.
    Enough,
    /// The server does not know the session any more.
    Gone,
}

/// A session, if there is one.
struct Follower {
    client: HttpClient,
    bearer: Option<String>,
    opened: Option<Opened>,
}

impl Poll {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut follower = Follower { client: self.server.client()?, bearer: self.server.bearer()?, opened: None };
        let mut interrupts = Interrupts::catch()?;
        let ended = tokio::select! {
            ended = follower.follow(&self) => ended,
            () = interrupts.next() => Ok(()),
        };
        follower.leave().await;
        ended
    }
}

impl Follower {
    async fn follow(&mut self, poll: &Poll) -> anyhow::Result<()> {
        self.open(poll).await.map_err(advise)?;
        loop {
            match self.print(poll.once).await? {
                End::Enough => return Ok(()),
                End::Gone => {
                    eprintln!("volley: the session has ended; opening a new one, what came meanwhile is lost");
                    self.opened = None;
                    let mut wait = RETRY;
                    while let Err(error) = self.open(poll).await {
                        wait = pause(error, wait).await?;
                    }
                }
            }
        }
    }

    async fn open(&mut self, poll: &Poll) -> Result<(), CallError> {
        let body = json!({"user": poll.user, "topics": poll.topics});
        let request = self.client.request(Method::POST, &["v1", "sessions"], "").json(&body).timeout(CALL);
        let answer = self.client.call(showing(request, self.bearer.as_deref())).await?;
        let opened: Opened = self.client.read(&answer)?;
        eprintln!("volley: {} polls {}", plain(&opened.pid), plain(&poll.topics.join(" ")));
        self.opened = Some(opened);
        Ok(())
    }

    /// Polls the session as long as it lives. A cursor moves on when its messages are printed, so none is lost and none
    /// is printed twice, whatever happens to a connection.
    async fn print(&mut self, once: bool) -> anyhow::Result<End> {
        let mut wait = RETRY;
        loop {
            let answer = match self.poll().await {
                Ok(answer) => answer,
                Err(error) if error.status() == Some(410) => return Ok(End::Gone),
                Err(error) => {
                    wait = pause(error, wait).await?;
                    continue;
                }
            };
            wait = RETRY;
            let page: Page = self.client.read(&answer)?;
            if let Some(gap) = page.gap {
                eprintln!("volley: {gap} messages did not fit into the mailbox and are lost");
            }
            let lines: String = page.messages.iter().flat_map(|message| [message.get(), "\n"]).collect();
            layout::say(&lines)?;
            if page.superseded {
                anyhow::bail!("another poll has taken this session over");
            }
            if let Some(opened) = &mut self.opened {
                opened.cursor = page.cursor;
            }
            if once && !page.messages.is_empty() {
                return Ok(End::Enough);
            }
            if let Some(retry_ms) = page.retry_ms {
                tokio::time::sleep(Duration::from_millis(retry_ms).min(RETRY_MAX)).await;
            }
        }
    }

    async fn poll(&self) -> Result<Answer, CallError> {
        let (token, cursor) = self.opened.as_ref().map_or(("", 0), |opened| (&opened.session, opened.cursor));
        let request = self.client.request(Method::GET, &["v1", "poll"], &format!("cursor={cursor}"));
        self.client.call(request.header("Volley-Session", token).timeout(CALL)).await
    }

    /// The others see it leave now instead of after the linger time.
    async fn leave(self) {
        if let Some(opened) = self.opened {
            let request = self.client.request(Method::DELETE, &["v1", "sessions"], "");
            let _ = self.client.call(request.header("Volley-Session", opened.session).timeout(RETRY_MAX)).await;
        }
    }
}

/// Waits after an error that passes, and says how long to wait after the next one; others end the command.
async fn pause(error: CallError, wait: Duration) -> anyhow::Result<Duration> {
    let passes = matches!(error, CallError::Unreachable { .. }) || error.status() == Some(503);
    if !passes {
        return Err(error.into());
    }
    if wait == RETRY {
        eprintln!("volley: {error}; trying again");
    }
    tokio::time::sleep(wait).await;
    Ok((wait * 2).min(RETRY_MAX))
}
