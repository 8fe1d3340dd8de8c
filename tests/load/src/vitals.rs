//! How a server is: what `/metrics` says, and what the kernel says of its process.

use std::collections::HashMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddrV4, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::process;

/// Nothing opens a file for so long, then nothing is about to.
const SETTLE: Duration = Duration::from_millis(300);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// What must come back to where it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vitals {
    pub(crate) files: usize,
    pub(crate) threads: usize,
    pub(crate) resident_bytes: u64,
}

impl Vitals {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let count = |folder: &str| {
            let path = format!("/proc/{pid}/{folder}");
            Ok::<_, anyhow::Error>(fs::read_dir(&path).with_context(|| path.clone())?.count())
        };
        let resident_bytes = process::memory(pid)?.resident_bytes;
        Ok(Self { files: count("fd")?, threads: count("task")?, resident_bytes })
    }

    /// The same of one that has just said it is ready, and may still be opening files in its threads.
    pub(crate) fn settled(pid: u32) -> Result<Self> {
        let mut last = Self::of(pid)?;
        loop {
            thread::sleep(SETTLE);
            let now = Self::of(pid)?;
            if (now.files, now.threads) == (last.files, last.threads) {
                return Ok(now);
            }
            last = now;
        }
    }
}

/// All numbers of `/metrics`, summed over their labels.
pub(crate) fn metrics(admin: SocketAddrV4) -> Result<HashMap<String, u64>> {
    let mut stream = TcpStream::connect(admin).context("cannot connect to the admin listener")?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("no metrics")?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "metrics were answered {answer:.100}");
    let mut metrics = HashMap::new();
    for line in answer.lines().filter(|line| line.starts_with("volley_")) {
        let (Some(name), Some(value)) = (line.split(['{', ' ']).next(), line.rsplit(' ').next()) else { continue };
        if let Ok(value) = value.parse::<u64>() {
            *metrics.entry(name.to_owned()).or_default() += value;
        }
    }
    Ok(metrics)
}
