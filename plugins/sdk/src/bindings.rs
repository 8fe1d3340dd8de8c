//! What wit-bindgen makes of the contract. The rest of the crate wraps it; a rule never sees it.
#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    rust_2018_idioms,
    clippy::all,
    clippy::pedantic,
    reason = "generated"
)]

wit_bindgen::generate!({
    path: "../../wit/v0.1",
    world: "plugin",
    pub_export_macro: true,
    default_bindings_module: "volley_plugin::bindings",
});
