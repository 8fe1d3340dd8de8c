//! Which server a client means: the flags of the commands that speak the client protocol.

use crate::commands::operator::url;
use crate::http_client::{CallError, HttpClient};
use anyhow::anyhow;
use clap::Args;
use reqwest::Url;

/// The flags.
#[derive(Args, Debug)]
#[command(next_help_heading = "Server")]
pub(super) struct Server {
    /// The server's client listener
    #[arg(long, value_name = "URL", env = "VOLLEY_SERVER_URL", default_value = "http://127.0.0.1:8080", value_parser = url)]
    server: Url,
}

impl Server {
    /// The client for that server.
    pub(super) fn client(&self) -> anyhow::Result<HttpClient> {
        HttpClient::new(self.server.clone())
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
