//! Which server an operator means, with which token, and how its answers are shown: the flags of every admin command.

use crate::admin_client::{AdminClient, AdminError};
use crate::admin_token;
use crate::commands::layout;
use crate::http_client::{Answer, is_loopback};
use anyhow::Context as _;
use clap::Args;
use reqwest::Url;
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// The flags.
#[derive(Args, Debug)]
#[command(next_help_heading = "Server")]
pub struct Operator {
    /// The server's admin listener
    #[arg(long, value_name = "URL", env = "VOLLEY_ADMIN_URL", default_value = "http://127.0.0.1:9090", value_parser = url)]
    admin: Url,
    /// A file with the admin token, also in `VOLLEY_ADMIN_TOKEN_FILE` [default: where `serve` wrote it for this user]
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    token_file: Option<PathBuf>,
    /// The admin token itself; in `VOLLEY_ADMIN_TOKEN` it does not show in the list of processes
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["token_file", "data"])]
    token: Option<String>,
    /// The server's --data folder, which has its admin token; also in `VOLLEY_DATA`
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print the server's answer as it came
    #[arg(long)]
    json: bool,
}

/// An address as typed; `http://` goes without saying.
pub(super) fn url(text: &str) -> Result<Url, String> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    match Url::parse(&whole) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        Ok(_) => Err("an address is http://HOST:PORT or https://HOST:PORT".into()),
        Err(error) => Err(format!("{error}; an address is http://HOST:PORT")),
    }
}

impl Operator {
    /// The client for that server.
    pub(super) fn client(&self) -> anyhow::Result<AdminClient> {
        AdminClient::new(self.admin.clone(), self.find_token()?)
    }

    /// What is typed wins over the environment. None is fine: looking needs no token on loopback, and the server says
    /// where it does.
    fn find_token(&self) -> anyhow::Result<Option<String>> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let typed = self.token.is_some() || self.token_file.is_some() || self.data.is_some();
        let (token, file, data) = if typed {
            (self.token.clone(), self.token_file.clone(), self.data.clone())
        } else {
            let token = set("VOLLEY_ADMIN_TOKEN").map(|token| token.to_string_lossy().into_owned());
            (token, set("VOLLEY_ADMIN_TOKEN_FILE").map(PathBuf::from), set("VOLLEY_DATA").map(PathBuf::from))
        };
        if let Some(file) = file.filter(|_| token.is_none()) {
            let text = std::fs::read_to_string(&file).with_context(|| format!("can't read {}", file.display()))?;
            return Ok(Some(text.trim().to_owned()));
        }
        // A token that lies here is for a server here; no other is told it.
        match self.admin.port_or_known_default() {
            Some(port) if token.is_none() && is_loopback(&self.admin) => admin_token::written(data.as_deref(), port),
            _ => Ok(token),
        }
    }

    /// Whether answers are printed as they came.
    pub(super) fn wants_json(&self) -> bool {
        self.json
    }

    /// Prints an answer, as it came or in these words.
    pub(super) fn print<T: DeserializeOwned>(
        &self,
        client: &AdminClient,
        answer: &Answer,
        words: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            return layout::say_bytes(&answer.body);
        }
        layout::say(&words(&client.read(answer)?))
    }
}

/// The same error, with what the command knows to do about a status.
pub(super) fn advise(error: AdminError, advice: &[(u16, &str)]) -> anyhow::Error {
    let known = advice.iter().find(|(status, _)| error.status() == Some(*status)).map(|(_, words)| *words);
    match known {
        Some(words) => anyhow::anyhow!("{error}; {words}"),
        None => error.into(),
    }
}
