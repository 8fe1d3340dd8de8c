//! The flags of `volley serve`, each with its environment variable.

use super::LogFormat;
use crate::limits;
use clap::Args;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The flags of `volley serve`.
// One truth a flag.
#[allow(clippy::struct_excessive_bools)]
#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// Where clients connect; port 0 takes a free one, which is printed [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "VOLLEY_LISTEN")]
    pub(super) listen: Option<SocketAddr>,
    /// Where clients connect with TLS, besides `--listen`: HTTP/2 or HTTP/1.1, as they choose; needs the two files below
    #[arg(long, value_name = "ADDR", env = "VOLLEY_TLS_LISTEN")]
    pub(super) tls_listen: Option<SocketAddr>,
    /// The certificate, PEM: the server's own first, then the chain. It is loaded anew when the file changes and on SIGHUP,
    /// and open connections go on
    #[arg(long, value_name = "FILE", env = "VOLLEY_TLS_CERT")]
    pub(super) tls_cert: Option<PathBuf>,
    /// Its private key, PEM: PKCS#8, PKCS#1 or SEC1, without a passphrase
    #[arg(long, value_name = "FILE", env = "VOLLEY_TLS_KEY")]
    pub(super) tls_key: Option<PathBuf>,
    /// Where operators connect; anything but loopback needs the admin token [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR", env = "VOLLEY_ADMIN")]
    pub(super) admin: Option<SocketAddr>,
    /// Serve a chat page to clients, at / of `--listen` and `--tls-listen`
    #[arg(long, env = "VOLLEY_DEMO")]
    pub(super) demo: bool,
    /// A TOML file; examples/volley.toml has every key with its default
    #[arg(long, value_name = "FILE", env = "VOLLEY_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// A folder for what outlives a restart: pushed versions, what is active, routes, compiled code, the admin token
    /// [default: `$XDG_DATA_HOME/volley` or `~/.local/share/volley`, made when there is something to keep]
    #[arg(long, value_name = "DIR", env = "VOLLEY_DATA", conflicts_with = "ephemeral")]
    pub(super) data: Option<PathBuf>,
    /// Forget everything at the end; only the admin token is written, to a per-user runtime file
    #[arg(long, env = "VOLLEY_EPHEMERAL")]
    pub(super) ephemeral: bool,
    /// Keep this table across restarts, though its rule does not ask for it: PLUGIN:TABLE or shared:TABLE, as `volley
    /// tables ls` names them; may be repeated, or several with commas between them
    #[arg(long = "durable-table", value_name = "NAME", env = "VOLLEY_DURABLE_TABLES", value_delimiter = ',')]
    pub(super) durable_tables: Vec<String>,
    /// Answer an event only once what it changed in durable tables is on the disk, so that a crash loses nothing that was
    /// answered; an event that changes one then takes as long as a commit to the disk. Without it a crash loses what
    /// was changed within `write_behind_ms`
    #[arg(long, env = "VOLLEY_SYNCHRONOUS_COMMIT")]
    pub(super) synchronous_commit: bool,
    /// Deploy components that are dropped in this folder: NAME.wasm becomes the active version of the plugin NAME
    #[arg(long, value_name = "DIR", env = "VOLLEY_WATCH")]
    pub(super) watch: Option<PathBuf>,
    /// A file with the admin token; without it one is made and its file is printed
    #[arg(long, value_name = "FILE", env = "VOLLEY_ADMIN_TOKEN_FILE", conflicts_with = "admin_no_token")]
    pub(super) admin_token_file: Option<PathBuf>,
    /// No admin token, for tests and demos; only on loopback
    #[arg(long, env = "VOLLEY_ADMIN_NO_TOKEN")]
    pub(super) admin_no_token: bool,
    /// A name that the admin listener may be called by, besides addresses and localhost; may be repeated, or several with
    /// commas between them
    #[arg(long = "admin-host", value_name = "NAME", env = "VOLLEY_ADMIN_HOSTS", value_delimiter = ',')]
    pub(super) admin_hosts: Vec<String>,
    /// How the log on stderr looks [default: human]
    #[arg(long, value_enum, env = "VOLLEY_LOG_FORMAT")]
    pub(super) log_format: Option<LogFormat>,
    /// Threads that serve client connections [default: one for two cores]
    #[arg(long, value_name = "N", env = "VOLLEY_WORKERS")]
    pub(super) workers: Option<u16>,
    /// Threads that accept client connections [default: 2]
    #[arg(long, value_name = "N", env = "VOLLEY_ACCEPT_LOOPS")]
    pub(super) accept_loops: Option<u16>,
    /// Threads that route for each plugin; a topic always goes to the same one [default: one for two cores]
    #[arg(long, value_name = "N", env = "VOLLEY_LANES")]
    pub(super) lanes: Option<u16>,
    /// A page of this origin may call (`scheme://host[:port]`); may be repeated, or several with commas between them
    /// [default: any]
    #[arg(long = "cors-origin", value_name = "ORIGIN", env = "VOLLEY_CORS_ORIGINS", value_delimiter = ',')]
    pub(super) cors_origins: Vec<String>,
    /// A file with a JWK set: clients show a token, as Authorization: Bearer, that one of its keys has signed
    #[arg(long, value_name = "FILE", env = "VOLLEY_AUTH_JWKS")]
    pub(super) auth_jwks: Option<PathBuf>,
    /// A file with the keys of back-ends, as `volley keys new` prints them: who publishes without a session shows one
    #[arg(long, value_name = "FILE", env = "VOLLEY_AUTH_PUBLISHERS")]
    pub(super) auth_publishers: Option<PathBuf>,
    /// Tokens are meant for one of these (`aud`); may be repeated, or several with commas between them
    #[arg(long, value_name = "NAME", env = "VOLLEY_AUTH_AUDIENCE", value_delimiter = ',')]
    pub(super) auth_audience: Vec<String>,
    /// Tokens come from one of these (`iss`); may be repeated, or several with commas between them [default: any]
    #[arg(long, value_name = "NAME", env = "VOLLEY_AUTH_ISSUER", value_delimiter = ',')]
    pub(super) auth_issuer: Vec<String>,
    /// Sessions may be opened without a token all the same; their user is what they say
    #[arg(long, env = "VOLLEY_AUTH_ANONYMOUS")]
    pub(super) auth_anonymous: bool,
    /// A proxy whose `X-Forwarded-For` or `Forwarded` says whose address counts: an address, or a network such as
    /// 10.0.0.0/8; may be repeated, or several with commas between them
    #[arg(long = "trusted-proxy", value_name = "NET", env = "VOLLEY_TRUSTED_PROXIES", value_delimiter = ',')]
    pub(super) trusted_proxies: Vec<String>,
    /// Connections that may wait to be accepted [default: as many as the system allows]
    #[arg(long, value_name = "N", env = "VOLLEY_BACKLOG")]
    pub(super) backlog: Option<u32>,
    /// Mount a component under a name, or in place of the bundled `chat` or `topic`; may be repeated,
    /// or several with commas between them
    #[arg(long = "plugin", value_name = "NAME=FILE", env = "VOLLEY_PLUGINS", value_delimiter = ',', value_parser = pair)]
    pub(super) plugins: Vec<(String, String)>,
    /// Route topics to a plugin, besides the routes of the config; may be repeated, or several with commas between
    /// them. Patterns: `*` is one segment, a
    /// final `>` the rest; the most specific wins
    #[arg(long = "route", value_name = "PATTERN=NAME", env = "VOLLEY_ROUTES", value_delimiter = ',', value_parser = pair)]
    pub(super) routes: Vec<(String, String)>,
    /// Refuse pushed components that none of the signing keys signed
    #[arg(long, env = "VOLLEY_REQUIRE_SIGNED")]
    pub(super) require_signed: bool,
    /// A public key whose holder may sign components, as `volley plugin keygen` prints it; may be repeated, or several
    /// with commas between them
    #[arg(long = "signing-key", value_name = "NAME=KEY", env = "VOLLEY_SIGNING_KEYS", value_delimiter = ',', value_parser = pair)]
    pub(super) signing_keys: Vec<(String, String)>,
    /// Set a bound (listed below); may be repeated, or several with commas between them
    #[arg(long = "limit", value_name = "NAME=VALUE", env = "VOLLEY_LIMITS", value_delimiter = ',', value_parser = limit)]
    pub(super) limits: Vec<(String, u64)>,
}

/// Every bound, for the end of `serve --help`.
pub fn limits_help() -> String {
    let mut text = String::from("Limits, for --limit NAME=VALUE or [limits] in the config (unit last):\n");
    for (name, default, description) in limits::TABLE {
        let _ = writeln!(text, "  {name} = {default}\n      {}", description.trim());
    }
    text
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok((name.into(), value.into())),
        _ => Err("expected two parts with '=' between them".into()),
    }
}

/// `NAME=VALUE` of a limit that there is.
pub fn limit(text: &str) -> Result<(String, u64), String> {
    let (name, value) = pair(text)?;
    let value = value.parse().map_err(|_| format!("{value:?} is not a whole number"))?;
    if limits::TABLE.iter().any(|(known, ..)| *known == name) {
        Ok((name, value))
    } else {
        Err(format!("there is no limit {name:?}; `volley serve --help` lists them"))
    }
}
