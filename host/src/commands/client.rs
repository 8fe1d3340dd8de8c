//! Which server a client means: the flags of the commands that speak the client protocol.

use crate::commands::operator::url;
use crate::http_client::{CallError, HttpClient};
use anyhow::{Context as _, anyhow};
use clap::Args;
use reqwest::{RequestBuilder, Url};
use std::path::PathBuf;

/// The flags.
#[derive(Args, Debug)]
#[command(next_help_heading = "Server")]
pub(super) struct Server {
    /// The server's client listener
    #[arg(long, value_name = "URL", env = "VOLLEY_SERVER_URL", default_value = "http://127.0.0.1:8080", value_parser = url)]
    server: Url,
    /// A file with what to show a server that has keys: the token of a user, or the key of a back-end
    #[arg(long, value_name = "FILE", env = "VOLLEY_BEARER_FILE")]
    bearer_file: Option<PathBuf>,
}

impl Server {
    /// The client for that server.
    pub(super) fn client(&self) -> anyhow::Result<HttpClient> {
        HttpClient::new(self.server.clone())
    }

    /// What to show the server, if anything.
    pub(super) fn bearer(&self) -> anyhow::Result<Option<String>> {
        let Some(file) = &self.bearer_file else { return Ok(None) };
        let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
        Ok(Some(text.trim().to_owned()))
    }
}

/// The request with what is to be shown.
pub(super) fn showing(request: RequestBuilder, bearer: Option<&str>) -> RequestBuilder {
    match bearer {
        Some(bearer) => request.bearer_auth(bearer),
        None => request,
    }
}

/// The same error, with what to do when nobody listens.
pub(super) fn advise(error: CallError) -> anyhow::Error {
    match error {
        CallError::Unreachable { .. } => {
            anyhow!("{error}; is `volley serve` running there? --server URL names another server")
        }
        other => other.into(),
    }
}
