//! Builds a rule into a WebAssembly component: what `volley plugin build DIR [-o FILE]` does. `language.rs` says in what it
//! is written, by what lies in its folder; whatever the language, one place looks at what came out.
//!
//! A rule in Rust is compiled for `wasm32-unknown-unknown` and linked by `wasm-component-ld`, so it asks for nothing but
//! what `wit/` gives it: no WASI. Its bytes depend on the sources and on the toolchain alone, not on the folder, the
//! caller's `RUSTFLAGS` or profile. `compiler.rs` says in which order a compiler is looked for; two variables of the
//! environment change it:
//!
//! - `VOLLEY_TOOLCHAIN=rustup` uses the active rustc or fails; `=debian` goes straight to Debian's packages.
//! - `VOLLEY_TOOLCHAIN_DIR` is where Debian's compiler is unpacked (default `~/.cache/volley/toolchain`).

mod apt;
mod c;
mod cargo;
mod command;
mod compiler;
mod component;
mod contract;
mod debian;
mod go;
mod javascript;
mod language;
mod linker;
mod names;
mod python;
mod turn;
mod wasi;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
pub use language::Language;

/// A component that has been built.
#[derive(Debug)]
pub struct Built {
    /// Where it lies: the file asked for, or the usual one in the folder that its language builds in.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// What built it, as [`describe`] says it.
    pub toolchain: String,
}

/// Builds the rule in `dir` and checks that a component came out; copies it to `out` if that is given.
pub fn build(dir: &Path, out: Option<&Path>) -> Result<Built> {
    // Canonical, because the folders that are kept out of the bytes have to match what cargo sees.
    let dir = dir.canonicalize().with_context(|| format!("no such folder: {}", dir.display()))?;
    if !dir.is_dir() {
        bail!("{} is a file: name the folder of the rule", dir.display());
    }
    let Made { file, component: usual, toolchain, turn: _turn } = match Language::of(&dir)? {
        Language::Rust => rust(&dir)?,
        Language::C => c::build(&dir)?,
        Language::JavaScript => javascript::build(&dir)?,
        Language::Python => python::build(&dir)?,
        Language::Go => go::build(&dir)?,
    };
    let component = component::read(&file)?;
    let path = out.map_or(usual, Path::to_owned);
    component.write(&path)?;
    Ok(Built { path, size: component.size(), sha256: component.sha256(), toolchain })
}

/// What a language's tools have made, and their names.
struct Made {
    file: PathBuf,
    /// Where the component goes unless somebody says. Not over that file: who builds the rule next would put that in place
    /// again, so that for a moment there is none.
    component: PathBuf,
    toolchain: String,
    turn: turn::Turn,
}

fn rust(dir: &Path) -> Result<Made> {
    let tools = Tools::find(dir)?;
    cargo::build(dir, &tools.compiler, &tools.linker, tools.describe())
}

/// Names what would build a crate in `dir`: the compiler, the origin of its std, the linker and the profile, a line
/// each. Equal text means equal bytes from equal sources; that is what `plugins/dist/TOOLCHAIN` holds.
pub fn describe(dir: &Path) -> Result<String> {
    Ok(Tools::find(dir)?.describe())
}

/// What turns a crate into a component.
struct Tools {
    compiler: compiler::Compiler,
    linker: linker::Linker,
}

impl Tools {
    fn find(dir: &Path) -> Result<Self> {
        cargo::find(dir)?;
        // The linker next: it is looked up at once, while a compiler may take minutes to fetch.
        let linker = linker::find(dir)?;
        let compiler = compiler::find(dir)?;
        tracing::debug!(rustc = %compiler.rustc.display(), linker = %linker.path.display(), "toolchain");
        Ok(Self { compiler, linker })
    }

    fn describe(&self) -> String {
        let Compiler { version, std_origin, std_id, .. } = &self.compiler;
        format!(
            "rustc: {version}\nstd: {}, {std_origin}, id {std_id}\nlinker: {}\nprofile: {}\n",
            compiler::TARGET,
            self.linker.version,
            cargo::profile_text(),
        )
    }
}

use compiler::Compiler;
