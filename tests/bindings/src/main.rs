//! The contract as C, by wit-bindgen: `plugins/sdk-c/plugin.{h,c}`. Says in what the committed files differ, or with `--write`
//! puts them there.

use anyhow::{Context as _, bail};
use std::path::Path;
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

const WORLD: &str = "plugin";

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
    let mut files = Files::default();
    let options = wit_bindgen_c::Opts { no_object_file: true, ..wit_bindgen_c::Opts::default() };
    options.build().generate(&mut resolve, world, &mut files)?;

    let sdk = root.join("plugins/sdk-c");
    for (name, generated) in files.iter() {
        let path = sdk.join(name);
        if write {
            std::fs::write(&path, generated).with_context(|| name.to_owned())?;
        } else if std::fs::read(&path).with_context(|| name.to_owned())? != generated {
            bail!("plugins/sdk-c/{name} is not what wit/v0.1 makes: run `cargo run -- --write` in tests/bindings");
        }
    }
    println!("plugins/sdk-c has the contract of wit/v0.1");
    Ok(())
}
