//! Whose clients and back-ends are let in, and which proxies are believed.

use super::BadConfig;
use super::place::Place;
use crate::addresses::Proxies;
use serde::Deserialize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Who is let in. Without keys everybody is, as nobody in particular.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthConfig {
    /// A JWK set: clients show tokens that one of its keys has signed.
    pub jwks: Option<PathBuf>,
    /// The keys of back-ends.
    pub publishers: Option<PathBuf>,
    /// Tokens are meant for one of these.
    pub audience: Vec<String>,
    /// Tokens come from one of these, if there are any.
    pub issuer: Vec<String>,
    /// Whether sessions may be opened without a token all the same.
    pub anonymous: bool,
}

impl AuthConfig {
    /// Whether there are keys.
    pub fn is_on(&self) -> bool {
        self.jwks.is_some() || self.publishers.is_some()
    }
}

// The names are the keys of the file.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct FileAuth {
    jwks: Option<Spanned<PathBuf>>,
    publishers: Option<Spanned<PathBuf>>,
    audience: Option<Spanned<Vec<String>>>,
    issuer: Option<Spanned<Vec<String>>>,
    anonymous: bool,
}

/// What flags say wins over the file, whose folder its paths are relative to.
pub(super) fn auth(flags: AuthConfig, file: FileAuth, folder: &Path, at: &Place<'_>) -> Result<AuthConfig, BadConfig> {
    let path = |flag: Option<PathBuf>, key: &str, named: Option<Spanned<PathBuf>>| match (flag, named) {
        (Some(path), _) if path.is_file() => Ok(Some(path)),
        (Some(path), _) => Err(BadConfig(format!("--auth-{key}: there is no file {}", path.display()))),
        (None, Some(named)) => {
            let path = folder.join(named.get_ref());
            let words = format!("there is no file {}", path.display());
            if path.is_file() { Ok(Some(path)) } else { Err(at.wrong(named.span(), &format!("auth.{key}"), &words)) }
        }
        (None, None) => Ok(None),
    };
    let spans = [&file.audience, &file.issuer].map(|list| list.as_ref().map(Spanned::span));
    let of_publishers = file.publishers.as_ref().map(Spanned::span);
    let or = |flag: Vec<String>, named: Option<Spanned<Vec<String>>>| match named {
        Some(named) if flag.is_empty() => named.into_inner(),
        _ => flag,
    };
    let auth = AuthConfig {
        jwks: path(flags.jwks, "jwks", file.jwks)?,
        publishers: path(flags.publishers, "publishers", file.publishers)?,
        audience: or(flags.audience, file.audience),
        issuer: or(flags.issuer, file.issuer),
        anonymous: flags.anonymous || file.anonymous,
    };
    let wrong = |span: Option<Range<usize>>, key: &str, words: &str| match span {
        Some(span) => Err(at.wrong(span, &format!("auth.{key}"), words)),
        None => Err(BadConfig(format!("--auth-{key}: {words}"))),
    };
    if auth.publishers.is_some() && auth.jwks.is_none() && !auth.anonymous {
        let words =
            "no client could open a session: name the keys of tokens (jwks), or let clients in without one (anonymous)";
        return wrong(of_publishers, "publishers", words);
    }
    let [of_audience, of_issuer] = spans;
    let words = "this is of tokens, and there are no keys to know them by (jwks)";
    match auth.jwks {
        None if !auth.audience.is_empty() => wrong(of_audience, "audience", words),
        None if !auth.issuer.is_empty() => wrong(of_issuer, "issuer", words),
        _ => Ok(auth),
    }
}

/// The proxies that are believed.
pub(super) fn proxies(
    flags: &[String],
    file: Option<&Spanned<Vec<String>>>,
    at: &Place<'_>,
) -> Result<Proxies, BadConfig> {
    match file {
        Some(file) if flags.is_empty() => {
            Proxies::parse(file.get_ref()).map_err(|words| at.wrong(file.span(), "trusted_proxies", &words))
        }
        _ => Proxies::parse(flags).map_err(|words| BadConfig(format!("--trusted-proxy: {words}"))),
    }
}
