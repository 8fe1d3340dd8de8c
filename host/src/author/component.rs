//! A component that an author names, by its file or by the folder that it is built from; and running it in this process.

use crate::limits::Limits;
use crate::router::{Engine, Guest, Mounted, Rule};
use crate::shared::Shared;
use crate::toolchain;
use crate::workers::Workers;
use anyhow::{Context as _, anyhow};
use clap::Args;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Instances that one command has at a time, and some to spare.
const INSTANCES_MAX: u64 = 8;

/// The bytes, and where they lie.
pub(super) struct Named {
    pub(super) file: PathBuf,
    pub(super) bytes: Vec<u8>,
}

impl Named {
    /// Builds what is a folder.
    pub(super) fn find(path: &Path) -> anyhow::Result<Self> {
        let file = if path.is_dir() { toolchain::build(path, None)?.path } else { path.to_owned() };
        let bytes = std::fs::read(&file).with_context(|| format!("can't read {}", file.display()))?;
        Ok(Self { file, bytes })
    }
}

/// The limits of the server that a rule is meant for.
#[derive(Args, Debug)]
pub(super) struct ServerLimits {
    /// A limit of the server that the rule is meant for, as `volley serve --help` lists them; may be repeated
    #[arg(long = "limit", value_name = "NAME=VALUE", value_parser = crate::config::limit)]
    limits: Vec<(String, u64)>,
}

impl ServerLimits {
    pub(super) fn all(&self) -> Result<Limits, String> {
        let mut all = Limits::default();
        for (name, value) in &self.limits {
            all.set(name, *value);
        }
        all.check().map(|()| all)
    }
}

/// A rule that can run. The engine keeps its time, and so has to stay as long as the rule.
pub(super) struct Compiled {
    pub(super) rule: Arc<Rule>,
    _engine: Engine,
}

/// Compiles it; why it does not fit, if it does not.
pub(super) fn compile(component: &[u8], limits: &Limits) -> anyhow::Result<Result<Compiled, Vec<String>>> {
    let engine = Engine::new(&Limits { instances_max: INSTANCES_MAX, ..limits.clone() })?;
    let rule = engine.compile(component);
    Ok(rule.map(|rule| Compiled { rule: Arc::new(rule), _engine: engine }))
}

/// Whether a server would take what was built, as far as that is known without one: it fits, and its `init` takes the config.
pub(crate) fn try_out(file: &Path, config: &str, limits: &Limits) -> anyhow::Result<()> {
    let named = Named::find(file)?;
    let Compiled { rule, _engine } = compile(&named.bytes, limits)?.map_err(|words| anyhow!(words.join("; ")))?;
    let mounted = Arc::new(Mounted { plugin: "tried".into(), config: config.into(), rule });
    Guest::warm(&mounted, &nobodys(limits.clone())).map_err(|fault| anyhow!(fault.report())).map(drop)
}

/// What rules run in: sessions, tables, groups and timers that nobody else has.
pub(super) fn nobodys(limits: Limits) -> Arc<Shared> {
    Arc::new(Shared::new(0, limits, Workers::new(1).0))
}
