//! What a component imports and exports, by name: what somebody wants to see of one before it runs.

use super::published::{CONTRACT, VERSION, is_ours, of_package};
use super::shape::Shape;

/// The names at a component's edge.
pub struct Outline {
    /// What it asks of a host.
    pub imports: Vec<Interface>,
    /// What it gives.
    pub exports: Vec<Interface>,
}

/// An interface, or whatever else has a name there.
pub struct Interface {
    /// As the component says it: `volley:router/ets@0.1.0`.
    pub name: String,
    /// Whether this host has it, or asks for it.
    pub is_ours: bool,
}

impl Outline {
    /// Of a component; words when it is none.
    pub fn of(component: &[u8]) -> Result<Self, String> {
        if component.starts_with(b"\0asm\x01\0\0\0") {
            return Err("it is a core module".into());
        }
        let shape = Shape::read(component)?;
        let all = |names: &[&str], is_ours: &dyn Fn(&str) -> bool| {
            names.iter().map(|name| Interface { name: (*name).to_owned(), is_ours: is_ours(name) }).collect()
        };
        let known = |name: &str| {
            let exported = ["handler", "migration", "reversal"];
            of_package(name).is_some_and(|(name, version)| exported.contains(&name) && is_ours(version))
        };
        Ok(Self { imports: all(&shape.imports, &may_import), exports: all(&shape.exports, &known) })
    }

    /// The version of the contract that its rule was built for: `0.1.0`.
    pub fn contract(&self) -> Option<&str> {
        self.exports.iter().chain(&self.imports).find_map(|one| of_package(&one.name)).map(|(_, version)| version)
    }

    /// The version of the contract that this host speaks: `0.1`, any patch of it.
    pub fn spoken() -> &'static str {
        VERSION
    }

    /// Whether it exports that interface of the contract.
    pub fn exports(&self, interface: &str) -> bool {
        self.exports.iter().any(|one| one.is_ours && of_package(&one.name).is_some_and(|(name, _)| name == interface))
    }
}

/// Whether this host has an interface that a rule imports.
fn may_import(name: &str) -> bool {
    of_package(name).is_some_and(|(name, version)| is_ours(version) && CONTRACT.imports.contains_key(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_outlined_and_what_is_not_ours_is_marked() {
        let outline = Outline::of(crate::bundled::component("chat").unwrap()).unwrap();
        assert!(outline.imports.iter().all(|import| import.is_ours), "all it imports is ours");
        assert!(outline.exports("handler") && !outline.exports("migration"));
        assert_eq!(outline.contract(), Some("0.1.0"));
        let mut other = crate::bundled::component("topic").unwrap().to_vec();
        let (from, to) = (&b"volley:router/logger@0.1.0"[..], &b"wasi:random/insecure@0.2.0"[..]);
        while let Some(at) = other.windows(from.len()).position(|bytes| bytes == from) {
            other[at..at + to.len()].copy_from_slice(to);
        }
        let outline = Outline::of(&other).unwrap();
        assert_eq!(outline.imports.iter().filter(|import| !import.is_ours).count(), 1);
        assert!(Outline::of(b"nonsense").is_err() && Outline::of(b"\0asm\x01\0\0\0").is_err());
    }
}
