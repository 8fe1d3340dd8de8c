//! The admin API from the caller's side: `/admin/v1`, the token, and what to do when the server wants another one.

use crate::http_client::{Answer, CallError, HttpClient};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The longest call compiles, warms and migrates a large rule.
const CALL: Duration = Duration::from_mins(10);

/// An operator at one server.
pub struct AdminClient {
    http: HttpClient,
    token: Option<String>,
}

/// Why an operator's call was not done.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// It has a reason that says enough.
    #[error("{0}")]
    Call(CallError),
    /// Nobody listens.
    #[error("{0}; is `volley serve` running there? --admin URL names another server")]
    Nobody(CallError),
    /// The token is missing or wrong.
    #[error("{0}; give it with --token-file FILE (`volley serve` prints where its token is when it starts)")]
    Token(CallError),
}

impl AdminError {
    /// The status with which the server refused; none when it was no refusal.
    pub fn status(&self) -> Option<u16> {
        let (Self::Call(error) | Self::Nobody(error) | Self::Token(error)) = self;
        error.status()
    }
}

impl From<CallError> for AdminError {
    fn from(error: CallError) -> Self {
        match (&error, error.status()) {
            (CallError::Unreachable { .. }, _) => Self::Nobody(error),
            (_, Some(401)) => Self::Token(error),
            _ => Self::Call(error),
        }
    }
}

impl AdminClient {
    /// Calls the server at this URL with this token.
    pub fn new(base: Url, token: Option<String>) -> anyhow::Result<Self> {
        Ok(Self { http: HttpClient::new(base)?, token })
    }

    /// A call, to be completed and sent with [`call`](Self::call).
    pub fn request(&self, method: Method, path: &[&str], query: &str) -> RequestBuilder {
        let request = self.http.request(method, &[&["admin", "v1"], path].concat(), query);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends it and reads the answer.
    pub async fn call(&self, request: RequestBuilder) -> Result<Answer, AdminError> {
        Ok(self.http.call(request.timeout(CALL)).await?)
    }

    /// Looks.
    pub async fn get(&self, path: &[&str], query: &str) -> Result<Answer, AdminError> {
        self.call(self.request(Method::GET, path, query)).await
    }

    /// Does something, with this said about it.
    pub async fn post(&self, path: &[&str], body: &impl Serialize) -> Result<Answer, AdminError> {
        self.call(self.request(Method::POST, path, "").json(body)).await
    }

    /// Removes something.
    pub async fn delete(&self, path: &[&str]) -> Result<Answer, AdminError> {
        self.call(self.request(Method::DELETE, path, "")).await
    }

    /// An answer that comes bit by bit and may never end.
    pub async fn follow(&self, path: &[&str], query: &str) -> Result<Response, AdminError> {
        Ok(self.http.open(self.request(Method::GET, path, query)).await?)
    }

    /// The next bit of it; none at its end.
    pub async fn more(&self, response: &mut Response) -> Result<Option<bytes::Bytes>, AdminError> {
        Ok(self.http.more(response).await?)
    }

    /// What an answer says, as that type.
    pub fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, AdminError> {
        Ok(self.http.read(answer)?)
    }
}
