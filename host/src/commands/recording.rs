//! A recording as `volley record` follows it: what the server has of it is fetched and written while it goes on, so that
//! little is lost should the server go down. It is removed there once all of it is on the disk here.

use crate::admin_client::{AdminClient, AdminError};
use crate::commands::interrupts::Interrupts;
use crate::commands::layout;
use crate::http_client::Answer;
use crate::private;
use anyhow::Context as _;
use serde::Deserialize;
use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Between two looks at how it does.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// A server that answers nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where a trace goes.
pub(super) enum Output {
    Stdout,
    File(PathBuf, File),
}

/// One that was begun.
pub(super) struct Recording<'a> {
    client: &'a AdminClient,
    path: [&'a str; 3],
    output: Output,
    began_ms: u64,
    /// Whether it is to be removed at the server.
    is_done_with: bool,
    /// What was written of it by now.
    pub(super) bytes: u64,
    /// How many events are in that.
    pub(super) events: usize,
    /// How many there was no room for.
    pub(super) left_out: u64,
    /// Why it has ended by itself, if it has.
    pub(super) why: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    state: String,
    why: Option<String>,
    began_ms: u64,
    left_out: u64,
}

impl Output {
    /// Makes the file, which nobody else may read and which must not be there.
    pub(super) fn open(file: Option<PathBuf>) -> anyhow::Result<Self> {
        let Some(path) = file else { return Ok(Self::Stdout) };
        match private::create(&path) {
            Ok(file) => Ok(Self::File(path, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                anyhow::bail!("{} is there already", path.display())
            }
            Err(error) => Err(error).with_context(|| format!("can't write {}", path.display())),
        }
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(text).and_then(|()| out.flush())
            }
            Self::File(_, file) => file.write_all(text),
        }
    }

    fn sync(&self) -> io::Result<()> {
        if let Self::File(_, file) = self { file.sync_all() } else { Ok(()) }
    }

    fn name(&self) -> String {
        if let Self::File(path, _) = self { path.display().to_string() } else { "stdout".into() }
    }

    /// Nothing has come that would be worth a file.
    pub(super) fn discard(&self) {
        if let Self::File(path, _) = self {
            // If it stays, it is empty, and the next try says that it is there.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl<'a> Recording<'a> {
    /// Of a plugin, with what the server answered to whoever began it.
    pub(super) fn begun(
        client: &'a AdminClient,
        path: [&'a str; 3],
        answer: &Answer,
        output: Output,
    ) -> anyhow::Result<Self> {
        let Status { began_ms, .. } = client.read(answer)?;
        let (bytes, events, left_out, why) = (0, 0, 0, None);
        Ok(Self { client, path, output, began_ms, is_done_with: true, bytes, events, left_out, why })
    }

    /// Writes what comes until it ends, the time is over or somebody interrupts; then all of it is here and none of it
    /// there.
    pub(super) async fn follow(&mut self, time: Duration, mut interrupts: Interrupts) -> anyhow::Result<()> {
        let followed = tokio::select! {
            ended = tokio::time::timeout(time, self.until_it_ends()) => ended.unwrap_or(Ok(())),
            () = interrupts.next() => Ok(()),
        };
        let caught_up = match followed {
            Ok(()) if self.why.is_none() => self.catch_up().await.map(drop),
            followed => followed,
        };
        let written = caught_up.and_then(|()| self.output.sync().map_err(|error| self.unwritten(error)));
        if self.bytes == 0 {
            self.output.discard();
        }
        // Whatever became of it, it is not to take the server's memory, unless that is the only place where it is.
        let removed = if self.is_done_with { self.client.delete(&self.path).await.map(drop) } else { Ok(()) };
        let events = layout::count(self.events, "event");
        written.with_context(|| format!("the recording broke off, and {} has {events}", self.output.name()))?;
        Ok(removed?)
    }

    async fn until_it_ends(&mut self) -> anyhow::Result<()> {
        while !self.catch_up().await? {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Writes what there is by now; whether it has ended. A server that does not answer is asked again for a while.
    async fn catch_up(&mut self) -> anyhow::Result<bool> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.fetch().await {
                Ok((status, text)) => return self.take(status, &text),
                Err(error) if error.status().is_none_or(|status| status >= 500) && Instant::now() < until => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The status comes first: of what has ended by then the trace has all.
    async fn fetch(&self) -> Result<(Status, Vec<u8>), AdminError> {
        let status = self.client.read(&self.client.get(&self.path, "").await?)?;
        let text = self.client.get(&self.path, &format!("trace&from={}", self.bytes)).await?.body;
        Ok((status, text))
    }

    fn take(&mut self, status: Status, text: &[u8]) -> anyhow::Result<bool> {
        if status.began_ms != self.began_ms {
            self.is_done_with = false;
            anyhow::bail!("somebody has ended this recording, and begun another one");
        }
        self.output.write(text).map_err(|error| self.unwritten(error))?;
        self.bytes += text.len() as u64;
        self.events += text.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{\"event\":")).count();
        (self.left_out, self.why) = (status.left_out, status.why);
        Ok(status.state != "recording")
    }

    /// What the server has is all there is, unless nobody wants to read it.
    fn unwritten(&mut self, error: io::Error) -> anyhow::Error {
        self.is_done_with = error.kind() == ErrorKind::BrokenPipe;
        let [_, plugin, _] = self.path;
        let words = format!(
            "can't write {}; the server still has the recording: GET /admin/v1/plugins/{plugin}/record?trace gets it, \
             DELETE /admin/v1/plugins/{plugin}/record removes it",
            self.output.name()
        );
        anyhow::Error::from(error).context(words)
    }
}
