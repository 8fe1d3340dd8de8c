//! The keys of the config's file.

use super::LogFormat;
use super::auth::FileAuth;
use super::tls::Said;
use crate::limits::Limits;
use crate::on_trap::OnTrap;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use toml::Spanned;

// The names are the keys of the file.
#[allow(clippy::struct_field_names)]
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub(super) listen: Option<SocketAddr>,
    pub(super) admin: Option<SocketAddr>,
    pub(super) demo: bool,
    pub(super) admin_token_file: Option<PathBuf>,
    pub(super) admin_hosts: Vec<String>,
    pub(super) data: Option<PathBuf>,
    pub(super) durable_tables: Vec<Spanned<String>>,
    pub(super) synchronous_commit: bool,
    pub(super) watch: Option<PathBuf>,
    pub(super) require_signed: bool,
    pub(super) signing_keys: BTreeMap<String, Spanned<String>>,
    pub(super) log_format: Option<LogFormat>,
    pub(super) workers: Option<u16>,
    pub(super) lanes: Option<u16>,
    pub(super) accept_loops: Option<u16>,
    pub(super) backlog: Option<u32>,
    pub(super) trusted_proxies: Option<Spanned<Vec<String>>>,
    pub(super) auth: FileAuth,
    pub(super) tls: Said,
    pub(super) cors: FileCors,
    pub(super) limits: Limits,
    pub(super) plugins: BTreeMap<String, FilePlugin>,
    pub(super) routes: Option<Vec<FileRoute>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct FileCors {
    pub(super) origins: Option<Spanned<Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilePlugin {
    pub(super) file: Spanned<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRoute {
    pub(super) topics: Spanned<String>,
    pub(super) plugin: Spanned<String>,
    pub(super) config: Option<Spanned<toml::Value>>,
    #[serde(default)]
    pub(super) on_trap: OnTrap,
}
