//! What of a component does not fit the contract in `wit/`: all of it at once, in an operator's words.
//!
//! wasmtime would name the first thing only, in its own words. It is still the one that validates a component's code;
//! here the component's shape is validated and its types are compared with those of the contract, as wasmtime compares
//! them: by structure, names of fields and cases included, names of parameters not.

use super::published::{
    CONTRACT, PACKAGE, VERSION, definition, is_ours, named, of_package, primitive, signature, written,
};
use super::shape::{NESTING_MAX, Shape};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use wasmparser::PrimitiveValType;
use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentDefinedType, ComponentDefinedTypeId, ComponentEntityType, ComponentFuncType,
    ComponentFuncTypeId, ComponentInstanceTypeId, ComponentValType, ResourceId,
};
use wasmparser::types::Types;
use wit_parser::{Function, Handle, InterfaceId, Type, TypeDefKind, TypeId};

/// A component larger than this is refused unread.
const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// More mismatches than that are not listed.
const MISMATCHES_MAX: usize = 100;
/// A name that a component gives, or what is written of one of its types, is cut here.
const WORDS_BYTES_MAX: usize = 200;

const HANDLER: &str = "handler";
const MIGRATION: &str = "migration";
const REVERSAL: &str = "reversal";

/// None if the component can be mounted, as far as its shape says.
pub fn mismatches(component: &[u8]) -> Vec<String> {
    if component.len() > COMPONENT_BYTES_MAX {
        return vec![format!("the component has more than {} MiB", COMPONENT_BYTES_MAX >> 20)];
    }
    if component.starts_with(b"\0asm\x01\0\0\0") {
        return vec!["this is a core module, not a component: build it with `volley plugin build`".into()];
    }
    match Shape::read(component) {
        Ok(shape) => Comparison::of(&shape),
        Err(words) => vec![format!("this is not a valid component: {}", cut(&words))],
    }
}

/// Which way an interface goes.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Import,
    Export,
}

struct Comparison<'a> {
    types: &'a Types,
    /// The imported resources by their interface and name.
    resources: HashMap<ResourceId, (&'a str, &'a str)>,
    /// What the component calls its types.
    names: HashMap<ComponentDefinedTypeId, &'a str>,
    /// Named types of the contract and what the component has in their place.
    compared: HashSet<(TypeId, ComponentDefinedTypeId)>,
    words: Vec<String>,
}

impl<'a> Comparison<'a> {
    fn of(shape: &'a Shape<'a>) -> Vec<String> {
        let mut comparison = Self {
            types: &shape.types,
            resources: HashMap::new(),
            names: HashMap::new(),
            compared: HashSet::new(),
            words: Vec::new(),
        };
        let import = |name: &&'a str| Some((*name, shape.types.as_ref().component_item_for_import(name)?.ty));
        let export = |name: &&'a str| Some((*name, shape.types.as_ref().component_item_for_export(name)?.ty));
        let imports: Vec<_> = shape.imports.iter().filter_map(import).collect();
        let exports: Vec<_> = shape.exports.iter().filter_map(export).collect();
        // Names first: a type that is imported by one interface is used by others.
        for (name, item) in imports.iter().chain(&exports) {
            comparison.learn_names(name, item);
        }
        for (name, item) in &imports {
            comparison.import(name, item);
        }
        comparison.exports(&exports);
        comparison.words
    }

    fn learn_names(&mut self, name: &'a str, item: &ComponentEntityType) {
        let ComponentEntityType::Instance(instance) = item else { return };
        let interface = of_package(name).map_or(name, |(interface, _)| interface);
        for (name, item) in &self.types[*instance].exports {
            match item.ty {
                ComponentEntityType::Type { created: ComponentAnyTypeId::Resource(id), .. } => {
                    self.resources.entry(id.resource()).or_insert((interface, name));
                }
                ComponentEntityType::Type { created: ComponentAnyTypeId::Defined(id), .. } => {
                    self.names.entry(id).or_insert(name);
                }
                _ => {}
            }
        }
    }

    fn import(&mut self, name: &str, item: &ComponentEntityType) {
        let short = cut(name);
        match of_package(name).map(|(interface, version)| (CONTRACT.imports.get(interface), interface, version)) {
            Some((_, _, version)) if !is_ours(version) => {
                self.say(format!("built for volley:router {}; this host speaks {VERSION} ({short})", cut(version)));
            }
            Some((Some(expected), interface, _)) => match item {
                ComponentEntityType::Instance(found) => self.interface(Side::Import, interface, *expected, *found),
                _ => self.say(format!("imports {short}, but not as an interface")),
            },
            _ if name.starts_with("wasi:") => {
                self.say(format!("imports {short}: a plugin gets no WASI, only what wit/ gives it"));
            }
            _ => self.say(format!("imports {short}, which this host does not have")),
        }
    }

    fn exports(&mut self, exports: &[(&str, ComponentEntityType)]) {
        let mut exported = HashSet::new();
        for (name, item) in exports {
            let Some((interface, version)) = of_package(name) else { continue };
            // What else a rule exports is nobody's business.
            let Some(expected) = CONTRACT.exports.get(interface) else { continue };
            exported.insert(interface);
            match item {
                _ if !is_ours(version) => self.say(format!(
                    "exports the {interface} of volley:router {}; this host speaks {VERSION}",
                    cut(version)
                )),
                ComponentEntityType::Instance(found) => self.interface(Side::Export, interface, *expected, *found),
                _ => self.say(format!("exports {}, but not as an interface", cut(name))),
            }
        }
        if !exported.contains(HANDLER) {
            self.say(format!("does not export {PACKAGE}{HANDLER}@{VERSION}.0"));
        }
        if exported.contains(REVERSAL) && !exported.contains(MIGRATION) {
            self.say(format!("exports the {REVERSAL}, but not the {MIGRATION} that it would reverse"));
        }
    }

    fn interface(&mut self, side: Side, name: &str, expected: InterfaceId, found: ComponentInstanceTypeId) {
        let expected = &CONTRACT.resolve.interfaces[expected];
        for (item_name, item) in &self.types[found].exports {
            let short = cut(item_name);
            match item.ty {
                ComponentEntityType::Func(found) => match expected.functions.get(item_name) {
                    Some(expected) => self.function(name, expected, found),
                    None if side == Side::Export => {}
                    None => self.say(format!("{name}: imports the function {short}, which this host does not have")),
                },
                ComponentEntityType::Type { created, .. } => {
                    let expected = expected.types.get(item_name).copied();
                    self.type_export(side, name, &short, expected, created);
                }
                _ => self.say(format!("{name}: {short} is neither a function nor a type")),
            }
        }
        if side == Side::Export {
            for function in expected.functions.keys() {
                if !self.types[found].exports.contains_key(function) {
                    self.say(format!("{name}: does not export the function {function}"));
                }
            }
        }
    }

    /// A type that an interface names. One that the contract does not have matters where a function uses it.
    fn type_export(
        &mut self,
        side: Side,
        interface: &str,
        name: &str,
        expected: Option<TypeId>,
        found: ComponentAnyTypeId,
    ) {
        let is_resource = |id: TypeId| matches!(CONTRACT.resolve.types[id].kind, TypeDefKind::Resource);
        match (expected, found) {
            (Some(expected), ComponentAnyTypeId::Resource(_)) if is_resource(expected) => {}
            (Some(expected), ComponentAnyTypeId::Defined(id)) if !is_resource(expected) => {
                let found = ComponentValType::Type(id);
                if !self.fits(Type::Id(expected), found) {
                    let (here, has) = (definition(expected), self.definition(self.defined(found)));
                    self.say(format!("{interface}: the type {name} is {has}; this host has {here}"));
                }
            }
            (Some(_), _) => self.say(format!("{interface}: {name} is another kind of thing than in this host")),
            (None, ComponentAnyTypeId::Resource(_)) if side == Side::Import => {
                self.say(format!("{interface}: imports the resource {name}, which this host does not have"));
            }
            (None, _) => {}
        }
    }

    fn function(&mut self, interface: &str, expected: &Function, found: ComponentFuncTypeId) {
        let found = &self.types[found];
        let mut fits = !found.async_ && expected.params.len() == found.params.len();
        for (expected, (_, found)) in expected.params.iter().zip(&found.params) {
            fits &= self.fits(expected.ty, *found);
        }
        fits &= self.both_fit(expected.result, found.result);
        if !fits {
            let (name, has) = (&expected.name, self.signature(found));
            self.say(format!("{interface}: the function {name} is {has}; this host has {}", signature(expected)));
        }
    }

    fn both_fit(&mut self, expected: Option<Type>, found: Option<ComponentValType>) -> bool {
        match (expected, found) {
            (Some(expected), Some(found)) => self.fits(expected, found),
            (None, None) => true,
            _ => false,
        }
    }

    /// Whether a type is the one of the contract. What differs within a type that has a name there is said of that
    /// type, once, and so fits here.
    fn fits(&mut self, expected: Type, found: ComponentValType) -> bool {
        let Type::Id(id) = expected else {
            return matches!(self.defined(found), Found::Primitive(found) if primitive(expected) == Some(found));
        };
        match (&CONTRACT.resolve.types[id].kind, self.defined(found)) {
            (TypeDefKind::Type(of), _) => self.fits(*of, found),
            (TypeDefKind::Record(_) | TypeDefKind::Variant(_) | TypeDefKind::Enum(_), _) => {
                self.named(id, found);
                true
            }
            (TypeDefKind::List(expected), Found::Defined(ComponentDefinedType::List { element, .. })) => {
                self.fits(*expected, *element)
            }
            (TypeDefKind::Option(expected), Found::Defined(ComponentDefinedType::Option { ty, .. })) => {
                self.fits(*expected, *ty)
            }
            (TypeDefKind::Result(expected), Found::Defined(ComponentDefinedType::Result { ok, err, .. })) => {
                self.both_fit(expected.ok, *ok) & self.both_fit(expected.err, *err)
            }
            (TypeDefKind::Tuple(expected), Found::Defined(ComponentDefinedType::Tuple(found))) => {
                let fit = expected.types.iter().zip(&found.types).fold(true, |fit, (e, f)| self.fits(*e, *f) & fit);
                fit && expected.types.len() == found.types.len()
            }
            (TypeDefKind::Handle(Handle::Own(expected)), Found::Defined(ComponentDefinedType::Own(found)))
            | (TypeDefKind::Handle(Handle::Borrow(expected)), Found::Defined(ComponentDefinedType::Borrow(found))) => {
                self.resources.get(&found.resource()).is_some_and(|found| *found == named(*expected))
            }
            _ => false,
        }
    }

    /// A record, a variant or an enumeration: says what is missing, what is too much, and what differs.
    fn named(&mut self, expected: TypeId, found: ComponentValType) {
        if let ComponentValType::Type(found) = found
            && !self.compared.insert((expected, found))
        {
            return;
        }
        let found = self.defined(found);
        let (interface, name) = named(expected);
        let (kind, part, expected, parts) = match (&CONTRACT.resolve.types[expected].kind, found) {
            (TypeDefKind::Record(expected), Found::Defined(ComponentDefinedType::Record(found))) => {
                let expected: Parts<'_, _> = expected.fields.iter().map(|f| (&*f.name, Some(f.ty))).collect();
                let found: Parts<'_, _> = found.fields.iter().map(|(name, ty)| (name.as_str(), Some(*ty))).collect();
                ("record", "field", expected, found)
            }
            (TypeDefKind::Variant(expected), Found::Defined(ComponentDefinedType::Variant(found))) => {
                let expected: Parts<'_, _> = expected.cases.iter().map(|c| (&*c.name, c.ty)).collect();
                ("variant", "case", expected, found.cases.iter().map(|(name, c)| (name.as_str(), c.ty)).collect())
            }
            (TypeDefKind::Enum(expected), Found::Defined(ComponentDefinedType::Enum(found))) => {
                let expected: Parts<'_, _> = expected.cases.iter().map(|c| (&*c.name, None)).collect();
                ("enum", "case", expected, found.iter().map(|name| (name.as_str(), None)).collect())
            }
            (kind, _) => {
                let (kind, has) = (kind.as_str(), self.definition(found));
                return self.say(format!("{interface}: the {kind} {name} is {has}"));
            }
        };
        let mut whole = true;
        for (part_name, expected) in &expected {
            let Some((_, found)) = parts.iter().find(|(found, _)| found == part_name) else {
                whole = false;
                self.say(format!("{interface}: the {kind} {name} has no {part} {part_name}"));
                continue;
            };
            if !self.both_fit(*expected, *found) {
                let has = found.map_or("nothing".into(), |found| self.written(found));
                let here = expected.map_or("nothing".into(), written);
                let part = format!("{interface}: the {part} {part_name} of the {kind} {name}");
                self.say(format!("{part} is {has}; this host has {here}"));
            }
        }
        for (part_name, _) in &parts {
            if !expected.iter().any(|(expected, _)| expected == part_name) {
                whole = false;
                let part = format!("{part} {}", cut(part_name));
                self.say(format!("{interface}: the {kind} {name} has a {part}, which this host does not know"));
            }
        }
        if whole && !expected.iter().map(|(name, _)| name).eq(parts.iter().map(|(name, _)| name)) {
            self.say(format!("{interface}: the {part}s of the {kind} {name} stand in another order"));
        }
    }

    fn say(&mut self, words: String) {
        if self.words.len() < MISMATCHES_MAX && !self.words.contains(&words) {
            self.words.push(words);
            if self.words.len() == MISMATCHES_MAX {
                self.words.push("and perhaps more".into());
            }
        }
    }

    fn defined(&self, found: ComponentValType) -> Found<'a> {
        match found {
            ComponentValType::Primitive(found) => Found::Primitive(found),
            ComponentValType::Type(id) => match &self.types[id] {
                ComponentDefinedType::Primitive(found) => Found::Primitive(*found),
                found => Found::Defined(found),
            },
        }
    }

    fn signature(&self, found: &ComponentFuncType) -> String {
        let mut out = String::from(if found.async_ { "async func(" } else { "func(" });
        for (at, (name, ty)) in found.params.iter().enumerate() {
            if out.len() > WORDS_BYTES_MAX {
                out.push('…');
                break;
            }
            let _ = write!(out, "{}{}: ", comma(at), name.as_str());
            self.write(&mut out, *ty, 0);
        }
        out.push(')');
        if let Some(result) = found.result {
            out.push_str(" -> ");
            self.write(&mut out, result, 0);
        }
        cut(&out)
    }

    /// By its name, if the component gives it one.
    fn written(&self, found: ComponentValType) -> String {
        let mut out = String::new();
        self.write(&mut out, found, 0);
        cut(&out)
    }

    fn definition(&self, found: Found<'_>) -> String {
        let mut out = String::new();
        self.write_definition(&mut out, found, 0);
        cut(&out)
    }

    fn write(&self, out: &mut String, found: ComponentValType, depth: usize) {
        let name = match found {
            ComponentValType::Type(id) => self.names.get(&id),
            ComponentValType::Primitive(_) => None,
        };
        match name {
            Some(name) => out.push_str(name),
            None => self.write_definition(out, self.defined(found), depth),
        }
    }

    fn write_definition(&self, out: &mut String, found: Found<'_>, depth: usize) {
        // A type may be a hundred deep, and have as many parts as a component has bytes.
        if depth > NESTING_MAX || out.len() > WORDS_BYTES_MAX {
            return out.push('…');
        }
        let found = match found {
            Found::Primitive(found) => return out.push_str(&found.to_string()),
            Found::Defined(found) => found,
        };
        let mut parts = |name: &str, types: &mut dyn Iterator<Item = Option<ComponentValType>>| {
            out.push_str(name);
            for (at, ty) in types.enumerate() {
                out.push_str(if at == 0 { "<" } else { ", " });
                match ty {
                    _ if out.len() > WORDS_BYTES_MAX => return out.push('…'),
                    Some(ty) => self.write(out, ty, depth + 1),
                    None => out.push('_'),
                }
            }
            out.push('>');
        };
        match found {
            ComponentDefinedType::Primitive(found) => out.push_str(&found.to_string()),
            ComponentDefinedType::Record(_) => out.push_str("another record"),
            ComponentDefinedType::Variant(_) => out.push_str("another variant"),
            ComponentDefinedType::Enum(_) => out.push_str("another enum"),
            ComponentDefinedType::Flags(_) => out.push_str("flags"),
            ComponentDefinedType::List { element, .. } => parts("list", &mut [Some(*element)].into_iter()),
            ComponentDefinedType::Option { ty, .. } => parts("option", &mut [Some(*ty)].into_iter()),
            ComponentDefinedType::Result { ok, err, .. } => parts("result", &mut [*ok, *err].into_iter()),
            ComponentDefinedType::Tuple(tuple) => parts("tuple", &mut tuple.types.iter().copied().map(Some)),
            ComponentDefinedType::Map { key, value, .. } => parts("map", &mut [Some(*key), Some(*value)].into_iter()),
            ComponentDefinedType::FixedLengthList { element, .. } => {
                parts("list of fixed length", &mut [Some(*element)].into_iter());
            }
            ComponentDefinedType::Future { ty, .. } => parts("future", &mut [*ty].into_iter()),
            ComponentDefinedType::Stream { ty, .. } => parts("stream", &mut [*ty].into_iter()),
            ComponentDefinedType::Own(id) => out.push_str(self.resource(id.resource())),
            ComponentDefinedType::Borrow(id) => {
                let _ = write!(out, "borrow<{}>", self.resource(id.resource()));
            }
        }
    }

    fn resource(&self, id: ResourceId) -> &str {
        self.resources.get(&id).map_or("another resource", |(_, name)| name)
    }
}

/// What a component has in some place.
#[derive(Clone, Copy)]
enum Found<'a> {
    Primitive(PrimitiveValType),
    Defined(&'a ComponentDefinedType),
}

/// Names of fields or cases, and their types.
type Parts<'a, T> = Vec<(&'a str, Option<T>)>;

fn comma(at: usize) -> &'static str {
    if at == 0 { "" } else { ", " }
}

/// What comes from a component may be long, and go over several lines.
fn cut(words: &str) -> String {
    let cut = words.floor_char_boundary(WORDS_BYTES_MAX);
    let one_line = words[..cut].replace(char::is_control, " ");
    if cut < words.len() { one_line + "…" } else { one_line }
}

#[cfg(test)]
#[path = "mismatches_tests.rs"]
mod tests;
