//! The names of a component's functions, which a trap shows: kept, but as people read them.
//!
//! rustc's symbols end in hashes that depend on where a crate lies, and the same sources have to give the same bytes
//! wherever they are built. So the names are demangled here, which leaves the hashes out. What else the linker names
//! (globals, data) nobody is shown.

use anyhow::{Context as _, Result};
use wasm_encoder::{Encode as _, NameMap, NameSection};
use wasmparser::{BinaryReader, Name, NameSectionReader};

/// `\0asm`, version and layer.
const HEADER_BYTES: usize = 8;
/// Sections of a component that hold a binary of their own.
const CORE_MODULE: u8 = 1;
const COMPONENT: u8 = 4;
/// A section of a module that has a name.
const CUSTOM: u8 = 0;

/// The same component with readable names.
pub(super) fn readable(component: &[u8]) -> Result<Vec<u8>> {
    copied(component, |id, section| match id {
        CORE_MODULE => copied(section, of_module).map(Some),
        COMPONENT => readable(section).map(Some),
        _ => Ok(None),
    })
    .context("its names cannot be read")
}

/// A binary, section by section; `instead` says what a section is to hold, if not what it holds.
fn copied(binary: &[u8], instead: impl Fn(u8, &[u8]) -> Result<Option<Vec<u8>>>) -> Result<Vec<u8>> {
    let mut reader = BinaryReader::new(binary, 0);
    let mut copy = reader.read_bytes(HEADER_BYTES)?.to_vec();
    while !reader.eof() {
        let id = reader.read_u8()?;
        let bytes = reader.read_var_u32()? as usize;
        let section = reader.read_bytes(bytes)?;
        copy.push(id);
        // With their number in front.
        instead(id, section)?.as_deref().unwrap_or(section).encode(&mut copy);
    }
    Ok(copy)
}

fn of_module(id: u8, section: &[u8]) -> Result<Option<Vec<u8>>> {
    const NAME: &str = "name";
    let mut reader = BinaryReader::new(section, 0);
    if id != CUSTOM || reader.read_string()? != NAME {
        return Ok(None);
    }
    let names = NameSectionReader::new(BinaryReader::new(reader.read_bytes(reader.bytes_remaining())?, 0));
    let mut section = Vec::new();
    NAME.encode(&mut section);
    section.extend_from_slice(&of_functions(names)?.as_custom().data);
    Ok(Some(section))
}

fn of_functions(names: NameSectionReader<'_>) -> Result<NameSection> {
    let mut functions = NameMap::new();
    for name in names {
        let Name::Function(map) = name? else { continue };
        for function in map {
            let function = function?;
            // Without hashes.
            functions.append(function.index, &format!("{:#}", rustc_demangle::demangle(function.name)));
        }
    }
    let mut section = NameSection::new();
    section.functions(&functions);
    Ok(section)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component with one module of one section of names.
    fn component(functions: &[&str]) -> Vec<u8> {
        let mut map = NameMap::new();
        (0..).zip(functions).for_each(|(index, name)| map.append(index, name));
        let mut names = NameSection::new();
        names.module("module");
        names.functions(&map);
        let mut module = wasm_encoder::Module::new();
        module.section(&names);
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        component.push(CORE_MODULE);
        module.finish().as_slice().encode(&mut component);
        component
    }

    #[test]
    fn hashes_of_folders_are_left_out() {
        let here = component(&["_ZN5probe4obey17hc6f26e56a5557ba5E", "_RNvNtCsgXGp5Oqx2Ny_4core9panicking9panic_fmt"]);
        let there = component(&["_ZN5probe4obey17h0123456789abcdefE", "_RNvNtCs1234567890a_4core9panicking9panic_fmt"]);
        assert_ne!(here, there);
        let readable_here = readable(&here).unwrap();
        assert_eq!(readable_here, readable(&there).unwrap());
        let text = String::from_utf8_lossy(&readable_here);
        assert!(text.contains("probe::obey") && text.contains("core::panicking::panic_fmt"), "{text}");
        assert!(!text.contains("c6f26e"), "{text}");
    }

    #[test]
    fn other_languages_and_names_that_are_readable_stay() {
        let names = ["main", "runtime.scheduler", "<probe::Rule as volley_plugin::Rule>::route"];
        let once = readable(&component(&names)).unwrap();
        let text = String::from_utf8_lossy(&once);
        assert!(names.iter().all(|name| text.contains(name)), "{text}");
        assert_eq!(readable(&once).unwrap(), once);
    }

    #[test]
    fn a_bundled_component_is_the_same_to_wasm() {
        let component = crate::bundled::component("topic").unwrap();
        let readable = readable(component).unwrap();
        let features = wasmparser::WasmFeatures::all();
        wasmparser::Validator::new_with_features(features).validate_all(&readable).expect("still a component");
        let code = |binary: &[u8]| {
            let module = std::cell::RefCell::new(Vec::new());
            let note = |id, section: &[u8]| {
                if id != CUSTOM {
                    module.borrow_mut().push((id, section.to_vec()));
                }
                Ok(None)
            };
            copied(binary, |id, section| if id == CORE_MODULE { copied(section, note).map(Some) } else { Ok(None) })
                .unwrap();
            module.into_inner()
        };
        assert!(code(component).len() > 10);
        assert_eq!(code(component), code(&readable));
    }

    #[test]
    fn a_file_that_breaks_off_is_an_error() {
        let whole = component(&["main"]);
        assert!(readable(&whole[..whole.len() - 3]).unwrap_err().to_string().contains("names"));
    }
}
