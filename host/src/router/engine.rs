//! The engine that all rules share, and a rule: a checked and compiled component.

use crate::clock;
use crate::data::{CodeCache, version_of};
use crate::limits::Limits;
use crate::router::contract::{Plugin, PluginIndices};
use crate::router::host::HostState;
use crate::router::mismatches::mismatches;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::OnceLock;
use std::time::Duration;
use wasmtime::component::{Component, ComponentExportIndex, HasSelf, InstancePre, Linker};
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

/// A guest's time is measured in these.
pub(super) const EPOCH_MS: u64 = clock::COARSE_MS_MAX;

/// Core modules that one instance of a rule may consist of. They are only counted, so there is room for those that stand in for
/// WASI around an engine: `CPython` comes with 38, a rule in Rust with 3.
const CORE_INSTANCES_MAX: u32 = 64;

/// Tables of functions that one instance may have. Each has address space of its own.
const TABLES_MAX: u32 = 4;

/// Compiles rules and keeps their time.
pub struct Engine {
    engine: wasmtime::Engine,
    linker: Linker<HostState>,
}

/// A compiled rule. Instances of it are made by lanes.
pub struct Rule {
    /// `sha256:…` of the component.
    pub version: String,
    /// Bytes of the component.
    pub size: usize,
    pub(super) ready: InstancePre<HostState>,
    pub(super) exports: PluginIndices,
    /// What only rules with a layout of their own export.
    pub(super) upgrade: Option<ComponentExportIndex>,
    pub(super) downgrade: Option<ComponentExportIndex>,
    /// What it says it is, once somebody has asked.
    release: OnceLock<String>,
}

impl Engine {
    /// Also starts the thread that keeps time.
    pub fn new(limits: &Limits) -> anyhow::Result<Self> {
        let instances = limits.instances_max as u32;
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(instances)
            .total_core_instances(CORE_INSTANCES_MAX * instances)
            .max_core_instances_per_component(CORE_INSTANCES_MAX)
            .total_memories(instances)
            .total_tables(TABLES_MAX * instances)
            .max_memories_per_component(1)
            .max_tables_per_component(TABLES_MAX)
            .max_memory_size(limits.instance_bytes_max as usize);
        let mut config = Config::new();
        config
            .wasm_component_model(true)
            .concurrency_support(false)
            .epoch_interruption(true)
            .wasm_backtrace_details(WasmBacktraceDetails::Disable)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let broken = |error: wasmtime::Error| anyhow::anyhow!("the Wasm engine does not start: {error:#}");
        let engine = wasmtime::Engine::new(&config).map_err(broken)?;
        let mut linker = Linker::new(&engine);
        Plugin::add_to_linker::<_, HasSelf<HostState>>(&mut linker, |state| state).map_err(broken)?;
        clock::tick();
        let counted = engine.weak();
        std::thread::Builder::new().name("epoch".into()).spawn(move || {
            while let Some(engine) = counted.upgrade() {
                clock::tick();
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(Duration::from_millis(EPOCH_MS));
            }
        })?;
        Ok(Self { engine, linker })
    }

    /// Checks and compiles. What does not fit is told all at once, in an operator's words.
    pub fn compile(&self, component: &[u8]) -> Result<Rule, Vec<String>> {
        self.load(component, None)
    }

    /// The same, with the code that was compiled before, if it was kept.
    pub fn load(&self, component: &[u8], cache: Option<&CodeCache>) -> Result<Rule, Vec<String>> {
        let mismatches = mismatches(component);
        if !mismatches.is_empty() {
            return Err(mismatches);
        }
        match cache {
            Some(cache) => self.rule(component, &self.cached(component, cache)?),
            None => self.compile_unchecked(component),
        }
    }

    /// Without asking first, in the words of wasmtime.
    pub(super) fn compile_unchecked(&self, component: &[u8]) -> Result<Rule, Vec<String>> {
        self.rule(component, &self.compile_component(component)?)
    }

    fn cached(&self, component: &[u8], cache: &CodeCache) -> Result<Component, Vec<String>> {
        let (version, compiler) = (version_of(component), compiler(&self.engine));
        let kept = cache.get(&version, &compiler);
        if let Some(loaded) = kept.and_then(|code| self.deserialize(&version, &code)) {
            return Ok(loaded);
        }
        let fresh = self.compile_component(component)?;
        match fresh.serialize() {
            Ok(code) => cache.put(&version, &compiler, code),
            Err(error) => tracing::warn!(version, %error, "compiled code can't be kept; a restart compiles anew"),
        }
        Ok(fresh)
    }

    fn compile_component(&self, component: &[u8]) -> Result<Component, Vec<String>> {
        Component::new(&self.engine, component)
            .map_err(|error| vec![format!("this is not a valid component: {}", error.root_cause())])
    }

    fn rule(&self, component: &[u8], compiled: &Component) -> Result<Rule, Vec<String>> {
        let unfit = |error: wasmtime::Error| vec![format!("the component does not fit the contract: {error:#}")];
        let ready = self.linker.instantiate_pre(compiled).map_err(unfit)?;
        let exports = PluginIndices::new(&ready).map_err(unfit)?;
        let optional = |interface: &str, function: &str| {
            let interface = compiled.get_export_index(None, format!("volley:router/{interface}@0.1.0"))?;
            compiled.get_export_index(Some(&interface), function)
        };
        let (upgrade, downgrade) = (optional("migration", "upgrade"), optional("reversal", "downgrade"));
        let (version, release) = (version_of(component), OnceLock::new());
        Ok(Rule { version, size: component.len(), ready, exports, upgrade, downgrade, release })
    }

    /// Code runs as it is, whatever it does: hence `unsafe`. The cache returns only what a server of this user put there
    /// (`data::cache`), and wasmtime looks whether it is for this engine. The need: a start with `chat` takes 1.3 ms of
    /// loading, digest included, in place of 281 ms of compiling, on one core with dependencies at opt-level 2.
    #[allow(unsafe_code)]
    fn deserialize(&self, version: &str, code: &[u8]) -> Option<Component> {
        let loaded = unsafe { Component::deserialize(&self.engine, code) };
        loaded.inspect_err(|error| tracing::warn!(version, %error, "compiled code is not used; compiling anew")).ok()
    }
}

/// Tells code apart that an engine can't run: by wasmtime's version, its settings and the processor.
fn compiler(engine: &wasmtime::Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

impl Rule {
    /// Whether it brings the tables of another version into its own layout.
    pub fn migrates(&self) -> bool {
        self.upgrade.is_some()
    }

    /// Whether it can bring them back into the layout of the version before.
    pub fn reverses(&self) -> bool {
        self.downgrade.is_some()
    }

    /// What the rule itself says it is, such as `0.2.0`; none as long as it was not asked.
    pub fn release(&self) -> Option<&str> {
        self.release.get().map(String::as_str)
    }

    /// It was asked.
    pub fn set_release(&self, release: &str) {
        self.release.get_or_init(|| release.to_owned());
    }

    /// The short form of its version, for people.
    pub fn short_version(&self) -> &str {
        &self.version[.."sha256:".len() + 12]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::Encode as _;

    #[test]
    fn what_is_no_rule_is_told_in_an_operators_words() {
        let engine = Engine::new(&Limits::default()).unwrap();
        let mismatches = |component: &[u8]| engine.compile(component).err().expect("no rule");
        assert!(mismatches(b"not wasm at all")[0].contains("not a valid component"));
        assert!(mismatches(b"\0asm\x01\0\0\0")[0].contains("core module"));
        let empty_component = b"\0asm\x0d\0\x01\0";
        assert_eq!(mismatches(empty_component), ["does not export volley:router/handler@0.1.0"]);
    }

    #[test]
    fn an_instance_consists_of_so_many_modules() {
        let engine = Engine::new(&Limits::default()).unwrap();
        let words = |modules: u32| {
            // An empty module, and so many instances of it.
            let mut component = b"\0asm\x0d\0\x01\0\x01\x08\0asm\x01\0\0\0\x02".to_vec();
            let mut instances = Vec::new();
            modules.encode(&mut instances);
            instances.extend((0..modules).flat_map(|_| [0, 0, 0]));
            instances.encode(&mut component);
            engine.compile_unchecked(&component).err().expect("no rule").concat()
        };
        assert!(words(CORE_INSTANCES_MAX + 1).contains("65 core module instances"), "{}", words(65));
        assert!(!words(CORE_INSTANCES_MAX).contains("core module instances"), "{}", words(64));
    }
}

#[cfg(test)]
#[path = "cached_code_tests.rs"]
mod cached_code_tests;
