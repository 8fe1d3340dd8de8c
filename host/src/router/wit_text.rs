//! A component's imports and exports as WIT text, read from its types.

use super::shape::Shape;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentDefinedType, ComponentDefinedTypeId, ComponentEntityType, ComponentFuncType,
    ComponentInstanceTypeId, ComponentValType, ResourceId,
};
use wasmparser::types::Types;

/// A type is written no deeper than that; compilers stay far below.
const DEPTH_MAX: usize = 16;

/// The world, then its interfaces, each once.
pub fn wit_text(component: &[u8]) -> Result<String, String> {
    let shape = Shape::read(component)?;
    let mut text = Text { types: &shape.types, resources: HashMap::new(), names: HashMap::new(), out: String::new() };
    let import = |name: &&str| Some(((*name).to_owned(), shape.types.as_ref().component_item_for_import(name)?.ty));
    let export = |name: &&str| Some(((*name).to_owned(), shape.types.as_ref().component_item_for_export(name)?.ty));
    let imports: Vec<_> = shape.imports.iter().filter_map(import).collect();
    let exports: Vec<_> = shape.exports.iter().filter_map(export).collect();
    text.world(&imports, &exports);
    for (package, interfaces) in by_package(imports.iter().chain(&exports)) {
        let _ = writeln!(text.out, "\npackage {package} {{");
        for (name, instance) in interfaces {
            text.interface(name, instance);
        }
        text.out.push_str("}\n");
    }
    Ok(text.out)
}

type Item = (String, ComponentEntityType);

/// `volley:router@0.1.0`, and in it `ets` and what it is. An interface that is imported and exported is shown as imported.
fn by_package<'a>(items: impl Iterator<Item = &'a Item>) -> BTreeMap<String, Vec<(&'a str, ComponentInstanceTypeId)>> {
    let mut packages: BTreeMap<String, Vec<(&str, ComponentInstanceTypeId)>> = BTreeMap::new();
    for (name, item) in items {
        let (ComponentEntityType::Instance(instance), Some((package, rest))) = (item, name.split_once('/')) else {
            continue;
        };
        let (interface, version) = rest.split_once('@').map_or((rest, String::new()), |(i, v)| (i, format!("@{v}")));
        let interfaces = packages.entry(format!("{package}{version}")).or_default();
        if !interfaces.iter().any(|(known, _)| *known == interface) {
            interfaces.push((interface, *instance));
        }
    }
    packages
}

struct Text<'a> {
    types: &'a Types,
    /// Where a type was named first: by which interface, and how.
    resources: HashMap<ResourceId, (String, String)>,
    names: HashMap<ComponentDefinedTypeId, (String, String)>,
    out: String,
}

impl Text<'_> {
    fn world(&mut self, imports: &[Item], exports: &[Item]) {
        self.out.push_str("world root {\n");
        for (word, items) in [("import", imports), ("export", exports)] {
            for (name, item) in items {
                let _ = match item {
                    ComponentEntityType::Instance(_) => writeln!(self.out, "  {word} {name};"),
                    ComponentEntityType::Func(id) => {
                        let signature = self.signature(&self.types[*id], None);
                        writeln!(self.out, "  {word} {name}: {signature};")
                    }
                    _ => writeln!(self.out, "  // {word} {name}, which is no interface"),
                };
            }
        }
        self.out.push_str("}\n");
    }

    fn interface(&mut self, interface: &str, instance: ComponentInstanceTypeId) {
        let _ = writeln!(self.out, "  interface {interface} {{");
        let exports = &self.types[instance].exports;
        let mut methods: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, item) in exports {
            match item.ty {
                ComponentEntityType::Type { referenced, created } => self.named(interface, name, referenced, created),
                ComponentEntityType::Func(_) | ComponentEntityType::Instance(_) => {}
                _ => _ = writeln!(self.out, "    // {name}"),
            }
        }
        for (name, item) in exports {
            let ComponentEntityType::Func(id) = item.ty else { continue };
            let function = &self.types[id];
            match method(name) {
                None => _ = writeln!(self.out, "    {name}: {};", self.signature(function, None)),
                Some((resource, line, skips)) => {
                    let signature = self.signature(function, skips.then_some(1));
                    methods.entry(resource).or_default().push(format!("{line}{signature};"));
                }
            }
        }
        for (name, item) in exports {
            let ComponentEntityType::Type { created: ComponentAnyTypeId::Resource(id), .. } = item.ty else { continue };
            // One that is used from elsewhere has been named already.
            if self.resources.get(&id.resource()).is_some_and(|(of, _)| of == interface) {
                let _ = writeln!(self.out, "    resource {name} {{");
                for method in methods.remove(name.as_str()).unwrap_or_default() {
                    let _ = writeln!(self.out, "      {method}");
                }
                self.out.push_str("    }\n");
            }
        }
        self.out.push_str("  }\n");
    }

    /// A type that gets a name here.
    fn named(&mut self, interface: &str, name: &str, referenced: ComponentAnyTypeId, created: ComponentAnyTypeId) {
        match (referenced, created) {
            (_, ComponentAnyTypeId::Resource(id)) => {
                let here = (interface.to_owned(), name.to_owned());
                let (of, _) = self.resources.entry(id.resource()).or_insert(here);
                if of != interface {
                    let _ = writeln!(self.out, "    use {of}.{{{name}}};");
                }
            }
            (ComponentAnyTypeId::Defined(referenced), ComponentAnyTypeId::Defined(created)) => {
                let known = self.name_of(referenced).cloned();
                let line = match &known {
                    Some((of, name)) if of != interface => format!("use {of}.{{{name}}};"),
                    Some((_, known)) => format!("type {name} = {known};"),
                    None => self.definition(name, referenced),
                };
                let _ = writeln!(self.out, "    {line}");
                self.names.insert(created, (interface.to_owned(), name.to_owned()));
            }
            _ => _ = writeln!(self.out, "    // {name}"),
        }
    }

    /// A type's name, through all that it is another name for.
    fn name_of(&self, mut id: ComponentDefinedTypeId) -> Option<&(String, String)> {
        loop {
            match self.names.get(&id) {
                Some(name) => return Some(name),
                None => id = self.types.peel_alias(id)?,
            }
        }
    }

    fn definition(&self, name: &str, id: ComponentDefinedTypeId) -> String {
        let with = |payload: Option<ComponentValType>| {
            payload.map(|payload| format!("({})", self.written(payload, 0))).unwrap_or_default()
        };
        let block = |kind: &str, parts: Vec<String>| format!("{kind} {name} {{ {} }}", parts.join(", "));
        match &self.types[id] {
            ComponentDefinedType::Record(record) => block(
                "record",
                record.fields.iter().map(|(name, ty)| format!("{name}: {}", self.written(*ty, 0))).collect(),
            ),
            ComponentDefinedType::Variant(variant) => {
                block("variant", variant.cases.iter().map(|(name, case)| format!("{name}{}", with(case.ty))).collect())
            }
            ComponentDefinedType::Enum(names) => block("enum", names.iter().map(ToString::to_string).collect()),
            ComponentDefinedType::Flags(names) => block("flags", names.iter().map(ToString::to_string).collect()),
            other => format!("type {name} = {};", self.defined(other, 0)),
        }
    }

    fn signature(&self, function: &ComponentFuncType, skipped: Option<usize>) -> String {
        let params = function.params.iter().skip(skipped.unwrap_or(0));
        let params: Vec<_> = params.map(|(name, ty)| format!("{name}: {}", self.written(*ty, 0))).collect();
        let result = function.result.map(|result| format!(" -> {}", self.written(result, 0))).unwrap_or_default();
        format!("{}func({}){result}", if function.async_ { "async " } else { "" }, params.join(", "))
    }

    fn written(&self, ty: ComponentValType, depth: usize) -> String {
        match ty {
            ComponentValType::Primitive(primitive) => primitive.to_string(),
            ComponentValType::Type(id) => match self.name_of(id) {
                Some((_, name)) => name.clone(),
                None => self.defined(&self.types[id], depth),
            },
        }
    }

    fn defined(&self, ty: &ComponentDefinedType, depth: usize) -> String {
        if depth > DEPTH_MAX {
            return "…".into();
        }
        let one = |ty: ComponentValType| self.written(ty, depth + 1);
        let or_none = |ty: Option<ComponentValType>| ty.map_or_else(|| "_".into(), one);
        match ty {
            ComponentDefinedType::Primitive(primitive) => primitive.to_string(),
            ComponentDefinedType::List { element, .. } => format!("list<{}>", one(*element)),
            ComponentDefinedType::FixedLengthList { element, length, .. } => {
                format!("list<{}, {length}>", one(*element))
            }
            ComponentDefinedType::Map { key, value, .. } => format!("map<{}, {}>", one(*key), one(*value)),
            ComponentDefinedType::Option { ty, .. } => format!("option<{}>", one(*ty)),
            ComponentDefinedType::Result { ok: None, err: None, .. } => "result".into(),
            ComponentDefinedType::Result { ok, err: None, .. } => format!("result<{}>", or_none(*ok)),
            ComponentDefinedType::Result { ok, err, .. } => format!("result<{}, {}>", or_none(*ok), or_none(*err)),
            ComponentDefinedType::Tuple(tuple) => {
                format!("tuple<{}>", tuple.types.iter().map(|ty| one(*ty)).collect::<Vec<_>>().join(", "))
            }
            ComponentDefinedType::Future { ty, .. } => format!("future<{}>", or_none(*ty)),
            ComponentDefinedType::Stream { ty, .. } => format!("stream<{}>", or_none(*ty)),
            ComponentDefinedType::Own(id) => self.resource(id.resource()),
            ComponentDefinedType::Borrow(id) => format!("borrow<{}>", self.resource(id.resource())),
            ComponentDefinedType::Record(_)
            | ComponentDefinedType::Variant(_)
            | ComponentDefinedType::Enum(_)
            | ComponentDefinedType::Flags(_) => "a type without a name".into(),
        }
    }

    fn resource(&self, id: ResourceId) -> String {
        self.resources.get(&id).map_or_else(|| "resource".into(), |(_, name)| name.clone())
    }
}

/// Of a function's name in a component: whose it is, what stands before its parameters, and whether it gets the resource
/// first.
fn method(name: &str) -> Option<(&str, String, bool)> {
    if let Some(resource) = name.strip_prefix("[constructor]") {
        return Some((resource, "constructor: ".into(), false));
    }
    let is_static = name.strip_prefix("[static]");
    let (resource, method) = is_static.or_else(|| name.strip_prefix("[method]"))?.split_once('.')?;
    let word = if is_static.is_some() { "static " } else { "" };
    Some((resource, format!("{method}: {word}"), is_static.is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_shows_the_contract() {
        let text = wit_text(crate::bundled::component("chat").unwrap()).unwrap();
        for line in [
            "  import volley:router/ets@0.1.0;",
            "  export volley:router/handler@0.1.0;",
            "package volley:router@0.1.0 {",
            "      open: static func(name: string, options: options) -> result<table, error>;",
            "      lookup: func(keys: list<term>) -> result<list<list<term>>, error>;",
            "    route: func(event: event) -> result<outcome, refusal>;",
            "    variant refusal { refused(string), invalid(string) }",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
