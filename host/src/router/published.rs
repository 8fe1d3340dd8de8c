//! The contract as it is written in `wit/`, for whoever compares a component with it, and what its types are in words.

use std::collections::HashMap;
use std::sync::LazyLock;
use wasmparser::PrimitiveValType;
use wit_parser::{Function, Handle, InterfaceId, Resolve, Type, TypeDefKind, TypeId, TypeOwner, WorldItem, WorldKey};

/// The interfaces' names are this, the interface and a version.
pub(super) const PACKAGE: &str = "volley:router/";
/// A component may be built for any patch of it.
pub const VERSION: &str = "0.1";
/// The world that has everything; a rule leaves out what it can't do.
const WORLD: &str = "reversible-plugin";

/// The contract, as it is written.
pub(super) static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
    let mut resolve = Resolve::default();
    let text = include_str!("../../../wit/v0.1/router.wit");
    let package = resolve.push_source("router.wit", text).expect("the contract is WIT");
    let world = &resolve.worlds[resolve.packages[package].worlds[WORLD]];
    let named = |items: &mut dyn Iterator<Item = (&WorldKey, &WorldItem)>| {
        let interfaces = items.filter_map(|(_, item)| match item {
            WorldItem::Interface { id, .. } => Some((resolve.interfaces[*id].name.clone()?, *id)),
            _ => None,
        });
        interfaces.collect()
    };
    let (imports, exports) = (named(&mut world.imports.iter()), named(&mut world.exports.iter()));
    Contract { resolve, imports, exports }
});

pub(super) struct Contract {
    pub(super) resolve: Resolve,
    /// What a rule may import, by the interface's name.
    pub(super) imports: HashMap<String, InterfaceId>,
    /// What it may export, likewise.
    pub(super) exports: HashMap<String, InterfaceId>,
}

/// The interface and the version that a name of the contract names.
pub(super) fn of_package(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(PACKAGE)?.split_once('@')
}

/// Patches of a version differ in what is said about it, not in the types.
pub(super) fn is_ours(version: &str) -> bool {
    let patch = version.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix('.'));
    patch.is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|b| b.is_ascii_digit()))
}

/// What the contract's type is, beneath the names.
pub(super) fn definition(mut id: TypeId) -> String {
    while let TypeDefKind::Type(Type::Id(of)) = CONTRACT.resolve.types[id].kind {
        id = of;
    }
    written_kind(&CONTRACT.resolve.types[id].kind)
}

/// Where the contract's type is defined, and its name there.
pub(super) fn named(mut id: TypeId) -> (&'static str, &'static str) {
    let types = &CONTRACT.resolve.types;
    while let TypeDefKind::Type(Type::Id(of)) = types[id].kind {
        id = of;
    }
    let interface = match types[id].owner {
        TypeOwner::Interface(interface) => CONTRACT.resolve.interfaces[interface].name.as_deref(),
        _ => None,
    };
    (interface.unwrap_or_default(), types[id].name.as_deref().unwrap_or_default())
}

/// The contract's type by its name, if it has one.
pub(super) fn written(ty: Type) -> String {
    match ty {
        Type::Id(id) => {
            let definition = &CONTRACT.resolve.types[id];
            definition.name.clone().unwrap_or_else(|| written_kind(&definition.kind))
        }
        ty => primitive(ty).map(|ty| ty.to_string()).unwrap_or_default(),
    }
}

fn written_kind(kind: &TypeDefKind) -> String {
    let or_nothing = |ty: Option<Type>| ty.map_or("_".into(), written);
    match kind {
        TypeDefKind::Type(of) => written(*of),
        TypeDefKind::List(of) => format!("list<{}>", written(*of)),
        TypeDefKind::Option(of) => format!("option<{}>", written(*of)),
        TypeDefKind::Result(of) => format!("result<{}, {}>", or_nothing(of.ok), or_nothing(of.err)),
        TypeDefKind::Tuple(of) => {
            format!("tuple<{}>", of.types.iter().map(|ty| written(*ty)).collect::<Vec<_>>().join(", "))
        }
        TypeDefKind::Handle(Handle::Own(id)) => named(*id).1.into(),
        TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", named(*id).1),
        kind => kind.as_str().into(),
    }
}

pub(super) fn signature(function: &Function) -> String {
    let params: Vec<_> = function.params.iter().map(|param| format!("{}: {}", param.name, written(param.ty))).collect();
    let result = function.result.map(|result| format!(" -> {}", written(result))).unwrap_or_default();
    format!("func({}){result}", params.join(", "))
}

pub(super) fn primitive(ty: Type) -> Option<PrimitiveValType> {
    Some(match ty {
        Type::Bool => PrimitiveValType::Bool,
        Type::U8 => PrimitiveValType::U8,
        Type::U16 => PrimitiveValType::U16,
        Type::U32 => PrimitiveValType::U32,
        Type::U64 => PrimitiveValType::U64,
        Type::S8 => PrimitiveValType::S8,
        Type::S16 => PrimitiveValType::S16,
        Type::S32 => PrimitiveValType::S32,
        Type::S64 => PrimitiveValType::S64,
        Type::F32 => PrimitiveValType::F32,
        Type::F64 => PrimitiveValType::F64,
        Type::Char => PrimitiveValType::Char,
        Type::String => PrimitiveValType::String,
        Type::ErrorContext => PrimitiveValType::ErrorContext,
        Type::Id(_) => return None,
    })
}
