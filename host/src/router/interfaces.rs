//! What a component imports and exports, function by function, for operators who compare versions.

use super::shape::Shape;
use wasmparser::component_types::ComponentEntityType;

/// Functions by their full names, `volley:router/ets@0.1.0#insert`; what is no interface by its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// What it needs.
    pub imports: Vec<String>,
    /// What it gives.
    pub exports: Vec<String>,
}

impl Interfaces {
    /// Of a valid component; else why it is none.
    pub fn of(component: &[u8]) -> Result<Self, String> {
        let shape = Shape::read(component)?;
        let types = shape.types.as_ref();
        let functions = |name: &str, item: ComponentEntityType| match item {
            ComponentEntityType::Instance(instance) => {
                let items = shape.types[instance].exports.iter();
                let functions = items.filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)));
                functions.map(|(function, _)| format!("{name}#{function}")).collect()
            }
            _ => vec![name.to_owned()],
        };
        let import = |name: &&str| Some(functions(name, types.component_item_for_import(name)?.ty));
        let export = |name: &&str| Some(functions(name, types.component_item_for_export(name)?.ty));
        let (mut imports, mut exports): (Vec<String>, Vec<String>) = (
            shape.imports.iter().filter_map(import).flatten().collect(),
            shape.exports.iter().filter_map(export).flatten().collect(),
        );
        imports.sort_unstable();
        exports.sort_unstable();
        Ok(Self { imports, exports })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_chat_asks_for_tables_and_routes() {
        let chat = Interfaces::of(crate::bundled::component("chat").unwrap()).unwrap();
        assert!(chat.exports.contains(&"volley:router/handler@0.1.0#route".to_owned()), "{:?}", chat.exports);
        assert!(chat.imports.iter().any(|name| name.starts_with("volley:router/ets@0.1.0#")), "{:?}", chat.imports);
        assert!(chat.imports.is_sorted() && chat.exports.is_sorted());
        assert!(Interfaces::of(b"no component").is_err());
    }
}
