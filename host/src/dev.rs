//! `volley dev DIR`: builds a rule, serves it, and swaps on each save. What does not compile, or is refused, is
//! told, and the version before serves on.

use crate::author;
use crate::changes::Changes;
use crate::config::{Config, RouteConfig, Source};
use crate::deploy::{Activation, Deployer};
use crate::limits::Limits;
use crate::on_trap::OnTrap;
use crate::toolchain;
use crate::topic::Pattern;
use anyhow::Context as _;
use notify::RecursiveMode;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A crate in the making.
pub struct Workbench {
    folder: PathBuf,
    name: String,
    topics: Vec<Pattern>,
    changes: Changes,
}

impl Workbench {
    /// Of the crate in that folder, as the plugin of that name, which routes those topics.
    pub fn open(folder: &Path, name: String, topics: Vec<Pattern>) -> anyhow::Result<Self> {
        let folder = folder.canonicalize().with_context(|| format!("no such folder: {}", folder.display()))?;
        let root = folder.clone();
        let is_source = move |path: &Path| {
            let below = path.strip_prefix(&root).unwrap_or(path);
            let first = below.components().next().map(|first| first.as_os_str().to_string_lossy().into_owned());
            let made = ["target", "Cargo.lock", "node_modules", "__pycache__"];
            first.is_some_and(|first| !made.contains(&first.as_str()) && !first.starts_with('.'))
        };
        let changes = Changes::below(&folder, RecursiveMode::Recursive, is_source)?;
        Ok(Self { folder, name, topics, changes })
    }

    /// Builds it; if that fails, or a server would not take it, again after each change until it succeeds. The compiler says
    /// itself what is wrong.
    pub async fn first_build(&mut self, rule_config: &str, limits: &Limits) -> PathBuf {
        loop {
            match self.try_out(rule_config, limits).await {
                Ok(path) => return path,
                Err(error) => eprintln!("volley dev: {error:#}\nvolley dev: waiting for the next change"),
            }
            self.changes.next().await;
        }
    }

    async fn try_out(&self, rule_config: &str, limits: &Limits) -> anyhow::Result<PathBuf> {
        let (path, config, limits) = (self.build().await?, rule_config.to_owned(), limits.clone());
        let tried = tokio::task::spawn_blocking(move || author::try_out(&path, &config, &limits).map(|()| path)).await;
        tried.context("trying it out panicked")?
    }

    /// Puts it into a server's configuration, on its topics.
    pub fn mount(&self, component: PathBuf, rule_config: &str, config: &mut Config) {
        config.plugins.insert(self.name.clone(), Source::File(component));
        for topics in &self.topics {
            config.routes.retain(|route| route.topics != *topics);
            let (plugin, config_text) = (self.name.clone(), rule_config.to_owned());
            config.routes.push(RouteConfig {
                topics: topics.clone(),
                plugin,
                config: config_text,
                on_trap: OnTrap::Fail,
            });
        }
    }

    /// How to speak to it, where a server shows a conversation with the bundled chat.
    pub fn conversation(&self) -> String {
        let patterns = self.topics.iter().map(Pattern::to_string).collect::<Vec<_>>().join(" and ");
        let topic = self.topics.first().map_or_else(String::new, |first| first.to_string().replace(['*', '>'], "1"));
        include_str!("dev.txt")
            .replace("{name}", &self.name)
            .replace("{patterns}", &patterns)
            .replace("{topic}", &topic)
    }

    /// Swaps on each change.
    pub async fn run(mut self, deployer: Arc<Deployer>) {
        loop {
            self.changes.next().await;
            match self.swap(&deployer).await {
                Ok(true) => eprintln!("volley dev: swapped, {} is at work", self.name),
                Ok(false) => eprintln!("volley dev: built, and nothing has changed"),
                Err(error) => eprintln!("volley dev: {error:#}\nvolley dev: the version before serves on"),
            }
        }
    }

    async fn swap(&self, deployer: &Deployer) -> anyhow::Result<bool> {
        let path = self.build().await?;
        let component = std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
        let version = crate::data::version_of(&component);
        let known = deployer.known();
        if known.plugin(&self.name)?.active.as_ref().is_some_and(|active| active.id == version) {
            return Ok(false);
        }
        deployer.push(&self.name, component.into(), None, false).await?;
        deployer.activate(&self.name, &Activation { version, ..Activation::default() }).await?;
        Ok(true)
    }

    async fn build(&self) -> anyhow::Result<PathBuf> {
        let folder = self.folder.clone();
        let built = tokio::task::spawn_blocking(move || toolchain::build(&folder, None)).await;
        Ok(built.context("the build panicked")??.path)
    }
}
