//! Whether a component's world is within the contract, by writing out both: the model of `mismatches`.

use std::collections::HashMap;
use std::sync::LazyLock;
use wit_parser::decoding::{DecodedWasm, decode};
use wit_parser::{
    Handle, Interface, InterfaceId, PackageName, Resolve, Type, TypeDefKind, TypeOwner, WorldId, WorldItem,
};

/// The contract's text.
pub(super) const TEXT: &str = include_str!("../../../../wit/v0.1/router.wit");

/// A type is not written further than this.
const BYTES_MAX: usize = 20_000;

/// Every interface of the contract by its name: its functions and its types, written out.
static CONTRACT: LazyLock<HashMap<String, Written>> = LazyLock::new(|| {
    let mut resolve = Resolve::default();
    resolve.push_source("router.wit", TEXT).expect("the contract is WIT");
    let named = |interface: &Interface| (interface.name.clone().expect("a name"), written(&resolve, interface));
    resolve.interfaces.iter().map(|(_, interface)| named(interface)).collect()
});

struct Written {
    functions: HashMap<String, String>,
    types: HashMap<String, String>,
}

/// None if the component has no world that could be written as WIT.
pub(super) fn fits(component: &[u8]) -> Option<bool> {
    match decode(component) {
        Ok(DecodedWasm::Component(resolve, world)) => Some(world_fits(&resolve, world)),
        _ => None,
    }
}

fn world_fits(resolve: &Resolve, world: WorldId) -> bool {
    let world = &resolve.worlds[world];
    let interface = |item: &WorldItem| match item {
        WorldItem::Interface { id, .. } => Some(*id),
        _ => None,
    };
    let imports = ["types", "ets", "pg", "logger", "erlang"];
    let imports_fit = world.imports.values().all(|item| {
        interface(item).is_some_and(|id| match of_package(resolve, id) {
            Some((name, true)) => imports.contains(&name) && interface_fits(resolve, id, name, false),
            _ => false,
        })
    });
    let exports: Vec<_> = world.exports.values().filter_map(interface).collect();
    let exports_the =
        |wanted| exports.iter().any(|id| of_package(resolve, *id).is_some_and(|(name, _)| name == wanted));
    let exports_fit = exports.iter().all(|id| match of_package(resolve, *id) {
        Some((name @ ("handler" | "migration" | "reversal"), ours)) => ours && interface_fits(resolve, *id, name, true),
        _ => true,
    });
    let whole = exports_the("handler") && (exports_the("migration") || !exports_the("reversal"));
    imports_fit && exports_fit && whole
}

/// An interface of the contract's package, and whether that is of the contract's version.
fn of_package(resolve: &Resolve, id: InterfaceId) -> Option<(&str, bool)> {
    let interface = &resolve.interfaces[id];
    let PackageName { namespace, name, version } = &resolve.packages[interface.package?].name;
    let version = version.as_ref()?;
    let ours = (version.major, version.minor) == (0, 1) && version.pre.is_empty() && version.build.is_empty();
    (namespace == "volley" && name == "router").then_some((interface.name.as_deref()?, ours))
}

fn interface_fits(resolve: &Resolve, id: InterfaceId, name: &str, whole: bool) -> bool {
    let (found, contract) = (written(resolve, &resolve.interfaces[id]), &CONTRACT[name]);
    let of_import = |name| whole && !contract.functions.contains_key(name);
    found.functions.iter().all(|(name, found)| contract.functions.get(name) == Some(found) || of_import(name))
        && found.types.iter().all(|(name, found)| match contract.types.get(name) {
            Some(contract) => contract == found,
            None => whole || !found.starts_with("resource: "),
        })
        && (!whole || contract.functions.keys().all(|name| found.functions.contains_key(name)))
}

fn written(resolve: &Resolve, interface: &Interface) -> Written {
    let functions = interface.functions.iter().map(|(name, function)| {
        let mut out = String::from(if function.kind.is_async() { "async (" } else { "(" });
        for param in &function.params {
            write(resolve, param.ty, &mut out);
            out.push(',');
        }
        out.push(')');
        optional(resolve, function.result, &mut out);
        (name.clone(), out)
    });
    let types = interface.types.iter().map(|(name, id)| {
        let mut out = String::new();
        write(resolve, Type::Id(*id), &mut out);
        (name.clone(), out)
    });
    Written { functions: functions.collect(), types: types.collect() }
}

fn optional(resolve: &Resolve, ty: Option<Type>, out: &mut String) {
    match ty {
        Some(ty) => write(resolve, ty, out),
        None => out.push('_'),
    }
}

/// Names of types are looked through; those of fields, cases and resources are part of it.
fn write(resolve: &Resolve, ty: Type, out: &mut String) {
    if out.len() > BYTES_MAX {
        return;
    }
    let definition = match ty {
        Type::Id(id) => &resolve.types[id],
        primitive => return *out += primitive_name(primitive),
    };
    if let TypeDefKind::Type(of) = definition.kind {
        return write(resolve, of, out);
    }
    let mut part = |name: &str, ty: Option<Type>| {
        out.extend([name, ": "]);
        optional(resolve, ty, out);
        out.push(' ');
    };
    part(definition.kind.as_str(), None);
    match &definition.kind {
        TypeDefKind::Record(record) => record.fields.iter().for_each(|field| part(&field.name, Some(field.ty))),
        TypeDefKind::Variant(variant) => variant.cases.iter().for_each(|case| part(&case.name, case.ty)),
        TypeDefKind::Enum(cases) => cases.cases.iter().for_each(|case| part(&case.name, None)),
        TypeDefKind::Flags(flags) => flags.flags.iter().for_each(|flag| part(&flag.name, None)),
        TypeDefKind::Tuple(tuple) => tuple.types.iter().for_each(|ty| part("", Some(*ty))),
        TypeDefKind::Result(result) => [result.ok, result.err].into_iter().for_each(|ty| part("", ty)),
        TypeDefKind::List(of) | TypeDefKind::Option(of) => part("", Some(*of)),
        TypeDefKind::Handle(Handle::Own(of) | Handle::Borrow(of)) => part("", Some(Type::Id(*of))),
        TypeDefKind::Resource => {
            if let TypeOwner::Interface(interface) = definition.owner {
                part(resolve.interfaces[interface].name.as_deref().unwrap_or_default(), None);
            }
            part(definition.name.as_deref().unwrap_or_default(), None);
        }
        // The contract has none of these.
        other => part(&format!("{other:?}"), None),
    }
    out.push(';');
}

fn primitive_name(ty: Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::U64 => "u64",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::S64 => "s64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::ErrorContext | Type::Id(_) => "something else",
    }
}
