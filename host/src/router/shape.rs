//! What a component imports and exports, and the types of it, once its shape has been validated.

use wasmparser::types::Types;
use wasmparser::{Parser, Payload, ValidPayload, Validator};

/// Components and modules within each other. Compilers make two levels.
pub(super) const NESTING_MAX: usize = 16;
/// A valid component's imports and exports.
pub(super) struct Shape<'a> {
    pub(super) types: Types,
    pub(super) imports: Vec<&'a str>,
    pub(super) exports: Vec<&'a str>,
}

impl<'a> Shape<'a> {
    pub(super) fn read(component: &'a [u8]) -> Result<Self, String> {
        let words = |error: wasmparser::Error| error.to_string();
        let mut validator = Validator::new();
        let (mut imports, mut exports, mut depth, mut types) = (Vec::new(), Vec::new(), 0, None);
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload.map_err(words)?;
            // The code of functions is left to wasmtime.
            if let ValidPayload::End(ended) = validator.payload(&payload).map_err(words)? {
                types = Some(ended);
            }
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) if depth > 0 => depth -= 1,
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        imports.push(import.map_err(words)?.name.name);
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        exports.push(export.map_err(words)?.name.name);
                    }
                }
                _ => {}
            }
            if depth > NESTING_MAX {
                return Err(format!("it is nested deeper than {NESTING_MAX}"));
            }
        }
        // The last to end is the outermost.
        Ok(Self { types: types.ok_or("it is empty")?, imports, exports })
    }
}
