//! A small client of Volley: one half speaks (joins, publishes), the other hears, by long polls. It goes on where it was when
//! a connection breaks, and opens a new session when the old one is over. To be copied and changed.

use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Of a call, about a minute; who hears waits for ever.
const TRIES: u32 = 7;
/// No answer takes longer, a poll's included.
const ANSWER: Duration = Duration::from_secs(90);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server, or a rule, said no.
    #[error("{status}: {detail}")]
    Refused {
        /// What HTTP calls it.
        status: StatusCode,
        /// The server's words.
        detail: String,
    },
    /// There was no answer.
    #[error(transparent)]
    Unreachable(#[from] reqwest::Error),
    /// The answer is none of Volley's.
    #[error("an answer of something else than Volley: {0}")]
    Strange(String),
    /// Another client listens with this session; this one is not to take it back.
    #[error("another client listens with this session")]
    Superseded,
}

/// What is heard.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Heard {
    /// A message of a rule's.
    Message {
        /// Where.
        topic: String,
        /// The PID of the session that published; none of a back-end.
        from: Option<String>,
        /// What.
        data: Value,
    },
    /// So many messages are missing here; none where nobody knows, since the session had to be opened anew.
    Gap(Option<u64>),
}

/// Joins and publishes. May be cloned, and used while the other half waits.
#[derive(Clone)]
pub struct Speaker(Arc<Inner>);

/// Hears.
pub struct Hearer {
    inner: Arc<Inner>,
    /// Whose messages were heard last, and which was the last of them.
    token: String,
    cursor: u64,
    ahead: VecDeque<Heard>,
}

struct Inner {
    http: Client,
    base: Url,
    user: String,
    /// Locked while a new one takes its place.
    session: Mutex<Session>,
}

struct Session {
    token: String,
    topics: Vec<String>,
}

#[derive(Deserialize)]
struct Page {
    cursor: u64,
    messages: VecDeque<Heard>,
    gap: Option<u64>,
    #[serde(default)]
    superseded: bool,
    #[serde(default)]
    retry_ms: u64,
}

/// Opens a session under that name, at a URL that ends with a slash, and joins it to the topics.
pub async fn connect(base: Url, user: &str, topics: &[&str]) -> Result<(Speaker, Hearer), Error> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let topics: Vec<_> = topics.iter().map(|topic| (*topic).to_owned()).collect();
    let (http, user) = (Client::builder().timeout(ANSWER).build()?, user.to_owned());
    let mut inner = Inner { http, base, user, session: Mutex::new(Session { token: String::new(), topics }) };
    let token = inner.open(&inner.session.lock().await.topics).await?;
    inner.session.get_mut().token.clone_from(&token);
    let inner = Arc::new(inner);
    Ok((Speaker(inner.clone()), Hearer { inner, token, cursor: 0, ahead: VecDeque::new() }))
}

impl Speaker {
    /// Joins a topic; a rule may refuse it.
    pub async fn join(&self, topic: &str) -> Result<(), Error> {
        self.0.call(Method::PUT, &format!("v1/topics/{topic}/subscription"), None).await?;
        self.0.session.lock().await.topics.push(topic.to_owned());
        Ok(())
    }

    /// Publishes, once, however often that takes; how many it reaches.
    pub async fn publish(&self, topic: &str, data: &Value) -> Result<u64, Error> {
        let published = self.0.call(Method::POST, &format!("v1/topics/{topic}/events"), Some(data)).await?;
        Ok(published["recipients"].as_u64().unwrap_or_default())
    }

    /// Ends the session.
    pub async fn close(self) -> Result<(), Error> {
        let token = self.0.session.lock().await.token.clone();
        self.0.once(&token, Method::DELETE, "v1/sessions", None, "").await.map(drop)
    }
}

impl Hearer {
    /// What comes next. The messages of one answer are acknowledged when the next one is asked for.
    pub async fn next(&mut self) -> Result<Heard, Error> {
        let mut failures = 0;
        loop {
            if let Some(heard) = self.ahead.pop_front() {
                return Ok(heard);
            }
            let path = format!("v1/poll?cursor={}", self.cursor);
            let page: Page = match self.inner.once(&self.token, Method::GET, &path, None, "").await {
                Ok(page) => serde_json::from_value(page).map_err(|error| Error::Strange(error.to_string()))?,
                Err(Error::Refused { status: StatusCode::GONE, .. }) => {
                    (self.token, self.cursor) = (self.inner.reopen(&self.token).await?, 0);
                    return Ok(Heard::Gap(None));
                }
                Err(error) => {
                    failures += 1;
                    pause(error, failures).await?;
                    continue;
                }
            };
            if page.superseded {
                return Err(Error::Superseded);
            }
            self.ahead.extend(page.gap.map(|missing| Heard::Gap(Some(missing))));
            self.ahead.extend(page.messages);
            (self.cursor, failures) = (page.cursor, 0);
            tokio::time::sleep(Duration::from_millis(page.retry_ms)).await;
        }
    }
}

impl Inner {
    /// Opens a session with all that is joined.
    async fn open(&self, topics: &[String]) -> Result<String, Error> {
        let opening = json!({ "user": self.user, "topics": topics });
        let opened = self.once("", Method::POST, "v1/sessions", Some(&opening), "").await?;
        opened["session"].as_str().map(str::to_owned).ok_or_else(|| Error::Strange(opened.to_string()))
    }

    /// Opens one in place of one that is over, once for all who find out; its token.
    async fn reopen(&self, over: &str) -> Result<String, Error> {
        let mut session = self.session.lock().await;
        let mut failures = 0;
        while session.token == over {
            match self.open(&session.topics).await {
                Ok(token) => session.token = token,
                Err(error) => {
                    failures += 1;
                    pause(error, failures).await?;
                }
            }
        }
        Ok(session.token.clone())
    }

    /// A call of the session's, again where that helps.
    async fn call(&self, method: Method, path: &str, data: Option<&Value>) -> Result<Value, Error> {
        let key = format!("{:032x}", rand::random::<u128>());
        let mut failures = 0;
        loop {
            let token = self.session.lock().await.token.clone();
            match self.once(&token, method.clone(), path, data, &key).await {
                // Not what may have been published in the old session: there alone the key keeps it from being said twice.
                Err(Error::Refused { status: StatusCode::GONE, .. }) if data.is_none() || failures == 0 => {
                    self.reopen(&token).await?;
                }
                Err(error) if failures < TRIES => {
                    failures += 1;
                    pause(error, failures).await?;
                    let is_another = self.session.lock().await.token != token;
                    if is_another && data.is_some() {
                        let detail = "the session was over before it was answered; it may be said, or not".to_owned();
                        return Err(Error::Refused { status: StatusCode::GONE, detail });
                    }
                }
                answered => return answered,
            }
        }
    }

    async fn once(
        &self,
        token: &str,
        method: Method,
        path: &str,
        data: Option<&Value>,
        key: &str,
    ) -> Result<Value, Error> {
        let url = self.base.join(path).map_err(|error| Error::Strange(error.to_string()))?;
        let headers =
            [("Volley-Session", token), ("Idempotency-Key", key)].into_iter().filter(|(_, value)| !value.is_empty());
        let request =
            headers.fold(self.http.request(method, url), |request, (name, value)| request.header(name, value));
        let response = data.into_iter().fold(request, RequestBuilder::json).send().await?;
        let (status, body) = (response.status(), response.text().await?);
        let answer = serde_json::from_str(&body).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(answer);
        }
        Err(Error::Refused { status, detail: answer["detail"].as_str().unwrap_or(&body).to_owned() })
    }
}

/// Waits before a further try, and not as long as all others do; or says why that would not help.
async fn pause(error: Error, failures: u32) -> Result<(), Error> {
    let is_passing = match &error {
        Error::Unreachable(_) => true,
        Error::Refused { status, .. } => {
            [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(status)
        }
        _ => false,
    };
    if !is_passing {
        return Err(error);
    }
    let longest = PAUSE.saturating_mul(1 << failures.min(6)).min(PAUSE_MAX);
    tokio::time::sleep(longest.mul_f64(rand::random_range(0.5..1.0))).await;
    Ok(())
}
