//! `volley plugin push` and `pull`: components from files, crates and registries, to servers and registries, each with
//! its signature beside it.

use crate::commands::answers::Pushed;
use crate::commands::operator::Operator;
use crate::commands::plugins::{Swap, activate, unknown, wait_for};
use crate::commands::{WrongUsage, layout, progress};
use crate::http_client::plain;
use crate::oci::{self, Transport};
use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use oci_client::Reference;
use reqwest::{Method, StatusCode};
use std::path::{Path, PathBuf};

/// For the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  Build a crate, bring it to the server, let it route:
    volley plugin push chat rules/chat --activate --wait
  Say in what a component does not fit:
    volley plugin push chat chat.wasm --dry-run
  Publish it in a registry, and bring it from there to a server:
    volley plugin push oci://registry.example/rules/chat:1.4 chat.wasm
    volley plugin push chat oci://registry.example/rules/chat:1.4 --activate";

/// `push`.
#[derive(Args, Debug)]
pub struct Push {
    /// The plugin's name on the server; or `oci://REGISTRY/NAME:TAG`, to publish the component there
    #[arg(value_name = "NAME|oci://REF", value_parser = place)]
    to: Place,
    /// The component: a file; the folder of its crate, which is built first; or `oci://REGISTRY/NAME:TAG`
    #[arg(value_name = "FILE|DIR|oci://REF", value_parser = place)]
    from: Place,
    /// Let it route at once, in the place of the active version
    #[arg(long, conflicts_with = "dry_run")]
    activate: bool,
    /// Wait until the server shows it as active
    #[arg(long, requires = "activate")]
    wait: bool,
    #[command(flatten)]
    swap: Swap,
    /// Only say in what it does not fit
    #[arg(long)]
    dry_run: bool,
    /// Its signature [default: FILE.sig where there is one, or the registry's]
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    #[command(flatten)]
    registry: Registry,
    #[command(flatten)]
    operator: Operator,
}

/// `pull`.
#[derive(Args, Debug)]
pub struct Pull {
    /// `oci://REGISTRY/NAME:TAG`
    #[arg(value_name = "oci://REF", value_parser = oci::parse)]
    from: Reference,
    /// Where it goes; its signature goes to FILE.sig [default: NAME.wasm]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    registry: Registry,
}

/// How registries are spoken to.
#[derive(Args, Debug)]
struct Registry {
    /// Speak to the registry without TLS; one on this machine is spoken to so anyway
    #[arg(long)]
    plain_http: bool,
}

#[derive(Clone, Debug)]
enum Place {
    Registry(Box<Reference>),
    Named(String),
}

fn place(text: &str) -> Result<Place, String> {
    if text.starts_with(oci::SCHEME) {
        return oci::parse(text).map(|reference| Place::Registry(Box::new(reference)));
    }
    if text.is_empty() { Err("a name is expected".into()) } else { Ok(Place::Named(text.to_owned())) }
}

/// A component with the signature that came with it.
struct Component {
    bytes: Vec<u8>,
    signature: Option<String>,
}

/// A signature in base64 is less than 100 bytes; a file that is larger is another.
const SIGNATURE_BYTES_MAX: u64 = 1024;

impl Registry {
    fn transport(&self) -> Transport {
        if self.plain_http { Transport::PlainHttp } else { Transport::Usual }
    }
}

impl Push {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let at_server = self.activate || self.dry_run || self.swap.if_current.is_some() || self.swap.config.is_some();
        match &self.to {
            Place::Registry(_) if at_server => {
                Err(WrongUsage("a registry only keeps components; flags of a server go with a plugin's name".into()))?
            }
            Place::Named(_) if !self.activate && (self.swap.if_current.is_some() || self.swap.config.is_some()) => {
                Err(WrongUsage("--if-current and --config go with --activate".into()))?
            }
            Place::Registry(to) => self.publish(to).await,
            Place::Named(name) => self.deploy(name).await,
        }
    }

    /// To the server.
    async fn deploy(&self, name: &str) -> anyhow::Result<()> {
        let client = self.operator.client()?;
        let component = self.component().await?;
        let signed = if component.signature.is_some() { ", signed" } else { "" };
        let size = layout::bytes(component.bytes.len() as u64);
        let query = if self.dry_run { "dry_run" } else { "" };
        let mut request = client.request(Method::POST, &["plugins", name, "versions"], query).body(component.bytes);
        request = request.header("Content-Type", "application/wasm");
        if let Some(signature) = component.signature {
            request = request.header("Volley-Signature", signature);
        }
        let what = || format!("pushing {size} to {name}, which compiles it");
        let answer = progress::during(what, client.call(request)).await.map_err(unknown)?;
        let Pushed { version } = client.read(&answer)?;
        let done = match answer.status {
            _ if self.dry_run => "fits; nothing was changed",
            StatusCode::CREATED => "is on the server",
            _ => "was on the server already",
        };
        let words = format!("{name} {} ({size}{signed}) {done}\n", layout::version(&version));
        self.operator.print(&client, &answer, |_: &Pushed| words)?;
        if self.activate {
            activate(&client, &self.operator, name, &version, &self.swap, None).await?;
        }
        if self.wait { wait_for(&client, name, &version).await } else { Ok(()) }
    }

    /// To a registry.
    async fn publish(&self, to: &Reference) -> anyhow::Result<()> {
        let Component { bytes, signature } = self.component().await?;
        let size = layout::bytes(bytes.len() as u64);
        let push = oci::push(to, bytes, signature.as_deref(), self.registry.transport());
        let digest = progress::during(|| format!("pushing {size} to {to}"), push).await?;
        if self.operator.wants_json() {
            return layout::say(&serde_json::json!({"reference": to.whole(), "digest": digest}).to_string());
        }
        let signed = if signature.is_some() { ", signed" } else { "" };
        layout::say(&format!("{to} ({size}{signed}) is {digest}\n"))
    }

    async fn component(&self) -> anyhow::Result<Component> {
        let mut component = match &self.from {
            Place::Named(path) => from_disk(Path::new(path)).await?,
            Place::Registry(from) => {
                let pull = oci::pull(from, self.registry.transport());
                let artifact = progress::during(|| format!("pulling {from}"), pull).await?;
                Component { bytes: artifact.component, signature: artifact.signature }
            }
        };
        if let Some(file) = &self.signature {
            component.signature = Some(read_signature(file)?);
        }
        if let Some(signature) = &component.signature {
            check_signature(signature)?;
        }
        Ok(component)
    }
}

async fn from_disk(path: &Path) -> anyhow::Result<Component> {
    let file = if path.is_dir() { build(path.to_owned()).await? } else { path.to_owned() };
    let bytes = std::fs::read(&file).with_context(|| format!("can't read {}", file.display()))?;
    let beside = signature_file(&file);
    let signature = if beside.is_file() { Some(read_signature(&beside)?) } else { None };
    Ok(Component { bytes, signature })
}

async fn build(dir: PathBuf) -> anyhow::Result<PathBuf> {
    let what = format!("building {}", dir.display());
    let built = tokio::task::spawn_blocking(move || crate::toolchain::build(&dir, None));
    let built = progress::during(|| what.clone(), built).await??;
    Ok(built.path)
}

/// `FILE.sig`.
pub(crate) fn signature_file(component: &Path) -> PathBuf {
    let mut name = component.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

pub(crate) fn read_signature(file: &Path) -> anyhow::Result<String> {
    let size = std::fs::metadata(file).with_context(|| format!("can't read {}", file.display()))?.len();
    ensure!(size <= SIGNATURE_BYTES_MAX, "{} is too large for a signature", file.display());
    let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
    let signature = text.trim().to_owned();
    check_signature(&signature).with_context(|| file.display().to_string())?;
    Ok(signature)
}

/// It travels in a header, and comes from files and registries: only base64 may.
fn check_signature(signature: &str) -> anyhow::Result<()> {
    let short = signature.len() as u64 <= SIGNATURE_BYTES_MAX;
    ensure!(short && STANDARD.decode(signature).is_ok(), "not a signature in base64; `volley plugin sign` makes one");
    Ok(())
}

impl Pull {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let Self { from, output, registry } = self;
        let pull = oci::pull(&from, registry.transport());
        let artifact = progress::during(|| format!("pulling {from}"), pull).await?;
        let last = from.repository().rsplit('/').next().unwrap_or("component");
        let file = output.unwrap_or_else(|| PathBuf::from(format!("{last}.wasm")));
        std::fs::write(&file, &artifact.component).with_context(|| format!("can't write {}", file.display()))?;
        let beside = signature_file(&file);
        match &artifact.signature {
            Some(signature) => {
                check_signature(signature).with_context(|| from.to_string())?;
                std::fs::write(&beside, format!("{signature}\n"))
                    .with_context(|| format!("can't write {}", beside.display()))?;
                eprintln!("its signature: {}", beside.display());
            }
            // That of what was there before would be sent along, and refused.
            None if beside.exists() => {
                std::fs::remove_file(&beside).with_context(|| format!("can't remove {}", beside.display()))?;
                eprintln!("it is not signed; removed the signature of what was there before: {}", beside.display());
            }
            None => {}
        }
        eprintln!("{} is {}, {} bytes", from, plain(&artifact.digest), artifact.component.len());
        layout::say(&format!("{}\n", file.display()))
    }
}
