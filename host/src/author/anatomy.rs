//! A component's parts, read from its bytes alone: nothing of it runs.

use std::collections::BTreeMap;
use wasmparser::{KnownCustom, Parser, Payload};

/// What is found in a component and in all modules within it.
#[derive(Default)]
pub(super) struct Anatomy {
    /// Core modules, in their order.
    pub(super) modules: Vec<Module>,
    /// Bytes by the name of a section, outside of modules.
    pub(super) around: BTreeMap<String, u64>,
    /// Who made it: `language`, `processed-by`, `sdk`, each with `NAME VERSION`.
    pub(super) producers: BTreeMap<String, Vec<String>>,
}

/// A core module.
#[derive(Default)]
pub(super) struct Module {
    pub(super) bytes: u64,
    pub(super) functions: u64,
    /// Pages of 64 KiB of the memory that it has; none if it imports one.
    pub(super) memory: Option<Memory>,
    /// Bytes by the name of a section.
    pub(super) sections: BTreeMap<String, u64>,
}

#[derive(Clone, Copy)]
pub(super) struct Memory {
    pub(super) initial_bytes: u64,
    pub(super) max_bytes: Option<u64>,
}

impl Anatomy {
    /// Of a valid component.
    pub(super) fn of(component: &[u8]) -> anyhow::Result<Self> {
        let mut found = Self::default();
        // What surrounds what is read at this moment: the place of a module, or none for a component.
        let mut within: Vec<Option<usize>> = vec![None];
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload?;
            let module = within.last().copied().flatten();
            let section = payload.as_section();
            match &payload {
                Payload::ModuleSection { unchecked_range, .. } => {
                    found.modules.push(Module { bytes: unchecked_range.len() as u64, ..Module::default() });
                    within.push(Some(found.modules.len() - 1));
                    continue;
                }
                Payload::ComponentSection { .. } => {
                    within.push(None);
                    continue;
                }
                Payload::End(_) => _ = within.pop(),
                Payload::CodeSectionStart { count, .. } => {
                    if let Some(at) = module {
                        found.modules[at].functions = u64::from(*count);
                    }
                }
                Payload::MemorySection(memories) => {
                    if let (Some(at), Some(memory)) = (module, memories.clone().into_iter().next().transpose()?) {
                        let bytes = |pages: u64| pages << memory.page_size_log2.unwrap_or(16);
                        let (initial_bytes, max_bytes) = (bytes(memory.initial), memory.maximum.map(bytes));
                        found.modules[at].memory = Some(Memory { initial_bytes, max_bytes });
                    }
                }
                Payload::CustomSection(custom) => {
                    if let KnownCustom::Producers(producers) = custom.as_known() {
                        found.learn(producers)?;
                    }
                }
                _ => {}
            }
            if let Some((id, range)) = section {
                let name = match &payload {
                    Payload::CustomSection(custom) => custom.name().to_owned(),
                    _ if module.is_some() => of_module(id).to_owned(),
                    _ => of_component(id).to_owned(),
                };
                let sections = module.map_or(&mut found.around, |at| &mut found.modules[at].sections);
                *sections.entry(name).or_default() += range.len() as u64;
            }
        }
        Ok(found)
    }

    fn learn(&mut self, producers: wasmparser::ProducersSectionReader<'_>) -> anyhow::Result<()> {
        for field in producers {
            let field = field?;
            let known = self.producers.entry(field.name.to_owned()).or_default();
            for value in field.values {
                let value = value?;
                let text = format!("{} {}", value.name, value.version).trim_end().to_owned();
                if !known.contains(&text) {
                    known.push(text);
                }
            }
        }
        Ok(())
    }

    /// What it was written in, as its producers say or let guess.
    pub(super) fn languages(&self) -> Vec<String> {
        const COMPILERS: [(&str, &str); 6] = [
            ("rustc", "Rust"),
            ("TinyGo", "Go"),
            ("clang", "C"),
            ("componentize-js", "JavaScript"),
            ("ComponentizeJS", "JavaScript"),
            ("componentize-py", "Python"),
        ];
        let said = |field: &str| self.producers.get(field).into_iter().flatten();
        let tools = || said("processed-by").chain(said("sdk"));
        let guessed = COMPILERS.iter().filter(|(tool, _)| tools().any(|one| one.starts_with(tool)));
        let mut all: Vec<String> = said("language").cloned().collect();
        if all.is_empty() {
            all = guessed.map(|(_, language)| (*language).to_owned()).collect();
            all.dedup();
        }
        all
    }

    /// Bytes of the sections of that name, over all modules.
    pub(super) fn bytes_of(&self, section: &str) -> u64 {
        self.modules.iter().filter_map(|module| module.sections.get(section)).sum()
    }

    /// The memory that the rule starts with.
    pub(super) fn memory(&self) -> Option<Memory> {
        self.modules.iter().find_map(|module| module.memory)
    }
}

fn of_module(id: u8) -> &'static str {
    match id {
        1 => "type",
        2 => "import",
        3 => "function",
        4 => "table",
        5 => "memory",
        6 => "global",
        7 => "export",
        8 => "start",
        9 => "element",
        10 => "code",
        11 => "data",
        12 => "data count",
        13 => "tag",
        _ => "unknown",
    }
}

fn of_component(id: u8) -> &'static str {
    match id {
        2 => "core instance",
        3 => "core type",
        5 => "instance",
        6 => "alias",
        7 => "type",
        8 => "canonical function",
        9 => "start",
        10 => "import",
        11 => "export",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_rule_are_found_and_add_up() {
        let chat = crate::bundled::component("chat").unwrap();
        let found = Anatomy::of(chat).unwrap();
        let largest = found.modules.iter().max_by_key(|module| module.bytes).unwrap();
        assert!(largest.functions > 50 && found.bytes_of("code") > found.bytes_of("data"));
        assert!(found.bytes_of("name") > 0 && found.memory().unwrap().initial_bytes >= 1 << 16);
        assert!(found.producers["processed-by"].iter().any(|tool| tool.starts_with("rustc")));
        assert_eq!(found.languages(), ["Rust"]);
        let all = found.modules.iter().map(|module| module.bytes).sum::<u64>() + found.around.values().sum::<u64>();
        let whole = chat.len() as u64;
        // Heads of sections are a few bytes each.
        assert!(all <= whole && whole - all < 1000, "{all} of {whole}");
    }
}
