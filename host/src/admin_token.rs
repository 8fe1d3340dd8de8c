//! The admin token: read from a file, or made and written where only this user can read it. Never logged; its file is.

use crate::config::AdminToken;
use crate::private;
use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The token, and the file that it is in.
pub struct Found {
    /// None when there is no token.
    pub token: Option<String>,
    /// Where operators find it.
    pub file: Option<PathBuf>,
}

/// Reads or makes it, for a listener at that address.
pub fn find(from: &AdminToken, listener: SocketAddr) -> anyhow::Result<Found> {
    match from {
        AdminToken::Off => Ok(Found { token: None, file: None }),
        AdminToken::File(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("can't read the admin token in {}", path.display()))?;
            let token = text.trim();
            ensure!(token.len() >= 16, "the admin token in {} has less than 16 characters", path.display());
            Ok(Found { token: Some(token.into()), file: Some(path.clone()) })
        }
        AdminToken::Made(data) => {
            let file = file(data.as_deref(), listener.port());
            private::folder(file.parent().context("a file has a folder")?)?;
            make(&file)
        }
    }
}

/// The token of this user's server on that port, where [`find`] wrote it; none when it wrote none.
pub fn written(data: Option<&Path>, port: u16) -> anyhow::Result<Option<String>> {
    let file = file(data, port);
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|token| !token.is_empty())),
        // With a folder named, its token is meant; elsewhere there may be none.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && data.is_none() => Ok(None),
        Err(error) => Err(error).with_context(|| format!("can't read the admin token in {}", file.display())),
    }
}

/// Where the token is kept of a server with that data folder, or with none on that port.
fn file(data: Option<&Path>, port: u16) -> PathBuf {
    match data {
        Some(data) => data.join("admin.token"),
        None => runtime_folder().join(format!("admin-{port}.token")),
    }
}

fn make(path: &Path) -> anyhow::Result<Found> {
    let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>());
    // Removed first, so that the mode is that of a fresh file.
    let _ = std::fs::remove_file(path);
    private::new_file(path, format!("{token}\n").as_bytes())
        .with_context(|| format!("can't write the admin token to {}", path.display()))?;
    Ok(Found { token: Some(token), file: Some(path.into()) })
}

/// A per-user folder that is gone after a reboot.
fn runtime_folder() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder).join("volley"),
        _ => std::env::temp_dir().join(format!("volley-{}", rustix::process::getuid().as_raw())),
    }
}
