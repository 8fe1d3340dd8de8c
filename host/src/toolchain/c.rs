//! Rules in C: every `.c` file of the folder, compiled by clang together with the SDK that this binary carries, and linked as
//! Rust's are. No C library and no WASI: what a rule has is `volley.h`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::command::{run, shown};
use super::contract::Workplace;
use super::{Made, linker};

/// Below `target/volley/c`; the headers are where an editor's clangd finds them by the rule's `compile_flags.txt`.
const SDK: [(&str, &str); 6] = [
    ("volley.h", include_str!("../../../plugins/sdk-c/volley.h")),
    ("volley.c", include_str!("../../../plugins/sdk-c/volley.c")),
    ("plugin.h", include_str!("../../../plugins/sdk-c/plugin.h")),
    ("plugin.c", include_str!("../../../plugins/sdk-c/plugin.c")),
    ("libc/stdlib.h", include_str!("../../../plugins/sdk-c/libc/stdlib.h")),
    ("libc/string.h", include_str!("../../../plugins/sdk-c/libc/string.h")),
];

/// For all sources; bulk memory makes `memcpy` one instruction.
const FLAGS: [&str; 7] = [
    "--target=wasm32-unknown-unknown",
    "-std=c17",
    "-O2",
    "-mbulk-memory",
    "-ffreestanding",
    "-ffunction-sections",
    "-fdata-sections",
];

/// The stack comes first in memory, so that what overflows it traps.
const LINK: [&str; 5] = ["--no-entry", "--gc-sections", "--stack-first", "-z", "stack-size=262144"];

pub(super) fn build(dir: &Path) -> Result<Made> {
    let clang = version()?;
    let linker = linker::find(dir)?;
    let place = Workplace::of(dir)?;
    for (name, text) in SDK {
        place.write(&format!("c/{name}"), text)?;
    }
    let rule =
        Sources { of: "rule", folder: dir, warnings: &["-Wall", "-Wextra", "-Werror=implicit-function-declaration"] };
    let sdk = Sources { of: "sdk", folder: &place.path("c"), warnings: &["-w"] };
    let objects = [rule.compile(&place)?, sdk.compile(&place)?].concat();
    let (file, component) = (place.made(dir), place.component(dir));
    let mut link = Command::new(&linker.path);
    link.env("PATH", &linker.search_path).args(LINK).arg("--component-type").arg(place.world()?);
    run(link.args(objects).arg("-o").arg(&file))?;
    Ok(Made {
        file,
        component,
        toolchain: format!("{clang}\nlinker: {}\nflags: {}\n", linker.version, FLAGS.join(" ")),
        turn: place.into_turn(),
    })
}

fn version() -> Result<String> {
    let said = run(Command::new("clang").arg("--version"))
        .context("rules in C are compiled by clang: `apt-get install clang`, or LLVM's own packages")?;
    Ok(said.lines().next().unwrap_or_default().to_owned())
}

/// The `.c` files of a folder.
struct Sources<'a> {
    /// Keeps files of the same name apart.
    of: &'a str,
    folder: &'a Path,
    /// Of code that is not the author's to mend: none.
    warnings: &'a [&'a str],
}

impl Sources<'_> {
    /// Returns the objects.
    fn compile(&self, place: &Workplace) -> Result<Vec<PathBuf>> {
        self.files()?.iter().map(|file| self.compile_one(file, place)).collect()
    }

    /// Sorted, so that the same folder gives the same bytes.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.folder).with_context(|| format!("cannot read {}", self.folder.display()))?;
        let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        files.retain(|file| file.extension() == Some(OsStr::new("c")));
        files.sort();
        Ok(files)
    }

    fn compile_one(&self, file: &Path, place: &Workplace) -> Result<PathBuf> {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let object = place.path(&format!("{}-{name}.o", self.of));
        let mut clang = Command::new("clang");
        clang.args(FLAGS).args(self.warnings).arg(format!("-ffile-prefix-map={}=/src", self.folder.display()));
        clang.arg("-I").arg(place.path("c")).arg("-isystem").arg(place.path("c/libc"));
        clang.arg("-c").arg(file).arg("-o").arg(&object);
        // Warnings and errors go straight to the author.
        let line = shown(&clang);
        let status = clang.stdin(Stdio::null()).status().with_context(|| format!("cannot start `{line}`"))?;
        if !status.success() {
            bail!("{} was not compiled ({status}): clang's own words are above", file.display());
        }
        Ok(object)
    }
}
