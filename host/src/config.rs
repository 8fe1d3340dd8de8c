//! What the server is started with: flags, environment and one TOML file become one valid value, once.
//!
//! A flag wins over its environment variable, both win over the file, the file over the default.

use crate::addresses::Proxies;
use crate::limits::Limits;
use crate::on_trap::OnTrap;
use crate::origins::Cors;
use crate::signatures::SigningKeys;
use crate::topic::Pattern;
use clap::ValueEnum;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

// By their paths, since the fuzz targets take this file by its own.
#[path = "config/auth.rs"]
mod auth;
#[path = "config/data.rs"]
mod data;
#[path = "config/durable.rs"]
mod durable;
#[path = "config/file.rs"]
mod file;
#[path = "config/flags.rs"]
mod flags;
#[path = "config/place.rs"]
mod place;
#[path = "config/signing.rs"]
mod signing;
#[path = "config/tls.rs"]
mod tls;

pub use auth::AuthConfig;
pub use data::Data;
pub use durable::Durable;
use file::{File, FileCors};
pub use flags::{Flags, limit, limits_help};
use place::Place;
pub use tls::{TlsConfig, TlsFiles};

/// How the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Where a plugin's component comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It travels in the binary.
    Bundled,
    /// A file.
    File(PathBuf),
}

/// A route as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteConfig {
    /// The topics meant.
    pub topics: Pattern,
    /// The plugin's name, which is among the plugins.
    pub plugin: String,
    /// What `init` gets, as JSON.
    pub config: String,
    /// What becomes of an event on which the rule failed.
    pub on_trap: OnTrap,
}

/// Where the admin token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminToken {
    /// From this file.
    File(PathBuf),
    /// Made now, and written to the data folder or a per-user runtime file.
    Made(Option<PathBuf>),
    /// There is none.
    Off,
}

/// A valid configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where they connect with TLS.
    pub tls: Option<TlsConfig>,
    /// Where operators connect.
    pub admin: SocketAddr,
    /// Whether a chat page is served to clients.
    pub demo: bool,
    /// What the admin listener may be called.
    pub admin_hosts: Vec<String>,
    /// Who may call it.
    pub admin_token: AdminToken,
    /// Where is kept what outlives a restart.
    pub data: Data,
    /// Which tables are kept, and how surely.
    pub durable: Durable,
    /// Whose pushed components are taken.
    pub signing: SigningKeys,
    /// How the log looks.
    pub log_format: LogFormat,
    /// Threads that serve connections.
    pub workers: usize,
    /// Threads that accept connections.
    pub accept_loops: usize,
    /// Threads that route, for each plugin.
    pub lanes: usize,
    /// Which pages may call.
    pub cors: Cors,
    /// Who is let in.
    pub auth: AuthConfig,
    /// Who may say whose address counts.
    pub trusted_proxies: Proxies,
    /// Connections that may wait to be accepted; none is as many as the system allows.
    pub backlog: Option<u32>,
    /// A folder from which components are deployed.
    pub watch: Option<PathBuf>,
    /// Components by name.
    pub plugins: BTreeMap<String, Source>,
    /// Who routes what.
    pub routes: Vec<RouteConfig>,
    /// Every bound.
    pub limits: Limits,
}

/// One accepts while the other hands over. In a storm of 5,000 on two cores, p99 of connecting was 2.2, 1.8 and 1.2 times the
/// bare server's with one, two and four; that of opening a session was the same with each (`PERFORMANCE.md`).
const ACCEPT_LOOPS: usize = 2;

/// What is wrong, and where.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadConfig(String);

impl Flags {
    /// One valid value, or what is wrong.
    pub fn resolve(self) -> Result<Config, BadConfig> {
        let text = match &self.config {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| BadConfig(format!("can't read {}: {error}", path.display())))?,
        };
        self.resolve_over(&text)
    }

    /// The same, given what the config's file says.
    pub fn resolve_over(self, text: &str) -> Result<Config, BadConfig> {
        let at = Place { path: self.config.as_deref(), text };
        let file: File = toml::from_str(text).map_err(|error| at.unreadable(&error))?;
        let folder = self.config.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
        let plugins = self.plugins(&file, &folder, &at)?;
        let routes = self.routes(&file, &plugins, &at)?;
        let admin = self.admin.or(file.admin).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9090)));
        let data = Data::of(self.data.or(file.data.map(|data| folder.join(data))), self.ephemeral)?;
        let admin_token = match self.admin_token_file.or(file.admin_token_file.map(|path| folder.join(path))) {
            _ if self.admin_no_token && !admin.ip().is_loopback() => {
                return Err(BadConfig(format!("--admin-no-token is for loopback only, and --admin is {admin}")));
            }
            _ if self.admin_no_token => AdminToken::Off,
            Some(path) => AdminToken::File(path),
            // A per-user folder can serve several servers one after the other; the runtime file is found by the port.
            None => AdminToken::Made(match &data {
                Data::Explicit(path) => Some(path.clone()),
                Data::PerUser(_) | Data::Off => None,
            }),
        };
        let tls = tls::Said { listen: self.tls_listen, cert: self.tls_cert, key: self.tls_key };
        let tls = tls::listener(tls, file.tls, &folder)?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = |number: Option<u16>, otherwise: usize| number.map_or(otherwise, usize::from).max(1);
        Ok(Config {
            listen: self.listen.or(file.listen).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080))),
            tls,
            admin,
            demo: self.demo || file.demo,
            admin_hosts: [self.admin_hosts, file.admin_hosts].concat(),
            admin_token,
            data,
            durable: Durable {
                tables: durable::tables(&self.durable_tables, &file.durable_tables, &at)?,
                synchronous_commit: self.synchronous_commit || file.synchronous_commit,
            },
            signing: signing::keys(
                &self.signing_keys,
                self.require_signed || file.require_signed,
                &file.signing_keys,
                &at,
            )?,
            log_format: self.log_format.or(file.log_format).unwrap_or_default(),
            // As many threads as cores: with more of them each delivery costs more CPU (`PERFORMANCE.md`).
            workers: threads(self.workers.or(file.workers), cores.div_ceil(2)),
            accept_loops: threads(self.accept_loops.or(file.accept_loops), ACCEPT_LOOPS),
            lanes: threads(self.lanes.or(file.lanes), cores / 2),
            cors: cors(&self.cors_origins, file.cors, &at)?,
            auth: auth::auth(
                AuthConfig {
                    jwks: self.auth_jwks,
                    publishers: self.auth_publishers,
                    audience: self.auth_audience,
                    issuer: self.auth_issuer,
                    anonymous: self.auth_anonymous,
                },
                file.auth,
                &folder,
                &at,
            )?,
            trusted_proxies: auth::proxies(&self.trusted_proxies, file.trusted_proxies.as_ref(), &at)?,
            backlog: self.backlog.or(file.backlog),
            watch: self.watch.or(file.watch.map(|watch| folder.join(watch))),
            plugins,
            routes,
            limits: limits(&self.limits, file.limits, &at)?,
        })
    }

    fn plugins(&self, file: &File, folder: &Path, at: &Place<'_>) -> Result<BTreeMap<String, Source>, BadConfig> {
        let mut plugins: BTreeMap<String, Source> =
            crate::bundled::NAMES.iter().map(|name| ((*name).to_owned(), Source::Bundled)).collect();
        for (name, plugin) in &file.plugins {
            let path = folder.join(plugin.file.get_ref());
            let key = format!("plugins.{name}");
            check_name(name).map_err(|words| at.wrong(plugin.file.span(), &key, &words))?;
            if !path.is_file() {
                return Err(at.wrong(
                    plugin.file.span(),
                    &format!("{key}.file"),
                    &format!("there is no file {}", path.display()),
                ));
            }
            plugins.insert(name.clone(), Source::File(path));
        }
        for (name, path) in &self.plugins {
            check_name(name).map_err(|words| BadConfig(format!("--plugin {name}={path}: {words}")))?;
            if !Path::new(path).is_file() {
                let words = if Path::new(path).is_dir() {
                    "that is a folder; `volley plugin build` makes a component of it, `volley dev` serves it"
                } else {
                    "there is no such file"
                };
                return Err(BadConfig(format!("--plugin {name}={path}: {words}")));
            }
            plugins.insert(name.clone(), Source::File(path.into()));
        }
        Ok(plugins)
    }

    fn routes(
        &self,
        file: &File,
        plugins: &BTreeMap<String, Source>,
        at: &Place<'_>,
    ) -> Result<Vec<RouteConfig>, BadConfig> {
        let route = |topics: &str, plugin: &str, config: String| {
            Ok(RouteConfig { topics: topics.parse()?, plugin: plugin.to_owned(), config, on_trap: OnTrap::default() })
        };
        let mut routes: Vec<RouteConfig> = Vec::new();
        for row in file.routes.as_deref().unwrap_or_default() {
            let config = match &row.config {
                Some(config) => {
                    let json = json(config.get_ref());
                    json.map_err(|words| at.wrong(config.span(), "routes.config", &words))?.to_string()
                }
                None => "null".into(),
            };
            let parsed = route(row.topics.get_ref(), row.plugin.get_ref(), config);
            let mut parsed = parsed.map_err(|words: crate::topic::NotATopic| {
                at.wrong(row.topics.span(), "routes.topics", &words.to_string())
            })?;
            parsed.on_trap = row.on_trap;
            if !plugins.contains_key(&parsed.plugin) {
                let words = format!("there is no plugin {:?}; {}", parsed.plugin, known(plugins));
                return Err(at.wrong(row.plugin.span(), "routes.plugin", &words));
            }
            if routes.iter().any(|other| other.topics == parsed.topics) {
                let words = format!("the pattern {} has a route already", parsed.topics);
                return Err(at.wrong(row.topics.span(), "routes.topics", &words));
            }
            routes.push(parsed);
        }
        if file.routes.is_none() {
            let usual =
                |topics, plugin| route(topics, plugin, "null".into()).map_err(|words| BadConfig(words.to_string()));
            routes = vec![usual("chat.>", "chat")?, usual(">", "topic")?];
        }
        for (topics, plugin) in &self.routes {
            let wrong = |words: String| BadConfig(format!("--route {topics}={plugin}: {words}"));
            if !plugins.contains_key(plugin) {
                return Err(wrong(format!("there is no plugin {plugin:?}; {}", known(plugins))));
            }
            let parsed = route(topics, plugin, "null".into())
                .map_err(|words: crate::topic::NotATopic| wrong(words.to_string()))?;
            routes.retain(|other| other.topics != parsed.topics);
            routes.push(parsed);
        }
        Ok(routes)
    }
}

fn cors(flags: &[String], file: FileCors, at: &Place<'_>) -> Result<Cors, BadConfig> {
    let (origins, span) = match file.origins {
        _ if !flags.is_empty() => (flags.to_vec(), None),
        Some(origins) => (origins.get_ref().clone(), Some(origins.span())),
        None => return Ok(Cors::Any),
    };
    if origins.iter().any(|origin| origin == "*") {
        return Ok(Cors::Any);
    }
    let plain = |origin: &&String| {
        origin
            .split_once("://")
            .is_some_and(|(scheme, host)| !scheme.is_empty() && !host.is_empty() && !host.contains('/'))
    };
    if let Some(bad) = origins.iter().find(|origin| !plain(origin)) {
        let words = format!("{bad:?} is not scheme://host[:port], without a path");
        return Err(span.map_or_else(
            || BadConfig(format!("--cors-origin: {words}")),
            |span| at.wrong(span, "cors.origins", &words),
        ));
    }
    Ok(Cors::Only(origins.into_iter().map(Into::into).collect()))
}

fn limits(flags: &[(String, u64)], mut limits: Limits, at: &Place<'_>) -> Result<Limits, BadConfig> {
    for (name, value) in flags {
        limits.set(name, *value);
    }
    match limits.check() {
        Ok(()) => Ok(limits),
        Err(words) => Err(at.wrong_limit(&words)),
    }
}

/// What a rule gets as JSON.
fn json(value: &toml::Value) -> Result<serde_json::Value, String> {
    Ok(match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) if number.is_finite() => (*number).into(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Array(array) => array.iter().map(json).collect::<Result<_, _>>()?,
        toml::Value::Table(table) => {
            table.iter().map(|(key, value)| Ok((key.clone(), json(value)?))).collect::<Result<_, String>>()?
        }
        other => return Err(format!("a rule gets JSON, which has no {other}; write it as a text")),
    })
}

/// What plugins may be called.
pub fn check_name(name: &str) -> Result<(), String> {
    if !is_plain(name) || name == "shared" {
        return Err("a plugin's name has 1 to 64 letters, digits, '-' and '_', and is not \"shared\"".into());
    }
    Ok(())
}

fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !name.is_empty() && name.len() <= 64 && name.bytes().all(plain)
}

fn known(plugins: &BTreeMap<String, Source>) -> String {
    format!("there are: {}", plugins.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
