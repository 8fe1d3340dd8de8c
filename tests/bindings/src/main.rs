//! The contract as C and as Go, by wit-bindgen: `plugins/sdk-c/plugin.{h,c}` and `plugins/sdk-go/internal/contract`. Says in what
//! the committed files differ, or with `--write` puts them there.

use anyhow::{Context as _, bail};
use std::fs;
use std::path::Path;
use wit_bindgen_core::wit_parser::{Resolve, WorldId};
use wit_bindgen_core::{Files, WorldGenerator};

const WORLD: &str = "plugin";
/// What the generated Go imports of its own project, and what the SDK has in its place: that one asks for functions of Go's
/// runtime and of WASI which no rule has.
const RUNTIME: [&str; 2] = ["go.bytecodealliance.org/pkg/wit", "volley/internal/wit"];

fn main() -> anyhow::Result<()> {
    let write = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--write" => true,
        _ => bail!("usage: volley-bindings [--write]"),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(root.join("wit/v0.1"))?;
    let world = resolve.select_world(&[package], Some(WORLD))?;

    let c = wit_bindgen_c::Opts { no_object_file: true, ..wit_bindgen_c::Opts::default() };
    let c = generate(&mut *c.build(), &mut resolve, world, str::to_owned)?;
    place(&root, "plugins/sdk-c", &c, write)?;
    let go = wit_bindgen_go::Opts {
        pkg_name: Some("volley/internal/contract".into()),
        format: wit_bindgen_go::Format::False, // The same with and without a gofmt.
        ..wit_bindgen_go::Opts::default()
    };
    let go = generate(&mut *go.build(), &mut resolve, world, |text| text.replace(RUNTIME[0], RUNTIME[1]))?;
    place(&root, "plugins/sdk-go/internal/contract", &go, write)?;
    println!("the SDKs have the contract of wit/v0.1");
    Ok(())
}

/// The files by their names.
fn generate(
    generator: &mut dyn WorldGenerator,
    resolve: &mut Resolve,
    world: WorldId,
    edit: impl Fn(&str) -> String,
) -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Files::default();
    generator.generate(resolve, world, &mut files)?;
    let texts = files.iter().map(|(name, bytes)| Ok((name.to_owned(), edit(std::str::from_utf8(bytes)?))));
    texts.collect()
}

/// Puts them below that folder, or holds what is there against them.
fn place(root: &Path, folder: &str, files: &[(String, String)], write: bool) -> anyhow::Result<()> {
    for (name, generated) in files {
        let path = root.join(folder).join(name);
        if write {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(&path, generated).with_context(|| name.clone())?;
        } else if fs::read_to_string(&path).with_context(|| name.clone())? != *generated {
            bail!("{folder}/{name} is not what wit/v0.1 makes: run `cargo run -- --write` in tests/bindings");
        }
    }
    Ok(())
}
