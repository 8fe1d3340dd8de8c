//! What Go's runtime asks of WASI, answered within the component, so that it imports nothing but the contract: there are no
//! files, arguments and variables, the clock stands, chance is the same in every instance, and who sleeps traps.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use wasm_encoder::{
    BlockType, CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection,
    InstructionSink, MemArg, MemoryType, Module, TypeSection, ValType,
};
use wasmparser::{CompositeInnerType, FuncType, Parser, Payload, TypeRef};

/// As those modules call it that were made before there were components.
pub(super) const MODULE: &str = "wasi_snapshot_preview1";

/// What each may count with.
const LOCALS: [(u32, ValType); 1] = [(1, ValType::I32)];

const SUCCESS: i32 = 0;
/// WASI's `badf`: there is no such file.
const NO_SUCH_FILE: i32 = 8;

/// An adapter with all that the module imports from there.
pub(super) fn stand_in(module: &[u8]) -> Result<Vec<u8>> {
    let functions = imported(module)?;
    let (mut types, mut imports, mut exports) = (TypeSection::new(), ImportSection::new(), ExportSection::new());
    let (mut declared, mut code) = (FunctionSection::new(), CodeSection::new());
    let memory = MemoryType { minimum: 0, maximum: None, memory64: false, shared: false, page_size_log2: None };
    // That of the module, by the name that adapters know it by.
    imports.import("env", "memory", EntityType::Memory(memory));
    for (index, (name, of)) in (0..).zip(&functions) {
        types.ty().function(values(of.params())?, values(of.results())?);
        declared.function(index);
        exports.export(name, ExportKind::Func, index);
        let mut function = Function::new(LOCALS);
        answer(name, of, &mut function.instructions());
        code.function(&function);
    }
    let mut adapter = Module::new();
    adapter.section(&types).section(&imports).section(&declared).section(&exports).section(&code);
    Ok(adapter.finish())
}

/// The functions by their names.
fn imported(module: &[u8]) -> Result<BTreeMap<String, FuncType>> {
    let (mut types, mut functions) = (Vec::new(), BTreeMap::new());
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::TypeSection(section) => {
                for group in section {
                    types.extend(group?.into_types());
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    let TypeRef::Func(index) = import.ty else { continue };
                    if import.module != MODULE {
                        continue;
                    }
                    let of = types.get(index as usize).map(|of: &wasmparser::SubType| &of.composite_type.inner);
                    let Some(CompositeInnerType::Func(of)) = of else { bail!("{} has no type", import.name) };
                    functions.insert(import.name.to_owned(), of.clone());
                }
            }
            Payload::CodeSectionStart { .. } => break,
            _ => {}
        }
    }
    Ok(functions)
}

fn values(of: &[wasmparser::ValType]) -> Result<Vec<ValType>> {
    of.iter().map(|value| ValType::try_from(*value).ok().context("a type that WASI has not")).collect()
}

/// Says that it has written all of it, to nobody. Who can't write what it died of dies of that.
fn all_is_written<'a, 'b>(does: &'a mut InstructionSink<'b>) -> &'a mut InstructionSink<'b> {
    let (pieces, count, written_at, sum) = (1, 2, 3, 4);
    let at = |offset: u64| MemArg { offset, align: 2, memory_index: 0 };
    does.block(BlockType::Empty).loop_(BlockType::Empty);
    does.local_get(count).i32_eqz().br_if(1);
    // A piece is where it is, and how long.
    does.local_get(sum).local_get(pieces).i32_load(at(4)).i32_add().local_set(sum);
    does.local_get(pieces).i32_const(8).i32_add().local_set(pieces);
    does.local_get(count).i32_const(1).i32_sub().local_set(count);
    does.br(0).end().end();
    does.local_get(written_at).local_get(sum).i32_store(at(0)).i32_const(SUCCESS)
}

/// What that function does.
fn answer(name: &str, of: &FuncType, does: &mut InstructionSink<'_>) {
    let at = |align: u32| MemArg { offset: 0, align, memory_index: 0 };
    match name {
        "sched_yield" | "args_get" | "environ_get" => does.i32_const(SUCCESS),
        // None, which have no bytes.
        "args_sizes_get" | "environ_sizes_get" => {
            for place in 0..2 {
                does.local_get(place).i32_const(0).i32_store(at(2));
            }
            does.i32_const(SUCCESS)
        }
        // Go's runtime does not begin at zero.
        "clock_time_get" => does.local_get(2).i64_const(1).i64_store(at(3)).i32_const(SUCCESS),
        "fd_write" => all_is_written(does),
        "random_get" => does.local_get(0).i32_const(1).local_get(1).memory_fill(0).i32_const(SUCCESS),
        // To end, or to sleep until something happens, of which nothing will.
        "proc_exit" | "poll_oneoff" => does.unreachable(),
        _ if of.results() == [wasmparser::ValType::I32] => does.i32_const(NO_SUCH_FILE),
        _ => does.unreachable(),
    };
    does.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that imports functions of WASI's, and one of the contract's.
    fn module() -> Vec<u8> {
        let (mut types, mut imports) = (TypeSection::new(), ImportSection::new());
        types.ty().function([ValType::I32, ValType::I32], [ValType::I32]);
        types.ty().function([ValType::I32], []);
        for (module, name, of) in
            [(MODULE, "random_get", 0), ("volley:router/logger@0.1.0", "log", 0), (MODULE, "proc_exit", 1)]
        {
            imports.import(module, name, EntityType::Function(of));
        }
        Module::new().section(&types).section(&imports).clone().finish()
    }

    #[test]
    fn the_stand_in_has_what_is_imported_and_nothing_else() {
        let adapter = stand_in(&module()).unwrap();
        wasmparser::Validator::new().validate_all(&adapter).expect("a module");
        let mut names = Vec::new();
        for payload in Parser::new(0).parse_all(&adapter) {
            if let Payload::ExportSection(section) = payload.unwrap() {
                names.extend(section.into_iter().map(|export| export.unwrap().name.to_owned()));
            }
        }
        assert_eq!(names, ["proc_exit", "random_get"]);
        assert!(stand_in(b"\0asm\x01\0\0\0\xff").is_err());
    }
}
