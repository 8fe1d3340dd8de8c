//! The rules that travel inside the binary.

/// Their names.
pub const NAMES: [&str; 2] = ["chat", "topic"];

/// The component of that name.
pub fn component(name: &str) -> Option<&'static [u8]> {
    match name {
        "chat" => Some(include_bytes!("../../plugins/dist/chat.wasm")),
        "topic" => Some(include_bytes!("../../plugins/dist/topic.wasm")),
        _ => None,
    }
}
